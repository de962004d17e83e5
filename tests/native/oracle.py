"""Stock answers, and texts that are hard to split. Gives up: nothing is cached, so every answer is stock's own."""

from typing import Any

import pytest
from datatrove.data import Document
from datatrove.utils.word_tokenizers import load_word_tokenizer
from hypothesis import strategies as st

from filters import native

needs_core = pytest.mark.skipif(native.why_not() is not None, reason=f"no native core: {native.why_not()}")

# Every language whose words the core splits itself.
RULE_LANGUAGES = ["eng", "deu", "spa", "ita", "por", "fra", "rus", "fas", "ell", "arb_Arab", "ind"]


def stock_words(text: str, word_code: str) -> list[str]:
    words: list[str] = load_word_tokenizer(word_code).word_tokenize(text)
    return words


def stock_verdict(step: Any, text: str) -> Any:
    return step.filter(Document(text=text, id="0"))


_WORDS = """
    the a I don't can't won't e.g. i.e. U.S. U.S.A. Mr. Dr. hello World 3.5 10,000 2+2 a,b x:y http://x.com
    www.a.co.uk/q?x=1 foo@bar.com 10.0.0.1 :) :( :-) ;-D (-: 8) XD o_O (*_*) C++ A.B.C. it's we'd've gonna 5km 10% $5
    #tag end.Next lower.Upper one-two three—four naïve Việt Nam TP.HCM học sinh 中文 日本語 한국 ไทย हिन्दी Привет т.е.
    т. е. EE. UU. l'homme qu'il z.B. dell'arte 👍 👨‍👩‍👧 🇻🇳 ½ ² İ ß Σ ΟΔΟΣ ǅ
    IS_PUNCT NOUN LOWER \\n <space> ==> -> ... >>
""".split()  # noqa: SIM905
_AFFIXES = [*"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~§—–…“”‘’«»°²€ก", "...", "'s", "’s", "n't", "km", "°C.", "\u0301"]
_SPACES = [" "] * 8 + ["", "\n", "\n\n", "  ", "\t", "\xa0", "\u2028", "\x85", "\x1c", "\u3000", "\r\n", " \n", "\x0b"]


def texts(special_cases: list[str]) -> st.SearchStrategy[str]:
    """Texts of words, special cases and affixes run together, with every kind of white space between."""
    affixes = st.lists(st.sampled_from(_AFFIXES), max_size=3).map("".join)
    core = st.one_of(st.sampled_from(_WORDS), st.sampled_from(special_cases), st.text(max_size=6))
    chunk = st.tuples(affixes, core, affixes).map("".join)
    piece = st.tuples(chunk, st.sampled_from(_SPACES)).map("".join)
    return st.lists(piece, max_size=25).map("".join)
