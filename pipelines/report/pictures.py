"""Which pictures a report has, and of which of its numbers; `plots` draws them.

Gives up: histograms of sources with fewer than FEW documents drawn, and those beyond MOST_HISTOGRAMS; their tables are
there.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from pipelines.histograms import LENGTH_BINS_PER_DOUBLING, OTHER, SCORE_BINS, Histogram
from pipelines.quantities import show_bytes, show_count
from pipelines.report import plots
from pipelines.report.by_language import MOST_LANGUAGES, shares
from pipelines.report.data import RunReport, SourceReport
from pipelines.report.resources import memory, step_name
from pipelines.report.signals import SIGNALS
from pipelines.report.tables import losses, percent

FEW = 20
# Histograms on a page, those of the largest sources first, and languages of one source that have their own. Each takes
# about 5 kB and 40 ms of CPU, so that a page stays below 5 MB and some fifteen seconds whatever the mixture.
MOST_HISTOGRAMS = 400
# Reasons with a smaller share of what is drawn share a row of the flow.
SMALL = 0.002
# Bars in one picture.
ROWS = 20


def _in_columns(title: str, rows: Sequence[plots.Bar], *, thin: bool = False, most: float | None = None) -> list[str]:
    """One picture where it is not too long, else several of the same scale, which the page puts side by side."""
    most = most or plots.largest(rows, thin=thin)
    return [plots.bars(title, rows[start : start + ROWS], thin=thin, most=most) for start in range(0, len(rows), ROWS)]


def mixture_bars(report: RunReport) -> tuple[str, list[str]]:
    """Shares of tokens by category and by source: asked above got."""
    asked, got = Counter[str](), Counter[str]()
    for source in report.sources:
        asked[source.category or "?"] += source.asked_share  # type: ignore[assignment]
        got[source.category or "?"] += source.got_share  # type: ignore[assignment]

    def rows(items: Sequence[tuple[str, float, float]]) -> list[plots.Bar]:
        return [
            (name, f"{left:.2%} asked, {right:.2%} got", ((left, "asked"), (right, "kept")))
            for name, left, right in sorted(items, key=lambda item: -item[1])
        ]

    categories = rows([(name, asked[name], got[name]) for name in asked])
    sources = rows([(source.source, source.asked_share, source.got_share) for source in report.sources])
    by_category = plots.bars("Mixture by category", categories, thin=True)
    return by_category, _in_columns("Mixture by source", sources, thin=True)


def flows(report: RunReport) -> Iterator[str]:
    """From rows to what was drawn, where that is not all; from drawn to written, and to what a deduplication left."""
    before, dropped = losses(report)
    rows, drawn, kept = (int(report.totals[name]) for name in ("rows", "drawn", "kept"))
    if before:
        yield plots.flow("From rows read to documents drawn", ("rows read", rows), before, ("drawn", drawn))
    if report.kind == "dedup":
        yield plots.flow("From documents read to documents left", ("read", drawn), dropped, ("left", kept))
        return
    big = [(reason, number) for reason, number in dropped if number >= SMALL * drawn]
    small = [number for _, number in dropped if number < SMALL * drawn]
    if small:
        big.append((f"{len(small)} other reasons", sum(small)))
    yield plots.flow("From documents drawn to documents kept", ("drawn", drawn), big, ("kept", kept))
    found = report.duplicates
    if found is not None:
        removed = [(f"dedup.{method}", number) for method, number in found.removed.items()]
        yield plots.flow("Deduplication", ("written", found.read), removed, ("left", found.written))


def families(report: RunReport) -> list[str]:
    """Colours that the pictures of drops use, in the order of the filters' chains."""
    before, dropped = losses(report)
    return list(dict.fromkeys(plots.family_colour(reason) for reason, _ in (*before, *dropped)))


def kept_bars(report: RunReport) -> list[str]:
    """For each source what became of its documents: kept, or dropped by which family of rules."""
    order = families(report)
    rows = [
        _kept_bar(source.source, source.drawn, source.kept, source.dropped, order)
        for source in report.sources
        if source.drawn
    ]
    return _in_columns("Kept and dropped by source", rows, most=1.0)


def _kept_bar(name: str, drawn: int, kept: int, dropped: Mapping[str, int], order: Sequence[str]) -> plots.Bar:
    by_family = Counter[str]()
    for reason, number in dropped.items():
        by_family[plots.family_colour(reason)] += number
    parts = [(kept / drawn, "kept")]
    parts += [(by_family[family] / drawn, family) for family in order if by_family[family]]
    return name, f"{percent(kept, drawn)} of {show_count(drawn)}", parts


def language_bars(report: RunReport, source: SourceReport) -> str:
    """The same for each language of a source; "" where there is only one, or the run did not tell them apart."""
    found = [each for each in shares(source) if each.dropped is not None and each.drawn]
    found = sorted(found, key=lambda each: (-each.drawn, each.language))[:MOST_LANGUAGES]
    if len(found) < 2:
        return ""
    order = families(report)
    rows = [_kept_bar(each.language, each.drawn, each.kept, each.dropped or {}, order) for each in found]
    return plots.bars(f"Kept and dropped by language: {source.source}", rows, most=1.0)


