"""What stock says of a text: datatrove's own filters and splitters, run beside the project's to compare with.

Every answer is computed by datatrove, spaCy, pyvi and fastText themselves; the project's answers for texts that make
them raise (`unsplittable`, `lone_surrogate`) are derived from the exception. datatrove has no spam and no length
filter: for those the oracle is the plainest code that says the same. Gives up: speed, about 5 ms a document.
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.filters.gopher_quality_filter import GopherQualityFilter
from datatrove.pipeline.filters.gopher_repetition_filter import GopherRepetitionFilter
from datatrove.pipeline.filters.language_filter import LanguageFilter
from datatrove.utils.lid import FastTextLID
from datatrove.utils.text import split_into_words

from filters.language import bundled_model
from filters.spam import SpamFilter, load_phrases, normalize_phrase
from filters.text import MAX_RUN, word_language

# (True,) or (False, reason), and what was written into the metadata.
Answer = tuple[Any, dict[str, Any]]
_SPLIT_ERRORS = (UnicodeEncodeError, SystemError)


@lru_cache(maxsize=1)
def _fasttext() -> Any:
    from fasttext.FastText import _FastText

    return _FastText(str(bundled_model()))


class _BundledLID(FastTextLID):
    """datatrove's identification over all labels; only the file is the bundled one, which needs no network."""

    @property
    def model(self) -> Any:
        return _fasttext()


def language(params: Mapping[str, Any], text: str, metadata: Mapping[str, Any]) -> Answer:
    """datatrove's LanguageFilter; the reason comes from its label."""
    languages = params.get("languages")
    step = LanguageFilter(languages, params.get("threshold", 0.65))
    step.model = _BundledLID(languages)
    readable = text.encode("utf-8", "replace").decode("utf-8")
    doc = Document(text=readable, id="0", metadata=dict(metadata))
    kept = bool(step.filter(doc))
    if readable != text:
        return (False, "lone_surrogate"), doc.metadata
    if kept:
        return True, doc.metadata
    if not text.strip():
        return (False, "empty"), doc.metadata
    wanted = languages is None or doc.metadata["language"] in languages
    return (False, "low_score" if wanted else "not_wanted"), doc.metadata


_QUADRATIC = {"eng", "vie", "fra", "deu", "spa", "ita", "por", "rus", "fas", "ell", "arb_Arab", "ind"}


def _refused(text: str, code: str) -> bool:
    """A run above filters.text.MAX_RUN, which stock would need hours for: the one answer that is the project's own."""
    return code in _QUADRATIC and len(text) > MAX_RUN and any(len(run) > MAX_RUN for run in re.split(r"\s+", text))


@lru_cache(maxsize=256)
def _gopher(make: Any, parameters: tuple[tuple[str, Any], ...]) -> Any:
    return make(**dict(parameters))


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, (list, tuple)) else value


def _gopher_step(make: Any, params: Mapping[str, Any], metadata: Mapping[str, Any]) -> Any:
    """datatrove's filter with the parameters for the document's language."""
    params = dict(params)
    by_language = params.pop("by_language", None) or {}
    label = metadata.get("language")
    if label in by_language:
        params |= {"language": label} | by_language[label]
    params["language"] = word_language(params.get("language", "en"))
    return _gopher(make, tuple((name, _hashable(value)) for name, value in sorted(params.items())))


def gopher_repetition(params: Mapping[str, Any], text: str, metadata: Mapping[str, Any]) -> Answer:
    """datatrove's GopherRepetitionFilter."""
    step = _gopher_step(GopherRepetitionFilter, params, metadata)
    if _refused(text, step.language):
        return (False, "unsplittable"), dict(metadata)
    try:
        return step.filter(Document(text=text, id="0")), dict(metadata)
    except _SPLIT_ERRORS:
        return (False, "unsplittable"), dict(metadata)


def gopher_quality(params: Mapping[str, Any], text: str, metadata: Mapping[str, Any]) -> Answer:
    """datatrove's GopherQualityFilter."""
    step = _gopher_step(GopherQualityFilter, params, metadata)
    if _refused(text, step.language):
        return (False, "gopher_unsplittable"), dict(metadata)
    try:
        if not step.min_doc_words and not split_into_words(text, step.language):
            return (False, "gopher_no_words"), dict(metadata)
        return step.filter(Document(text=text, id="0")), dict(metadata)
    except _SPLIT_ERRORS:
        return (False, "gopher_unsplittable"), dict(metadata)


def _between_words(text: str, start: int, end: int) -> bool:
    sides = text[max(start - 1, 0) : start] + text[end : end + 1]
    return not any(char.isalnum() or unicodedata.category(char).startswith("M") for char in sides)


@lru_cache(maxsize=4)
def _phrases(path: str | None, languages: tuple[str, ...] | None) -> frozenset[str]:
    groups = load_phrases(path)
    return frozenset(phrase for name in (languages or groups) for phrase in groups[name])


@lru_cache(maxsize=16)
def _spam_step(parameters: tuple[tuple[str, Any], ...]) -> SpamFilter:
    return SpamFilter(**dict(parameters))


def spam(params: Mapping[str, Any], text: str, metadata: Mapping[str, Any]) -> Answer:
    """Every phrase is looked for by itself; of those between word boundaries as many as do not overlap count."""
    step = _spam_step(tuple((name, _hashable(value)) for name, value in sorted(params.items())))
    # Case folding can decompose; what is searched is folded text, as it is.
    folded = normalize_phrase(text)
    spans = []
    for phrase in _phrases(step.phrases, tuple(step.languages) if step.languages else None):
        start = folded.find(phrase)
        while start >= 0:
            if _between_words(folded, start, start + len(phrase)):
                spans.append((start + len(phrase), start))
            start = folded.find(phrase, start + 1)
    hits, free_from = 0, 0
    for end, start in sorted(spans):
        if start >= free_from:
            hits, free_from = hits + 1, end
    if step.mode == "any":
        return ((False, "phrase") if hits else True), dict(metadata)
    over = hits >= step.min_hits and hits * 1000 > step.max_density * len(folded.split())
    return ((False, "density") if over else True), dict(metadata)


def length(params: Mapping[str, Any], text: str, metadata: Mapping[str, Any]) -> Answer:
    """Characters, white-space words, and UTF-8 bytes over `bytes_per_token`, each with its limits."""
    measured = {
        "chars": len(text),
        "words": len(text.split()),
        "tokens": len(text.encode("utf-8", "surrogatepass")) / params.get("bytes_per_token", 4.0),
    }
    for name, value in measured.items():
        low, high = params.get(f"min_{name}"), params.get(f"max_{name}")
        if low is not None and value < low:
            return (False, f"too_few_{name}"), dict(metadata)
        if high is not None and value > high:
            return (False, f"too_many_{name}"), dict(metadata)
    return True, dict(metadata)


ORACLES = {
    "language": language,
    "gopher_repetition": gopher_repetition,
    "gopher_quality": gopher_quality,
    "spam": spam,
    "length": length,
}
