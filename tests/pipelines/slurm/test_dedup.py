"""On a real Slurm, deduplication makes the files of a local one, after filters in the same queue or on its own.

Gives up: a cluster whose nodes see files at different times; there is one machine.
"""

import json
import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.data import MINI_HUB, ROOT
from tests.pipelines.corpus import write_one_source
from tests.pipelines.processes import Run
from tests.pipelines.slurm.conftest import SlurmRun, until
from tests.slurm import Slurm

STAGE_1 = ROOT / "configs" / "smollm3_weighted_config.yaml"
OPTIONS = ("--mirror", str(MINI_HUB), "--max-datasets", "3", "--target-tokens", "60k", "--tasks", "2")
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
        """`smoltrove dedup` of the run."""
        return self.tool("dedup", *options)

    def claims(self) -> list[dict[str, Any]]:
        """Every claim on a piece of the deduplication."""
        return [json.loads(p.read_bytes()) for p in self.dedup.output.glob("_run/stages/*/claims/dedup/*/*.json")]

    def piece(self, stage: str, number: int = 0, attempt: int = 0) -> dict[str, Any]:
        """The claim on a piece, as soon as it is there."""
        pattern = f"_run/stages/*/claims/dedup/{stage}/{number:05d}.{attempt}.json"
        until(lambda: bool(list(self.output.glob(pattern))), f"nobody claims {stage} {number}")
        return json.loads(next(iter(self.output.glob(pattern))).read_bytes())


def tables(output: Path) -> dict[str, bytes]:
    return {name: (output / "_run" / name).read_bytes() for name in TABLES}


def assert_same(run: Deduplicated, local: Run) -> None:
    """Documents, ledger and tables of the deduplication are those of the local one, and verified."""
    expected = object.__new__(Deduplicated)
    expected.__dict__.update(run.__dict__, output=local.output.with_name("out_dedup"))
    assert run.dedup.files() == expected.files() != {}
    assert run.dedup.ledger() == expected.ledger()
    assert tables(run.dedup.output) == tables(expected.output)
    assert run.dedup.state()["state"] == "complete"
    status, text = run.dedup.verify()
    assert status == 0, text


def is_job(pid: int) -> bool:
    """Whether a process is a job's; numbers are given out again."""
    try:
        return b"pipelines.slurm.dedup_task" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("local"), STAGE_1, *OPTIONS, script=True)
    status, text = run.call("--run-dedup")
    assert status == 0, text
    return run


def test_stage_1_with_dedup_is_the_local_run(box: Slurm, tmp_path: Path, local: Run) -> None:
    """Everything is in the queue at once; documents, ledger and tables are the local run's, each piece done once."""
    run = Deduplicated(box, tmp_path / "run", STAGE_1, *OPTIONS, script=True)
    text = run.submit("--run-dedup", "--dedup-jobs", "3", "--sbatch", "hold")
    filters, dedup = run.submissions()[0], run.dedup.submissions()[0]
    job = dedup["arrays"][0]["job_id"]
    assert f"submitted to Slurm as {job}_[0-2], begins when {filters['finish_id']} has ended" in text
    assert f"/out_dedup/_run/log/slurm/{dedup['name']}/<job>_<index>.out" in text
    for state in (run.state()["dedup"], run.dedup.state()):
        assert state["state"] == "queued"
        assert sum(state["pending"].values()) == 3
    for command in (run.call("--run-dedup"), run.dedup_of_it(), run.dedup_of_it("--executor", "slurm")):
        assert command[0] == 2, command[1]
    box.run("scontrol", "release", filters["arrays"][0]["job_id"], filters["finish_id"], job)
    run.wait()
    run.dedup.wait()
    assert run.files() == local.files()
    assert any(line["dropped"] for line in run.dedup.ledger())
    assert_same(run, local)
    assert run.state()["dedup"]["state"] == "complete"
    log = "".join(path.read_text(encoding="utf-8") for path in (run.dedup.output / "_run/log/slurm").rglob("*.out"))
    done = [line.split(" in ")[0] for line in log.splitlines() if line.startswith("done ")]
    assert len(set(done)) == len(done) > 20, "a piece was done twice"
    # The same command once more finds nothing to do, and says what there is.
    before = run.dedup.files()
    text = run.submit("--run-dedup")
    assert "6 tasks were done before" in text
    assert "documents, about" in text.partition("6 tasks were done before")[2]
    assert run.dedup.files() == before
    assert len(run.dedup.submissions()) == 1


def test_incomplete_filters_make_the_deduplication_refuse(box: Slurm, tmp_path: Path) -> None:
    """It looks at the run, not at Slurm: a failed task, a cancelled account; nothing is there that looks complete."""
    config = write_one_source(tmp_path, 40, files=3)
    run = Deduplicated(box, tmp_path / "run", config, "--tasks", "3")
    run.submit("--run-dedup", "--dedup-jobs", "2", "--sbatch", "hold")
    planned = json.loads((run.output / "_run" / "plan.json").read_bytes())["sources"][0]
    changed = tmp_path / "only" / planned["files"][planned["tasks"][0][0]]["path"]
    before = changed.stat().st_mtime_ns
    os.utime(changed, ns=(before, before + 10**9))
    submission = run.submissions()[0]
    box.run("scontrol", "release", *(submission["arrays"][0]["job_id"], submission["finish_id"]))
    box.run("scontrol", "release", run.dedup.submissions()[0]["arrays"][0]["job_id"])
    run.wait()
    run.dedup.wait()
    os.utime(changed, ns=(before, before))
    state = run.state()
    assert state["state"] == "incomplete"
    ended = state["dedup"]["ended"]
    assert [job["state"] for job in ended] == ["FAILED", "FAILED"]
    for job in ended:
        assert any("the run is not complete; finish it first" in line for line in job["last_lines"])
    assert run.dedup.files() == {}
    assert not (run.dedup.output / "_run" / "manifest.json").exists()
    text = run.submit("--run-dedup", "--wait")
    assert "waiting for 1 tasks" in text
    assert run.dedup.state()["state"] == "complete"
    assert run.dedup.verify()[0] == 0
    # The account is cancelled, the deduplication is not: an old account says nothing about a file that is gone.
    next(iter((run.output / "_run" / "stages").glob("*/records/*/*/00001.json"))).unlink()
    next(iter(run.output.glob("*/*/00001.jsonl.gz"))).unlink()
    run.submit("--run-dedup", "--fresh", "--sbatch", "hold")
    box.run("scancel", run.submissions()[-1]["arrays"][0]["job_id"], run.submissions()[-1]["finish_id"])
    box.run("scontrol", "release", run.dedup.submissions()[-1]["arrays"][0]["job_id"])
    run.dedup.wait()
    assert run.dedup.files() == {}
    assert run.dedup.state()["state"] == "incomplete"