def histograms(report: RunReport) -> dict[str, tuple[list[str], list[str]]]:
    """For each source that has some: pictures of all of its documents, and of its sample."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    left = MOST_HISTOGRAMS
    for source in sorted(report.sources, key=lambda source: (-source.drawn, source.source)):
        if source.drawn >= FEW and left > 0:
            shapes = list(islice(shape_plots(source), left))
            signals = list(islice(signal_plots(source), left - len(shapes)))
            left -= len(shapes) + len(signals)
            found[source.source] = (shapes, signals)
    return found


def shape_plots(source: SourceReport) -> Iterator[str]:
    """Lengths and language scores of a source's documents, for each language that it asks for."""
    found = source.histograms
    if found is None:
        return
    several = len([language for language in found.drawn if language != OTHER]) > 1
    for language in _largest({language: drawn.documents for language, drawn in found.drawn.items()}):
        if several:
            drawn, kept = found.drawn[language], found.kept.get(language, Histogram())
        else:
            drawn, kept = _sum(found.drawn.values()), _sum(found.kept.values())
        name = f" ({language or 'other languages'})" if several else ""
        yield _lengths(f"Length, characters{name}", drawn, kept)
        if drawn.score:
            yield _scores(f"Language score{name}", drawn, kept, list(source.score_limits.values()))
        if not several:
            return


def _largest(documents: dict[str, int]) -> list[str]:
    """The languages with most documents, in the order of their names."""
    return sorted(sorted(documents, key=lambda language: (-documents[language], language))[:MOST_LANGUAGES])


def _sum(parts: Iterable[Histogram]) -> Histogram:
    total = Histogram()
    for part in parts:
        total.add(part)
    return total


def _both(drawn: dict[int, int], kept: dict[int, int], places: range) -> tuple[list[float], list[float]]:
    """Kept and dropped documents in some bins."""
    left = [float(kept.get(place, 0)) for place in places]
    return left, [drawn.get(place, 0) - number for place, number in zip(places, left, strict=True)]


def _lengths(title: str, drawn: Histogram, kept: Histogram) -> str:
    last = max(drawn.length, default=1)
    places = range(1, last + 1)
    edges = [2 ** ((place - 1) / LENGTH_BINS_PER_DOUBLING) for place in (*places, last + 1)]
    return plots.histogram(title, edges, *_both(drawn.length, kept.length, places), log=True)


def _scores(title: str, drawn: Histogram, kept: Histogram, limits: Sequence[float]) -> str:
    places = range(SCORE_BINS)
    edges = [place / SCORE_BINS for place in range(SCORE_BINS + 1)]
    return plots.histogram(title, edges, *_both(drawn.score, kept.score, places), limits=limits)


def signal_plots(source: SourceReport) -> Iterator[str]:
    """The signals of a source's sample whose limits drop some of it."""
    sample = source.signals
    if sample is None:
        return
    measured = {
        language: max((sum(found.kept) + sum(found.dropped) for found in signals.values()), default=0)
        for language, signals in sample.languages.items()
    }
    for language in _largest(measured):
        for name, found in sample.languages[language].items():
            if not (found.beyond_dropped or found.beyond_kept):
                continue
            kept, dropped = max(1, sum(found.kept)), max(1, sum(found.dropped))
            title = SIGNALS[name].title + (f" ({language})" if language else "")
            yield plots.histogram(
                title, SIGNALS[name].edges, [n / kept for n in found.kept], [n / dropped for n in found.dropped],
                limits=[limit for limit in (found.limits.low, found.limits.high) if limit is not None],
                log=SIGNALS[name].log, share=True,
            )  # fmt: skip


def step_bars(report: RunReport) -> str:
    """Seconds by step, longest first; "" where none were counted."""
    seconds = Counter[str]()
    for source in report.sources:
        for step, spent in source.step_seconds.items():
            seconds[step] += spent  # type: ignore[assignment]
    whole = sum(seconds.values())
    rows = [(step_name(step), f"{n:,.1f} s, {n / whole:.0%}", ((n, "kept"),)) for step, n in seconds.most_common() if n]
    return plots.bars("Time by step", rows) if rows else ""


def memory_bars(report: RunReport) -> str:
    """What the highest peak of a worker is made of; "" where the run did not tell."""
    parts = memory(report)
    whole = sum(size for _, size in parts)
    rows = [(step_name(step), f"{show_bytes(n)}, {n / whole:.0%}", ((n, "kept"),)) for step, n in parts if n]
    return plots.bars("Peak memory by step", rows) if rows else ""


def duplicate_bars(report: RunReport) -> list[str]:
    """Removed duplicates by source, within it and across."""
    found = report.duplicates
    rows = [
        (
            name,
            f"{entry['within']:,} within, {entry['across']:,} across",
            ((entry["within"], "dedup"), (entry["across"], "dropped")),
        )
        for name, entry in sorted(
            (found.by_source if found else {}).items(), key=lambda item: -(item[1]["within"] + item[1]["across"])
        )
        if entry["within"] or entry["across"]
    ]
    return _in_columns("Removed duplicates by source", rows)
