"""The pipeline that is measured, twice: of stock datatrove's steps, and of ours, with the parameters of one profile.

Both: a reader of jsonl.gz, language, Gopher repetition, Gopher quality, spam, a writer of jsonl.gz, all columns
carried. Ours are the steps that `pipelines/stages.py` puts together, without sampler and ledger, which stock has not.
Stock has no spam filter; `PlainSpam` is the verdict of `filters.spam` written the plain way. Stock's language filter
gets the model that ours has (lid.176.ftz; its own is a download of 126 MB), and stock's files go through isal, which
is faster than Python's gzip, because it is installed here. Gives up: exclusion writers; drops are noted in memory, in
both.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

from corpus import COLUMNS, LANGUAGES, ROOT
from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.pipeline.filters.gopher_quality_filter import GopherQualityFilter
from datatrove.pipeline.filters.gopher_repetition_filter import GopherRepetitionFilter
from datatrove.pipeline.filters.language_filter import LanguageFilter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter

from filters import FILTERS
from filters.language import bundled_model
from filters.spam import SpamFilter, normalize_phrase
from pipelines.profiles import load_profiles
from pipelines.readers import ReadFile, SourceReader
from pipelines.writers import DocumentWriter

SPAM_FAMILY = "spam"


class Drops:
    """Takes what a filter drops, as an exclusion writer does, and keeps the verdicts only."""

    def __init__(self, family: str, found: dict[str, list[Any]]) -> None:
        self.family, self.found = family, found

    def __enter__(self) -> "Drops":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def write(self, document: Document, rank: int = 0) -> None:
        """Note the verdict on one document."""
        metadata = document.metadata
        # Stock's language filter gives no reason.
        reason = None if self.family == "language" else metadata.get("filter_reason")
        self.found[document.id] = [self.family, reason, metadata["language"], metadata["language_score"]]


class PlainSpam(BaseFilter):
    """`filters.SpamFilter`'s verdict in mode density, phrase after phrase, with Python's own string search."""

    name = "plain spam phrases"

    def __init__(self, like: SpamFilter, exclusion_writer: Any) -> None:
        super().__init__(exclusion_writer)
        self.phrases = sorted(like.phrase_set)
        self.max_density, self.min_hits = like.max_density, like.min_hits

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """Keep, or drop as `density`."""
        text = normalize_phrase(doc.text)
        spans = []
        for phrase in self.phrases:
            start = text.find(phrase)
            while start >= 0:
                end = start + len(phrase)
                if not (start and _in_word(text[start - 1])) and not (end < len(text) and _in_word(text[end])):
                    spans.append((end, start))
                start = text.find(phrase, start + 1)
        hits = free_from = 0
        for end, start in sorted(spans):
            if start >= free_from:
                hits, free_from = hits + 1, end
        if hits >= self.min_hits and hits * 1000 > self.max_density * len(text.split()):
            return False, "density"
        return True


def _in_word(char: str) -> bool:
    import unicodedata

    return char.isalnum() or unicodedata.category(char)[0] == "M"


class Metered:
    """Steps that note how long each of them took, without those before it. Wall time: its clock is the cheaper one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def attach(self, name: str, documents: Iterator[Document]) -> Iterator[Document]:
        """The same documents; the time inside of `documents` is added to `name`, upstream steps included."""
        self.seconds[name] = 0.0  # here and not below: generators start from the end of the chain
        return self._timed(name, documents)

    def _timed(self, name: str, documents: Iterator[Document]) -> Iterator[Document]:
        while True:
            start = perf_counter()
            document = next(documents, None)
            self.seconds[name] += perf_counter() - start
            if document is None:
                return
            yield document

    def shares(self) -> dict[str, float]:
        """Share of each step in the time of the last."""
        times = list(self.seconds.values())
        own = [time - before for time, before in zip(times, [0.0, *times], strict=False)]
        return {name: value / times[-1] for name, value in zip(self.seconds, own, strict=True)}


