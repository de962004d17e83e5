"""Words of a text by the native core, the same as datatrove's for every text that it accepts.

A text is cut at white space; what spaCy (or pyvi's syllable pattern) makes of a piece depends on the piece alone, with
exceptions that the core knows how to recognise. Pieces are remembered, so a document costs mostly look-ups. What this
gives up: memory (up to 64 MB per language and process), and languages whose splitter is not rule-based (Chinese,
Japanese, Korean, Thai, Hindi): their words come from datatrove, only the rules on them are native.
"""

import threading
from collections.abc import Callable
from functools import lru_cache
from itertools import takewhile
from typing import Any

from datatrove.utils.text import PUNCTUATION_SET, split_into_words

from filters import native
from filters.spacy_rules import Unsupported, patterns, sequences, specials

MEMO_BYTES = 64_000_000
# A text whose pieces are forgotten before they are used would be asked for without end.
_MAX_ROUNDS = 64


class FastSplitter:
    """Words of one language; one per process serves all filters (`splitter`).

    Args:
        word_code: a code that datatrove's `split_into_words` knows (`filters.text.word_language` makes one).
        memo_bytes: size of the memory of pieces, in bytes, at which it starts again empty.

    Attributes:
        core: the native splitter, to judge lines with.
        mode: "rules" (spaCy's rules), "vietnamese" (pyvi), or "given" (datatrove splits, only the rules are native).
        note: why the mode is "given".

    Raises:
        RuntimeError: the native core cannot be used here (`native.why_not` tells).
    """

    def __init__(self, word_code: str, memo_bytes: int = MEMO_BYTES) -> None:
        module = native.load()
        reason = native.why_not()
        if module is None or reason is not None:
            raise RuntimeError(reason)
        self.word_code = word_code
        self._part = f"words {word_code}"
        self.core = module.Splitter("".join(sorted(PUNCTUATION_SET)), memo_bytes, module.Words)
        self.memo_bytes = memo_bytes
        self.mode, self.note = "given", ""
        self._lock = threading.Lock()
        self._last: tuple[str, Any | None] | None = None
        self._nlp: Any = None
        self._vi: Any = None
        try:
            self._take_rules()
        except Unsupported as error:
            self.mode, self.note = "given", str(error)

    def _take_rules(self) -> None:
        from datatrove.utils.word_tokenizers import SpaCyTokenizer, WhitespaceTokenizer, load_word_tokenizer

        stock = load_word_tokenizer(self.word_code)
        if type(stock) is WhitespaceTokenizer:
            language = "xx"
        elif type(stock) is SpaCyTokenizer and stock.config is None:
            language = stock.language
        else:
            if type(stock) is SpaCyTokenizer:
                raise Unsupported(f"spaCy's {stock.language} with settings of its own")
            raise Unsupported(f"{type(stock).__name__} is not spaCy's rules")
        for part in ("datatrove's spaCy splitter", "spaCy's tokenizer"):
            if reason := native.unproven(part):
                raise Unsupported(reason)

        import spacy
        from spacy.lang.vi import VietnameseTokenizer
        from spacy.tokenizer import Tokenizer

        # Not datatrove's own object: asking a tokenizer must not change what stock would say.
        self._nlp = spacy.blank(language)
        tokenizer = self._nlp.tokenizer
        if type(tokenizer) is VietnameseTokenizer and tokenizer.use_pyvi:
            self._take_vietnamese(tokenizer)
        elif type(tokenizer) is Tokenizer:
            self.core.set_rules(patterns(tokenizer), specials(tokenizer), sequences(tokenizer))
            self.mode = "rules"
        else:
            raise Unsupported(f"{type(tokenizer).__name__} is not spaCy's rules")

    def _take_vietnamese(self, tokenizer: Any) -> None:
        if reason := native.unproven("spaCy's and pyvi's Vietnamese"):
            raise Unsupported(reason)
        from filters.vietnamese import VietnameseModel, syllable_pattern

        vi = self._vi = VietnameseModel(tokenizer.ViTokenizer.ViTokenizer)
        self.core.set_crf(vi.shared(), vi.inside, vi.pairs, vi.triples, vi.known(), syllable_pattern(tokenizer))
        self.mode = "vietnamese"

    def split(self, text: str) -> Any | None:
        """The words in the core's own form, or None where only datatrove can split (it is counted).

        Asked again for the same object, the same answer: the filters of a chain share one split and one count.
        """
        last = self._last
        if last is not None and last[0] is text:
            return last[1]
        words, why = self._split(text)
        native.counts["fast" if words is not None else "stock", self._part, why] += 1
        self._last = (text, words)
        return words

    def _split(self, text: str) -> tuple[Any | None, str]:
        try:
            if self.mode != "given":
                return self._split_here(text)
            # See stock_splitters.py: datatrove may take this word out.
            if "IS_ALPHA" in text:
                return None, "IS_ALPHA"
            words = self.core.wrap(text, split_into_words(text, self.word_code))
            return words, self.note if words is not None else "a very long word"
        except UnicodeEncodeError:
            return None, "lone surrogate"

    def _split_here(self, text: str) -> tuple[Any | None, str]:
        answer = self.answered(self.core.split, text)
        if type(answer) is str:
            return None, answer
        if isinstance(answer, list):
            return None, "more pieces than the memory holds"
        return answer, "" if answer is not None else "a very long chunk"

    def answered(self, ask: Callable[..., Any], *arguments: Any) -> Any:
        """What the core answers when it knows the pieces of a text.

        Args:
            ask: a function of the core that gives a list of pieces as long as there are some that it does not know.

        Returns:
            Its answer; a list of pieces where the memory is too small for the text.
        """
        answer = ask(*arguments)
        for _ in range(_MAX_ROUNDS):
            if not isinstance(answer, list):
                break
            with self._lock:
                self._learn(answer)
            answer = ask(*arguments)
        return answer

    def _learn(self, chunks: list[str]) -> None:
        # One call for all: a call costs more than a chunk, and no syllable reaches across white space.
        found = iter(self._nlp.tokenizer.pyvi_sylabelize_with_ws("\n".join(chunks)))
        for chunk in chunks:
            syllables = list(takewhile("\n".__ne__, found))
            self.core.learn_syllables(chunk, tuple(map(self._vi.syllable, syllables)), tuple(map(len, syllables)))

    def forget(self) -> None:
        """Empties the memory."""
        with self._lock:
            self._last = None
            self.core.forget()

    def words(self, text: str) -> list[str] | None:
        """The words as strings, or None where only datatrove can split."""
        found = self.split(text)
        return None if found is None else found.list()


@lru_cache(maxsize=64)
def splitter(word_code: str) -> FastSplitter | None:
    """The process's splitter for a language, or None where the native core cannot be used."""
    return FastSplitter(word_code) if native.why_not() is None else None
