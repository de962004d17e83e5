"""On a real Slurm, deduplication makes the files of a local one, after filters in the same queue or on its own.

Gives up: a cluster whose nodes see files at different times; there is one machine.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pipelines.dedup.config import DedupConfig
from pipelines.dedup.run import run_dedup
from pipelines.slurm.dedup_launch import new_launch, probe, record_launch
from pipelines.slurm.dedup_task import START
from tests.data import ROOT
from tests.dedup.corpus import make_run, small_sources
from tests.dedup.test_kill import stages_in
from tests.pipelines.corpus import write_one_source
from tests.pipelines.processes import Run
from tests.pipelines.slurm.conftest import OPTIONS, STAGE_1, SlurmRun, until
from tests.slurm import Slurm

TABLES = ("duplicates.parquet", "near_misses.parquet")


class Deduplicated(SlurmRun):
    """A run of which the deduplication counts too; `dedup` is its output as a run of its own."""

    @property
    def dedup(self) -> "Deduplicated":
        """The output folder of the deduplication."""
        other = object.__new__(Deduplicated)
        other.__dict__.update(self.__dict__, output=self.output.with_name(self.output.name + "_dedup"))
        return other

    def dedup_of_it(self, *options: str) -> tuple[int, str]:
        """`smoltrove dedup` of the run, on Slurm without a test job."""
        without = ("--node-test-seconds", "0") if "slurm" in options else ()
        return self.tool("dedup", *options, *without)

    def claims(self) -> list[dict[str, Any]]:
        """Every claim on a piece of the deduplication."""
        return [json.loads(p.read_bytes()) for p in self.dedup.output.glob("_run/stages/*/claims/dedup/*/*.json")]

    def is_complete(self) -> bool:
        """Whether the manifest says so."""
        manifest = self.output / "_run" / "manifest.json"
        return manifest.is_file() and json.loads(manifest.read_bytes())["state"] == "complete"

    def piece(self, stage: str, number: int = 0, attempt: int = 0) -> dict[str, Any]:
        """The claim on a piece, as soon as it is there."""
        pattern = f"_run/stages/*/claims/dedup/{stage}/{number:05d}.{attempt}.json"
        until(lambda: bool(list(self.output.glob(pattern))), f"nobody claims {stage} {number}")
        return json.loads(next(iter(self.output.glob(pattern))).read_bytes())


def tables(output: Path) -> dict[str, bytes]:
    return {name: (output / "_run" / name).read_bytes() for name in TABLES}


def assert_same(run: Deduplicated, expected: Path) -> None:
    """Documents, ledger and tables of the deduplication are those of the local one in `expected`, and verified."""
    mine, other = run.dedup, object.__new__(Deduplicated)
    other.__dict__.update(run.__dict__, output=expected)
    assert mine.files() == other.files() != {}
    assert mine.ledger() == other.ledger()
    assert tables(mine.output) == tables(other.output)
    status, text = mine.verify()
    assert status == 0, text
    # The jobs make sure of the start among them.
    assert [stage for stage in stages_in(mine.output) if stage[0] != START] == stages_in(other.output)


def is_job(pid: int) -> bool:
    """Whether a process is a job's; numbers are given out again."""
    try:
        return b"pipelines.slurm.dedup_task" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def test_stage_1_with_dedup_is_the_local_run(box: Slurm, tmp_path: Path, local: Run) -> None:
    """Everything is in the queue at once; documents, ledger and tables are the local run's, each piece done once."""
    run = Deduplicated(box, tmp_path / "run", STAGE_1, *OPTIONS, script=True)
    text = run.submit("--run-dedup", "--dedup-jobs", "2", "--sbatch", "hold")
    filters, dedup = run.submissions()[0], run.dedup.submissions()[0]
    job = dedup["arrays"][0]["job_id"]
    assert f"submitted to Slurm as {job}_[0-1], begins when {filters['finish_id']} has ended" in text
    assert f"/out_dedup/_run/log/slurm/{dedup['name']}/<job>_<index>.out" in text
    view = run.state()["dedup"]
    assert view["state"] == "queued"
    assert sum(view["pending"].values()) == 2
    for status, text in (run.call("--run-dedup"), run.dedup_of_it()):
        assert status == 2, text
    box.run("scontrol", "release", filters["arrays"][0]["job_id"], filters["finish_id"], job)
    run.wait()
    run.dedup.wait()
    assert run.files() == local.files()
    assert any(line["dropped"] for line in run.dedup.ledger())
    assert_same(run, local.output.with_name("out_dedup"))
    log = "".join(path.read_text(encoding="utf-8") for path in (run.dedup.output / "_run/log/slurm").rglob("*.out"))
    done = [line.split(" in ")[0] for line in log.splitlines() if line.startswith("done ")]
    assert len(set(done)) == len(done) > 20, "a piece was done twice"
    # The same command once more finds nothing to do, and says what there is.
    before = run.dedup.files()
    text = run.submit("--run-dedup").partition("6 tasks were done before")[2]
    assert "documents, about" in text
    assert run.dedup.files() == before
    assert len(run.dedup.submissions()) == 1


