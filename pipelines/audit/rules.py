"""The rules of the filters as data: which signal is compared with which threshold, how, and under which reason.

`rules_of(step)` lists the rules of a filter in the order in which it applies them; the first that drops names the
reason. Judging is done on columns of signals, so a threshold can be moved without measuring a document again. Gives up:
parameters that decide what is measured and not where the line is (`language`, `stop_words`, `phrases`, `model`, ...).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from filters import GopherQualityFilter, GopherRepetitionFilter, LanguageFilter, LengthFilter, SpamFilter
from filters.signals import LONG_RUN, UNREADABLE

Columns = Mapping[str, np.ndarray]
# Signals that count something: their thresholds are whole numbers.
_COUNTS = frozenset(("doc_words", "stop_words", "chars", "words", "tokens"))
OFF = float("nan")
"""A threshold that is switched off: no number is above, below or equal to it."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule: a document is dropped with `reason` when its `signal` lies on the wrong side of the threshold.

    Attributes:
        reason: as the filter gives it.
        signal: a name out of `filters.signals`.
        side: "above" drops signal > threshold, "below" signal < threshold, "not_above" signal <= threshold, "is"
            signal == threshold; "density" is the spam filter's, where hits and words decide together.
        key: the parameter that holds the threshold (`top_n_grams.2` for the pair of 2-grams), or "".
        fixed: the threshold where no parameter holds it.
        zero_is_off: whether a threshold of 0 switches the rule off.
    """

    reason: str
    signal: str
    side: str
    key: str = ""
    fixed: float = OFF
    zero_is_off: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """All parameters with a say."""
        if self.side == "density":
            return (self.key, "min_hits")
        return (self.key,) if self.key else ()

    def is_count(self, key: str) -> bool:
        """Whether the threshold `key` is a whole number."""
        return self.signal in _COUNTS or key == "min_hits"

    @property
    def is_share(self) -> bool:
        """Whether the threshold is a share, which cannot be above 1."""
        return self.signal not in (*_COUNTS, "hits", "avg_word_length")

    def limit(self, value: Any) -> float:
        """A parameter's value as a threshold."""
        return OFF if value is None or (self.zero_is_off and not value) else float(value)

    def drops(self, columns: Columns, limits: Mapping[str, np.ndarray]) -> np.ndarray:
        """Which documents the rule drops, taken alone: `columns` are the filter's signals, `limits` the thresholds of
        its keys, each with one float64 per document."""
        values = columns[self.signal]
        limit = limits[self.key] if self.key else np.full(len(values), self.fixed)
        if self.side == "above":
            return values > limit
        if self.side == "below":
            return values < limit
        if self.side == "not_above":
            return values <= limit
        if self.side == "is":
            return values == limit
        return (values >= limits["min_hits"]) & (values * 1000 > limit * columns["num_words"])

    def values(self, columns: Columns, key: str) -> np.ndarray:
        """What is compared with the threshold `key`, one number per document."""
        values = columns[self.signal]
        if self.side != "density" or key == "min_hits":
            return values
        words = columns["num_words"]
        return np.divide(values * 1000, words, out=np.full(len(values), OFF), where=words > 0)


def grows(rule: Rule, key: str) -> bool:
    """Whether a larger threshold `key` keeps more documents."""
    return rule.side in ("above", "density")


def rules_of(step: Any) -> list[Rule]:
    """The rules of a filter in its order; those of its `by_language` variants are asked for one by one."""
    if isinstance(step, LanguageFilter):
        return [] if step.label_only else _LANGUAGE
    if isinstance(step, GopherRepetitionFilter):
        return [
            *_LINES,
            *(_n_gram(f"top_{n}_gram", f"top_n_grams.{n}") for n in dict(step.top_n_grams)),
            *(_n_gram(f"duplicated_{n}_n_grams", f"dup_n_grams.{n}") for n in dict(step.dup_n_grams)),
        ]
    if isinstance(step, GopherQualityFilter):
        return _QUALITY
    if isinstance(step, SpamFilter):
        return _PHRASE if step.mode == "any" else _DENSITY
    if isinstance(step, LengthFilter):
        return _LENGTH
    raise TypeError(f"{type(step).__name__} has no rules here")


