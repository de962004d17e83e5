"""A sample of every data set through every profile: words, verdict, reason, label and score equal to stock's.

`make proof` compares every document with the same code (benchmarks/proof.py, results in benchmarks/results/proof.md).
"""

import json
from typing import Any

import pytest

from benchmarks.proof import SETS, Comparison, compare_set, profiles_here
from filters import native
from tests.data import ROOT, shared_data
from tests.native import stock
from tests.native.corpus import LANGUAGES

# Every n-th document; the smaller sets have a few hundred.
_EVERY = {"en": 400, "vi": 300} | dict.fromkeys([name for name in LANGUAGES if name not in ("en", "vi")], 40)


@pytest.mark.parametrize("name", sorted(SETS))
def test_a_sample_of_every_set(name: str) -> None:
    found = compare_set(name, shared_data(SETS[name]), _EVERY.get(name, 250), others_every=10)
    assert found["comparisons"] > 0
    assert found["differences"] == []
    assert found["mismatches"] == 0


def test_the_core_itself_judges_nearly_all_documents() -> None:
    """Without this, every document could have gone to stock and been equal to itself."""
    if native.why_not() is not None:
        pytest.skip(str(native.why_not()))
    for name in ("en", "vi", "de"):
        found = compare_set(name, shared_data(SETS[name]), _EVERY[name], others_every=10**9)
        by_stock = sum(count for key, count in found["words_of"].items() if key.startswith("stock"))
        assert sum(found["words_of"].values()) >= found["documents"]
        assert by_stock <= found["documents"] * 0.01


def test_a_wrong_answer_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    profiles, _ = profiles_here()
    comparison = Comparison([profiles["web-en"]])
    comparison.text("A text of few words.", ["web-en"])
    assert comparison.counts["mismatches"] == 0

    def other(params: Any, text: str, metadata: Any) -> stock.Answer:
        return (False, "something else"), {"language": "xx"}

    monkeypatch.setitem(stock.ORACLES, "language", other)
    comparison.text("A text of few words.", ["web-en"])
    assert comparison.counts["mismatches"] >= 1
    assert comparison.differences[0]["filter"] == "language"


def test_the_published_proof_is_of_every_set_and_found_no_mismatch() -> None:
    """Where `make proof` has been run and its result kept."""
    path = ROOT / "benchmarks" / "results" / "proof.json"
    if not path.is_file():
        pytest.skip("benchmarks/results/proof.json is not there; `make proof` writes it")
    proof = json.loads(path.read_text(encoding="utf-8"))
    documents = {found["set"]: found["documents"] for found in proof["sets"]}
    assert set(documents) == set(SETS)
    assert documents["en"] >= 20_000
    assert documents["vi"] >= 13_000
    assert not any(found["mismatches"] for found in proof["sets"])