def test_incomplete_filters_make_the_deduplication_refuse(box: Slurm, tmp_path: Path) -> None:
    """Slurm lets it start when the filters' account was cancelled; it looks at the run, and leaves nothing behind."""
    run = Deduplicated(box, tmp_path / "run", write_one_source(tmp_path, 40, files=2), "--tasks", "2")
    options = ("--run-dedup", "--dedup-method", "exact", "--dedup-jobs", "2")
    run.submit(*options, "--sbatch", "hold")
    submission, dedup = run.submissions()[0], run.dedup.submissions()[0]
    box.run("scontrol", "release", dedup["arrays"][0]["job_id"])
    box.run("scancel", submission["finish_id"])
    run.dedup.wait()
    state = run.state()
    ended = state["dedup"]["ended"]
    assert [job["state"] for job in ended] == ["FAILED", "FAILED"]
    for job in ended:
        assert any("the run is not complete; finish it first" in line for line in job["last_lines"])
    assert run.dedup.files() == {}
    assert not (run.dedup.output / "_run" / "manifest.json").exists()
    # All tasks are done, and nobody has drawn up the account: still no run that can be read.
    box.run("scontrol", "release", submission["arrays"][0]["job_id"])
    run.wait()
    status, text = run.dedup_of_it("--executor", "slurm")
    assert status == 2
    assert "the run is not complete" in text
    text = run.submit(*options, "--wait")
    assert "2 tasks were done before" in text
    assert "of the deduplication" in text
    assert run.dedup.verify()[0] == 0


@pytest.mark.slow
def test_cancelled_with_its_run(box: Slurm, tmp_path: Path) -> None:
    """`smoltrove cancel RUN` ends filters and deduplication."""
    run = Deduplicated(box, tmp_path / "run", write_one_source(tmp_path, 5))
    run.submit("--run-dedup", "--sbatch", "hold")
    assert run.queue() != []
    assert run.dedup.queue() != []
    status, text = run.tool("cancel")
    assert status == 0, text
    assert run.queue() == run.dedup.queue() == []