def limits_of(step: Any) -> dict[str, float]:
    """The thresholds of a filter as it stands, by key."""
    return {key: rule.limit(_value(step, key)) for rule in rules_of(step) for key in rule.keys}


def parameter_of(key: str) -> str:
    """The parameter that a key is in: `top_n_grams` for `top_n_grams.2`."""
    return key.partition(".")[0]


def _value(step: Any, key: str) -> Any:
    name, _, n = key.partition(".")
    if n:
        # Of two pairs with the same n the stricter one decides.
        return min(share for size, share in getattr(step, name) if size == int(n))
    return getattr(step, "language_threshold" if isinstance(step, LanguageFilter) else name)


def _n_gram(reason: str, key: str) -> Rule:
    return Rule(reason=reason, signal=reason, side="above", key=key)


def _gopher(reason: str, key: str, signal: str, side: str) -> Rule:
    return Rule(reason=reason, signal=signal, side=side, key=key, zero_is_off=True)


def _flag(reason: str, signal: str, fixed: float = 1.0) -> Rule:
    return Rule(reason=reason, signal=signal, side="is", fixed=fixed)


_LANGUAGE = [
    _flag("lone_surrogate", "lone_surrogate"),
    # Blank texts and other languages score low, too; `pipelines.audit.judge` gives them their own reasons.
    Rule(reason="low_score", signal="score", side="not_above", key="threshold"),
]
_LINES = [
    _flag("unsplittable", "words_error", LONG_RUN),
    _flag("empty", "empty"),
    _gopher("dup_para_frac", "dup_para_frac", "dup_para_frac", "above"),
    _gopher("dup_para_char_frac", "dup_para_char_frac", "dup_para_char_frac", "above"),
    _gopher("dup_line_frac", "dup_line_frac", "dup_line_frac", "above"),
    _gopher("dup_line_char_frac", "dup_line_char_frac", "dup_line_char_frac", "above"),
    _flag("unsplittable", "words_error", UNREADABLE),
]
_QUALITY = [
    _flag("gopher_unsplittable", "words_error", LONG_RUN),
    _flag("gopher_unsplittable", "words_error", UNREADABLE),
    _gopher("gopher_short_doc", "min_doc_words", "doc_words", "below"),
    _gopher("gopher_long_doc", "max_doc_words", "doc_words", "above"),
    _flag("gopher_no_words", "all_words", 0.0),
    _gopher("gopher_below_avg_threshold", "min_avg_word_length", "avg_word_length", "below"),
    _gopher("gopher_above_avg_threshold", "max_avg_word_length", "avg_word_length", "above"),
    _gopher("gopher_too_many_hashes", "max_symbol_word_ratio", "hashes", "above"),
    _gopher("gopher_too_many_ellipsis", "max_symbol_word_ratio", "ellipses", "above"),
    _gopher("gopher_too_many_bullets", "max_bullet_lines_ratio", "bullet_lines", "above"),
    _gopher("gopher_too_many_end_ellipsis", "max_ellipsis_lines_ratio", "ellipsis_lines", "above"),
    _gopher("gopher_below_alpha_threshold", "max_non_alpha_words_ratio", "alpha_words", "below"),
    _gopher("gopher_enough_stop_words", "min_stop_words", "stop_words", "below"),
]
_PHRASE = [Rule(reason="phrase", signal="hits", side="above", fixed=0.0)]
_DENSITY = [Rule(reason="density", signal="hits", side="density", key="max_density")]
_LENGTH = [
    Rule(reason="too_few_chars", signal="chars", side="below", key="min_chars"),
    Rule(reason="too_many_chars", signal="chars", side="above", key="max_chars"),
    Rule(reason="too_few_words", signal="words", side="below", key="min_words"),
    Rule(reason="too_many_words", signal="words", side="above", key="max_words"),
    Rule(reason="too_many_tokens", signal="tokens", side="above", key="max_tokens"),
]
