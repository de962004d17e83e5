"""One input of the fuzzer against stock: words, the verdicts of every filter, the text as MinHash simplifies it.

An input is bytes: the first chooses the language, the second the parameters, the rest is the text. Gives up: runs above
`MAX_RUN`, which stock could not judge in minutes.
"""

import re
import warnings
from functools import lru_cache
from typing import Any

import numpy as np
from datatrove.data import Document
from datatrove.pipeline.filters.gopher_quality_filter import GopherQualityFilter
from datatrove.pipeline.filters.gopher_repetition_filter import GopherRepetitionFilter
from datatrove.utils.text import TextNormConfig, simplify_text, split_into_words

from filters import FILTERS, native
from filters.fast_gopher import quality_verdict, repetition_verdict
from filters.fast_words import FastSplitter, splitter
from filters.simplify_tables import simplify_table
from tests.native import stock
from tests.native.fuzz.pieces import LANGUAGES

_LONGEST = 12_000
_NO_LINES: dict[str, Any] = dict.fromkeys(
    ["dup_line_frac", "dup_para_frac", "dup_line_char_frac", "dup_para_char_frac"]
)
_NO_GRAMS: dict[str, Any] = {"top_n_grams": (), "dup_n_grams": ()}
# Each rule has to be the first to drop now and then, so most sets switch the rules before it off.
REPETITION: list[dict[str, Any]] = [
    {},
    _NO_LINES,
    _NO_LINES | {"top_n_grams": (), "dup_n_grams": tuple((n, 0.02 * n) for n in range(1, 12))},
    _NO_LINES | {"top_n_grams": tuple((n, 0.05) for n in range(1, 7)), "dup_n_grams": ()},
    _NO_LINES | {"top_n_grams": ((1, 0.5), (2, 0.4)), "dup_n_grams": ((1, 0.6), (2, 0.5), (3, 0.3))},
    _NO_GRAMS | {"dup_para_frac": None, "dup_para_char_frac": None},
    _NO_GRAMS | {"dup_line_frac": None, "dup_para_frac": 0.1, "dup_para_char_frac": 0.05},
    _NO_GRAMS | _NO_LINES | {"dup_line_char_frac": 0.01},
]
QUALITY: list[dict[str, Any]] = [
    {},
    {"min_doc_words": 2, "min_avg_word_length": None, "max_avg_word_length": None},
    {"min_doc_words": None, "max_doc_words": 12, "min_stop_words": None, "max_avg_word_length": 5},
    {"min_doc_words": 1, "min_avg_word_length": 2.5, "max_symbol_word_ratio": 0.05, "max_non_alpha_words_ratio": None},
    {"min_doc_words": 1, "max_bullet_lines_ratio": 0.3, "max_symbol_word_ratio": None, "min_avg_word_length": 0},
    {"min_doc_words": 1, "max_ellipsis_lines_ratio": 0.2, "min_avg_word_length": None, "max_symbol_word_ratio": None},
    {"min_doc_words": 1, "max_non_alpha_words_ratio": 0.55, "min_avg_word_length": None, "max_avg_word_length": 50},
    {"min_doc_words": 1, "min_stop_words": 1, "stop_words": ["the", "và", ".", "của", "n't", "и"]}
    | {"max_non_alpha_words_ratio": None, "min_avg_word_length": None},
]

LANGUAGE: list[dict[str, Any]] = [
    {"languages": ["en"], "threshold": 0.65},
    {"languages": ["en", "vi", "fr"], "threshold": 0.2},
    {"languages": None, "threshold": 0.5},
]
SPAM: list[dict[str, Any]] = [{}, {"mode": "any"}, {"max_density": 20.0, "min_hits": 2}]
_SWITCHES = ("lowercase", "norm_whitespace", "remove_punctuation", "norm_unicode_diacritics", "norm_numbers")


class Mismatch(AssertionError):
    """The core said something else than stock."""


