"""The plan for people: `plan_text(plan)` is what `--plan` prints and `_run/plan.txt` holds.

Gives up: wrapping for narrow terminals; the table has a fixed width, so that plan.txt is the same everywhere.
"""

import io
import shutil
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pipelines.plan import Plan, PlannedSource
from pipelines.quantities import show_bytes, show_count
from pipelines.selection import NOT_CHOSEN

WIDTH = 200


def plan_text(plan: Plan, output: Path | str) -> str:
    """The whole plan as plain text: sources, totals, what was left out, notes and warnings. `output`: path or URL."""
    buffer = io.StringIO()
    # FORCE_COLOR and the like must not get into plan.txt.
    console = Console(file=buffer, width=WIDTH, highlight=False, color_system=None)
    console.print(f"Stage {plan.stage}: {plan.description}", soft_wrap=True, markup=False)
    console.print(_table(plan))
    console.print("\n".join(_totals(plan, output)), soft_wrap=True, markup=False)
    for title, lines in (
        ("Left out", _left_out(plan)),
        ("Notes", plan.notes),
        ("Warnings", plan.warnings),
    ):
        if lines:
            console.print(f"\n{title}:", markup=False)
            for line in lines:
                console.print(f"  {line}", soft_wrap=True, markup=False)
    return buffer.getvalue()


def _left_out(plan: Plan) -> list[str]:
    chosen = [f"{key}: {why}" for key, why in plan.skipped if why != NOT_CHOSEN]
    number = len(plan.skipped) - len(chosen)
    return chosen + ([f"{number} sources: {NOT_CHOSEN}"] if number else [])


def _table(plan: Plan) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("source", no_wrap=True)
    for heading in (
        "weight", "share", "tokens", "available", "read rate", "epochs", "files", "to read", "docs~", "out~", "tasks",
    ):  # fmt: skip
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("filters", overflow="fold")
    for source in plan.sources:
        table.add_row(*_row(source))
    return table


def _row(source: PlannedSource) -> list[str]:
    mark = "" if source.available_how == "known" else "~"
    start = source.interval[0]
    epochs = f"{source.epochs:.3g}" + (f" from {start:.3g}" if start else "")
    filters = ", ".join(spec.name for spec in source.filters) or "none"
    languages = f"[{' '.join(source.languages)}] " if source.languages else ""
    return [
        source.key,
        f"{source.weight:g}",
        f"{source.share:.3%}",
        show_count(source.budget_tokens),
        mark + show_count(source.available_tokens),
        f"{min(1.0, source.epochs):.3%}",
        epochs,
        f"{len(source.files)} of {len(source.listing.files)}",
        show_bytes(source.bytes_to_read),
        show_count(source.expected_documents),
        show_bytes(source.expected_output_bytes),
        str(len(source.tasks)),
        (languages + filters).replace("[", "\\["),
    ]


def _totals(plan: Plan, output: Path | str) -> list[str]:
    to_read = sum(source.bytes_to_read for source in plan.sources)
    needed = sum(source.bytes_needed for source in plan.sources)
    disk = disk_free(output) if isinstance(output, Path) else None
    estimated = [source for source in plan.sources if source.available_how != "known"]
    lines = [
        "",
        f"Total: {show_count(plan.planned_tokens)} tokens of {show_count(plan.target_tokens)} asked, "
        f"{len(plan.sources)} sources, {plan.num_tasks} tasks",
        f"Reading: {sum(len(s.files) for s in plan.sources):,} of {sum(len(s.listing.files) for s in plan.sources):,} "
        f"files, {show_bytes(to_read)} to read for {show_bytes(needed)} needed",
        f"Writing: about {show_bytes(plan.expected_output_bytes)} to {output}"
        + (f", {show_bytes(disk)} free" if isinstance(output, Path) else ""),
    ]
    if disk is not None and plan.expected_output_bytes > 0.9 * disk:
        lines.append("WARNING: the documents may not fit on that disk; choose another --output-folder")
    if estimated:
        ways = sorted({source.available_how for source in estimated})
        lines.append(
            f"~ marks {len(estimated)} token counts that are {', '.join(ways)} (see pipelines/estimates.py); "
            "set available_tokens where you know better"
        )
    return lines


def disk_free(folder: Path) -> int | None:
    """Free bytes where `folder` is or will be."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free if folder.exists() else None


def plan_json(plan: Plan) -> dict[str, Any]:
    """The plan for machines: every number of the table, with files only counted."""
    data = plan.model_dump(mode="json", exclude={"sources", "earlier"})
    data["num_tasks"] = plan.num_tasks
    data["expected_output_bytes"] = round(plan.expected_output_bytes)
    data["sources"] = [
        {
            "source": source.key,
            "where": source.where,
            "weight": source.weight,
            "share": source.share,
            "budget_tokens": source.budget_tokens,
            "available_tokens": source.available_tokens,
            "available_how": source.available_how,
            "expected_yield": source.expected_yield,
            "interval": source.interval,
            "epochs": source.epochs,
            "revision": source.listing.revision,
            "files_to_open": [file.path for file in source.files],
            "files_total": len(source.listing.files),
            "bytes_to_read": source.bytes_to_read,
            "bytes_needed": source.bytes_needed,
            "expected_documents": source.expected_documents,
            "expected_output_bytes": round(source.expected_output_bytes),
            "tasks": len(source.tasks),
            "tasks_why": source.tasks_why,
            "languages": source.languages,
            "filters": [spec.model_dump(mode="json") for spec in source.filters],
            "license": source.source.license,
        }
        for source in plan.sources
    ]
    return data
