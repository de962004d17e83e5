"""What the stages took: an entry for each, whatever was killed, and nothing of it in what must be the same bytes."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from pipelines.dedup import spent
from pipelines.dedup.config import DedupConfig, MinhashConfig
from pipelines.dedup.explain import stage_bytes, worker_bytes
from pipelines.dedup.freeze import freeze
from pipelines.dedup.run import run_dedup
from pipelines.dedup.spent import StageSpent, measured, stages_of, stages_so_far
from pipelines.dedup.verify import open_dedup
from pipelines.memory import peak_memory_bytes
from pipelines.report.data import RunReport
from pipelines.report.resources import stages as stages_table
from pipelines.report.write import HTML, JSON, MARKDOWN, write_report
from pipelines.run_layout import RunLayout
from tests.dedup.corpus import files_of, make_run, small_sources

ALL = DedupConfig(methods=["exact", "minhash", "simhash", "sentence"], minhash=MinhashConfig(min_similarity=0.7))
# In their order.
STAGES = [
    "index", "exact.match", "exact.decided", "minhash.scan", "minhash.match", "minhash.shingles",
    "minhash.decided", "simhash.scan", "simhash.match", "simhash.decided", "sentence.scan", "sentence.match",
    "sentence.cut", "sentence.left", "sentence.gone", "sentence.piece", "sentence.decided", "write", "cache", "finish",
]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `run` of six files and what its deduplication by all methods makes, `out`."""
    folder = tmp_path_factory.mktemp("spent")
    make_run(folder / "run", small_sources(), tasks=3)
    cache = folder / "cache"
    run_dedup(folder / "run", config=ALL, output_folder=folder / "out", workers=0, cache_dir=cache)
    return folder


@pytest.fixture
def layout(tmp_path: Path) -> RunLayout:
    return RunLayout(output_folder=tmp_path, logging_dir=tmp_path / "log", fingerprint="f" * 64)


def lines_of(layout: RunLayout) -> Path:
    (path,) = (layout.logging_dir / "pieces" / layout.fingerprint[:16]).glob("*.jsonl")
    return path


def test_every_stage_that_ran_has_an_entry(made: Path) -> None:
    """Law: the stages are those of the log, in their order; every piece has CPU time and a peak."""
    layout = open_dedup(made / "out").layout
    found = stages_of(layout)
    assert [stage.stage for stage in found] == STAGES
    log = (layout.logging_dir / "main.log").read_text(encoding="utf-8")
    done = [line.split(" done ")[1].split()[0] for line in log.splitlines() if " done " in line]
    assert set(done) == {stage.stage for stage in found}
    for stage in found:
        assert stage.pieces == max(1, done.count(stage.stage))
        assert stage.unmeasured == 0
        assert stage.peak_memory_bytes > 10_000_000
    assert sum(stage.cpu_seconds for stage in found) > 0.1


def test_it_outlives_its_logs(made: Path, tmp_path: Path) -> None:
    """Law: `state.json` has what the lines had at the end of a deduplication, and is read where they are gone."""
    shutil.copytree(made / "out", tmp_path / "out")
    with_logs = stages_of(open_dedup(tmp_path / "out").layout)
    shutil.rmtree(tmp_path / "out" / "_run" / "log")
    without = stages_of(open_dedup(tmp_path / "out").layout)
    assert without[:-1] == with_logs[:-1]
    assert without[-1].stage == "finish"
    assert 0 < without[-1].seconds <= with_logs[-1].seconds
    (tmp_path / "out" / "_run" / "state.json").write_text('{"skipped": {}, "stages": [1]}')
    assert stages_of(open_dedup(tmp_path / "out").layout) == []


def test_a_deduplication_that_goes_on_adds_to_it(made: Path, tmp_path: Path) -> None:
    """Law: what is done again is the same bytes, its CPU time is added, and its pieces are counted once."""
    shutil.copytree(made / "out", tmp_path / "out")
    before = {stage.stage: stage for stage in stages_of(open_dedup(tmp_path / "out").layout)}
    gone = "_run/stages/*/records/local_web/en/00001.json"
    next((tmp_path / "out").glob(gone)).unlink()
    run_dedup(made / "run", config=ALL, output_folder=tmp_path / "out", workers=0, cache_dir=made / "cache")
    assert files_of(tmp_path / "out") == files_of(made / "out")
    after = {stage.stage: stage for stage in stages_of(open_dedup(tmp_path / "out").layout)}
    assert [*after] == [*before]
    for name, stage in after.items():
        assert stage.pieces == before[name].pieces
        assert stage.seconds > before[name].seconds or name == "finish", "that stood already"