@lru_cache(maxsize=256)
def _steps(language: str, which: int) -> tuple[Any, Any]:
    return (
        GopherRepetitionFilter(**REPETITION[which % len(REPETITION)], language=language),
        GopherQualityFilter(**QUALITY[which % len(QUALITY)], language=language),
    )


@lru_cache(maxsize=16)
def _chain(which: int) -> list[tuple[str, dict[str, Any], Any]]:
    params = {"language": LANGUAGE[which % len(LANGUAGE)], "spam": SPAM[which % len(SPAM)]}
    return [(family, params[family], FILTERS[family](**params[family])) for family in params]


@lru_cache(maxsize=32)
def _simplifier(which: int) -> tuple[Any, TextNormConfig]:
    config = TextNormConfig(**{name: not which >> i & 1 for i, name in enumerate(_SWITCHES)})
    module = native.load()
    assert module is not None
    return module.Simplifier(*simplify_table(config)), config


@lru_cache(maxsize=32)
def _forgetful(language: str) -> FastSplitter:
    """A splitter whose memory is always full."""
    return FastSplitter(language, memo_bytes=1)


def decode(data: bytes) -> tuple[str, int, str]:
    """Language, number of the parameters, text. Bytes that are no UTF-8 become lone surrogates for odd numbers."""
    head, body = data[:2].ljust(2, b"\0"), data[2:]
    errors = "surrogateescape" if head[1] & 1 else "ignore"
    return LANGUAGES[head[0] % len(LANGUAGES)], head[1] >> 1, body.decode("utf-8", errors)[:_LONGEST]


def encode(language: str, which: int, text: str) -> bytes:
    """The input that `decode` makes these of (a text with lone surrogates becomes one of other surrogates)."""
    lone = any("\ud800" <= char <= "\udfff" for char in text)
    return bytes([LANGUAGES.index(language), (which << 1 | lone) & 255]) + text.encode("utf-8", "surrogatepass")


def _stock(step: Any, text: str) -> Any:
    """The verdict, or the exception or warning that stands for "no answer"."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return step.filter(Document(text=text, id="0"))
    except (UnicodeEncodeError, SystemError, ZeroDivisionError) as error:
        return type(error)


def _compare(what: str, text: str, found: Any, expected: Any) -> None:
    if found is not None and found != expected:
        raise Mismatch(f"{what}: {found!r} instead of {expected!r}, of {text!r}")


def _check_others(which: int, text: str) -> None:
    """What needs no words: the other filters, and the form of a text that MinHash hashes."""
    for family, params, step in _chain(which % 9):
        doc = Document(text=text, id="0")
        found = step.filter(doc), doc.metadata
        _compare(f"{family} {which}", text, found, stock.ORACLES[family](params, text, {}))
    core, config = _simplifier(which % 32)
    try:
        simplified = core.simplify(text)
    except UnicodeEncodeError:
        return
    _compare(f"simplified {which}", text, simplified, simplify_text(text, config))


def check_text(language: str, which: int, text: str) -> None:
    """Everything that the core says of one text.

    Raises:
        Mismatch: the core answers and stock answers otherwise.
    """
    if "\0" in text and language == "vie":
        expected: Any = None  # pyvi ends strings at NUL, and its answer depends on what lies behind in memory
    else:
        try:
            expected = list(split_into_words(text, language))
        except (UnicodeEncodeError, SystemError) as error:
            expected = type(error)
    words_of = splitter(language)
    assert words_of is not None
    _compare(f"words {language}", text, words_of.words(text), expected)
    if which & 8:
        _compare(f"words {language}, full memory", text, _forgetful(language).words(text), expected)
    repetition, quality = _steps(language, which)
    for name, step, verdict in (("repetition", repetition, repetition_verdict), ("quality", quality, quality_verdict)):
        found = verdict(step, text)
        if found is not None:
            _compare(f"{name} {which} {language}", text, found, _stock(step, text))
    _check_others(which, text)


def check(data: bytes) -> None:
    """`check_text` of an input of the fuzzer."""
    language, which, text = decode(data)
    if not re.search(rf"\S{{{_LONGEST - 1}}}", text):
        check_text(language, which, text)
