"""The tables of a report, as text cells: HTML and Markdown show the same ones.

Gives up: sorting by the reader.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.quantities import show_bytes, show_count
from pipelines.report.data import RunReport, SourceReport

MOST_PAIRS = 40


@dataclass(frozen=True)
class Table:
    """A table with a heading. Columns from `numbers_from` to before `numbers_to` are right-aligned."""

    title: str
    headings: Sequence[str]
    rows: list[Sequence[str]]
    numbers_from: int = 1
    numbers_to: int = 99
    note: str = ""

    def is_number(self, column: int) -> bool:
        """Whether a column holds numbers."""
        return self.numbers_from <= column < self.numbers_to


def percent(part: float, whole: float) -> str:
    """`part` of `whole`, "" where there is no whole."""
    return f"{part / whole:.2%}" if whole else ""


def off(got: float, planned: float | None) -> str:
    """How far tokens are off what was planned, in per cent of that."""
    return f"{got / planned - 1:+.1%}" if planned else ""


def headline(report: RunReport) -> list[tuple[str, str]]:
    """The figures at the head of the report."""
    totals = report.totals
    read = "documents read" if report.kind == "dedup" else "rows read"
    figures = [
        (read, f"{totals['rows']:,}"),
        ("documents written", f"{totals['written']:,}"),
        ("kept of drawn", percent(totals["kept"], totals["drawn"])),
        ("tokens (estimated)", show_count(totals["tokens"])),
    ]
    if report.planned_tokens:
        figures.append(("of planned tokens", percent(totals["tokens"], report.planned_tokens)))
    if report.duplicates is not None and report.kind == "run":
        figures.append(("after deduplication", f"{report.duplicates.written:,}"))
    cpu = totals["cpu_seconds"]
    if cpu:
        figures.append(("documents per CPU second", f"{totals['drawn'] / cpu:,.0f}"))
    figures.append(("peak memory of a worker", show_bytes(totals["peak_memory_bytes"])))
    return figures


_SHARES = (
    "Shares of the tokens, estimated from bytes of text. Asked: by the configuration's weights; planned: what the "
    "sources have, where some are too small for their weight. Points off: got less asked."
)


def by_category(report: RunReport) -> Table:
    """The mixture by category: asked, planned, got."""
    asked, planned, got = Counter[str](), Counter[str](), Counter[str]()
    for source in report.sources:
        asked[source.category] += source.asked_share  # type: ignore[assignment]
        planned[source.category] += source.planned_share or 0.0  # type: ignore[assignment]
        got[source.category] += source.got_share  # type: ignore[assignment]
    rows: list[Sequence[str]] = [
        (
            name or "?",
            f"{asked[name]:.2%}",
            f"{planned[name]:.2%}",
            f"{got[name]:.2%}",
            f"{100 * (got[name] - asked[name]):+.2f}",
        )
        for name in sorted(asked, key=lambda name: -asked[name])
    ]
    return Table("Mixture by category", ("category", "asked", "planned", "got", "points off"), rows, note=_SHARES)


def by_source(report: RunReport) -> Table:
    """The mixture by source: asked, planned, got."""
    rows: list[Sequence[str]] = [
        (
            source.source,
            source.category,
            f"{source.weight:g}",
            f"{source.asked_share:.2%}",
            f"{source.planned_share:.2%}" if source.planned_share is not None else "",
            f"{source.got_share:.2%}",
            f"{100 * (source.got_share - source.asked_share):+.2f}",
            show_count(source.planned_tokens) if source.planned_tokens is not None else "",
            f"{source.tokens:,}",
            off(source.tokens, source.planned_tokens),
            f"{source.epochs:.3g}" if source.epochs is not None else "",
            f"{source.repeated:,}",
        )
        for source in report.sources
    ]
    headings = (
        "source", "category", "weight", "asked", "planned", "got", "points off", "tokens planned", "tokens got",
        "off plan", "epochs", "repeated",
    )  # fmt: skip
    note = f"{_SHARES} Epochs: how often the plan goes through a source; repeated: documents written once more."
    return Table("Mixture by source", headings, rows, numbers_from=2, note=note)


def losses(report: RunReport) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Where documents went: (rows that were not drawn, drawn documents that were dropped), reasons with numbers.

    Filters in the order of their chains, reasons of a filter by number.
    """
    rejected, dropped = Counter[str](), Counter[str]()
    order: list[str] = []
    for source in report.sources:
        rejected.update(source.rejected)
        dropped.update(source.dropped)
        order += [name for name in source.filters if name not in order]

    def place(item: tuple[str, int]) -> tuple[int, int, str]:
        family = item[0].partition(".")[0]
        return (order.index(family) if family in order else len(order), -item[1], item[0])

    before = sorted(rejected.items(), key=lambda item: (-item[1], item[0]))
    sampled_out = int(report.totals["sampled_out"])
    if sampled_out:
        before.append(("sampling.out", sampled_out))
    return before, sorted(dropped.items(), key=place)


