"""Patterns that ignore case, as French has them: the same characters and the same words as `re` and spaCy say.

French's `token_match` keeps words such as "entr'amis" and "saut-de-ski" whole, in any case.
"""

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filters import native
from filters.fast_words import FastSplitter, splitter
from filters.spacy_rules import Unsupported, tree
from tests.data import shared_data
from tests.native.corpus import LANGUAGES, every_text
from tests.native.oracle import needs_core, stock_words

quick = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))

# Letters whose cases are no pair, or have several characters: dotted and dotless i, Kelvin, Angstrom, long s, sharp s,
# micro, sigma, iota subscripts, digraphs, ligatures, old Cyrillic, Cherokee, Deseret.
_ODD = (
    "\u0130\u0131iIK\u212ak\u00c5\u00e5\u212b\u017fsS\u00df\u1e9e\u00b5\u03bc\u039c\u03c2\u03c3\u03a3\u1fb3\u1fbc"
    "\u01c5\u01c6\u01c4\u0149\u0390\u1fd3\ufb05\ufb06\u1c80\u0432\u0412\uab70\u13a0\U00010400\U00010428-'\u2019\n\0\ud800"
)
_CHARS = st.one_of(st.sampled_from(_ODD), st.characters())
_CATEGORIES = ["\\w", "\\W", "\\d", "\\D", "\\s", "\\S"]


def _escaped(char: str) -> str:
    return f"\\U{ord(char):08x}"


_RANGES = st.tuples(_CHARS, _CHARS).map(sorted).map(lambda pair: f"{_escaped(pair[0])}-{_escaped(pair[1])}")
_ITEMS = st.one_of(_CHARS.map(_escaped), _RANGES, st.sampled_from(_CATEGORIES))
_SETS = st.tuples(st.sampled_from(["", "^"]), st.lists(_ITEMS, min_size=1, max_size=4)).map(
    lambda parts: f"[{parts[0]}{''.join(parts[1])}]"
)


def accepts(node: Any, char: str) -> bool:
    """What native/pattern.cpp does with a node of one character."""
    if node[0] == "literal":
        return ord(char) == int(node[1])
    assert (node[0], node[1], node[3], node[4]) == ("set", 0, 0, 0)
    return any(low <= ord(char) <= high for low, high in node[2])


@quick
@given(st.one_of(_CHARS.map(_escaped), _SETS), st.lists(_CHARS, max_size=20))
def test_a_set_or_literal_has_the_characters_that_re_matches(pattern: str, chars: list[str]) -> None:
    """Compared one character at a time, with the pattern as it was and not as it is written for the question."""
    compiled = re.compile(pattern, re.IGNORECASE)
    built = tree(compiled.match, "match")
    assert built is not None
    (node,) = built
    others = "".join(char.upper() + char.lower() + char.swapcase() for char in chars)
    for char in [*_ODD, *chars, *others]:
        assert accepts(node, char) == (compiled.match(char) is not None), (pattern, char)


def test_other_flags_are_refused() -> None:
    for flags in (re.IGNORECASE | re.ASCII, re.IGNORECASE | re.DOTALL, re.MULTILINE, re.VERBOSE):
        with pytest.raises(Unsupported, match="flags"):
            tree(re.compile("a", flags).match, "match")


# ---- words


def french() -> FastSplitter:
    found = splitter("fra")
    assert found is not None
    return found


# Kept whole by token_match, or nearly: prefixes, elisions, combinations, single entries.
_KEPT = """
    a-sexualisation faux-vampire saut-de-ski pet-en-l'air entr'abat réentr’ouvrir grand'mère grandes-mères r'habiller
    zig-zaguer yo-yoter z'yeuter stabilo-bosser anti-âge sous-préfet ex-æquo mi-août arc-en-ciel face-à-face
    châteauneuf-sur-loire saint-étienne-près-l'eau rond-ponner auto-école extra-utérin socio-économique
    aujourd'hui prud'homme c'est-à-dire qu'est-ce rendez-vous J.-C. Mme. M. av. ap.J.-C. d'après n'est-il
""".split()  # noqa: SIM905
_SAME_BUT_CASE = str.maketrans({"s": "\u017f", "k": "\u212a", "i": "\u0130", "'": "\u2019", "-": "\u2011"})


def _in_any_case(word: str) -> st.SearchStrategy[str]:
    changes = [word, word.upper(), word.title(), word.swapcase(), word.capitalize(), word.translate(_SAME_BUT_CASE)]
    letters = st.tuples(*(st.sampled_from([c, c.upper(), c.translate(_SAME_BUT_CASE)]) for c in word)).map("".join)
    return st.one_of(st.sampled_from(changes), letters)


@needs_core
def test_french_is_split_by_its_rules() -> None:
    assert (french().mode, french().note) == ("rules", "")
    for text in ("FAUX-VAMPIRE et Faux-Vampire", "Pet-En-L'Air", "ENTR'ABAT, l'ENTR’ABAT"):
        assert french().words(text) == stock_words(text, "fra")
    assert french().words("SAUT-DE-SKI") == ["SAUT-DE-SKI"]


@needs_core
def test_what_token_match_keeps_is_kept_in_any_case() -> None:
    """With affixes around it, run together, and with letters that are the same but for case only to `re`."""
    affixes = st.lists(st.sampled_from([*"«»(),.;:!?'’-–…\"%$", "l'", "d’", "qu'"]), max_size=2).map("".join)
    words = st.sampled_from(_KEPT).flatmap(_in_any_case)
    chunk = st.tuples(affixes, words, st.one_of(affixes, words)).map("".join)

    @settings(quick, max_examples=400)
    @given(st.lists(chunk, min_size=1, max_size=20).map(" ".join))
    def law(text: str) -> None:
        assert french().words(text) == stock_words(text, "fra")

    law()


@needs_core
def test_every_french_document_has_stock_words() -> None:
    documents = list(every_text(shared_data(LANGUAGES["fr"])))
    assert len(documents) > 500
    by_stock = native.counts.copy()
    for text in documents:
        assert french().words(text) == stock_words(text, "fra")
    assert sum((native.counts - by_stock)[key] for key in native.counts if key[0] == "stock") == 0
