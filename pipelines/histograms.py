"""Lengths, language scores and drops of all documents of a task by language, before and after its filters.

Two steps that change nothing: `Drawn` in front of the filters and `Kept` behind them; and `Dropped`, which filters tell
of each document that they drop, and why. Their counts go into the ledger's record, whose law is drawn - kept = dropped,
for each language. Bins are fixed, so histograms of tasks add up. Gives up: quantities that a filter judges and does not
keep (words, repetitions); `pipelines.report.sample` measures those on a sample.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from datatrove.data import DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from pydantic import BaseModel, Field

from pipelines.writers import reason_name

# Drops by language (as in Histograms) and reason (`family.rule`).
ByLanguage = dict[str, dict[str, int]]
# Lengths: two bins for each doubling. A text of n characters is in bin (n*n).bit_length(), which holds the lengths from
# 2^((bin-1)/2) to below 2^(bin/2); 0 characters are in bin 0.
LENGTH_BINS_PER_DOUBLING = 2
_LENGTH_BINS = 128  # up to 2^64 characters
# Scores from 0 to 1: bin i holds scores from i/50 to below (i+1)/50, the last one also 1 (and what rounds above it).
SCORE_BINS = 50
# Documents of a language that the source's filter does not ask for, or of none.
OTHER = ""


class Histogram(BaseModel):
    """Documents of one language: how many, and how many in each bin (only bins that are not empty)."""

    documents: int = 0
    length: dict[int, int] = Field(default_factory=dict)
    score: dict[int, int] = Field(default_factory=dict)

    def add(self, other: "Histogram") -> None:
        """Take another task's counts in."""
        self.documents += other.documents
        for mine, theirs in ((self.length, other.length), (self.score, other.score)):
            for place, number in theirs.items():
                mine[place] = mine.get(place, 0) + number


class Histograms(BaseModel):
    """`drawn`: what came to the filters; `kept`: what they passed on, each document once, whatever its epochs.

    Keys are languages that the source's filter asks for, as its model spells them, and `OTHER` for all else.
    """

    drawn: dict[str, Histogram] = Field(default_factory=dict)
    kept: dict[str, Histogram] = Field(default_factory=dict)


def summed(parts: Iterable[Histograms | None]) -> Histograms | None:
    """The sum of several tasks'; None when one of them has none (a run of an older version)."""
    total = Histograms()
    for part in parts:
        if part is None:
            return None
        for mine, theirs in ((total.drawn, part.drawn), (total.kept, part.kept)):
            for language, histogram in theirs.items():
                mine.setdefault(language, Histogram()).add(histogram)
    return total


def summed_drops(parts: Iterable[ByLanguage | None]) -> ByLanguage | None:
    """The sum of several tasks'; None when one of them has none (a run of an older version)."""
    total: ByLanguage = {}
    for part in parts:
        if part is None:
            return None
        for language, reasons in part.items():
            mine = total.setdefault(language, {})
            for reason, number in reasons.items():
                mine[reason] = mine.get(reason, 0) + number
    return total


class _Counts:
    """Fixed arrays while documents pass; a list's item is added to faster than a dictionary's."""

    __slots__ = ("documents", "length", "score")

    def __init__(self) -> None:
        self.documents = 0
        self.length = [0] * _LENGTH_BINS
        self.score = [0] * (SCORE_BINS + 1)

    def histogram(self) -> Histogram:
        score = self.score[:SCORE_BINS]
        score[-1] += self.score[SCORE_BINS]
        return Histogram(
            documents=self.documents,
            length={place: number for place, number in enumerate(self.length) if number},
            score={place: number for place, number in enumerate(score) if number},
        )