class Chain:
    """Filters that are made once, and a reader and a writer for every piece.

    Args:
        side: "ours" or "stock".
        language: a key of `corpus.LANGUAGES`.
    """

    def __init__(self, side: str, language: str) -> None:
        self.side, self.language = side, language
        self.dropped: dict[str, list[Any]] = {}
        profile = load_profiles(ROOT / "configs" / "filter_profiles.yaml")[LANGUAGES[language].profile]
        self.filters: dict[str, Any] = {}
        for spec in profile.filters:
            drops = Drops(spec.name, self.dropped)
            make = FILTERS[spec.name] if side == "ours" else _STOCK[spec.name]
            self.filters[spec.name] = make(**_parameters(spec, side, language), exclusion_writer=drops)
        self.words_only = self._words_only()

    def _words_only(self) -> Any:
        """A repetition filter without rules: what it costs is splitting into words (and being a datatrove step)."""
        off = dict.fromkeys(("dup_line_frac", "dup_para_frac", "dup_line_char_frac", "dup_para_char_frac"), 0)
        make = FILTERS["gopher_repetition"] if self.side == "ours" else GopherRepetitionFilter
        word_code = LANGUAGES[self.language].word_code
        return make(**off, top_n_grams=(), dup_n_grams=(), language=word_code)

    def reader(self, path: Path) -> PipelineStep:
        """All documents of a file."""
        if self.side == "stock":
            return JsonlReader(str(path.parent), glob_pattern=path.name)
        file = ReadFile(path=path.name, uri=str(path), size=path.stat().st_size, format="jsonl")
        origin = {"source": "bench/web", "config": "default", "weight": 1.0}
        return SourceReader(
            source="bench/web", tasks=[[file]], id_field="id", metadata_fields=COLUMNS, default_metadata=origin
        )

    def writer(self, folder: Path) -> PipelineStep:
        """Documents into `folder`."""
        if self.side == "stock":
            return JsonlWriter(str(folder), output_filename="${rank}.jsonl.gz", compression="gzip")
        return DocumentWriter(folder)

    def run(self, path: Path, folder: Path) -> None:
        """A piece through the whole pipeline."""
        documents: DocumentsPipeline = self.reader(path).run(None, 0, 1)
        for step in (*self.filters.values(), self.writer(folder)):
            documents = step.run(documents, 0, 1)
        for _ in documents:
            pass

    def run_metered(self, path: Path, folder: Path) -> dict[str, float]:
        """The same, step by step on the clock: share of each. "words" are split by a step of their own, which the
        filters after it find done."""
        meter = Metered()
        documents = meter.attach("read", iter(self.reader(path).run(None, 0, 1)))
        steps = dict(self.filters)
        if "gopher_repetition" in steps:
            places = list(steps).index("gopher_repetition")
            items = list(steps.items())
            steps = dict([*items[:places], ("words", self.words_only), *items[places:]])
        for name, step in (*steps.items(), ("write", self.writer(folder))):
            documents = meter.attach(name, iter(step.run(documents, 0, 1)))
        for _ in documents:
            pass
        return meter.shares()


def _parameters(spec: Any, side: str, language: str) -> dict[str, Any]:
    parameters = dict(spec.params)
    if side == "stock":
        parameters.pop("by_language", None)
        if "language" in parameters:
            parameters["language"] = LANGUAGES[language].word_code
    return parameters


def _stock_language(languages: list[str], threshold: float, exclusion_writer: Any) -> LanguageFilter:
    from fasttext.FastText import _FastText

    made = LanguageFilter(languages, language_threshold=threshold, exclusion_writer=exclusion_writer)
    made.model._model = _FastText(str(bundled_model()))
    return made


def _stock_spam(exclusion_writer: Any, **parameters: Any) -> PlainSpam:
    return PlainSpam(SpamFilter(**parameters), exclusion_writer)


_STOCK: dict[str, Callable[..., Any]] = {
    "language": _stock_language,
    "gopher_repetition": GopherRepetitionFilter,
    "gopher_quality": GopherQualityFilter,
    "spam": _stock_spam,
}
