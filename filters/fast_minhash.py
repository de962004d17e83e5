"""MinHash signatures by the native core: datatrove's, bit for bit, one call per document.

`FastMinhash` takes a datatrove MinhashDedupSignature (or a subclass) and answers with the signature that the step's own
functions would give. Text that the core cannot simplify or split goes through datatrove's simplify_text and splitter,
counted in `native.counts` under "minhash <language>"; only its n-grams are hashed here then. What this gives up: steps
that are not plain (other hash functions, an unknown version of datatrove), for which there is no FastMinhash.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from datatrove.utils.text import TextNormConfig, simplify_text

from filters import native
from filters.fast_words import FastSplitter, splitter

# Splits a simplified text into words: (text, word code) -> words.
Split = Callable[[str, str], list[str]]

_NORM_FIELDS = tuple(TextNormConfig.__dataclass_fields__)


def why_not() -> str | None:
    """None when signatures are made by the native core here, else a sentence that says why not."""
    return native.why_not() or native.unproven("datatrove's MinHash")


@lru_cache(maxsize=8)
def _simplifier(flags: tuple[bool, ...]) -> Any | None:
    """The core's simplify_text for one configuration, or None where only datatrove has it."""
    from filters.simplify_tables import simplify_table

    module = native.load()
    if module is None:
        return None
    try:
        return module.Simplifier(*simplify_table(TextNormConfig(**dict(zip(_NORM_FIELDS, flags, strict=True)))))
    except ValueError:
        return None


def _splitter(word_code: str) -> FastSplitter:
    found = splitter(word_code)
    if found is None:
        raise RuntimeError(native.why_not())
    return found


class FastMinhash:
    """Signatures with the parameters of one signature step.

    Args:
        step: datatrove's MinhashDedupSignature or a subclass; its `config` and `parameters` are read once.

    Raises:
        RuntimeError: the native core cannot be used here (`why_not` tells), or not with these parameters.
    """

    def __init__(self, step: Any) -> None:
        module, reason = native.load(), why_not()
        if module is None or reason is not None:
            raise RuntimeError(reason)
        config = step.config
        self.norm_config = config.norm_config
        self.dtype = np.dtype(f"<u{config.hash_config.precision // 8}")
        flags = tuple(getattr(self.norm_config, name) for name in _NORM_FIELDS)
        if type(self.norm_config) is not TextNormConfig or any(type(flag) is not bool for flag in flags):
            raise RuntimeError("the normalisation is not datatrove's own")
        kind = f"{config.hash_config.hash_fc}{' ' if config.hash_config.hash_fc == 'sha1' else ''}"
        a, b = (np.ascontiguousarray(part, np.uint64).tobytes() for part in step.parameters)
        try:
            self._hasher = module.MinHash(config.n_grams, f"{kind}{config.hash_config.precision}", a, b)
        except (TypeError, ValueError, OverflowError) as error:
            raise RuntimeError(f"parameters that the native core cannot hold ({error})") from None
        self._simplifier = _simplifier(flags)

    def sign(self, text: str, word_code: str, split: Split) -> tuple[int, bytes | None]:
        """(number of words, signature) of a text; None for the signature where the words do not fill an n-gram.

        A signature is the values of all permutations, of `dtype`, bucket after bucket.

        Args:
            text: any string.
            word_code: a code that datatrove's word splitters know.
            split: splits what the core cannot; what it raises is passed on.
        """
        words_of = _splitter(word_code)
        answer = self._answer(self._hasher.sign, text, words_of)
        if isinstance(answer, tuple):
            native.counts["fast", f"minhash {word_code}", ""] += 1
            return answer
        native.counts["stock", f"minhash {word_code}", answer] += 1
        return self._sign_apart(text, word_code, split, words_of)

    def _answer(self, ask: Callable[..., Any], text: str, words_of: FastSplitter) -> Any:
        """What a function of the core makes of a text, or why the core cannot split it (str)."""
        if words_of.mode == "given":
            return words_of.note
        if self._simplifier is None:
            return "names of weekdays and months"
        try:
            answer = words_of.answered(ask, self._simplifier, words_of.core, text)
        except UnicodeEncodeError:
            return "lone surrogate"
        return "more pieces than the memory holds" if isinstance(answer, list) else answer

    def _sign_apart(self, text: str, word_code: str, split: Split, words_of: FastSplitter) -> tuple[int, bytes | None]:
        words = split(self.simplify(text), word_code)
        return len(words), self._hasher.sign_words(words_of.core.wrap("", words))

    def simplify(self, text: str) -> str:
        """datatrove's simplify_text, by the core where it can."""
        try:
            simple = self._simplifier.simplify(text) if self._simplifier is not None else None
        except UnicodeEncodeError:
            simple = None
        return simplify_text(text, self.norm_config) if simple is None else simple

    def grams(self, text: str, word_code: str, split: Split) -> np.ndarray:
        """The different hashes of a text's n-grams (uint64), sorted; none where its words do not fill one.

        Arguments as for `sign`.
        """
        words_of = _splitter(word_code)
        found = self._answer(self._hasher.grams, text, words_of)
        if not isinstance(found, bytes):
            simple = self.simplify(text)
            words = words_of.split(simple) if words_of.mode != "given" else None
            if words is None:
                words = words_of.core.wrap("", split(simple, word_code))
            found = self._hasher.grams_words(words)
        return np.frombuffer(found, "<u8")

    def permute(self, hashes: np.ndarray) -> np.ndarray:
        """The smallest value of each permutation over n-grams' hashes (uint64, contiguous)."""
        return np.frombuffer(self._hasher.permute(hashes), self.dtype)
