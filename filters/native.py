"""The native core: whether it can be used on this machine, and how often it was.

The core (`filters/_native`, sources in `native/`) repeats what certain functions of datatrove, spaCy and pyvi do. It is
used only where these functions are, letter for letter, those it was proven against; anything else runs datatrove's own
code. What this gives up: after an update of those packages the filters are slow again until the new sources have been
compared and their fingerprints added here.
"""

import hashlib
import importlib
import inspect
import os
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from filters.native_sources import digest

# What ran, per process: ("fast" | "stock", part, why) -> documents. Parts: "words eng", "minhash eng", "language",
# "spam", "gopher_repetition" and "gopher_quality" (only where their rules are stock's). "fast" with a reason: the words
# are datatrove's, only the rules on them are native. The ledger of a run has these counts for every task.
counts: Counter[tuple[str, str, str]] = Counter()


@lru_cache(maxsize=1)
def _found() -> tuple[ModuleType | None, str]:
    """The extension, or None and why."""
    if os.environ.get("SMOLTROVE_NATIVE", "1") == "0":
        return None, "switched off by SMOLTROVE_NATIVE=0"
    try:
        module = importlib.import_module("filters._native")
    except ImportError:
        return None, "filters/_native was not built (no C++17 compiler)"
    # A clone has the sources beside the package; a wheel has not, and its core is of the same build.
    wanted = digest(Path(__file__).resolve().parent.parent / "native")
    if wanted is not None and getattr(module, "SOURCES", None) != wanted:
        return None, "filters/_native was built from other sources than native/; build it again (pip install -e .)"
    return module, ""


def load() -> ModuleType | None:
    """The extension, or None where `not_there` says why not."""
    return _found()[0]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _file(module: str, name: str) -> str:
    directory = Path(str(importlib.import_module(module).__file__)).parent
    return (directory / name).read_text(encoding="utf-8")


def _datatrove_rules() -> str:
    from datatrove.pipeline.filters import gopher_quality_filter as quality
    from datatrove.pipeline.filters import gopher_repetition_filter as repetition

    parts: list[Any] = [
        repetition.get_n_grams,
        repetition.find_duplicates,
        repetition.find_top_duplicate,
        repetition.find_all_duplicate,
        repetition.GopherRepetitionFilter.filter,
        quality.GopherQualityFilter.filter,
    ]
    return "".join(map(inspect.getsource, parts))


def _datatrove_words() -> str:
    from datatrove.utils import word_tokenizers as words

    return "".join(map(inspect.getsource, [words.strip_strings, words.SpaCyTokenizer, words.WhitespaceTokenizer]))


def _datatrove_minhash() -> str:
    from datatrove.pipeline.dedup import minhash
    from datatrove.utils import hashing, text
    from datatrove.utils.hashes import sha1, xxhash

    parts: list[Any] = [
        minhash.MinhashDedupSignature,
        text.TextNormConfig,
        text.simplify_text,
        text.ngrams,
        hashing.create_hash_func,
        sha1.sha1_hash32,
        sha1.sha1_hash64,
        xxhash,
    ]
    return "".join(map(inspect.getsource, parts)) + text.NUMBERS_PATTERN.pattern + text.WHITESPACE_PATTERN.pattern


def _spacy_rules() -> str:
    return _file("spacy", "tokenizer.pyx")


def _vietnamese() -> str:
    from pyvi.ViTokenizer import ViTokenizer  # type: ignore[import-untyped]
    from spacy import util
    from spacy.lang.vi import VietnameseTokenizer

    parts: list[Any] = [VietnameseTokenizer, util.get_words_and_spaces, ViTokenizer.word2features]
    return "".join(map(inspect.getsource, parts))


def _language() -> str:
    from datatrove.pipeline.filters.language_filter import LanguageFilter
    from datatrove.utils.lid import FastTextLID
    from fasttext.FastText import _FastText

    return "".join(map(inspect.getsource, [FastTextLID.predict, LanguageFilter.filter, _FastText.predict]))


def _sentencizer() -> str:
    return _file("spacy", "pipeline/sentencizer.pyx")


# The sources the core was proven against: datatrove 0.10.1, spaCy 3.8.18, pyvi 0.1.1, fasttext-numpy2-wheel 0.9.2.
_PROVEN: dict[str, tuple[Callable[[], str], frozenset[str]]] = {
    "datatrove's Gopher filters": (_datatrove_rules, frozenset({"049be681803bd9f0"})),
    "datatrove's MinHash": (_datatrove_minhash, frozenset({"f006086d233385e6"})),
    "datatrove's spaCy splitter": (_datatrove_words, frozenset({"1a6386acc03dc184"})),
    "spaCy's tokenizer": (_spacy_rules, frozenset({"d1d502c3ef0a6a49"})),
    "spaCy's sentencizer": (_sentencizer, frozenset({"b27b3cd7c7988aff"})),
    "spaCy's and pyvi's Vietnamese": (_vietnamese, frozenset({"1d34849f2f54f36e"})),
    "datatrove's and fastText's prediction": (_language, frozenset({"1b5c0f86bec7b9e5"})),
}


@lru_cache(maxsize=8)
def unproven(part: str) -> str | None:
    """None when a part is the one that was proven, else a sentence that says why it is not used.

    Args:
        part: a key of the table above, such as "spaCy's tokenizer".
    """
    source, known = _PROVEN[part]
    try:
        found = _digest(source())
    except (ImportError, OSError, AttributeError, TypeError) as error:
        return f"{part} cannot be read ({type(error).__name__}: {error})"
    return None if found in known else f"{part} is another version than the native core was proven against ({found})"


def not_there() -> str | None:
    """None when the extension is here, of these sources and not switched off, else a sentence that says why not."""
    module, reason = _found()
    return None if module is not None else reason


def why_not(part: str = "datatrove's Gopher filters") -> str | None:
    """None when the native core judges documents here, else a sentence that says why datatrove's own code does.

    Args:
        part: what has to be the proven version, as in `unproven`.
    """
    return not_there() or unproven(part)
