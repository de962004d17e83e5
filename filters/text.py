"""Words of a text, split once and shared by every filter of a chain.

datatrove's splitters are the source of truth: a word here is a word there. What this gives up is text that those
splitters cannot read or would need hours for (see `split_words`).
"""

import re
from functools import lru_cache
from importlib.util import find_spec

from datatrove.utils.text import split_into_words
from datatrove.utils.word_tokenizers import load_tokenizer_assignments

from filters.fast_words import splitter
from filters.language import normalise_language
from filters.stock_splitters import put_right

put_right()

# Characters in one run without white space. spaCy tries its affix rules on the whole rest of a run after every step,
# which is quadratic: 20,000 emoji take 33 s, 70,000 Latin letters under the Greek rules 70 s (datatrove 0.10.1, spaCy
# 3.8). A longer run would hold a task for minutes to hours, and is no prose (binaries written as text).
MAX_RUN = 50_000

# datatrove's splitter class, with its argument where that matters -> [(module, pip package)] that it needs.
_SPACY = [("spacy", "spacy")]
_PACKAGES: dict[str, list[tuple[str, str]]] = {
    "SpaCyTokenizer": _SPACY,
    "WhitespaceTokenizer": _SPACY,
    "SpaCyTokenizer vi": [*_SPACY, ("pyvi", "pyvi")],
    "SpaCyTokenizer zh": [*_SPACY, ("jieba", "jieba")],
    "SpaCyTokenizer ja": [*_SPACY, ("sudachipy", "sudachipy"), ("sudachidict_core", "sudachidict-core")],
    "ThaiTokenizer": [("pythainlp", "pythainlp")],
    "KiwiTokenizer": [("kiwipiepy", "kiwipiepy")],
    "IndicNLPTokenizer": [("indicnlp", "indic-nlp-library")],
    "StanzaTokenizer": [("stanza", "stanza")],
    "KhmerTokenizer": [("khmernltk", "khmer-nltk")],
    "LaoTokenizer": [("laonlp", "laonlp")],
    "TibetanTokenizer": [("botok", "botok")],
    "BurmeseTokenizer": [("pyidaungsu", "pyidaungsu-numpy2")],
}
# Languages that lid.176 names otherwise than datatrove's table: Tagalog is Filipino there, Bihari is Bhojpuri.
_SAME_WORDS = {"tgl_Latn": "fil_Latn", "bih_Deva": "bho_Deva"}


class UnsplittableText(ValueError):
    """datatrove's word splitter cannot read this text, or would not end in any reasonable time."""


# What a datatrove filter can raise because of the text it splits: unpaired surrogates are a UnicodeEncodeError out of
# spaCy and a SystemError out of pyvi (found by fuzzing sixteen languages).
SPLIT_ERRORS = (UnsplittableText, UnicodeEncodeError, SystemError)


def word_language(language: str) -> str:
    """The code to give datatrove's word splitter for a language written in any style.

    One code per splitter, so that a text is split once for all filters: `en`, `eng` and `eng_Latn` are all `eng`,
    datatrove's own default. Codes without a script are used only where they lead to the language's usual script:
    datatrove 0.10.1 reads the column `default_script` as true when it says FALSE, so that its `hi`, `hin`, `ar` and
    `arb` are romanised Hindi and Arabic (which need stanza); here they are `hin_Deva` and `arb_Arab`.

    Raises:
        ValueError: an unknown code, or a language for which datatrove has no word splitter.
    """
    with_script = normalise_language(language, "script")
    with_script = _SAME_WORDS.get(with_script, with_script)
    splitters = load_tokenizer_assignments()
    if with_script not in splitters:
        raise ValueError(f"datatrove has no word splitter for {language!r} ({with_script})")
    short = with_script[:-5]
    same = short in splitters and splitters[short].args == splitters[with_script].args
    return short if same else with_script


@lru_cache(maxsize=256)
def _splitter(word_code: str) -> str:
    name, argument = load_tokenizer_assignments()[word_code].args
    return f"{name} {argument}" if f"{name} {argument}" in _PACKAGES else name


def splitter_available(language: str) -> str | None:
    """None when words of this language can be split on this machine, else a sentence naming the pip packages to add.

    Looks for the packages without importing them.

    Raises:
        ValueError: as `word_language`.
    """
    code = word_language(language)
    missing = [pip for module, pip in _PACKAGES[_splitter(code)] if find_spec(module) is None]
    return f"splitting {language!r} into words needs: pip install {' '.join(missing)}" if missing else None


_LONG_RUN = re.compile(rf"\S{{{MAX_RUN + 1}}}")
_SPACE = re.compile(r"\s")


def _has_long_run(text: str) -> bool:
    # A run of that length covers two neighbouring multiples of half of it, with no white space from one to the other;
    # the pattern itself looks at every character and is asked only then.
    step = MAX_RUN // 2
    suspicious = any(_SPACE.search(text, at, at + step) is None for at in range(0, len(text) - step, step))
    return suspicious and _LONG_RUN.search(text) is not None


def refuse_long_run(text: str, word_code: str) -> None:
    """Raises UnsplittableText for a run above `MAX_RUN` where the splitter's time is quadratic in it (spaCy's rules).

    Chinese, Japanese, Korean and Thai are written in long runs, have other splitters, and are never refused.
    """
    if len(text) <= MAX_RUN:
        return
    quadratic = _splitter(word_code) in ("SpaCyTokenizer", "WhitespaceTokenizer")
    if quadratic and _has_long_run(text):
        raise UnsplittableText(f"more than {MAX_RUN} characters without white space")


def split_words(text: str, word_code: str) -> list[str]:
    """The words of a text as datatrove splits them (do not change the list).

    By the native core where it is proven for the language and the text, else by datatrove, which remembers its last
    five texts, so that stock filters in the same chain share them.

    Args:
        text: any string.
        word_code: a code from `word_language`.

    Raises:
        UnsplittableText: unpaired surrogates, or a run that `refuse_long_run` refuses.
        ImportError: the splitter's package is not installed (`splitter_available` tells beforehand).
    """
    refuse_long_run(text, word_code)
    fast = splitter(word_code)
    try:
        if fast is not None and fast.mode != "given" and (words := fast.words(text)) is not None:
            return words
        return split_into_words(text, word_code)
    except SPLIT_ERRORS as error:
        raise UnsplittableText(str(error)) from error
