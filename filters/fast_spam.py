"""The spam filter's occurrences by the native core: the same as `filters.spam`'s own search, the text not rewritten.

What a character comes to (case folding, white space, part of a word) is asked of the running Python, 256 characters
when one of them is first met; the core only compares numbers. A text that NFC might change, or that has characters
which fold to several, is normalised here first and then searched by the core too. What this gives up: phrases of more
than 2,047 different characters, which stay with the automaton.
"""

import threading
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from filters import native

# As in native/spam.hpp.
MAX_SYMBOLS = 0x07FF
_WORD, _SPACE, _SPECIAL = 0x1000, 0x2000, 0x4000
BLOCK = 256
_NUM_BLOCKS = 0x110000 // BLOCK


def in_word(char: str) -> bool:
    """Letters, digits and combining marks continue a word. Marks matter: without them a tone left decomposed would end
    the word."""
    return char.isalnum() or unicodedata.category(char)[0] == "M"


def fold(text: str) -> str:
    """NFC, case-folded, with typographic apostrophes made plain."""
    return unicodedata.normalize("NFC", text).casefold().replace("’", "'")


def _decomposed() -> Iterator[str]:
    for block in range(_NUM_BLOCKS):
        chars = [chr(code) for code in range(block * BLOCK, (block + 1) * BLOCK)]
        whole = "".join(chars)
        # Most blocks have nothing to decompose, and asking once is cheaper than 256 times.
        if unicodedata.normalize("NFD", whole) != whole:
            yield from (unicodedata.normalize("NFD", char) for char in chars)


@lru_cache(maxsize=1)
def composing() -> frozenset[str]:
    """Characters that may merge with the one before under NFC: all that follow the first one in a canonical
    decomposition."""
    return frozenset(char for parts in _decomposed() for char in parts[1:])


def why_not(phrases: frozenset[str]) -> str | None:
    """None when the native core finds these phrases, else a sentence that says why the automaton does."""
    if (reason := native.not_there()) is not None:
        return reason
    too_many = len(set().union(*phrases)) > MAX_SYMBOLS
    return f"phrases of more than {MAX_SYMBOLS:,} different characters" if too_many else None


class FastSpam:
    """A set of phrases to find; one per set and process serves all filters (`finder`).

    Args:
        phrases: normalised phrases (`filters.spam.normalize_phrase`).

    Raises:
        RuntimeError: the native core is not there, or the phrases have too many different characters.
    """

    def __init__(self, phrases: frozenset[str]) -> None:
        module, reason = native.load(), why_not(phrases)
        if module is None or reason is not None:
            raise RuntimeError(reason)
        alphabet = sorted(set().union(*phrases))
        self._symbols = {char: number for number, char in enumerate(alphabet, start=1)}
        self._phrases = sorted(phrases)
        numbers = tuple(tuple(map(self._symbols.__getitem__, phrase)) for phrase in self._phrases)
        self._core = module.Spam(numbers, (0, *(self._entry(ord(char)) for char in alphabet)))
        self._lock = threading.Lock()

    def search(self, text: str) -> tuple[Any, str]:
        """The occurrences that count, as numbers, and the text that was searched (to be given to `num_words`)."""
        found = self._search(text, False)
        if found is None:
            text = fold(text)
            found = self._search(text, True)
        native.counts["fast", "spam", ""] += 1
        return found, text

    def find(self, text: str) -> list[str]:
        """The occurrences that count, in order, in normalised form."""
        return [self._phrases[number] for number in self.search(text)[0]]

    def num_words(self, searched: str) -> int:
        """Words between white space of a text that `search` returned."""
        words: int = self._core.count_words(searched)
        return words

    def _search(self, text: str, normalised: bool) -> Any:
        found = self._core.find(text, normalised)
        while type(found) is int:
            with self._lock:
                self._core.learn(found, tuple(self._entry(found * BLOCK + i) for i in range(BLOCK)))
            found = self._core.find(text, normalised)
        return found

    def _entry(self, code: int) -> int:
        char = chr(code)
        folded = fold(char)
        entry = 0
        if len(folded) != 1:
            entry, folded = _SPECIAL, char
        elif unicodedata.combining(char) or unicodedata.normalize("NFC", char) in composing():
            entry = _SPECIAL
        if folded.isspace():
            return entry | _SPACE | self._symbols.get(" ", 0)
        return entry | self._symbols.get(folded, 0) | (_WORD if in_word(folded) else 0)


@lru_cache(maxsize=8)
def finder(phrases: frozenset[str]) -> FastSpam | None:
    """The process's finder of a set of phrases, or None where the native core cannot be used."""
    try:
        return FastSpam(phrases)
    except RuntimeError:
        return None