def test_the_report_has_them(made: Path) -> None:
    """Law: table, pages and report.json say the same, the totals are the stages', and --explain's memory is beside."""
    write_report(made / "out")
    report = RunReport.model_validate_json((made / "out" / "_run" / JSON).read_bytes())
    layout, plan = open_dedup(made / "out").layout, open_dedup(made / "out").plan
    assert [StageSpent(**stage.model_dump(exclude={"expected_memory_bytes"})) for stage in report.stages] == stages_of(
        layout
    )
    assert report.totals["cpu_seconds"] == sum(stage.cpu_seconds for stage in report.stages)
    assert report.totals["peak_memory_bytes"] == max(stage.peak_memory_bytes for stage in report.stages)
    expected = {stage.stage: stage.expected_memory_bytes for stage in report.stages if stage.expected_memory_bytes}
    assert expected == stage_bytes(plan)
    assert max(expected.values()) == worker_bytes(freeze(made / "run", against=[], config=ALL))
    markdown = (made / "out" / "_run" / MARKDOWN).read_text(encoding="utf-8")
    page = (made / "out" / "_run" / HTML).read_text(encoding="utf-8")
    table = stages_table(report)
    assert [row[0] for row in table.rows] == [*STAGES, "all"]
    for row in table.rows:
        assert f"| {' | '.join(row)} |" in markdown
        assert "".join(f"<td{' class=n' if i else ''}>{cell}</td>" for i, cell in enumerate(row)) in page


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems do not forget a peak")
def test_a_peak_is_its_pieces_own(layout: RunLayout) -> None:
    """Law: a piece that holds little after one that held much has the lower peak; the process's own stays the most."""
    with measured(layout, "much", 0):
        held = bytearray(b"x") * (128 << 20)
    del held
    with measured(layout, "little", 0):
        pass
    much, little = stages_of(layout)
    assert (much.stage, little.stage) == ("much", "little")
    assert much.peak_is_exact
    assert little.peak_is_exact
    assert little.peak_memory_bytes < much.peak_memory_bytes - (64 << 20)
    assert peak_memory_bytes() >= much.peak_memory_bytes - (8 << 20)


def test_where_the_kernel_forgets_nothing_a_peak_is_a_bound(layout: RunLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: a peak is said to be the piece's only where it rose while the piece was in hand."""
    peaks = iter([100, 100, 100, 300, 300, 300])
    monkeypatch.setattr(spent, "forget_peak", lambda: False)
    monkeypatch.setattr(spent, "peak_memory_bytes", lambda: next(peaks))
    monkeypatch.setattr(spent, "peak_since_forgotten", lambda: next(peaks))
    for number, stage in enumerate(["flat", "grows", "flat again"]):
        with measured(layout, stage, number):
            pass
    found = [(stage.stage, stage.peak_memory_bytes, stage.peak_is_exact) for stage in stages_of(layout)]
    assert found == [("flat", 100, False), ("grows", 300, True), ("flat again", 300, False)]


def test_what_was_killed_or_failed_is_known(layout: RunLayout) -> None:
    """Law: a piece that began is in its stage, one without figures is said to have none; a failed attempt has cost."""
    with measured(layout, "s", 0):
        pass
    for number, work in ((1, 3_000_000), (2, 0)):
        with pytest.raises(ZeroDivisionError), measured(layout, "s", number):
            assert sum(range(work)) / 0
    with measured(layout, "s", 2):
        assert stages_so_far(layout)[0].unmeasured == 1, "the piece in hand has its figures so far"
    (stage,) = stages_of(layout)
    assert (stage.pieces, stage.unmeasured) == (3, 1)
    assert stage.cpu_seconds > 0.01
    # A kill leaves a line that says what began, or a part of a line.
    other = lines_of(layout).with_name("other-1-2.jsonl")
    begun = json.dumps({"what": "begun", "stage": "t", "piece": 7, "at": "2999"})
    other.write_text(begun + '\n{"what": "done", "stage": "t", "pie', encoding="utf-8")
    assert stages_of(layout) == [stage, StageSpent(stage="t", pieces=1, unmeasured=1)]


def test_a_full_disk_costs_the_figures_and_not_the_piece(layout: RunLayout) -> None:
    layout.logging_dir.write_text("a file where the folder would be")
    did = []
    with measured(layout, "s", 0):
        did.append(0)
    assert did == [0]
    assert stages_of(layout) == []
