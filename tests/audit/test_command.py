"""`smoltrove audit` on what it may be given: a configuration, a run, a folder, its own signals; and what it refuses."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.audit.command import execute_audit
from pipelines.audit.sample import draw, smallest
from pipelines.errors import UserError
from tests.audit.scored import documents, write_jsonl
from tests.pipelines.corpus import write_corpus
from tests.pipelines.processes import Run

ALL = 100_000


def audit(
    capsys: pytest.CaptureFixture[str], target: Path, *, status: int = 0, sample: int = ALL, **options: Any
) -> dict[str, Any]:
    assert execute_audit(target, sample=sample, seed=options.pop("seed", 0), as_json=True, **options) == status
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("folder") / "pages"
    pairs = documents(number=60)
    write_jsonl(path / "a.jsonl.gz", pairs[::2])
    write_jsonl(path / "b.jsonl.gz", pairs[1::2])
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that has kept what it dropped."""
    place = tmp_path_factory.mktemp("run")
    run = Run(place, write_corpus(place / "mixture", documents=12), "--tasks", "2", "--keep-dropped")
    status, text = run.call()
    assert status == 0, text
    return run


def test_an_audit_of_a_run_counts_what_its_ledger_counts(
    finished: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (finished.output / "_run" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    dropped: dict[str, int] = {}
    written: dict[str, int] = {}
    for record in map(json.loads, lines):
        written[record["source"]] = written.get(record["source"], 0) + record["written"] - record["repeated"]
        for reason, number in record["dropped"].items():
            dropped[reason] = dropped.get(reason, 0) + number
    monkeypatch.chdir(finished.folder)
    found = audit(capsys, Path("out"))
    reasons: dict[str, int] = {}
    for profile in found["profiles"]:
        for reason, number in profile["reasons"].items():
            reasons[reason] = reasons.get(reason, 0) + number
    assert reasons == dropped
    assert reasons, "the mixture drops something"
    assert {one["source"]: one["kept"] for p in found["profiles"] for one in p["sources"]} == written
    assert not found["notes"]


def test_a_run_without_its_dropped_documents_says_so(
    finished: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished.output, tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "_run" / "dropped")
    found = audit(capsys, tmp_path / "out", datasets="*alpha*")
    assert [(p["profile"], p["documents"] - p["kept"]) for p in found["profiles"]] == [("sane", 0)]
    assert "were not kept" in found["notes"][0]


def test_a_configuration_is_judged_by_the_profiles_of_its_sources(
    finished: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    found = audit(capsys, finished.folder / "mixture" / "config.yaml", what_if=["length.min_chars=500"])
    by_name = {profile["profile"]: profile for profile in found["profiles"]}
    assert {name: len(profile["sources"]) for name, profile in by_name.items()} == {"sane": 2, "none": 2}
    assert by_name["none"]["kept"] == by_name["none"]["documents"]
    assert [one["changes"] for one in by_name["sane"]["what_if"]] == [["length.min_chars=500"]]
    assert by_name["none"]["what_if"] == []
    assert any("are not judged" in note for note in found["notes"]), "gamma has bad lines"


def test_a_source_that_cannot_be_read_is_named_and_the_others_are_audited(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_corpus(tmp_path, documents=12)
    shutil.rmtree(tmp_path / "beta")
    found = audit(capsys, config, status=1)
    assert [source for source, _ in found["not_audited"]] == ["local/beta/default"]
    assert sum(len(profile["sources"]) for profile in found["profiles"]) == 3


def test_signals_are_judged_again_without_the_documents(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for profile in ("web-en", "web-bilingual"):
        file = tmp_path / f"{profile}.parquet"
        options: dict[str, Any] = {"what_if": ["max_non_alpha_words_ratio=0.7"] if profile == "web-en" else []}
        first = audit(capsys, folder, profile=profile, signals=file, id_field="id", **options)
        again = audit(capsys, file, **options)
        assert {**again, "target": ""} == {**first, "target": ""}
        rows = pq.read_table(file).to_pylist()
        assert sum(row["kept"] for row in rows) == first["profiles"][0]["kept"]
        assert {row["verdict"] for row in rows} - {None} == set(first["profiles"][0]["reasons"])
        assert all(row["gopher_quality.alpha_words"] is None or 0 <= row["gopher_quality.alpha_words"] <= 1
                   for row in rows)  # fmt: skip


def test_a_sample_is_the_same_in_any_order_and_other_seeds_give_others(folder: Path, tmp_path: Path) -> None:
    pages = [document for _, document in documents(number=60)]
    ids = [document.id for document in smallest(pages, 20, 3, "s")]
    assert ids == [document.id for document in smallest(reversed(pages), 20, 3, "s")]
    assert ids != [document.id for document in smallest(pages, 20, 4, "s")]
    assert ids[:5] == [document.id for document in smallest(pages, 5, 3, "s")], "a smaller sample is a part of it"
    drawn = [next(draw(folder, number=9, seed=1, profile="web-en", id_field="id")) for _ in range(2)]
    assert [d.id for d in drawn[0].documents] == [d.id for d in drawn[1].documents]
    assert len(drawn[0].documents) == 9


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "--profile"),
        ({"profile": "web-em"}, "did you mean"),
        ({"profile": "web-en", "what_if": ["gopher_quality.max_word=3"]}, "no such threshold"),
        ({"profile": "web-en", "what_if": ["gopher_quality.min_doc_word=3"]}, "did you mean"),
        ({"profile": "web-en", "what_if": ["gopher_quality.stop_words=3"]}, "is no threshold"),
        ({"profile": "web-en", "text_field": "body"}, "body"),
        ({"profile": "web-en", "signals": Path("no/such/folder/x.parquet")}, "does not exist"),
    ],
)
def test_what_is_asked_wrongly_is_one_clear_line(folder: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        execute_audit(folder, sample=5, seed=0, **options)
    assert "\n" not in str(error.value)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder"):
        execute_audit(tmp_path / "nothing", sample=5, seed=0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no data files"):
        execute_audit(tmp_path / "empty", sample=5, seed=0, profile="web-en")


def test_a_deduplication_is_not_taken_for_a_folder_of_documents(tmp_path: Path) -> None:
    (tmp_path / "_run").mkdir()
    (tmp_path / "_run" / "manifest.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match="output of a deduplication"):
        execute_audit(tmp_path, sample=5, seed=0, profile="web-en")


def test_the_json_is_strict(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Thresholds that are switched off are null, not NaN."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert execute_audit(folder, sample=30, seed=0, profile="web-de", id_field="id", as_json=True) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=refuse)
    off = [one for one in found["profiles"][0]["thresholds"] if one["value"] is None]
    assert {one["name"] for one in off} >= {"gopher_repetition.dup_para_frac", "gopher_quality.min_avg_word_length"}


def test_the_tables_name_filters_thresholds_and_documents(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = ["gopher_quality.max_non_alpha_words_ratio=0.9", "spam.max_density=1"]
    assert execute_audit(folder, sample=50, seed=0, profile="web-en", id_field="id", what_if=changes) == 0
    shown = capsys.readouterr().out
    for text in ("only it", "and gopher_quality", "kept at -20%", "nearest to", "what if spam.max_density=1 (web-en)"):
        assert text in shown
    assert " and spam.max_density=1 (web-en): " in shown, "and both together"
