"""One document for sentence deduplication: its windows of sentences, and what is left of it when some are cut.

The normalisation, the joined windows and their 64-bit hashes are datatrove's. Beside each hash stand 32 bits over the
sentences one by one: two windows are the same when they are cut in the same places too, and 10^10 windows have one
chance in 10^9 of two different ones taken for the same (with 64 bits, several are expected). Gives up: nothing of a
text; what is cut and what is left are the text.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import xxhash
from datatrove.utils.hashing import HashConfig, create_hash_func
from datatrove.utils.text import TextNormConfig, ngrams, simplify_text

from pipelines.dedup.config import SentenceConfig
from pipelines.dedup.sentence_spans import line_ends, num_words, sentence_ends

_hash = create_hash_func(HashConfig())


@dataclass(frozen=True)
class Sentences:
    """A text and where its sentences (or lines) end; `by_punctuation` where its language's splitter was not used."""

    text: str
    ends: list[int]
    code: str | None
    by_punctuation: bool

    def start(self, number: int) -> int:
        """Where a sentence begins: behind the one before it."""
        return self.ends[number - 1] if number else 0

    def pieces(self) -> list[str]:
        """The sentences, white space before them included."""
        return [self.text[self.start(i) : end] for i, end in enumerate(self.ends)]


def sentences_of(text: str, code: str | None, config: SentenceConfig) -> Sentences:
    """Split a text. `code` is one of `sentence_spans.sentence_language`."""
    if not config.split_sentences:
        return Sentences(text, line_ends(text), code, False)
    ends, by_punctuation = sentence_ends(text, code)
    return Sentences(text, ends, code, by_punctuation)


def norm_config(config: SentenceConfig) -> TextNormConfig:
    """The same normalisation as datatrove's own steps take it."""
    return TextNormConfig(
        lowercase=config.lowercase,
        norm_whitespace=config.norm_whitespace,
        remove_punctuation=config.remove_punctuation,
        norm_unicode_diacritics=not config.keep_marks,
        norm_numbers=config.norm_numbers,
        norm_weekdays=config.norm_weekdays,
        norm_monthnames=config.norm_monthnames,
    )


def simplified(sentences: Sentences, config: SentenceConfig) -> list[str]:
    """Every sentence as it is compared."""
    norm = norm_config(config)
    return [simplify_text(piece, norm) for piece in sentences.pieces()]


def windows(sentences: Sentences, config: SentenceConfig) -> list[tuple[int, int, int]]:
    """(64 bits as datatrove has them, 32 bits over the sentences, number of its first sentence) of every window.

    Windows of punctuation and white space alone are left out, as datatrove does.
    """
    found = []
    for number, window in enumerate(ngrams(simplified(sentences, config), config.n_sentences)):
        joined = " ".join(window)
        if joined.strip():
            found.append((_hash(joined), xxhash.xxh32_intdigest("\0".join(window).encode()), number))
    return found


@dataclass(frozen=True)
class Left:
    """A document after cutting: `cut` says of each sentence whether it goes; `text` is what is left."""

    cut: np.ndarray
    text: str
    too_little: bool


def cut(sentences: Sentences, starts: Iterable[int], config: SentenceConfig) -> Left:
    """Cut the windows that begin at `starts`, but for spans that are too short to be cut."""
    gone = np.zeros(len(sentences.ends), bool)
    for start in starts:
        gone[start : start + config.n_sentences] = True
    if config.min_words_to_remove_span > 0:
        for first, end in spans(gone):
            words = num_words(sentences.text[sentences.start(first) : sentences.ends[end - 1]], sentences.code)
            if words < config.min_words_to_remove_span:
                gone[first:end] = False
    return without_sentences(sentences, gone, config)


def without_sentences(sentences: Sentences, gone: np.ndarray, config: SentenceConfig) -> Left:
    """The text without the sentences that are `gone`.

    `too_little` is datatrove's rule: fewer words or sentences left than the minimum, or nothing at all.
    """
    if not gone.any():
        return Left(gone, sentences.text, False)
    left = "".join(piece for piece, out in zip(sentences.pieces(), gone.tolist(), strict=True) if not out)
    if gone[0]:
        left = left.lstrip()
    return Left(gone, left, _too_little(left, sentences.code, config))


def _too_little(text: str, code: str | None, config: SentenceConfig) -> bool:
    if not text.strip():
        return True
    if config.min_doc_words > 0 and num_words(text, code) < config.min_doc_words:
        return True
    return config.min_num_sentences > 0 and len(sentence_ends(text, code)[0]) < config.min_num_sentences


def spans(gone: np.ndarray) -> list[tuple[int, int]]:
    """Runs of sentences that go, as (first, one behind the last)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], gone, [False]]).astype(np.int8)))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]


def char_ends(sentences: Sentences, left: Left) -> list[tuple[int, int, int]]:
    """(number, start, end in characters) of each sentence that goes.

    What goes at the start of a text takes the white space behind it along, as datatrove strips it.
    """
    found = [(i, sentences.start(i), sentences.ends[i]) for i in np.flatnonzero(left.cut).tolist()]
    if left.cut[0] and len(left.cut) > (first := spans(left.cut)[0][1]):
        behind = sentences.text[sentences.ends[first - 1] :]
        number, start, end = found[first - 1]
        found[first - 1] = (number, start, end + len(behind) - len(behind.lstrip()))
    return found
