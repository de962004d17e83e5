"""The native spam search: the same occurrences and verdicts as the automaton of `filters.spam`, on any text."""

import itertools
import unicodedata
from pathlib import Path

import pytest
from datatrove.data import Document
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import native
from filters.fast_spam import BLOCK, FastSpam, composing, finder
from filters.spam import SpamFilter, load_phrases, normalize_phrase
from tests.data import shared_data
from tests.native.corpus import every_text, unless_whole
from tests.native.oracle import needs_core

pytestmark = needs_core

PHRASES = sorted(phrase for phrases in load_phrases().values() for phrase in phrases)
STEPS = [SpamFilter(), SpamFilter(mode="any"), SpamFilter(min_hits=2, max_density=1.5)]
_SPACES = [" ", "  ", "\n", "\t\n ", "\u00a0", "\u2003", "\x1c", "\u3000"]
_HARD = [
    "\u0301", "\u0323", "\u0345", "ß", "İ", "ﬁ", "\u212b", "\u2126", "’", "'", "K", "ſ", "각", "ᄀ", "ᅡ", "ᆨ",
    "\u0958", "\U0001d15e",
]  # fmt: skip


def same(text: str) -> bool:
    """Compares every filter with its own definition; whether there was an occurrence."""
    for step in STEPS:
        document = Document(text=text, id="0")
        assert step.filter(document) == step.filter_here(document), text[:200]
    found = STEPS[0].find(text)
    assert found == STEPS[0].find_here(text), text[:200]
    return bool(found)


def test_the_core_is_what_these_tests_test() -> None:
    before = native.counts["fast", "spam", ""]
    assert STEPS[0].find("please CLICK  here") == ["click here"]
    assert native.counts["fast", "spam", ""] == before + 1


_PIECES = st.one_of(
    st.sampled_from(PHRASES),
    st.sampled_from(PHRASES).map(str.upper),
    st.sampled_from(PHRASES).map(lambda phrase: unicodedata.normalize("NFD", phrase)),
    st.sampled_from(PHRASES).flatmap(lambda phrase: st.sampled_from(_SPACES).map(lambda s: phrase.replace(" ", s))),
    st.sampled_from(PHRASES).flatmap(lambda phrase: st.integers(0, len(phrase)).map(lambda n: phrase[:n])),
    st.sampled_from([*_SPACES, *_HARD, "x", "7", "-", ".", "_", "\ud800", "\0", "😀"]),
    st.text(max_size=4),
)


@given(st.lists(_PIECES, max_size=12).map("".join))
@settings(max_examples=1500, deadline=None)
def test_equal_on_made_text(text: str) -> None:
    same(text)


_SHORT = st.text(st.sampled_from("ab '$ạ\u0301"), min_size=1, max_size=7).map(normalize_phrase).filter(bool)
_LISTS = st.sets(_SHORT, min_size=1, max_size=6)


@given(phrases=_LISTS, text=st.text(st.sampled_from("aAb  \n'’$ạ\u0301\u0323ß"), max_size=30))
@settings(max_examples=1500, deadline=None)
def test_equal_for_any_list_of_phrases(phrases: set[str], text: str) -> None:
    """Phrases of one character, of signs, inside one another, with marks at either end."""
    step = SpamFilter()
    step.phrase_set = frozenset(phrases)
    assert FastSpam(step.phrase_set).find(text) == step.find_here(text)


def test_many_characters_share_classes_and_nothing_changes(tmp_path: Path) -> None:
    """More different characters than the table of pairs has classes."""
    letters = [chr(code) for code in range(0x4E00, 0x4E00 + 900)]
    phrases = ["".join(letters[i : i + 9]) for i in range(0, 891, 9)]
    step = SpamFilter()
    step.phrase_set = frozenset(phrases)
    text = " ".join(itertools.chain(phrases[::7], ["".join(letters[i : i + 9]) for i in range(250, 800, 31)]))
    assert FastSpam(step.phrase_set).find(text) == step.find_here(text) != []


def test_too_many_characters_stay_with_the_automaton() -> None:
    step = SpamFilter()
    step.phrase_set = frozenset({"".join(map(chr, range(0x4E00, 0x4E00 + 3000)))})
    assert finder(step.phrase_set) is None
    assert step.find("一 text") == []


def test_a_text_that_was_folded_does_not_fold_again() -> None:
    """The core looks at a text once normalised as if no character of it could change; true of every character here."""
    every = "".join(map(chr, range(0x110000))).casefold()
    assert every.casefold() == every


def test_what_can_merge_with_the_character_before_is_known() -> None:
    """Every character that NFC may merge with the one before is among those that send a text to be normalised."""
    for code in range(0x110000):
        parts = unicodedata.normalize("NFD", chr(code))
        if len(parts) > 1 and unicodedata.normalize("NFC", parts) != parts:
            assert all(part in composing() or unicodedata.combining(part) for part in parts[1:])


def test_a_block_is_the_size_that_the_core_expects() -> None:
    with pytest.raises(ValueError, match="256"):
        native.load().Spam(((1,),), (0, 1)).learn(0, (0,) * (BLOCK - 1))  # type: ignore[union-attr]


def test_a_sample_of_the_data_pack() -> None:
    texts = [text for name in ("web-en", "web-vi", "fineweb2-like", "code") for text in every_text(shared_data(name))]
    found = sum(same(form) for text in texts[::60] for form in (text, unicodedata.normalize("NFD", text)))
    assert found > 5, "the sample holds no spam phrase: it tests nothing"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_tenth_of_the_documents_of_the_data_pack() -> None:
    """All of them in `make proof`."""
    found = documents = 0
    every = unless_whole(10)
    for text in itertools.islice(every_text(shared_data()), 0, None, every):
        documents += 1
        found += same(text)
    assert documents > 90_000 // every
    assert found > 1_500 // every
