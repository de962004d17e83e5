"""`_run/report.md`: the tables of a report as Markdown, for terminals, issues and diffs.

Gives up: pictures.
"""

import re
from collections.abc import Iterable

from pipelines.report import by_language, resources, tables
from pipelines.report.data import RunReport
from pipelines.report.tables import Table


def markdown(report: RunReport) -> str:
    """The report as GitHub-flavoured Markdown."""
    kind = "Deduplication" if report.kind == "dedup" else "Run"
    lines = [
        f"# Report: {_text(report.run)}",
        "",
        f"{kind}, {_text(report.state)}. {_text(report.description)}".rstrip(),
        "",
    ]
    lines += [f"- {name}: {value}" for name, value in tables.headline(report)]
    lines += [f"- problem: {_text(source.source)}: {_text(p)}" for source in report.sources for p in source.problems]
    for table in _tables(report):
        lines += ["", f"## {_text(table.title)}", "", *_table(table)]
    lines += ["", "## Drops by source and reason"]
    for source in report.sources:
        if source.dropped or source.rejected:
            lines += ["", f"### {_text(source.source)}", "", *_table(tables.reasons(source))]
            if (columns := by_language.reasons(source)) is not None:
                lines += ["", *_table(columns)]
    left_out = [f"{key}: {why}" for key, why in report.left_out]
    for title, found in (("Left out", left_out), ("Notes", report.notes), ("Warnings of the plan", report.warnings)):
        if found:
            lines += ["", f"## {title}", "", *(f"- {_text(line)}" for line in found)]
    return "\n".join(lines) + "\n"


def _tables(report: RunReport) -> Iterable[Table]:
    """Every table, in the page's order, those of single sources left out."""
    if report.kind == "run":
        yield tables.by_category(report)
    yield tables.by_source(report)
    yield tables.flow_table(report)
    yield tables.overview(report)
    languages = by_language.over_all(report)
    if languages.rows or report.kind == "run":
        yield languages
    yield from tables.duplicates(report)
    if report.stages:
        yield resources.stages(report)
    yield resources.steps(report)
    yield resources.memory_by_step(report)
    yield resources.slowest_steps(report)
    yield resources.slowest_tasks(report)
    yield resources.throughput(report)
    yield tables.rejects(report)
    yield tables.licences(report)
    yield tables.versions(report)


def _table(table: Table) -> list[str]:
    if not table.rows:
        return ["None."]
    marks = ["---:" if table.is_number(i) else "---" for i in range(len(table.headings))]
    lines = [_row(table.headings), _row(marks), *(_row(row) for row in table.rows)]
    return [*lines, "", table.note] if table.note else lines


def _row(cells: object) -> str:
    assert isinstance(cells, (list, tuple))
    return "| " + " | ".join(_text(cell) for cell in cells) + " |"


def _text(value: str) -> str:
    """Text that Markdown shows as it is: on one line, no cell borders, no markup."""
    flat = " ".join("".join(char if char.isprintable() else " " for char in value).split())
    flat = flat.replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;")
    return re.sub(r"([\\`*\[\]])", r"\\\1", flat)
