"""Where the sentences of a text end, as datatrove's splitters find them, for the language of each document.

A text is tiled: every character belongs to one sentence (white space before it included), so that nothing can be lost
between two. Where the native core splits the words, spaCy's sentencizer is repeated on them, which saves the spaCy
document; everything else goes to datatrove's `span_tokenize`. A language without a splitter on this machine, and a text
that its splitter cannot read, are cut at the closing punctuation of all scripts and at line ends, by the splitter that
datatrove has for such languages. Texts above `BLOCK` characters are split block by block, since pyvi needs quadratic
time and spaCy a hundred bytes a character. Gives up: a sentence of more than `BLOCK` characters, which is cut there.
"""

import unicodedata
from functools import lru_cache

from datatrove.utils.word_tokenizers import (
    KiwiTokenizer,
    WhitespaceTokenizer,
    load_word_tokenizer,
    simple_span_tokenize,
)

from filters import native
from filters.fast_words import splitter
from filters.text import (
    SPLIT_ERRORS,
    refuse_long_run,
    split_words,
    splitter_available,
    word_language,
)

# Characters. 0.2 s of pyvi, 0.4 s of spaCy; one web document in some ten thousand is longer.
BLOCK = 200_000
_DEFAULT_LANGUAGE = "eng"
# datatrove's pieces may not be found in the text again (ValueError) or be of a text that was changed (IndexError).
_ERRORS = (*SPLIT_ERRORS, ValueError, IndexError)


@lru_cache(maxsize=1024)
def sentence_language(language: str | None) -> str | None:
    """The code of the splitter for a document's language; English where nobody says, None where there is no splitter.

    `language` is written in any style; no splitter: datatrove has none, or its package is not installed.
    """
    if not language:
        return _DEFAULT_LANGUAGE
    try:
        return word_language(language) if splitter_available(language) is None else None
    except ValueError:
        return None


def sentence_ends(text: str, code: str | None) -> tuple[list[int], bool]:
    """(end of every sentence in characters, increasing, the last one is the end of the text; whether by punctuation).

    `code` is one of `sentence_language`; None cuts at punctuation. Sentences of white space alone are part of the one
    before, so each has something in it unless the text has nothing. An empty text has no sentence.
    """
    ends: list[int] = []
    fell_back = code is None
    start = 0
    while start < len(text):
        block = text[start : start + BLOCK]
        found, by_punctuation = _block_ends(block, code)
        fell_back |= by_punctuation
        if start + len(block) < len(text):
            found = _certain(block, found)
        ends += [start + end for end in found]
        start = ends[-1]
    return _without_empty(text, ends), fell_back


def num_words(text: str, code: str | None) -> int:
    """Words of a text as datatrove counts them; pieces between white space where its splitter cannot read the text."""
    if code is not None:
        try:
            return sum(len(split_words(text[at : at + BLOCK], code)) for at in range(0, len(text), BLOCK))
        except _ERRORS:
            pass
    return len(text.split())


def line_ends(text: str) -> list[int]:
    """The same for lines (as `str.splitlines` has them), which keep their line ends. Empty lines count."""
    ends: list[int] = []
    for line in text.splitlines(keepends=True):
        ends.append((ends[-1] if ends else 0) + len(line))
    return ends


def _without_empty(text: str, ends: list[int]) -> list[int]:
    found: list[int] = []
    start = 0
    for end in ends:
        if found and not text[start:end].strip():
            found[-1] = end
        else:
            found.append(end)
        start = end
    return found


def _certain(block: str, ends: list[int]) -> list[int]:
    """Those ends of a block that are the same whatever follows: the last sentence may go on in the next block.

    Words are made within white space, so the next block begins at white space that is not the last of this one.
    """
    last_space = max(block.rfind(" "), block.rfind("\n"))
    for i in range(len(ends) - 2, -1, -1):
        if ends[i] < last_space and block[ends[i]].isspace():
            return ends[: i + 1]
    return ends[:-1] if len(ends) > 1 else ends


def _block_ends(text: str, code: str | None) -> tuple[list[int], bool]:
    """Ends within one block, the last at its end."""
    by_marks = code is None or type(load_word_tokenizer(code)) is WhitespaceTokenizer
    if code is not None and not by_marks:
        try:
            refuse_long_run(text, code)
            found = _native_ends(text, code)
            return _tiled(text, found if found is not None else _stock_ends(text, code)), False
        except _ERRORS:
            pass
    # Surrogates are characters of their own for a regular expression, so this reads anything. The line end at the end
    # makes a sentence of what is left there, which datatrove drops.
    spans = simple_span_tokenize(text + "\n", _punctuation().sent_tokenize(text + "\n"))
    return _tiled(text, [end for _, end in spans]), code is None or not by_marks


@lru_cache(maxsize=1)
def _punctuation() -> WhitespaceTokenizer:
    return WhitespaceTokenizer()


def _stock_ends(text: str, code: str) -> list[int]:
    tokenizer = load_word_tokenizer(code)
    ends = [end for _, end in tokenizer.span_tokenize(text)]
    if isinstance(tokenizer, KiwiTokenizer):
        # datatrove takes long numbers out of Korean first, so its places are those of another text.
        for number in tokenizer._preprocess_regex.finditer(text):
            place, length = number.start(), number.end() - number.start()
            ends = [end + length if end > place else end for end in ends]
    return ends


def _tiled(text: str, ends: list[int]) -> list[int]:
    """The same ends, increasing and inside the text, with what comes after the last one in the last sentence."""
    found: list[int] = []
    for end in ends:
        if (found[-1] if found else 0) < end < len(text):
            found.append(end)
    if found and not text[found[-1] :].strip():
        found.pop()
    return [*found, len(text)]


# ---- spaCy's sentencizer on words of the native core


def _native_ends(text: str, code: str) -> list[int] | None:
    """Ends as spaCy's sentencizer finds them, or None where only datatrove can split.

    The rule (spacy/pipeline/sentencizer.pyx): after a closing mark, the next token that is no punctuation begins a
    sentence. White space is a token too, except for one single space behind a word.
    """
    fast = splitter(code)
    if fast is None or fast.mode == "given" or native.unproven("spaCy's sentencizer") is not None:
        return None
    words = fast.words(text)
    if words is None:
        return None
    ends: list[int] = []
    closed, end = False, 0
    for word in words:
        start = text.find(word, end)
        if start < 0:
            return None
        # At the start of the text a single space is a token, but nothing has closed there.
        kind, gap = _kind(word), start - end
        if closed and (kind == _OTHER or gap > 1 or (gap == 1 and text[end] != " ")):
            ends.append(end)
            closed = False
        closed = closed or kind == _CLOSING
        end = start + len(word)
    return ends


_OTHER, _PUNCTUATION, _CLOSING = range(3)


@lru_cache(maxsize=1 << 16)
def _kind(word: str) -> int:
    from spacy.pipeline import Sentencizer

    if word in Sentencizer.default_punct_chars:
        return _CLOSING
    return _PUNCTUATION if all(unicodedata.category(char)[0] == "P" for char in word) else _OTHER
