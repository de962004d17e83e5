"""Which code judges documents is told before a run (`doctor`) and counted in it (ledger, `status --reasons`)."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from datatrove.data import Document
from hypothesis import given
from hypothesis import strategies as st

from filters import GopherQualityFilter, GopherRepetitionFilter, LanguageFilter, SpamFilter, fast_spam, native
from pipelines.native_counts import NativeCounts, added, counts_now, counts_since, in_one_line
from pipelines.native_paths import NativePath, native_paths
from pipelines.outcome import SourceOutcome
from pipelines.profiles import FilterSpec, Profile
from pipelines.reasons import reasons_table
from tests.data import ROOT
from tests.native.oracle import needs_core
from tests.pipelines.processes import Run

PROSE = "The people of the town have built a bridge over the river, and they will open it to all in May. "


def profile(name: str, *filters: tuple[str, dict[str, Any]]) -> Profile:
    return Profile(name=name, filters=tuple(FilterSpec(name=family, params=params) for family, params in filters))


def by_part(profiles: list[Profile]) -> dict[str, list[NativePath]]:
    found: dict[str, list[NativePath]] = {}
    for path in native_paths(profiles):
        found.setdefault(path.part, []).append(path)
    return found


@needs_core
def test_every_part_of_the_profiles_is_named_once_with_the_code_that_judges() -> None:
    """English by spaCy's rules, Vietnamese by pyvi's model, Chinese by datatrove's splitter with native rules."""
    web = profile(
        "web",
        ("language", {}),
        ("gopher_repetition", {"language": "en", "by_language": {"vi": {}}}),
        ("gopher_quality", {"language": "en", "by_language": {"vi": {}}}),
        ("spam", {}),
    )
    found = by_part([web, profile("zh", ("gopher_quality", {"language": "zh"})), profile("code", ("length", {}))])
    assert list(found) == [
        "language", "words eng", "words vie", "gopher_repetition", "gopher_quality", "spam", "words cmn", "minhash"
    ]  # fmt: skip
    assert all(len(paths) == 1 for paths in found.values())
    one = {part: paths[0] for part, paths in found.items()}
    assert (one["words eng"].path, one["words eng"].how) == ("native", "rules")
    assert (one["words vie"].path, one["words vie"].how) == ("native", "vietnamese")
    assert (one["words cmn"].path, one["words cmn"].note) == ("given", "spaCy's zh with settings of its own")
    assert one["gopher_quality"].profiles == ["web", "zh"]
    stock = {part: path.note for part, path in one.items() if path.path == "stock"}
    assert not stock


@needs_core
def test_what_the_core_cannot_hold_is_said_for_that_profile_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit beyond what a double holds exactly, and a phrase list with too many characters."""
    huge = profile("huge", ("gopher_quality", {"max_doc_words": 2**60}))
    found = by_part([huge, profile("web", ("gopher_quality", {}), ("spam", {}))])
    assert [(path.path, path.profiles) for path in found["gopher_quality"]] == [
        ("stock", ["huge"]),
        ("native", ["web"]),
    ]
    assert found["gopher_quality"][0].note == "parameters that the native core cannot hold"
    monkeypatch.setattr(fast_spam, "MAX_SYMBOLS", 5)
    (spam,) = by_part([profile("web", ("spam", {}))])["spam"]
    assert (spam.path, spam.note) == ("stock", "phrases of more than 5 different characters")


@needs_core
def test_an_unproven_version_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("datatrove's Gopher filters", "datatrove's MinHash", "datatrove's and fastText's prediction"):
        monkeypatch.setitem(native._PROVEN, part, (lambda: "other source", frozenset()))
    native.unproven.cache_clear()
    try:
        found = by_part([profile("web", ("gopher_quality", {}), ("spam", {}))])
        for part in ("words eng", "gopher_quality", "minhash"):
            assert found[part][0].path == "stock"
            assert "datatrove's Gopher filters is another version" in found[part][0].note
        assert found["spam"][0].path == "native", "the phrase search does not rest on another package"
    finally:
        native.unproven.cache_clear()


def test_doctor_says_that_the_core_is_switched_off(tmp_path: Path) -> None:
    """In the table and in JSON; it is no trouble: the verdicts are the same."""
    config = tmp_path / "c.yaml"
    (tmp_path / "filter_profiles.yaml").write_text("profiles:\n  p: {filters: [{gopher_quality: {}}, {spam: {}}]}\n")
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n')
    config.write_text(yaml.safe_dump({"datasets": [{"name": "a", "path": "a.jsonl", "weight": 1, "profile": "p"}]}))
    environment = {**os.environ, "SMOLTROVE_NATIVE": "0", "PYTHONPATH": str(ROOT)}

    def doctor(*options: str) -> str:
        command = [sys.executable, "-m", "pipelines", "doctor", str(config), *options]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    data = json.loads(doctor("--json"))
    assert [(path["part"], path["path"]) for path in data["native"]] == [
        (part, "stock") for part in ("words eng", "gopher_quality", "spam", "minhash")
    ]
    assert {path["note"] for path in data["native"]} == {"switched off by SMOLTROVE_NATIVE=0"}
    (line,) = (line for line in doctor().splitlines() if line.startswith(" words eng"))
    assert line.split("  ")[0] == " words eng"
    assert "stock code" in line
    assert "switched off by SMOLTROVE_NATIVE=0" in line


@needs_core
def test_a_document_counts_once_for_each_part_however_many_filters_ask() -> None:
    """Two Gopher filters share one split, also where that is stock's; a lone surrogate is counted, too."""
    steps = [LanguageFilter(label_only=True), GopherRepetitionFilter(), GopherQualityFilter(), SpamFilter()]
    before = counts_now()
    for text in (PROSE * 9, PROSE * 9 + "IS_ALPHA", PROSE * 9 + "\ud800"):
        document = Document(text=text, id="")
        for step in steps:
            step.filter(document)
    found = counts_since(before)
    assert found.stock == {"words eng: IS_ALPHA": 1, "words eng: lone surrogate": 1}
    assert found.given == {}
    assert found.fast == {"language": 3, "spam": 3, "words eng": 1}
    assert counts_since(counts_now()) == NativeCounts()