class _Counter(PipelineStep):
    """Counts each document once it comes back from the steps behind, which write the language into its metadata.

    `languages` are told apart; () where a language filter asks for none, None where there is no such filter.
    """

    type = "📊 - HISTOGRAM"

    def __init__(self, languages: Sequence[str] | None = None) -> None:
        super().__init__()
        self.languages = languages
        self.counts: defaultdict[str, _Counts] = defaultdict(_Counts)

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """The same documents."""
        return self._count_lengths(data or ()) if self.languages is None else self._count(data or (), self.languages)

    def _count_lengths(self, data: Iterable[Any]) -> Iterator[Any]:
        counts = self.counts[OTHER]
        lengths = counts.length
        for document in data:
            yield document
            counts.documents += 1
            length = len(document.text)
            lengths[(length * length).bit_length()] += 1

    def _count(self, data: Iterable[Any], languages: Sequence[str]) -> Iterator[Any]:
        known = {language: self.counts[language] for language in (*languages, OTHER)}
        other = known[OTHER]
        for document in data:
            yield document
            metadata = document.metadata
            language, score = metadata.get("language"), metadata.get("language_score")
            # Until the filter has written them, both are the source's own, of any type.
            counts = known.get(language, other) if type(language) is str else other
            counts.documents += 1
            length = len(document.text)
            counts.length[(length * length).bit_length()] += 1
            if type(score) is float and 0.0 <= score < 1.02:
                counts.score[int(score * SCORE_BINS)] += 1

    def histograms(self) -> dict[str, Histogram]:
        """What was counted, by language; languages without a document are left out."""
        return {language: counts.histogram() for language, counts in self.counts.items() if counts.documents}


class Drawn(_Counter):
    """In front of the filters."""

    name = "📊 Drawn"


class Kept(_Counter):
    """Behind the filters, in front of the epochs."""

    name = "📊 Kept"


class Tally:
    """What `Drawn` and `Kept` count, of documents that pass no steps. `languages` as for those."""

    def __init__(self, languages: Sequence[str] | None = None) -> None:
        self._told_apart, self.known = languages is not None, frozenset(languages or ())
        self._counts: defaultdict[str, _Counts] = defaultdict(_Counts)

    def add(self, metadata: Mapping[str, Any], length: int) -> None:
        """One document with a text of so many characters."""
        counts = self._counts[language_of(metadata, self.known)]
        counts.documents += 1
        counts.length[(length * length).bit_length()] += 1
        score = metadata.get("language_score")
        if self._told_apart and type(score) is float and 0.0 <= score < 1.02:
            counts.score[int(score * SCORE_BINS)] += 1

    def histograms(self) -> dict[str, Histogram]:
        """What was counted, by language."""
        return {language: counts.histogram() for language, counts in self._counts.items()}


def language_of(metadata: Mapping[str, Any], known: frozenset[str]) -> str:
    """Which of the languages that are told apart a document counts for, `OTHER` for none of them."""
    language = metadata.get("language")
    return language if type(language) is str and language in known else OTHER


def languages_of(filters: Iterable[PipelineStep]) -> tuple[str, ...] | None:
    """The languages that language filters let through, as their models spell them in metadata; None: no such filter."""
    found: dict[str, None] = {}
    steps = [step for step in filters if getattr(step, "family", None) == "language"]
    for step in steps:
        for label in getattr(step, "languages", None) or ():
            found[label.partition("_")[0]] = None
    return tuple(found) if steps else None


class Dropped:
    """Drops by language and reason. `languages` as for `Drawn`, whose way of telling languages apart is this one's."""

    def __init__(self, languages: Sequence[str] | None = None) -> None:
        self.known = frozenset(languages or ())
        self.counts: defaultdict[tuple[str, str, str | None], int] = defaultdict(int)

    def of(self, family: str) -> Callable[[Any, str | None], None]:
        """What a filter of this family is to call: `CountedFilter.when_dropped`."""
        return partial(self._count, family)

    def _count(self, family: str, document: Any, rule: str | None) -> None:
        self.counts[language_of(document.metadata, self.known), family, rule] += 1

    def by_language(self) -> ByLanguage:
        """What was counted."""
        found: ByLanguage = {}
        for (language, family, rule), number in sorted(self.counts.items(), key=str):
            reasons, reason = found.setdefault(language, {}), reason_name(family, rule)
            reasons[reason] = reasons.get(reason, 0) + number
        return found


@dataclass(frozen=True)
class Measured:
    """What counts the documents of a task: two steps, and what its filters call."""

    drawn: Drawn
    kept: Kept
    dropped: Dropped


def measured(filters: Sequence[Any]) -> Measured:
    """The counters of a chain of filters, which from now on tell of what they drop."""
    languages = languages_of(filters)
    found = Measured(Drawn(languages), Kept(languages), Dropped(languages))
    for step in filters:
        step.when_dropped = found.dropped.of(step.family)
    return found
