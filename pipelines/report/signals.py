"""What the Gopher filters measure on a text, each quantity by name with the limits that a filter sets for it.

The numbers are those of filters/signals.py, under names for people. Gives up: speed (some milliseconds a document), so
it is for samples; spam phrases and lengths.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datatrove.data import Document
from pydantic import BaseModel

from filters import FILTERS
from filters.language import normalise_language
from filters.signals import SPLIT, quality_signals, repetition_signals
from pipelines.profiles import FilterSpec

QUALITY, REPETITION = "gopher_quality", "gopher_repetition"
_SHARE = tuple(i / 40 for i in range(41))
_SMALL_SHARE = tuple(i / 80 for i in range(41))


@dataclass(frozen=True)
class Signal:
    """A quantity: what it is called, the edges of its histogram's bins, and the filter parameters that limit it."""

    title: str
    edges: tuple[float, ...]
    low: str | None = None
    high: str | None = None
    log: bool = False


SIGNALS: dict[str, Signal] = {
    "words": Signal(
        "words that are not only punctuation", tuple(2 ** (i / 2) for i in range(41)), "min_doc_words", "max_doc_words",
        log=True,
    ),
    "mean_word_length": Signal(
        "mean word length, characters", tuple(i / 2 for i in range(41)), "min_avg_word_length", "max_avg_word_length"
    ),
    "hashes_per_word": Signal("hash signs per word", _SMALL_SHARE, high="max_symbol_word_ratio"),
    "ellipses_per_word": Signal("ellipses per word", _SMALL_SHARE, high="max_symbol_word_ratio"),
    "bullet_lines": Signal("lines that start with a bullet, share", _SHARE, high="max_bullet_lines_ratio"),
    "ellipsis_lines": Signal("lines that end with an ellipsis, share", _SHARE, high="max_ellipsis_lines_ratio"),
    "words_with_letter": Signal("words with a letter, share", _SHARE, low="max_non_alpha_words_ratio"),
    "stop_words": Signal("different stop words", tuple(float(i) for i in range(31)), low="min_stop_words"),
    "repeated_lines": Signal("repeated lines, share", _SHARE, high="dup_line_frac"),
    "repeated_paragraphs": Signal("repeated paragraphs, share", _SHARE, high="dup_para_frac"),
    "chars_in_repeated_lines": Signal("characters in repeated lines, share", _SHARE, high="dup_line_char_frac"),
    "chars_in_repeated_paragraphs": Signal(
        "characters in repeated paragraphs, share", _SHARE, high="dup_para_char_frac"
    ),
    **{
        f"top_{n}_gram": Signal(f"characters in the most frequent {n}-gram, share", _SHARE, high=f"top_{n}_gram")
        for n in (2, 3, 4)
    },
    **{
        f"duplicated_{n}_grams": Signal(f"characters in repeated {n}-grams, share", _SHARE, high=f"dup_{n}_grams")
        for n in range(5, 11)
    },
}  # fmt: skip

# Names of filters/signals.py that are other ones here.
_NAMES = {
    "doc_words": "words",
    "avg_word_length": "mean_word_length",
    "hashes": "hashes_per_word",
    "ellipses": "ellipses_per_word",
    "alpha_words": "words_with_letter",
    "dup_line_frac": "repeated_lines",
    "dup_para_frac": "repeated_paragraphs",
    "dup_line_char_frac": "chars_in_repeated_lines",
    "dup_para_char_frac": "chars_in_repeated_paragraphs",
    **{f"duplicated_{n}_n_grams": f"duplicated_{n}_grams" for n in range(5, 11)},
}


class Limits(BaseModel):
    """The limits of one signal: what is kept lies between them; None for no limit."""

    low: float | None = None
    high: float | None = None

    def broken_by(self, value: float) -> bool:
        """Whether a filter with these limits drops a document for this value."""
        return (self.low is not None and value < self.low) or (self.high is not None and value > self.high)


class Measures:
    """The Gopher filters of one profile as measuring instruments; `languages` have rules of their own."""

    def __init__(self, specs: tuple[FilterSpec, ...]) -> None:
        made = {spec.name: FILTERS[spec.name](**spec.params) for spec in specs if spec.name in (QUALITY, REPETITION)}
        self.filters: Mapping[str, Any] = made
        self.languages = sorted({language for f in made.values() for language in f.by_language})

    def rules(self, language: str) -> list[Any]:
        """The filters that judge documents of a language."""
        return [f.by_language.get(language, f) for f in self.filters.values()]

    def limits(self, language: str) -> dict[str, Limits]:
        """The limits for documents of a language ("": for those without rules of their own), by signal."""
        values: dict[str, float] = {}
        for rules in self.rules(language):
            values |= {name: value for name, value in vars(rules).items() if isinstance(value, (int, float)) and value}
            for n, share in getattr(rules, "top_n_grams", ()):
                values[f"top_{n}_gram"] = share
            for n, share in getattr(rules, "dup_n_grams", ()):
                values[f"dup_{n}_grams"] = share
        found = {
            name: Limits(low=values.get(signal.low or ""), high=values.get(signal.high or ""))
            for name, signal in SIGNALS.items()
        }
        return {name: limits for name, limits in found.items() if limits != Limits()}

    def measure(self, document: Document) -> tuple[str, dict[str, float]]:
        """The language whose rules judge a document, and its signals; {} for text that has no words for them."""
        code = _code(document.metadata.get("language"))
        language = code if code in self.languages else ""
        found: dict[str, float] = {}
        for rules in self.rules(language):
            measured = (quality_signals if rules.family == QUALITY else repetition_signals)(rules, document.text)
            if (
                not document.text.strip()
                or measured.get("words_error", SPLIT) != SPLIT
                or not measured.get("all_words", 1)
            ):
                return language, {}
            found |= {_NAMES.get(name, name): value for name, value in measured.items() if not math.isnan(value)}
        return language, {name: value for name, value in found.items() if name in SIGNALS}


def _code(language: Any) -> str:
    """As the filters' `by_language` has it; "" for what is no language code."""
    try:
        return normalise_language(language) if isinstance(language, str) else ""
    except ValueError:
        return ""
