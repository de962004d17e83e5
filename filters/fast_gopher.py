"""Verdicts of the Gopher filters by the native core: datatrove's verdict and reason, or None to ask datatrove.

`repetition_verdict` and `quality_verdict` take a datatrove filter (or a subclass) and a text. They answer only where
the answer is proven to be the filter's own; None covers the rest: no native core, parameters or text outside of its
domain. What this gives up: nothing but the time of the attempt.
"""

from collections.abc import Callable
from copy import copy
from operator import attrgetter
from typing import Any
from weakref import WeakKeyDictionary

from datatrove.pipeline.filters.gopher_repetition_filter import GopherRepetitionFilter

from filters import native
from filters.fast_words import FastSplitter, splitter

Verdict = bool | tuple[bool, str]

# Whole numbers that a double holds exactly; comparisons with anything larger are Python's.
_LARGEST = 2**53


def _limit(value: Any) -> float:
    """A threshold as the core reads it: 0 switches it off, as None does in datatrove.

    Raises:
        TypeError: not None, an int or a float.
    """
    if value is None:
        return 0.0
    if type(value) not in (int, float, bool) or (type(value) is int and abs(value) > _LARGEST):
        raise TypeError(value)
    return float(value)


def _pairs(value: Any) -> tuple[tuple[int, float], ...]:
    pairs = tuple((n, share) for n, share in value)
    if any(type(n) is not int or not 1 <= n <= 1000 or type(share) not in (int, float) for n, share in pairs):
        raise TypeError(value)
    return tuple((n, float(share)) for n, share in pairs)


_repetition_parameters = attrgetter(
    "dup_line_frac", "dup_para_frac", "dup_line_char_frac", "dup_para_char_frac", "top_n_grams", "dup_n_grams"
)
_quality_parameters = attrgetter(
    "min_doc_words",
    "max_doc_words",
    "min_avg_word_length",
    "max_avg_word_length",
    "max_symbol_word_ratio",
    "max_bullet_lines_ratio",
    "max_ellipsis_lines_ratio",
    "max_non_alpha_words_ratio",
    "min_stop_words",
    "stop_words",
)


def _repetition_rules(module: Any, *parameters: Any) -> Any:
    *limits, top, duplicated = parameters
    return module.Repetition(*map(_limit, limits), _pairs(top), _pairs(duplicated))


def _quality_rules(module: Any, *parameters: Any) -> Any:
    *limits, stop_words = parameters
    # A word with surrogates is in no text that the core accepts.
    words = tuple(word for word in stop_words if word.encode("utf-8", "ignore").decode() == word)
    return module.Quality(*map(_limit, limits), words)


# The filters' rules in the core's form (None: the core cannot hold them), with the parameters that they were made from.
# Beside the filters and not inside, so that these stay as they are: pickled, compared and printed as before.
_made: WeakKeyDictionary[Any, tuple[tuple[Any, ...], Any]] = WeakKeyDictionary()


def _rules(f: Any, parameters: tuple[Any, ...], make: Callable[..., Any]) -> Any:
    known = _made.get(f)
    if known is not None and known[0] == parameters:
        return known[1]
    module = native.load() if native.why_not() is None else None
    try:
        rules = make(module, *parameters) if module is not None else None
    except (TypeError, ValueError, OverflowError, AttributeError):
        rules = None
    # Copies of what can be changed in place: the next call compares with them.
    _made[f] = (tuple(map(copy, parameters)), rules)
    return rules


def why_stock(f: Any) -> str | None:
    """None when the native core has the rules of a datatrove Gopher filter, else why datatrove's own code judges."""
    if (reason := native.why_not()) is not None:
        return reason
    known = _rules_of(f) is not None
    return None if known else "parameters that the native core cannot hold"


def _rules_of(f: Any) -> Any:
    if isinstance(f, GopherRepetitionFilter):
        return _rules(f, _repetition_parameters(f), _repetition_rules)
    return _rules(f, _quality_parameters(f), _quality_rules)


def _splitter(f: Any, rules: Any, part: str) -> FastSplitter | None:
    """The splitter of a filter's language; None, counted, where the filter is stock's to judge."""
    found = splitter(f.language) if rules is not None else None
    if found is None:
        native.counts["stock", part, why_stock(f) or ""] += 1
    return found


def _answer(reason: Any, part: str) -> Verdict | None:
    if reason is None:
        return True
    if reason is False:
        native.counts["stock", part, "stock would raise or warn here"] += 1
        return None
    return False, reason


def repetition_verdict(f: Any, text: str) -> Verdict | None:
    """What datatrove's GopherRepetitionFilter `f` says of a text, or None to ask itself."""
    rules = _rules_of(f)
    words_of = _splitter(f, rules, "gopher_repetition")
    if words_of is None:
        return None
    try:
        reason = rules.judge_lines(words_of.core, text)
    except UnicodeEncodeError:
        words_of.split(text)  # refuses it too, and counts it
        return None
    if reason is not None:
        return False, reason
    words = words_of.split(text)
    return None if words is None else _answer(rules.judge_words(words), "gopher_repetition")


def quality_verdict(f: Any, text: str) -> Verdict | None:
    """What datatrove's GopherQualityFilter `f` says of a text, or None to ask itself."""
    rules = _rules_of(f)
    words_of = _splitter(f, rules, "gopher_quality")
    words = words_of.split(text) if words_of is not None else None
    return None if words is None else _answer(rules.judge(words), "gopher_quality")
