"""Documents of very many words: the Gopher rules in little memory give the verdicts of the usual way."""

import pytest
from datatrove.pipeline.filters.gopher_repetition_filter import GopherRepetitionFilter
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import native
from filters.fast_gopher import _rules_of
from filters.fast_words import splitter
from tests.native.oracle import needs_core, stock_verdict

pytestmark = needs_core

# Few different words, some of them parts of others, so that n-grams repeat and are cut in several ways.
_WORDS = st.sampled_from(["a", "aa", "b", "ab", "ba", "a-b", "học sinh", "…", "?!", "x" * 70, "\u00a0"])
_SHARES = st.sampled_from([-0.1, 0.0, 0.02, 0.1, 0.3, 0.6, 1.0])
_LENGTHS = st.integers(1, 6)


def _filter(top: list[tuple[int, float]], duplicated: list[tuple[int, float]], language: str) -> GopherRepetitionFilter:
    return GopherRepetitionFilter(
        dup_line_frac=None,
        dup_para_frac=None,
        dup_line_char_frac=None,
        dup_para_char_frac=None,
        top_n_grams=tuple(top),
        dup_n_grams=tuple(duplicated),
        language=language,
    )


@settings(deadline=None)  # the first text loads spaCy
@given(
    words=st.lists(_WORDS, min_size=1, max_size=60),
    gap=st.sampled_from([" ", "  ", "\n"]),
    top=st.lists(st.tuples(_LENGTHS, _SHARES), max_size=3),
    duplicated=st.lists(st.tuples(_LENGTHS, _SHARES), max_size=3),
    language=st.sampled_from(["eng", "vie"]),
)
def test_both_ways_give_stocks_verdict(
    words: list[str], gap: str, top: list[tuple[int, float]], duplicated: list[tuple[int, float]], language: str
) -> None:
    """Law: judge_many_words == judge_words == datatrove's verdict and reason, whatever the rules."""
    text = gap.join(words)
    step = _filter(top, duplicated, language)
    words_of = splitter(language)
    assert words_of is not None
    found = words_of.split(text)
    rules = _rules_of(step)
    if found is None or len(found) == 0 or rules is None:
        return
    many = rules.judge_many_words(found)
    assert many == rules.judge_words(found)
    assert stock_verdict(step, text) == (True if many is None else (False, many))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a " * 1_100_000, "top_2_gram"),
        # a million different words, of which the rules count nothing, and the same once more
        (" ".join(map(str, range(1_100_000))), None),
        (" ".join(map(str, [*range(600_000), *range(600_000)])), "duplicated_5_n_grams"),
    ],
    ids=["one word", "no repeat", "all twice"],
)
def test_more_than_a_million_words(text: str, reason: str | None) -> None:
    """Law: documents above the limit are judged, with the verdict that follows from how they were made."""
    words_of = splitter("eng")
    assert words_of is not None
    found = words_of.split(text)
    assert len(found) > 1 << 20
    module = native.load()
    assert module is not None
    rules = _rules_of(GopherRepetitionFilter(language="eng"))
    assert rules.judge_words(found) == rules.judge_many_words(found) == reason
    words_of.forget()
