"""Where the native core is missing, switched off or unproven, datatrove's own code judges, and it is told why."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from datatrove.pipeline.filters.gopher_quality_filter import GopherQualityFilter

from filters import native
from filters.fast_gopher import quality_verdict
from tests.native.oracle import needs_core

_ROOT = Path(__file__).resolve().parents[2]


def test_switched_off_by_the_environment() -> None:
    code = (
        "from filters import native; from filters.fast_gopher import quality_verdict\n"
        "from datatrove.pipeline.filters.gopher_quality_filter import GopherQualityFilter\n"
        "print(native.why_not()); print(quality_verdict(GopherQualityFilter(), 'a text'))"
    )
    environment = os.environ | {"SMOLTROVE_NATIVE": "0", "PYTHONPATH": str(_ROOT)}
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=_ROOT, check=True
    )
    assert found.stdout.split("\n")[:2] == ["switched off by SMOLTROVE_NATIVE=0", "None"]


@needs_core
def test_an_unknown_version_goes_to_stock(monkeypatch: pytest.MonkeyPatch) -> None:
    part = "datatrove's Gopher filters"
    monkeypatch.setitem(native._PROVEN, part, (lambda: "other source", native._PROVEN[part][1]))
    native.unproven.cache_clear()
    try:
        assert "another version" in str(native.why_not())
        assert quality_verdict(GopherQualityFilter(), "a text") is None
    finally:
        native.unproven.cache_clear()


@needs_core
def test_a_filter_that_has_judged_can_be_pickled() -> None:
    step = GopherQualityFilter(min_doc_words=1)
    before = quality_verdict(step, "the cat of the house")
    assert before is not None
    assert quality_verdict(pickle.loads(pickle.dumps(step)), "the cat of the house") == before  # noqa: S301


@needs_core
def test_documents_are_counted_by_path() -> None:
    native.counts.clear()
    step = GopherQualityFilter()
    quality_verdict(step, "a text that no other test reads")
    quality_verdict(step, "another, with IS_ALPHA")
    assert native.counts["fast", "words eng", ""] == 1
    assert native.counts["stock", "words eng", "IS_ALPHA"] == 1
