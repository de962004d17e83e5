"""datatrove's text normalisation (`simplify_text`) as one table of all characters, for the native core.

Every step of it but the search for numbers treats characters one by one, so the steps can be composed once per
character. Each property is asked of the function that stock uses (`str.lower`, `re`, `regex`, `unicodedata`), so the
table means what stock means under any version of Unicode. What it gives up: names of weekdays and months, and texts in
which a mark that is not category Mn has a combining class (a few letters of Javanese, Balinese and Hangul tone marks),
where NFD may exchange characters; both are left to stock.
"""

import re
import sys
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import regex
from datatrove.utils.text import PUNCTUATION_TRANS, TextNormConfig

# Bits of an entry; native/simplify.hpp says what they mean.
BECOMES, DIGIT, ROW, LOWERS, SIGMA, FOREIGN = (kind << 21 for kind in range(1, 7))
SEPARATOR, CASED, IGNORABLE, STRIPPED = (1 << bit for bit in range(24, 28))

_ALL = 0x110000
_SURROGATES = range(0xD800, 0xE000)
# datatrove's NUMBERS_PATTERN (its source is compared before this is used): \p{Nd}+([these]\p{Nd}+)?
_SEPARATORS = ".,،٫⎖⎗⎘"
_CAPITAL_SIGMA, _FINAL_SIGMA = "Σ", "ς"
_BLOCK = 256
_UTF_32 = f"utf-32-{sys.byteorder[0]}e"


class Table(NamedTuple):
    """Arguments of `_native.Simplifier`."""

    entries: bytes
    rows: list[str]
    collapse: bool


def _characters(start: int = 0, stop: int = _ALL) -> str:
    """All characters of a range in order; surrogates are in no text that has UTF-8."""
    codes = np.arange(start, stop, dtype=np.uint32)
    codes = codes[(codes < _SURROGATES.start) | (codes >= _SURROGATES.stop)]
    return _text(codes)


def _text(codes: np.ndarray) -> str:
    return codes.tobytes().decode(_UTF_32)


def _codes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(_UTF_32), np.uint32)


def _changed(function: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """(character, what it becomes) wherever the function changes a character."""
    for start in range(0, _ALL, _BLOCK):
        block = _characters(start, start + _BLOCK)
        if function(block) != block:
            yield from ((c, function(c)) for c in block if function(c) != c)


def _without_marks(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")


@lru_cache(maxsize=1)
def _lower() -> dict[str, str]:
    return dict(_changed(str.lower))


@lru_cache(maxsize=1)
def _decomposed() -> dict[str, str]:
    return dict(_changed(_without_marks))


@lru_cache(maxsize=1)
def _ordered_marks() -> set[str]:
    """Characters that stay and that NFD may exchange with their neighbours."""
    marks = (c for c in _characters() if unicodedata.combining(c))
    return {c for c in marks if unicodedata.category(c) != "Mn"}


def _sigma_flags() -> np.ndarray:
    """CASED and IGNORABLE for every character, as `str.lower` shows them where a capital sigma follows."""
    flags = np.zeros(_ALL, np.uint32)
    several = {c for c, lower in _lower().items() if len(lower) > 1}
    one = "".join(c for c in _characters() if c not in several)
    for texts in (one, *several):
        codes = _codes(texts)
        # Final after a cased character; and after one, with this one between them, if this one is ignored.
        behind, through = _is_final("", codes), _is_final("A", codes)
        flags[codes] = np.where(behind, CASED, np.where(through, IGNORABLE, 0))
    return flags


def _is_final(before: str, codes: np.ndarray) -> np.ndarray:
    """Whether the sigma of `before` + character + sigma becomes a final one, for each character."""
    rows = np.empty((len(codes), len(before) + 3), np.uint32)
    rows[:, :-3] = [ord(c) for c in before]
    # Nothing looks through the end of a line.
    rows[:, -3], rows[:, -2], rows[:, -1] = codes, ord(_CAPITAL_SIGMA), ord("\n")
    # A character that becomes several stands alone; sigma and line end are the last two then.
    lowered = _codes(_text(rows.reshape(-1)).lower())
    sigmas = lowered[-2:-1] if len(codes) == 1 else lowered.reshape(rows.shape)[:, -2]
    return sigmas == ord(_FINAL_SIGMA)


@lru_cache(maxsize=1)
def _properties() -> tuple[np.ndarray, frozenset[str], frozenset[str]]:
    """(flags of every character, white space, digits)"""
    everything = _characters()
    spaces = frozenset(re.findall(r"\s", everything))
    flags = _sigma_flags()
    flags[[ord(c) for c in spaces]] |= STRIPPED
    return flags, spaces, frozenset(regex.findall(r"\p{Nd}", everything))


def simplify_table(config: TextNormConfig) -> Table:
    """The table for one configuration; about a third of a second for the first in a process.

    Raises:
        ValueError: a configuration, or a version of Python, that the core cannot follow.
    """
    if config.norm_weekdays or config.norm_monthnames:
        raise ValueError("names of weekdays and months are left to datatrove")
    if set(PUNCTUATION_TRANS.values()) != {ord(" ")}:
        raise ValueError("punctuation becomes something else than spaces")
    flags, spaces, digits = _properties()
    lower = _lower() if config.lowercase else {}
    decomposed = _decomposed() if config.norm_unicode_diacritics else {}
    foreign = _ordered_marks() if config.norm_unicode_diacritics else set()
    blank = {chr(c) for c in PUNCTUATION_TRANS} if config.remove_punctuation else set()
    blank |= spaces if config.norm_whitespace else set()
    numbers = digits if config.norm_numbers else frozenset()
    separators = frozenset(_SEPARATORS) if config.norm_numbers else frozenset()
    rows: dict[str, int] = {}

    def entry(c: str) -> int:
        """What becomes of a character that is lower case already."""
        if c in numbers:
            return DIGIT
        to = " " if c in blank else decomposed.get(c, c)
        flag = SEPARATOR if c in separators else 0
        if any(part in foreign for part in to):
            return FOREIGN
        if config.norm_whitespace and c not in blank and any(part in spaces for part in to):
            raise ValueError("a character decomposes to white space")
        if len(to) == 1:
            return flag | (0 if to == c else BECOMES | ord(to))
        return flag | ROW | rows.setdefault(to, len(rows))

    entries = flags.copy()
    touched = {*lower, *decomposed, *foreign, *blank, *numbers, *separators}
    for c in touched:
        low = lower.get(c, c)
        if len(low) == 1:
            made = entry(low)
            # The core knows the character that it reads, not its lower case.
            entries[ord(c)] |= made if low == c or made & (7 << 21) else made | BECOMES | ord(low)
        else:
            if any(part in lower or entry(part) & (7 << 21) in (DIGIT, FOREIGN) for part in low):
                raise ValueError("a character whose lower case is not a plain one")
            entries[ord(c)] |= LOWERS | rows.setdefault(low, len(rows))
    if config.lowercase:
        entries[ord(_CAPITAL_SIGMA)] = flags[ord(_CAPITAL_SIGMA)] | SIGMA
    return Table(entries.tobytes(), list(rows), config.norm_whitespace)