def flow_table(report: RunReport) -> Table:
    """From rows read to documents written."""
    totals = report.totals
    before, dropped = losses(report)
    rows_read, drawn = int(totals["rows"]), int(totals["drawn"])
    rows: list[Sequence[str]] = [("read", f"{rows_read:,}", "")]
    rows += [(f"- {reason}", f"{number:,}", percent(number, rows_read)) for reason, number in before]
    rows.append(("= drawn", f"{drawn:,}", percent(drawn, rows_read)))
    rows += [(f"- {reason}", f"{number:,}", percent(number, drawn)) for reason, number in dropped]
    rows.append(("= kept", f"{int(totals['kept']):,}", percent(totals["kept"], drawn)))
    if totals["repeated"]:
        rows.append(("+ repeated in later epochs", f"{int(totals['repeated']):,}", ""))
    rows.append(("= written", f"{int(totals['written']):,}", ""))
    found = report.duplicates
    if found is not None and report.kind == "run":
        rows += [
            (f"- duplicates ({method})", f"{number:,}", percent(number, found.read))
            for method, number in found.removed.items()
        ]
        rows.append(("= left after deduplication", f"{found.written:,}", percent(found.written, found.read)))
    return Table(
        "From read to written",
        ("", "documents", "share"),
        rows,
        note="Shares are of what stands at the head of each part: read, drawn, written.",
    )


def overview(report: RunReport) -> Table:
    """One row for each source."""
    rows: list[Sequence[str]] = []
    for source in report.sources:
        rows.append(
            (
                source.source,
                source.language or "",
                f"{source.tasks_done}/{source.tasks}",
                f"{source.rows:,}",
                f"{source.num_rejected:,}",
                f"{source.sampled_out:,}",
                f"{source.drawn:,}",
                f"{source.num_dropped:,}",
                f"{source.kept:,}",
                percent(source.kept, source.drawn),
                f"{source.written:,}",
                source.most_dropped_as,
            )
        )
    headings = (
        "source", "language", "tasks", "rows", "rejected", "sampled out", "drawn", "dropped", "kept", "kept of drawn",
        "written", "most dropped as",
    )  # fmt: skip
    return Table("Sources", headings, rows, numbers_from=2, numbers_to=11)


def reasons(source: SourceReport) -> Table:
    """What happened to the documents of one source."""
    rows: list[Sequence[str]] = [("kept", f"{source.kept:,}", percent(source.kept, source.drawn))]
    rows += [
        (reason, f"{number:,}", "" if reason in source.rejected else percent(number, source.drawn))
        for reason, number in source.losses()
    ]
    return Table(f"Reasons: {source.source}", ("reason", "documents", "of drawn"), rows)


def rejects(report: RunReport) -> Table:
    """Rows that could not be read as documents, by source and reason."""
    rows: list[Sequence[str]] = [
        (source.source, reason, f"{number:,}", percent(number, source.rows))
        for source in report.sources
        for reason, number in sorted(source.rejected.items(), key=lambda item: (-item[1], item[0]))
    ]
    return Table("Rejected rows", ("source", "reason", "rows", "of its rows"), rows, numbers_from=2)


def duplicates(report: RunReport) -> list[Table]:
    """Removed within and across sources, and the pairs of sources with most duplicates."""
    found = report.duplicates
    if found is None:
        return []
    by_source: list[Sequence[str]] = [
        (
            name,
            f"{entry['read']:,}",
            f"{entry['within']:,}",
            f"{entry['across']:,}",
            f"{entry['written']:,}",
            percent(entry["written"], entry["read"]),
        )
        for name, entry in found.by_source.items()
    ]
    pairs: list[Sequence[str]] = [
        (
            pair.removed_source,
            pair.kept_source + (f" in {pair.kept_run}" if pair.kept_run else ""),
            pair.method,
            f"{pair.documents:,}",
        )
        for pair in found.pairs[:MOST_PAIRS]
    ]
    shown = f"The {MOST_PAIRS} largest of {len(found.pairs)}." if len(found.pairs) > MOST_PAIRS else ""
    return [
        Table(
            "Duplicates by source",
            ("source", "read", "removed within", "removed across", "left", "left of read"),
            by_source,
            note="Within: for a document of the same source; across: for one of another source or of an earlier run.",
        ),
        Table(
            "Duplicates between sources",
            ("removed from", "in favour of", "method", "documents"),
            pairs,
            numbers_from=3,
            note=shown,
        ),
    ]


def licences(report: RunReport) -> Table:
    """Licence and origin of each source."""
    rows: list[Sequence[str]] = [
        (source.source, source.license or "not named", source.kind or "", source.revision or "", f"{source.written:,}")
        for source in report.sources
    ]
    return Table("Licences", ("source", "licence", "read from", "revision", "documents written"), rows, numbers_from=4)


def versions(report: RunReport) -> Table:
    """Fingerprint, models and versions of all that decides documents."""
    rows: list[Sequence[str]] = [("fingerprint of the run", report.fingerprint)]
    rows += [(name, value) for name, value in report.assets.items()]
    rows += [(name, value) for name, value in report.versions.items() if value != "not installed"]
    return Table("Versions and fingerprints", ("what", "value"), rows, numbers_from=2)
