"""Whole data sets beside stock, by its recorded answers and live: 20,000 English and 13,029 Vietnamese documents."""

import json
from pathlib import Path

import pytest

from filters import FILTERS
from tests.native import stock_record
from tests.native.stock_record import PROFILES, digest, our_answers, profile_of, recorded, stock_answers, texts_of

DOCUMENTS = {"en": 20_000, "vi": 13_029}
# Stock itself judges every n-th document beside the record, and without a record so many.
LIVE, WITHOUT_RECORD = 50, {"en": 1, "vi": 10}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PROFILES))
def test_verdict_reason_label_and_score_of_every_document_are_stocks(name: str) -> None:
    """A digest that differs is a mismatch, or a record of something else; stock tells which."""
    profile, known = profile_of(name), recorded(name)
    steps = [FILTERS[spec.name](**spec.params) for spec in profile.filters]
    every = LIVE if known else WITHOUT_RECORD[name]
    number, reasons = 0, set()
    for number, text in enumerate(texts_of(name), 1):
        mine = our_answers(steps, text)
        reasons |= {answer[1] if answer is not True else "kept" for answer, _ in mine}
        differs = known is not None and digest(text, mine) != known[number - 1]
        if differs or number % every == 0:
            assert mine == stock_answers(profile, text), f"document {number}: {text[:300]}"
        assert not differs, f"document {number}: the record is of another text or another stock; `make record`"
    assert number == DOCUMENTS[name]
    assert known is None or len(known) == number
    assert len(reasons) > 10


def test_a_record_of_another_stock_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: a record counts only for the versions and parameters it was made with."""
    monkeypatch.setattr(stock_record, "PATH", tmp_path / "record.json")
    assert recorded("en") is None
    here = stock_record.conditions("en")
    for conditions, found in (
        (here, [b"abcd", b"efgh"]),
        (here | {"packages": here["packages"] | {"spacy": "0"}}, None),
        (here | {"filters": []}, None),
    ):
        stock_record.PATH.write_text(json.dumps({"en": {"conditions": conditions, "digests": "YWJjZGVmZ2g="}}))
        assert recorded("en") == found


def test_any_other_answer_has_another_digest() -> None:
    """Law: verdict, reason, label and score are all in the digest, and so is the text."""
    answers = [[(True, {"language": "en", "language_score": 0.5})], [((False, "a"), {})], [((False, "b"), {})]]
    answers += [[(True, {"language": "en", "language_score": 0.50000001})], [(True, {"language": "vi"})], [(False, {})]]
    found = [digest(text, said) for text in ("x", "y") for said in answers]
    assert len(set(found)) == len(found)
