"""On a real Slurm, every way in which a job can end loses and doubles nothing, and the same command mends it.

Stock datatrove lost 25 % of the rows when a live array was launched again, with every job COMPLETED. An array limit
below the tasks is in test_runs.py, names with shell text are in test_options.py, faults in a row are a benchmark.
Gives up: clocks that differ between nodes; there is one machine.
"""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.pipelines.corpus import write_one_source
from tests.pipelines.processes import Run
from tests.pipelines.slurm.conftest import PATIENCE, SlurmRun, until
from tests.slurm import Slurm

TASKS = ("--tasks", "3")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three files that take a task a second or two each, so that there is something to hit."""
    return write_one_source(tmp_path_factory.mktemp("source"), 8_000, files=3, profile="sane")


@pytest.fixture(scope="module")
def local(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("local"), source, *TASKS)
    status, text = run.call()
    assert status == 0, text
    return run


def assert_whole(run: SlurmRun, local: Run) -> None:
    assert run.files() == local.files()
    assert run.state()["state"] == "complete"
    status, text = run.verify()
    assert status == 0, text


def test_raising_killed_and_launched_again_meanwhile(box: Slurm, source: Path, tmp_path: Path, local: Run) -> None:
    """A live run refuses a second launch, local or not; what failed says why, leaves nothing, and alone runs again."""
    run = SlurmRun(box, tmp_path / "run", source, *TASKS)
    run.submit("--sbatch", "hold")
    held = run.state()
    assert held["state"] == "queued"
    assert held["slurm"]["pending"] == {"JobHeldUser": 3}
    for again in (("--executor", "slurm"), (), ("--fresh",)):
        status, text = run.call(*again)
        assert status == 2, text
        assert "jobs of this run are queued or running" in text
    # Rank 0 finds another file than was planned, rank 1 is killed, rank 2 works.
    planned = json.loads((run.output / "_run" / "plan.json").read_bytes())["sources"][0]
    changed = source.parent / "only" / planned["files"][planned["tasks"][0][0]]["path"]
    before = changed.stat().st_mtime_ns
    os.utime(changed, ns=(before, before + 10**9))
    box.run("scontrol", "release", *(array["job_id"] for array in run.submissions()[0]["arrays"]))
    box.run("scontrol", "release", str(run.submissions()[0]["finish_id"]))
    run.signal(1, signal.SIGKILL)
    run.wait()
    os.utime(changed, ns=(before, before))
    state = run.state()
    assert state["state"] == "incomplete"
    failed = {task["rank"]: task for task in state["slurm"]["failed"]}
    assert sorted(failed) == [0, 1]
    assert "changed since the run was planned" in failed[0]["reason"]
    assert any("FAILED local/only/default task 0" in line for line in failed[0]["last_lines"])
    assert failed[0]["state"] == failed[1]["state"] == "FAILED"
    assert "ended without a word" in failed[1]["reason"]
    assert len(run.files()) == 1
    assert run.files().items() <= local.files().items()
    manifest = (run.output / "_run" / "manifest.json").read_text(encoding="utf-8")
    assert '"state": "incomplete"' in manifest
    run.submit("--wait")
    assert run.submissions()[-1]["tasks"] == [[0, 0], [0, 1]]
    assert_whole(run, local)


def test_cancelled_and_launched_again(box: Slurm, source: Path, tmp_path: Path, local: Run) -> None:
    """`smoltrove cancel` leaves no job and no partial file; the same command finishes the run."""
    run = SlurmRun(box, tmp_path / "run", source, *TASKS)
    run.submit()
    run.signal(0, signal.SIGSTOP)
    status, text = run.tool("cancel")
    assert status == 0, text
    assert "jobs cancelled" in text
    assert run.queue() == []
    assert run.files().items() <= local.files().items()
    assert run.state()["state"] == "incomplete"
    run.submit("--wait")
    assert_whole(run, local)


@pytest.mark.slow
def test_sigusr1_puts_a_job_back_into_the_queue(box: Slurm, source: Path, tmp_path: Path, local: Run) -> None:
    """What Slurm sends before a time limit or a preemption: the same job runs the task again, from its beginning."""
    run = SlurmRun(box, tmp_path / "run", source, *TASKS)
    run.submit()
    claim = run.signal(0, signal.SIGSTOP)
    run.usr1(claim["job"], claim["pid"])
    assert run.claim(0, 1)["job"] == claim["job"]
    run.wait()
    assert_whole(run, local)


@pytest.mark.slow
def test_sigusr1_for_the_third_time_is_a_failure(box: Slurm, source: Path, tmp_path: Path, local: Run) -> None:
    """A task that never fits its time limit does not go round for ever, and says what helps."""
    run = SlurmRun(box, tmp_path / "run", source, *TASKS)
    run.submit()
    for number in range(3):
        claim = run.signal(1, signal.SIGSTOP, number)
        run.usr1(claim["job"], claim["pid"])
    run.wait()
    failed = run.state()["slurm"]["failed"]
    assert [task["rank"] for task in failed] == [1]
    assert failed[0]["reason"] == "stopped before its time limit 3 times; raise --time or --tasks"
    assert failed[0]["state"] == "FAILED"
    run.submit("--wait")
    assert_whole(run, local)


@pytest.mark.slow
def test_past_its_time_limit(box: Slurm, source: Path, tmp_path: Path, local: Run) -> None:
    """TIMEOUT leaves nothing that counts; the task is said to have failed for it."""
    run = SlurmRun(box, tmp_path / "run", source, *TASKS)
    run.submit("--time", "1", "--sbatch", "signal=B:URG@1")
    deadline = time.monotonic() + 2 * PATIENCE
    # Slurm wakes a stopped job up before it sends it a signal.
    while run.queue() and time.monotonic() < deadline:
        run.signal(0, signal.SIGSTOP)
        time.sleep(0.05)
    run.wait()
    failed = run.state()["slurm"]["failed"]
    assert [(task["rank"], task["state"]) for task in failed] == [(0, "TIMEOUT")]
    assert len(run.files()) == 2
    run.submit("--wait")
    assert run.submissions()[-1]["tasks"] == [[0, 0]]
    assert_whole(run, local)


@pytest.mark.slow
def test_a_node_whose_daemon_dies(box: Slurm, source: Path, tmp_path: Path, local: Run) -> None:
    """Slurm gives the job to another node while the old process still lives: one of them does the task, not both."""
    run = SlurmRun(box, tmp_path / "run", source, *TASKS)
    run.submit()
    node = run.signal(0, signal.SIGSTOP)["node"]
    box.kill(node)
    try:
        second = run.claim(0, 1)
        assert second["node"] != node
        run.signal(0, signal.SIGCONT)
        run.wait()
    finally:
        box.start_node(node)
        until(lambda: "down" not in box.run("sinfo", "-h", "-N", "-o", "%T"), "the node does not come back")
    assert_whole(run, local)
