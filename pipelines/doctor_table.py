"""The diagnosis for people: a table of all sources, and one line for each thing that is wrong.

Gives up: narrow terminals; the width is fixed.
"""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from pipelines.doctor import Health, SourceHealth
from pipelines.quantities import show_bytes
from pipelines.selection import NOT_CHOSEN

WIDTH = 220
_SHORT = {"language model": "LID"}
_BY = {
    "native": "native core",
    "given": "native rules, datatrove's words",
    "stock": "stock code",
    "none": "CANNOT RUN",
}
# A line each for so many sources with the same trouble, one line for more.
NAMED_ONE_BY_ONE = 2


def print_health(health: Health) -> None:
    """To standard output."""
    console = Console(width=WIDTH, highlight=False)
    console.print(_table(health))
    fetched, requests = sum(s.bytes_fetched for s in health.sources), sum(s.requests for s in health.sources)
    usable = sum(source.usable for source in health.sources)
    console.print()
    console.print(_native_table(health))
    lines = [
        "",
        f"{usable} of {len(health.sources)} sources usable, from {health.origin}; "
        f"{'a' if health.token else 'no'} token is set; first rows: {show_bytes(fetched)} in {requests:,} requests; "
        f"{health.seconds:g} s",
    ]
    for title, found in (
        ("NOT usable", _grouped((s.source, problem) for s in health.sources for problem in s.problems)),
        ("Notes", _grouped((s.source, note) for s in health.sources for note in s.notes)),
        ("Left out", [f"{key}: {why}" for key, why in health.disabled if why != NOT_CHOSEN]),
    ):
        if found:
            lines += ["", f"{title}:", *(f"  {line}" for line in found)]
    console.print("\n".join(lines), markup=False, soft_wrap=True)


def _table(health: Health) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("source", no_wrap=True)
    table.add_column("usable", no_wrap=True)
    for heading in ("access", "revision", "split"):
        table.add_column(heading, no_wrap=True)
    for heading in ("files", "size", "rows"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("blobs", no_wrap=True)
    table.add_column("filters need", no_wrap=True)
    table.add_column("columns", overflow="ellipsis", no_wrap=True, max_width=40)
    table.add_column("licence", no_wrap=True)
    for source in health.sources:
        table.add_row(*_row(source))
    return table


def _native_table(health: Health) -> Table:
    """Which code judges: one row for each part of the filters."""
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for heading in ("filters' part", "judged by"):
        table.add_column(heading, no_wrap=True)
    table.add_column("why not by the native core", max_width=90)
    table.add_column("profiles", overflow="ellipsis", no_wrap=True, max_width=60)
    for path in health.native:
        by = f"{_BY[path.path]}{f' ({path.how})' if path.how else ''}"
        table.add_row(path.part, by, path.note.replace("[", "\\["), ", ".join(path.profiles))
    return table


def _row(source: SourceHealth) -> list[str]:
    access = "no answer" if not source.reachable else "gated" if source.gated else "open"
    return [
        source.source,
        "yes" if source.usable else "NO",
        access,
        (source.revision or "")[:8],
        source.split,
        f"{source.files:,}" if source.files else "",
        show_bytes(source.bytes) if source.files else "",
        f"{source.documents} of {source.rows}" if source.rows else "",
        {True: "yes", False: "NO", None: ""}[source.blobs],
        ", ".join(f"{'' if there else 'NO '}{_SHORT.get(name, name)}" for name, there in source.needs.items()),
        ", ".join(name if there else f"{name} (none)" for name, there in source.columns.items()).replace("[", "\\["),
        source.license or "",
    ]


def _grouped(found: Iterable[tuple[str, str]]) -> list[str]:
    """`source: text` lines, in order; one line where more than a few sources have the same text."""
    by_text: dict[str, list[str]] = {}
    for source, text in found:
        by_text.setdefault(text, []).append(source)
    lines: list[str] = []
    for text, sources in by_text.items():
        if len(sources) <= NAMED_ONE_BY_ONE:
            lines += [f"{source}: {text}" for source in sources]
        else:
            lines.append(f"{len(sources)} sources ({sources[0]}, {sources[1]}, ...): {text}")
    return lines
