"""The command line of the deduplication: from a run that really ran, with every option, and what it refuses."""

import json
import re
from pathlib import Path

import pytest

from pipelines.config import load_config
from pipelines.dedup.command import execute_dedup, parameters
from pipelines.dedup.config import DedupConfig, ExactConfig, MinhashConfig, SentenceConfig, SimhashConfig
from pipelines.dedup.curve import chance, threshold
from pipelines.dedup.methods import METHODS
from pipelines.dedup.run import run_dedup
from pipelines.errors import ConfigError, UserError
from pipelines.slurm.options import ClusterOptions, Executor
from tests.data import ROOT
from tests.dedup.corpus import documents_of, duplicates_of, make_run, small_sources
from tests.pipelines.corpus import write_corpus
from tests.pipelines.processes import Run
from tests.test_guide_covers import cells, section


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A real run, filtered and then deduplicated by one command."""
    folder = tmp_path_factory.mktemp("command")
    config = write_corpus(folder / "mixture", documents=12)
    with open(config, "a", encoding="utf-8") as handle:
        handle.write("dedup: {priority: [local/delta/*], minhash: {seed: 3}}\n")
    run = Run(folder, config, "--tasks", "2", "--workers", "2", "--run-dedup")
    status, text = run.call()
    assert status == 0, text
    assert "documents read" not in text
    assert "what was removed for what" in text
    return run


def test_run_dedup_leaves_two_folders_that_verify(finished: Run) -> None:
    before, after = documents_of(finished.output), documents_of(finished.folder / "out_dedup")
    assert 0 < len(after) < len(before)
    assert {name.split("#epoch")[0] for name in after if "#epoch" in name} <= set(after), "epochs stay together"
    for folder in (finished.output, finished.folder / "out_dedup"):
        finished.output, kept = folder, finished.output
        status, text = finished.verify()
        finished.output = kept
        assert status == 0, text
    assert "every removed document has a surviving partner" in text
    # Delta was named first, so nothing of it went for another source.
    assert all(row["removed_source"] != "local/delta/default" or row["kept_source"] == row["removed_source"]
               for row in duplicates_of(finished.folder / "out_dedup"))  # fmt: skip


def test_the_parameters_are_those_of_the_runs_own_configuration(finished: Run) -> None:
    found = parameters(finished.output, None, "minhash")
    assert (found.minhash.seed, found.priority, found.methods) == (3, ["local/delta/*"], ["minhash"])


def test_dedup_of_the_finished_run_goes_on_with_what_run_dedup_began(
    finished: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    config = parameters(finished.output, None, None)
    assert execute_dedup(finished.output, config=config, as_json=True) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["ok"]
    total = {
        key: sum(entry[key] for entry in data["sources"].values()) for key in ("read", "exact", "minhash", "written")
    }
    assert total["read"] == total["exact"] + total["minhash"] + total["written"]


def test_status_of_a_deduplication_is_its_table(finished: Run) -> None:
    finished.output, kept = finished.folder / "out_dedup", finished.output
    status, text = finished.tool("status")
    as_json = finished.tool("status", "--json")
    finished.output = kept
    assert status == 0, text
    assert "what was removed for what: _run/duplicates.parquet" in text
    assert "out_dedup: complete; log:" in text
    assert (as_json[0], json.loads(as_json[1])["state"]) == (0, "complete")


def test_explain_says_what_it_finds_and_costs_and_does_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "run", small_sources())
    assert execute_dedup(run, config=DedupConfig(), explain=True) == 0
    text = capsys.readouterr().out
    assert "163 documents" in text
    assert "  0.80    0.92" in text
    assert not (tmp_path / "run_dedup").exists()
    assert execute_dedup(run, config=DedupConfig(), explain=True, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["disk_bytes"] > 163 * 952


def test_explain_shows_true_similarities_when_all_is_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run", small_sources(), tasks=2)
    run_dedup(run, config=DedupConfig(), output_folder=tmp_path / "run_dedup", workers=0)
    assert execute_dedup(run, config=DedupConfig(), explain=True, as_json=True) == 0
    found = json.loads(capsys.readouterr().out)["removed_by_tenths"]
    # Texts under five words have no n-grams to compare: one of the 41 exact pairs.
    assert found["exact"] == [0] * 9 + [40]
    assert sum(found["minhash"][8:]) == sum(found["minhash"]) == 10


def test_the_curve_is_the_published_one() -> None:
    # datatrove/pipeline/dedup/minhash.py: threshold 0.72, and 0.924 at similarity 0.8.
    assert round(threshold(MinhashConfig()), 2) == 0.72
    assert round(chance(0.8, MinhashConfig()), 3) == 0.924


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("{methods: [exakt]}", "did you mean 'exact'"),
        ("{minhash: {buckets: 3}}", "unknown key; did you mean 'num_buckets'"),
        ("{minhash: {n_grams: 9}}", "min_words 5 is below n_grams 9"),
        ("{methods: [exact, exact]}", "named twice"),
        ("{exact: {ignore_case: 1}}", "is not true or false"),
        ("{methods: [sentence, exact]}", "`sentence` changes texts, so no method can follow it; name it last"),
        ("{sentence: {n_sentences: 0}}", "n_sentences"),
        ("{sentence: {min_doc_word: 3}}", "unknown key; did you mean 'min_doc_words'"),
    ],
)
def test_mistakes_of_the_configuration_are_named_with_their_line(tmp_path: Path, block: str, message: str) -> None:
    config = write_corpus(tmp_path, documents=1)
    with open(config, "a", encoding="utf-8") as handle:
        handle.write(f"dedup: {block}\n")
    with pytest.raises(ConfigError, match=r"config.yaml:\d+: dedup.*") as caught:
        load_config(config)
    assert message in str(caught.value)


def test_every_parameter_is_in_the_guide() -> None:
    explained = {name for row in cells(section("Deduplication")) for name in re.findall(r"`(\w+)`", row[0])}
    models = (DedupConfig, ExactConfig, MinhashConfig, SimhashConfig, SentenceConfig)
    assert {key for model in models for key in model.model_fields} <= explained
    assert set(METHODS) <= explained


def test_the_demo_deduplicates_and_verifies_what_it_has_built() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ndemo:")[2].partition("\n\n")[0]
    assert "--output-folder $(DEMO_OUTPUT) --logging-dir $(DEMO_LOGS) --run-dedup" in recipe
    assert "verify $(DEMO_OUTPUT)_dedup" in recipe


def test_what_cannot_be_done_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", small_sources())
    with pytest.raises(UserError, match="did you mean 'minhash'"):
        parameters(run, None, "exact,minhsh")
    with pytest.raises(UserError, match="not a run"):
        execute_dedup(tmp_path, config=DedupConfig())
    with pytest.raises(UserError, match="name each run once"):
        execute_dedup(run, config=DedupConfig(), against=[run])
    with pytest.raises(UserError, match="--dedup-jobs: says how to run on a cluster; give --executor slurm too"):
        execute_dedup(run, config=DedupConfig(), cluster=ClusterOptions(given={"dedup_jobs": 3}))
    for cluster in (None, ClusterOptions(executor=Executor.slurm)):
        with pytest.raises(UserError, match="which is not among the methods"):
            execute_dedup(run, config=DedupConfig(methods=["minhash"]), cache_dir=tmp_path / "cache", cluster=cluster)