METHODS = "exact,minhash,sentence"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of eight files, and beside it its local deduplication, `out_dedup`."""
    run = make_run(tmp_path_factory.mktemp("finished") / "out", small_sources(), tasks=4)
    config = DedupConfig(methods=["exact", "minhash", "sentence"])
    run_dedup(run, config=config, output_folder=run.with_name("out_dedup"), workers=0)
    return run


class Copied(Deduplicated):
    """The same finished run in a folder of its own, to be deduplicated by jobs."""

    def __init__(self, box: Slurm, folder: Path, finished: Path) -> None:
        super().__init__(box, folder, finished)
        shutil.copytree(finished, self.output)

    def launch(self, num_jobs: int, *options: str) -> str:
        """Submit; what the command prints."""
        jobs = ("--executor", "slurm", "--dedup-jobs", str(num_jobs))
        status, text = self.dedup_of_it("--dedup-method", METHODS, *jobs, *options)
        assert status == 0, text
        return text


@pytest.mark.slow
def test_killed_and_launched_again(box: Slurm, tmp_path: Path, finished: Path) -> None:
    """A killed job leaves nothing that counts as complete; the same command does the rest, and only that."""
    run = Copied(box, tmp_path / "run", finished)
    run.launch(1)
    os.kill(run.dedup.piece("minhash.scan", 0)["pid"], signal.SIGKILL)
    run.dedup.wait()
    state = run.dedup.state()
    assert state["state"] == "incomplete"
    assert [job["state"] for job in state["ended"]] == ["FAILED"]
    assert {count["stage"]: count["done"] for count in state["stages"]}["index"] == 8
    assert run.dedup.verify()[0] == 1
    assert run.dedup.files() == {}
    run.launch(2, "--wait")
    assert_same(run, finished.with_name("out_dedup"))
    last = run.dedup.submissions()[-1]["name"]
    log = "".join(p.read_text(encoding="utf-8") for p in (run.dedup.output / "_run/log/slurm" / last).glob("*.out"))
    assert "done index" not in log
    assert "done sentence.scan" in log


@pytest.mark.slow
def test_a_cache_is_lent_to_jobs(box: Slurm, tmp_path: Path) -> None:
    """While jobs of one run may use it, another run is refused; then that one drops what the first has written."""
    sources, exact = small_sources(), ("--dedup-method", "exact", "--dedup-cache", str(tmp_path / "cache"))
    runs = []
    for name, docs in sources.items():
        run = Deduplicated(box, tmp_path / name.replace("/", "_"), tmp_path)
        make_run(run.output, {name: docs})
        runs.append(run)
    first, second = runs
    status, text = first.dedup_of_it(*exact, "--executor", "slurm", "--sbatch", "hold")
    assert status == 0, text
    status, text = second.dedup_of_it(*exact)
    assert status == 2
    assert f"{first.dedup.output}: 1 jobs of this run are queued or running" in text
    box.run("scontrol", "release", first.dedup.submissions()[0]["arrays"][0]["job_id"])
    first.dedup.wait()
    status, text = second.dedup_of_it(*exact, "--executor", "slurm", "--wait")
    assert status == 0, text
    # In the web run, 20 with other white space and one short text repeat it; 20 books are copies of web pages.
    assert [line["dropped"] for run in runs for line in run.dedup.ledger()] == [
        {"dedup.exact": 21},
        {"dedup.exact": 20},
    ]
    for run in runs:
        status, text = run.dedup.verify()
        assert status == 0, text


@pytest.mark.slow
def test_a_frozen_job_is_overtaken(box: Slurm, tmp_path: Path, finished: Path) -> None:
    """The piece of a job that stands still is done by another after its heartbeat's time; both end, nothing is torn."""
    run = Copied(box, tmp_path / "run", finished)
    run.launch(2)
    claim = run.dedup.piece("index", 0)
    os.kill(claim["pid"], signal.SIGSTOP)
    until(run.dedup.is_complete, "nobody takes over")
    os.kill(claim["pid"], signal.SIGCONT)
    run.dedup.wait()
    assert_same(run, finished.with_name("out_dedup"))


@pytest.mark.slow
def test_faults_in_a_row(box: Slurm, tmp_path: Path, finished: Path) -> None:
    """Jobs are killed, sent back and cancelled at moments of chance, again and again; the outcome is the local one."""
    run, dice, struck = Copied(box, tmp_path / "run", finished), random.Random(6), 0

    def goes_on() -> None:
        enough = len(run.claims()) + dice.randint(1, 3)
        until(lambda: len(run.claims()) >= enough or run.dedup.is_complete(), "nothing goes on")

    for fault in ("cancel", "kill", "requeue", "kill"):
        if "submitted" not in run.launch(2):
            break
        job = run.dedup.submissions()[-1]["arrays"][0]["job_id"]
        goes_on()
        with suppress(subprocess.CalledProcessError, ProcessLookupError):  # they have just ended
            if fault == "kill":
                for pid in {word["pid"] for word in run.claims() if is_job(word["pid"])}:
                    os.kill(pid, signal.SIGKILL)
            elif fault == "requeue":
                box.run("scancel", "--signal=USR1", "--batch", job)
                goes_on()
            box.run("scancel", job)
        run.dedup.wait()
        struck += not run.dedup.is_complete()
    assert struck >= 2
    run.launch(2, "--wait")
    assert_same(run, finished.with_name("out_dedup"))


def test_a_file_that_is_not_the_ledgers_is_refused_on_the_node(tmp_path: Path) -> None:
    """The run was complete when it was submitted; what a job finds is looked at again, and nothing is written."""
    run = make_run(tmp_path / "run", small_sources())
    launch = new_launch(run, config=DedupConfig())
    layout = probe(tmp_path / "out")
    record_launch(layout, "s", launch)
    victim = next(run.glob("*/*/00000.jsonl.gz"))
    victim.write_bytes(victim.read_bytes()[:-1])
    command = [sys.executable, "-m", "pipelines.slurm.dedup_task", str(layout.output_folder), "s"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "the ledger says" in done.stderr
    assert not (layout.run_dir / "manifest.json").exists()
