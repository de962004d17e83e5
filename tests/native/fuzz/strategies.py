"""hypothesis strategies over the hostile pieces. Gives up: guidance by coverage, which `run.py` has."""

import unicodedata

from hypothesis import strategies as st

from tests.native.fuzz.pieces import AFFIXES as _AFFIXES
from tests.native.fuzz.pieces import GROUPS, LONG, SPACES, SYLLABLES, special_cases


def texts(word_code: str) -> st.SearchStrategy[str]:
    """Texts of pieces run together: affix combinations around every kind of core, every white space between."""
    affixes = st.lists(st.sampled_from(_AFFIXES), max_size=3).map("".join)
    groups = [*GROUPS, special_cases(word_code), *([SYLLABLES] * (3 * (word_code == "vie")))]
    core = st.one_of(*(st.sampled_from(group) for group in groups), st.text(max_size=6))
    chunk = st.tuples(affixes, core, st.one_of(st.just(""), core), affixes).map("".join)
    piece = st.tuples(chunk, st.sampled_from(SPACES)).map("".join)
    plain = st.lists(piece, max_size=25).map("".join)
    repeated = st.tuples(plain, st.integers(1, 4)).map(lambda pair: pair[0] * pair[1])
    long = st.tuples(plain, st.sampled_from(LONG), plain).map("".join)
    form = st.sampled_from(["NFC", "NFD"])
    other = st.tuples(form, plain).map(lambda pair: unicodedata.normalize(*pair))
    return st.one_of(plain, plain, repeated, other, long)
