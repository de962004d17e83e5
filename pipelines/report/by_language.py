"""What became of the documents of each language: kept and dropped by reason, for each source and over all of them.

Languages are those that a source's filter asks for, as found in each document, and all others together; where no
filter looks for a language, all documents are of the one that the configuration names. Gives up: rejected rows, which
have no language yet, and columns for more than MOST_LANGUAGES (`report.json` has all).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipelines.histograms import OTHER
from pipelines.report.data import RunReport, SourceReport
from pipelines.report.tables import Table, percent

# Languages of one source that have their own histograms and columns, those with most documents first.
MOST_LANGUAGES = 8
OTHERS = "others"


@dataclass(frozen=True, kw_only=True)
class Share:
    """The documents of one language of a source. `dropped` is by reason; None in runs that did not count it."""

    language: str
    drawn: int
    kept: int
    dropped: dict[str, int] | None

    @property
    def most_dropped_as(self) -> str:
        """The most frequent reason with its number."""
        most = max(self.dropped or {}, key=lambda reason: (self.dropped or {})[reason], default="")
        return f"{most} ({(self.dropped or {})[most]:,})" if most else ""


def shares(source: SourceReport) -> list[Share]:
    """A source's documents by language, the named ones first; [] where the run counted none."""
    found = source.histograms
    if found is None:
        return []
    if not source.told_apart:
        name = source.language or OTHERS
        return [Share(language=name, drawn=source.drawn, kept=source.kept, dropped=source.dropped)]
    by_language = source.dropped_by_language
    return [
        Share(
            language=language or OTHERS,
            drawn=found.drawn[language].documents,
            kept=found.kept[language].documents if language in found.kept else 0,
            dropped=None if by_language is None else by_language.get(language, {}),
        )
        for language in sorted(found.drawn, key=lambda name: (name == OTHER, name))
    ]


def of_source(source: SourceReport) -> Table | None:
    """Kept and dropped by language; None where no language filter has looked."""
    if not source.told_apart or not (found := shares(source)):
        return None
    rows: list[Sequence[str]] = [
        (each.language, f"{each.drawn:,}", f"{each.kept:,}", percent(each.kept, each.drawn), each.most_dropped_as)
        for each in found
    ]
    headings = ("language", "drawn", "kept", "kept of drawn", "most dropped as")
    return Table(f"Languages: {source.source}", headings, rows, numbers_to=4)


def reasons(source: SourceReport) -> Table | None:
    """Drops by reason, a column for each language; None where there is only one, or the run did not tell them apart."""
    found = [each for each in shares(source) if each.dropped is not None]
    if len(found) < 2 or not source.dropped:
        return None
    largest = sorted(found, key=lambda each: (-each.drawn, each.language))[:MOST_LANGUAGES]
    columns = [each for each in found if each in largest]
    rows: list[Sequence[str]] = [
        ("drawn", *(f"{each.drawn:,}" for each in columns)),
        ("kept", *(_share(each.kept, each.drawn) for each in columns)),
    ]
    for reason, _ in sorted(source.dropped.items(), key=lambda item: (-item[1], item[0])):
        rows.append((reason, *(_share((each.dropped or {}).get(reason, 0), each.drawn) for each in columns)))
    note = f"The {len(columns)} largest of {len(found)} languages." if len(columns) < len(found) else ""
    headings = ("reason", *(each.language for each in columns))
    return Table(f"Reasons by language: {source.source}", headings, rows, note=note)


def _share(number: int, drawn: int) -> str:
    return f"{number:,} ({percent(number, drawn)})" if number else "0"


def over_all(report: RunReport) -> Table:
    """Every language over all sources, the one with most documents first."""
    sources, drawn, kept = Counter[str](), Counter[str](), Counter[str]()
    dropped: dict[str, Counter[str]] = {}
    for each in _all(report):
        sources[each.language] += 1
        drawn[each.language] += each.drawn
        kept[each.language] += each.kept
        dropped.setdefault(each.language, Counter()).update(each.dropped or {})
    rows: list[Sequence[str]] = []
    for language in sorted(drawn, key=lambda name: (name == OTHERS, -drawn[name], name)):
        most = ", ".join(f"{reason} ({number:,})" for reason, number in dropped[language].most_common(3))
        rows.append(
            (
                language, f"{sources[language]}", f"{drawn[language]:,}", f"{kept[language]:,}",
                percent(kept[language], drawn[language]), most,
            )
        )  # fmt: skip
    note = (
        "By the language that the filter found, where one looks for it; others: what no filter of the source asks "
        "for. Sources without such a filter count as the configuration says."
    )
    headings = ("language", "sources", "drawn", "kept", "kept of drawn", "most dropped as")
    return Table("Languages", headings, rows, numbers_to=5, note=note)


def _all(report: RunReport) -> Iterable[Share]:
    for source in report.sources:
        yield from shares(source)