@needs_core
def test_rules_that_only_stock_has_are_counted() -> None:
    before = counts_now()
    GopherQualityFilter(max_doc_words=2**60).filter(Document(text=PROSE, id=""))
    assert counts_since(before).stock["gopher_quality: parameters that the native core cannot hold"] == 1


@needs_core
def test_a_text_on_which_stock_would_raise_is_counted() -> None:
    before = counts_now()
    assert GopherQualityFilter(min_doc_words=0).filter(Document(text=" \n", id="")) == (False, "gopher_no_words")
    assert counts_since(before).stock == {"gopher_quality: stock would raise or warn here": 1}


_counts = st.dictionaries(st.sampled_from("abc"), st.integers(1, 99))
_native = st.builds(NativeCounts, fast=_counts, given=_counts, stock=_counts)


@given(st.lists(_native, max_size=5))
def test_a_sum_is_that_of_each_reason(parts: list[NativeCounts]) -> None:
    total = added(parts)
    for kind in NativeCounts.model_fields:
        assert getattr(total, kind) == Counter(sum((Counter(getattr(part, kind)) for part in parts), Counter()))
    line = in_one_line(total)
    assert (line is None) == (not total.given and not total.stock)
    assert line is None or f"{sum(total.stock.values()):,} stock code's" in line


def test_the_tables_have_a_row_for_each_reason() -> None:
    """And no second table where the native core judged everything; a bar in a reason does not break the table."""
    outcome = SourceOutcome(source="s", tasks=1, native=NativeCounts(fast={"spam": 7}))
    assert "native" not in reasons_table([outcome])
    outcome.native.given["words fra: flags re.A|re.B"] = 5
    outcome.native.stock["words eng: IS_ALPHA"] = 6
    assert reasons_table([outcome]).splitlines()[-4:] == [
        "| source | not by the native core | judged by | documents |",
        "|---|---|---|---:|",
        "| s | words eng: IS_ALPHA | stock code | 6 |",
        "| s | words fra: flags re.A&#124;re.B | native rules, datatrove's words | 5 |",
    ]


@needs_core
def test_a_run_counts_what_went_to_stock_and_shows_it(tmp_path: Path) -> None:
    """Ledger, status and the table at the end, for a source with one text outside of the core's domain in each task."""
    (tmp_path / "filter_profiles.yaml").write_text("profiles:\n  p: {filters: [{gopher_quality: {}}, {spam: {}}]}\n")
    for file in range(2):
        texts = [f"{PROSE * 9}{number}" for number in range(20)] + [f"{PROSE * 9} IS_ALPHA"]
        (tmp_path / f"{file}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    config = tmp_path / "c.yaml"
    entry = {"name": "a", "path": "*.jsonl", "weight": 1, "profile": "p", "max_epochs": 1}
    config.write_text(yaml.safe_dump({"datasets": [entry], "target_tokens": "1M"}))
    run = Run(tmp_path / "run", config, "--tasks", "2")
    status, text = run.call()
    assert status == 0, text
    records = run.ledger()
    assert [record["native"]["stock"] for record in records] == [{"words eng: IS_ALPHA": 1}] * 2
    assert [record["native"]["fast"] for record in records] == [{"spam": 21, "words eng": 20}] * 2
    assert "of 84 answers of filters 82 are the native core's, 2 stock code's, 0 native rules" in text
    assert "| a/default | words eng: IS_ALPHA | stock code | 2 |" in run.tool("status", "--reasons")[1]
