"""What the Gopher filters measure on a text, each quantity by name with the limits that a filter sets for it.

The formulas are those of datatrove 0.10.1 (gopher_quality_filter.py, gopher_repetition_filter.py), after Rae et al.
2021, arXiv:2112.11446, Table A1 and section A.1.1; a filter stops at its first reason, here everything is measured.
Gives up: speed (some milliseconds a document), so it is for samples; spam phrases and lengths.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.filters.gopher_repetition_filter import (
    find_all_duplicate,
    find_duplicates,
    find_top_duplicate,
    get_n_grams,
)
from datatrove.utils.text import PUNCTUATION_SET
from pydantic import BaseModel

from filters import FILTERS
from filters.language import normalise_language
from filters.text import SPLIT_ERRORS, split_words
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
        try:
            for rules in self.rules(language):
                words = split_words(document.text, rules.language)
                if not words or not document.text.strip():
                    return language, {}
                found |= _quality(document.text, words, rules.stop_words) if rules.family == QUALITY else {}
                found |= _repetition(document.text, words, rules) if rules.family == REPETITION else {}
        except SPLIT_ERRORS:
            return language, {}
        return language, found


def _code(language: Any) -> str:
    """As the filters' `by_language` has it; "" for what is no language code."""
    try:
        return normalise_language(language) if isinstance(language, str) else ""
    except ValueError:
        return ""


def _quality(text: str, words: list[str], stop_words: set[str]) -> dict[str, float]:
    proper = [word for word in words if any(char not in PUNCTUATION_SET for char in word)]
    lines = text.splitlines()
    found = {
        "words": float(len(proper)),
        "hashes_per_word": text.count("#") / len(words),
        "ellipses_per_word": (text.count("...") + text.count("…")) / len(words),
        "bullet_lines": sum(line.lstrip().startswith(("•", "-")) for line in lines) / len(lines),
        "ellipsis_lines": sum(line.rstrip().endswith(("...", "…")) for line in lines) / len(lines),
        "words_with_letter": sum(any(char.isalpha() for char in word) for word in words) / len(words),
        "stop_words": float(len(stop_words.intersection(words))),
    }
    return found | ({"mean_word_length": sum(map(len, proper)) / len(proper)} if proper else {})


def _repetition(text: str, words: list[str], rules: Any) -> dict[str, float]:
    paragraphs = re.split(r"\n{2,}", text.strip())
    lines = re.split(r"\n+", text)
    paragraph, paragraph_chars = find_duplicates(paragraphs)
    line, line_chars = find_duplicates(lines)
    found = {
        "repeated_paragraphs": paragraph / len(paragraphs),
        "chars_in_repeated_paragraphs": paragraph_chars / len(text),
        "repeated_lines": line / len(lines),
        "chars_in_repeated_lines": line_chars / len(text),
    }
    for n, _ in rules.top_n_grams:
        if n_grams := get_n_grams(words, n):
            found[f"top_{n}_gram"] = find_top_duplicate(n_grams) / len(text)
    for n, _ in rules.dup_n_grams:
        found[f"duplicated_{n}_grams"] = find_all_duplicate(words, n) / len(text)
    return {name: value for name, value in found.items() if name in SIGNALS}
