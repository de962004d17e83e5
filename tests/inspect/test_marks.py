"""What is marked is what the filters count."""

import pytest
from datatrove.data import Document

from filters import GopherQualityFilter, GopherRepetitionFilter, SpamFilter
from filters.signals import quality_signals, repetition_signals
from pipelines.inspect.corpus import Corpus
from pipelines.inspect.documents import Wanted, documents_of
from pipelines.inspect.marks import marks_of
from pipelines.inspect.verdict import Judge

ENGLISH = (
    "The river runs to the sea and the river runs to the hills. # tag ... and more\n- one\n• two\nsame line\n"
    "same line\n\nsame line\n\nThe river runs to the sea and the river runs to the hills. 12 34 …\n"
)

TOO_SMALL = [f"gopher_quality.{rule}" for rule in ("short_doc", "enough_stop_words", "below_alpha_threshold")]


def marked(step: object, rule: str, text: str) -> list[str]:
    return [text[start:end] for start, end in marks_of(step, rule, text)]


def test_repetition_marks_are_the_characters_that_are_counted() -> None:
    """Law: the marked characters, white space apart, are those of the signals."""
    step = GopherRepetitionFilter(language="en")
    signals = repetition_signals(step, ENGLISH)
    assert marked(step, "dup_line_frac", ENGLISH) == ["same line", "same line"]
    for n in range(5, 11):
        found = "".join("".join(marked(step, f"duplicated_{n}_n_grams", ENGLISH)).split())
        assert len(found) == round(signals[f"duplicated_{n}_n_grams"] * len(ENGLISH))
    tops = marked(step, "top_2_gram", ENGLISH)
    assert len(set(tops)) == 1
    assert sum(map(len, tops)) == round(signals["top_2_gram"] * len(ENGLISH))


def test_quality_marks_are_as_many_as_are_counted() -> None:
    """Law: as many places as the signals count."""
    step = GopherQualityFilter(language="en")
    signals, lines = quality_signals(step, ENGLISH), ENGLISH.splitlines()
    assert len(marked(step, "gopher_too_many_bullets", ENGLISH)) == signals["bullet_lines"] * len(lines) == 2
    assert len(marked(step, "gopher_too_many_end_ellipsis", ENGLISH)) == signals["ellipsis_lines"] * len(lines) == 1
    assert marked(step, "gopher_too_many_hashes", ENGLISH) == ["#"]
    assert marked(step, "gopher_too_many_ellipsis", ENGLISH) == ["...", "…"]
    assert len(set(marked(step, "gopher_enough_stop_words", ENGLISH))) == signals["stop_words"] > 0
    assert {"12", "34"} <= set(" ".join(marked(step, "gopher_below_alpha_threshold", ENGLISH)).split())


@pytest.mark.parametrize("text", ["Well: CLICK\n  HERE now, click here.", "clickhere"])
def test_spam_marks_are_its_phrases(text: str) -> None:
    step = SpamFilter()
    assert len(marked(step, "density", text)) == len(step.find(text))


def test_every_dropped_document_has_the_number_that_dropped_it(corpus: Corpus) -> None:
    """Law: for its reason, the value lies on the wrong side of the threshold; facts name the language."""
    judge, reasons = Judge(corpus), set()
    for file in corpus.select(dropped=True):
        for found in documents_of(file, Wanted()):
            verdict = judge.verdict(found)
            reasons.add(found.reason)
            assert verdict.rule == found.reason
            assert verdict.value is not None
            assert verdict.threshold is not None
            below = found.reason.startswith("language.") or found.reason in TOO_SMALL
            assert (verdict.value <= verdict.threshold) if below else (verdict.value > verdict.threshold)
            assert any(fact.startswith("language ") for fact in verdict.facts)
    assert {"spam.density", "language.not_wanted"} <= reasons
    assert any("gopher_repetition" in r for r in reasons)


def test_verdicts_leave_documents_as_they_are(corpus: Corpus) -> None:
    found = next(documents_of(corpus.select(dropped=False, source="t/en")[0], Wanted()))
    before = Document(text=found.line.text, id=found.line.id, metadata=dict(found.line.metadata))
    verdict = Judge(corpus).verdict(found)
    assert found.line.metadata == before.metadata
    assert verdict.value is not None
