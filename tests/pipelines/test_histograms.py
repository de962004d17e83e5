"""Histograms of a task's documents: they count each document once, add up, and change nothing."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import FILTERS, LanguageFilter, LengthFilter, native
from filters.counting import CountedFilter
from pipelines.histograms import (
    LENGTH_BINS_PER_DOUBLING,
    OTHER,
    SCORE_BINS,
    Drawn,
    Dropped,
    Histograms,
    Kept,
    languages_of,
    measured,
    summed,
    summed_drops,
)


def documents(items: list[tuple[str, Any, Any]]) -> list[Document]:
    """Documents with (text, language, score)."""
    return [
        Document(text=text, id=str(i), metadata={"language": language, "language_score": score})
        for i, (text, language, score) in enumerate(items)
    ]


def counted(step: Drawn, items: list[Document]) -> dict[str, Any]:
    assert list(step.run(iter(items))) == items, "the same documents, in the same order"
    return step.histograms()


@given(st.integers(min_value=0, max_value=10**9))
def test_a_length_is_in_the_bin_whose_edges_hold_it(length: int) -> None:
    """Law: bin b holds the lengths n with 2^((b-1)/2) <= n < 2^(b/2), here squared into whole numbers."""
    assert LENGTH_BINS_PER_DOUBLING == 2
    place = (length * length).bit_length()
    assert (length == 0 and place == 0) or 2 ** (place - 1) <= length * length < 2**place


languages = st.sampled_from(["en", "vi", "xx", None, "", ["en"], {"a": 1}, 7])
scores = st.one_of(st.floats(0, 1), st.sampled_from([None, "0.5", 1, True, float("nan"), -0.1, 1.00003, 5.0]))
rows = st.lists(st.tuples(st.text(max_size=40), languages, scores), max_size=30)


@settings(deadline=None)
@given(rows)
def test_every_document_is_counted_once_whatever_its_metadata(items: list[tuple[str, Any, Any]]) -> None:
    """Law: documents = lengths counted, by language; scores only where they are one; odd metadata ends nothing."""
    found = counted(Drawn(("en", "vi")), documents(items))
    expected = Counter(language if language in ("en", "vi") else OTHER for _, language, _ in items)
    assert {language: histogram.documents for language, histogram in found.items()} == dict(expected)
    for histogram in found.values():
        assert sum(histogram.length.values()) == histogram.documents
        assert sum(histogram.score.values()) <= histogram.documents
        assert all(0 <= place < SCORE_BINS for place in histogram.score)
    good = sum(type(score) is float and 0 <= score < 1.02 for _, _, score in items)
    assert sum(sum(histogram.score.values()) for histogram in found.values()) == good


@settings(deadline=None)
@given(rows, st.integers(0, 30))
def test_histograms_of_two_tasks_add_up_to_those_of_one(items: list[tuple[str, Any, Any]], cut: int) -> None:
    docs = documents(items)
    whole, left, right = (
        Histograms(drawn=counted(Drawn(("en",)), part), kept=counted(Kept(("en",)), part))
        for part in (docs, docs[:cut], docs[cut:])
    )
    assert summed([left, right]) == whole
    assert summed([whole, None]) is None, "a task of a version without them makes the sum unknown"


def test_what_a_filter_drops_is_in_drawn_and_not_in_kept() -> None:
    """Law: the score is the one that the filter has found, also for documents that it drops."""
    filters = [LengthFilter(min_chars=10), LanguageFilter(languages=["en"], threshold=0.65)]
    drawn, kept = Drawn(languages_of(filters)), Kept(languages_of(filters))
    texts = [
        "short",
        "This is a sentence in plain English, and there is another one.",
        "Đây là một câu tiếng Việt rất rõ.",
    ]
    data: Iterator[Document] = iter([Document(text=text, id=text) for text in texts])
    for step in (drawn, *filters, kept):
        data = step.run(data)
    assert [doc.text for doc in data] == texts[1:2]
    found = drawn.histograms()
    assert (found["en"].documents, found[OTHER].documents) == (1, 2)
    assert sum(found[OTHER].score.values()) == 1, "the short one met no language filter"
    assert {language: histogram.documents for language, histogram in kept.histograms().items()} == {"en": 1}


@pytest.mark.parametrize("native_core", [True, False])
def test_drops_by_language_are_what_lies_between_drawn_and_kept(
    native_core: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: for each language drawn - kept = dropped; over the languages each reason's number is the filters' own."""
    if not native_core:
        monkeypatch.setattr(native, "load", lambda: None)
    filters = [
        LengthFilter(min_chars=10),
        LanguageFilter(languages=["en", "vi"], threshold=0.65),
        LengthFilter(max_chars=70),
    ]
    counts = measured(filters)
    sentences = [
        "short",
        "This is a sentence in plain English, and there is another one.",
        "Đây là một câu tiếng Việt rất rõ.",
        "Đây là một câu tiếng Việt rất rõ. Đây là một câu tiếng Việt rất rõ. Và đây là một câu nữa.",
        "Dies ist ein Satz auf Deutsch, und noch einer.",
    ]
    data: Iterator[Document] = iter(
        [Document(text=text, id=str(i), metadata={"language": "en"}) for i, text in enumerate(sentences * 3)]
    )
    for step in (counts.drawn, *filters, counts.kept):
        data = step.run(data)
    assert len(list(data)) == 6
    found = counts.dropped.by_language()
    assert found == {
        "en": {"length.too_few_chars": 3},  # by its source's own word: no language filter had seen it yet
        "vi": {"length.too_many_chars": 3},
        OTHER: {"language.not_wanted": 3},
    }
    drawn, kept = counts.drawn.histograms(), counts.kept.histograms()
    for language, histogram in drawn.items():
        left = kept[language].documents if language in kept else 0
        assert histogram.documents - left == sum(found.get(language, {}).values())
    by_filter = sum(int(step.stats["dropped"].total) for step in filters)
    assert sum(sum(reasons.values()) for reasons in found.values()) == by_filter


def test_drops_of_two_tasks_add_up_and_odd_languages_are_others() -> None:
    first, second = Dropped(("en",)), Dropped(("en",))
    for dropped, language in ((first, "en"), (first, ["en"]), (second, "en"), (second, None), (second, "x" * 99)):
        dropped.of("spam")(Document(text="", id="1", metadata={"language": language}), None)
    total = summed_drops([first.by_language(), second.by_language()])
    assert total == {"en": {"spam.unnamed": 2}, OTHER: {"spam.unnamed": 3}}
    assert summed_drops([total, None]) is None, "a task of a version without them makes the sum unknown"


def test_every_filter_of_a_profile_tells_of_its_drops() -> None:
    """Law: no filter takes a loop that does not; the ledger would fail its tasks."""
    for family in FILTERS:
        kind = FILTERS[family]
        assert issubclass(kind, CountedFilter)
        assert kind.filter_batch is BaseFilter.filter_batch
        assert kind.family == family


def test_languages_are_those_of_the_language_filters() -> None:
    assert languages_of([LengthFilter()]) is None
    assert languages_of([LanguageFilter(languages=None)]) == ()
    assert languages_of([LanguageFilter(languages=["eng_Latn", "vi"])]) == ("en", "vi")