def test_cancelled_with_its_run(box: Slurm, tmp_path: Path) -> None:
    """`smoltrove cancel RUN` ends filters and deduplication, `cancel RUN_dedup` the latter only."""
    run = Deduplicated(box, tmp_path / "run", write_one_source(tmp_path, 40))
    run.submit("--run-dedup", "--sbatch", "hold")
    status, text = run.dedup.tool("cancel")
    assert (status, run.dedup.queue()) == (0, []), text
    assert run.queue() != []
    run.tool("cancel")
    run.submit("--run-dedup", "--sbatch", "hold")
    status, text = run.tool("cancel")
    assert status == 0, text
    assert run.queue() == run.dedup.queue() == []


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run with a few thousand documents, and its deduplication by all methods that change it."""
    folder = tmp_path_factory.mktemp("finished")
    run = Run(folder, write_one_source(folder, 1_500, files=4), "--tasks", "4")
    status, text = run.call("--run-dedup", "--dedup-method", METHODS)
    assert status == 0, text
    return run


METHODS = "exact,minhash,sentence"


def copied(box: Slurm, tmp_path: Path, finished: Run) -> Deduplicated:
    """The same run in a folder of its own."""
    run = Deduplicated(box, tmp_path / "run", tmp_path)
    shutil.copytree(finished.output, run.output)
    return run


def test_killed_and_launched_again(box: Slurm, tmp_path: Path, finished: Run) -> None:
    """A killed job leaves nothing that counts as complete; the same command does the rest, and only that."""
    run = copied(box, tmp_path, finished)
    status, text = run.dedup_of_it("--executor", "slurm", "--dedup-method", METHODS, "--dedup-jobs", "1")
    assert status == 0, text
    claim = run.dedup.piece("exact.scan", 0)
    os.kill(claim["pid"], signal.SIGKILL)
    run.dedup.wait()
    state = run.dedup.state()
    assert state["state"] == "incomplete"
    assert [job["state"] for job in state["ended"]] == ["FAILED"]
    assert {count["stage"]: count["done"] for count in state["stages"]}["index"] == 4
    assert run.dedup.verify()[0] == 1
    assert run.dedup.files() == {}
    status, text = run.dedup_of_it("--executor", "slurm", "--dedup-method", METHODS, "--dedup-jobs", "3", "--wait")
    assert status == 0, text
    assert_same(run, finished)
    last = run.dedup.submissions()[-1]["name"]
    log = "".join(p.read_text(encoding="utf-8") for p in (run.dedup.output / "_run/log/slurm" / last).glob("*.out"))
    assert "done index" not in log
    assert "done sentence.scan" in log


@pytest.mark.slow
def test_a_frozen_job_is_overtaken(box: Slurm, tmp_path: Path, finished: Run) -> None:
    """The piece of a job that stands still is done by another after its heartbeat's time; both end, nothing is torn."""
    run = copied(box, tmp_path, finished)
    run.dedup_of_it("--executor", "slurm", "--dedup-method", METHODS, "--dedup-jobs", "2")
    claim = run.dedup.piece("index", 0)
    os.kill(claim["pid"], signal.SIGSTOP)
    until(lambda: run.dedup.state()["state"] == "complete", "nobody takes over")
    os.kill(claim["pid"], signal.SIGCONT)
    run.dedup.wait()
    assert_same(run, finished)


@pytest.mark.slow
def test_faults_in_a_row(box: Slurm, tmp_path: Path, finished: Run) -> None:
    """Jobs are killed, cancelled or sent back at moments of chance, again and again; the outcome is the local one."""
    run, dice = copied(box, tmp_path, finished), random.Random(6)
    for _ in range(8):
        status, text = run.dedup_of_it("--executor", "slurm", "--dedup-method", METHODS, "--dedup-jobs", "2")
        assert status == 0, text
        if "submitted" not in text:
            break
        job = run.dedup.submissions()[-1]["arrays"][0]["job_id"]
        until(lambda: "RUNNING" in "".join(run.dedup.queue()), "no job starts")
        time.sleep(dice.uniform(0.5, 4))
        for fault in dice.sample(["kill", "cancel", "requeue"], 2):
            if fault == "kill":
                for word in run.claims():
                    if is_job(word["pid"]):
                        os.kill(word["pid"], signal.SIGKILL)
            elif fault == "cancel":
                box.run("scancel", f"{job}_{dice.randrange(2)}")
            elif any("RUNNING" in line for line in run.dedup.queue()):
                box.run("scancel", "--signal=USR1", "--batch", job)
        run.dedup.wait()
    status, text = run.dedup_of_it("--executor", "slurm", "--dedup-method", METHODS, "--wait")
    assert status == 0, text
    assert_same(run, finished)
