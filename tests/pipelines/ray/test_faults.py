"""On a real Ray of two nodes, no way in which a task can end loses or doubles a document; the same command mends it.

Stock datatrove ends with 0 after a failed task, waits for ever for a killed process or for memory that no node has, and
crashes at a time limit. Gives up: clocks that differ between nodes; there is one machine.
"""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pipelines import claim
from pipelines.errors import UserError
from pipelines.ray import actors as module
from pipelines.ray.supervisor import RaySupervisor
from pipelines.ray.worker import TaskWorker
from pipelines.run_lock import workers_end
from pipelines.slurm.config import ClusterConfig
from pipelines.verify import open_run, verify_run
from tests.pipelines.corpus import write_one_source
from tests.pipelines.processes import Run, finish, is_alive, wait_until, wait_until_gone
from tests.pipelines.ray.conftest import PATIENCE, RayRun, meanwhile
from tests.ray_box import Box


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three files that take a task a second or two each, so that there is something to hit."""
    return write_one_source(tmp_path_factory.mktemp("source"), 15_000, files=3, profile="sane")


@pytest.fixture(scope="module")
def local(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("local"), source, "--tasks", "3")
    status, text = run.call()
    assert status == 0, text
    return run


def assert_whole(run: RayRun, local: Run) -> None:
    assert run.files() == local.files()
    assert run.ledger() == local.ledger()
    layout, plan = open_run(run.output)
    assert verify_run(layout, plan) == []


def test_raising_killed_once_and_always_killed(
    box: Box, source: Path, tmp_path: Path, local: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run ends with 1 and a table, without a dedup on top; the same command does what is left, and no more."""
    run = RayRun(box, tmp_path / "run", source, tasks=3)
    changed = source.parent / "only" / "part-0.jsonl.gz"
    planned = json.loads((local.output / "_run" / "plan.json").read_bytes())["sources"][0]
    raising = next(r for r, files in enumerate(planned["tasks"]) if "part-0" in planned["files"][files[0]]["path"])
    once, always = (rank for rank in range(3) if rank != raising)
    before = changed.stat().st_mtime_ns

    def spoil() -> None:
        wait_until(lambda: list(run.output.glob("_run/plan.json")), "the plan")
        os.utime(changed, ns=(before, before + 10**9))

    deeds = [spoil, lambda: run.hit(once)]
    deeds += [lambda number=number: run.hit(always, number) for number in range(3)]  # type: ignore[misc]
    with meanwhile(*deeds):
        status = run.call_here(run_dedup=True)
    os.utime(changed, ns=(before, before))
    printed = capsys.readouterr()
    assert status == 1
    assert "NOT complete: 1 of 1 sources" in printed.out
    assert f"task {raising}: part-0.jsonl.gz: changed since the run was planned" in printed.out
    assert f"task {always}: its worker died 3 times (its worker process has died" in printed.out
    assert "not deduplicated: the run is not complete" in printed.err
    assert "retry local/only/default task" in run.log()
    assert len(run.files()) == 1
    assert run.files().items() <= local.files().items()
    assert run.claims() == {raising: 1, once: 2, always: 3}
    assert run.call_here(workers=1) == 0
    assert run.claims() == {raising: 2, once: 2, always: 4}
    assert_whole(run, local)


def test_a_lost_node(box: Box, source: Path, tmp_path: Path, local: Run) -> None:
    """kill -9 of a raylet while a task works on its node: the task is done on the other one."""
    run = RayRun(box, tmp_path / "run", source, tasks=3)
    second = box.node_of(box.second)
    victim: list[int] = []

    def frozen() -> bool:
        """Stop a task on the second node in its tracks; False while there is none that is not over by then."""
        for rank in run.claims():
            if run.claim(rank)["node"].endswith(second) and not run.is_over(rank):
                run.hit(rank, signum=signal.SIGSTOP)
                if not run.is_over(rank):
                    victim.append(rank)
                    return True
                os.kill(run.claim(rank)["pid"], signal.SIGCONT)
        return False

    def lose() -> None:
        wait_until(frozen, "a task on the second node", PATIENCE)
        box.kill_second()
        with suppress(ProcessLookupError):
            os.kill(run.claim(victim[0])["pid"], signal.SIGCONT)

    try:
        with meanwhile(lose):
            assert run.call_here() == 0
    finally:
        box.replace_second()
    assert run.claims()[victim[0]] == 2
    assert not run.claim(victim[0], 1)["node"].endswith(second)
    assert_whole(run, local)


def test_past_its_time_limit(box: Box, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A task that stands still is ended at its time limit and has failed; nothing of it counts."""
    run = RayRun(box, tmp_path / "run", write_one_source(tmp_path, 3_000))
    with meanwhile(lambda: run.hit(0, signum=signal.SIGSTOP)):
        status = run.call_here(time="0:02")
    assert status == 1
    assert "task 0: ran into its time limit (0:02); raise --time or --tasks" in capsys.readouterr().out
    assert run.files() == {}
    assert not is_alive(run.claim(0)["pid"])
    assert run.call_here(workers=1) == 0
    assert run.claims() == {0: 2}


def test_the_command_is_killed_and_given_again(box: Box, source: Path, tmp_path: Path, local: Run) -> None:
    """Ray ends the workers of a process that is gone; the same command does the tasks that were not complete, once."""
    run = RayRun(box, tmp_path / "run", source, tasks=3)
    process = run.start("--executor", "ray", "--ray-address", box.address)
    pids = [run.claim(rank)["pid"] for rank in wait_until(run.claims, "the first claim", PATIENCE)]
    process.kill()
    finish(process)
    wait_until_gone(pids)
    assert workers_end(run.output / "_run", 10), "a worker outlives the command"
    assert run.files().items() < local.files().items()
    before = run.claims()
    marked = {int(Path(path).name) for path in run.markers()}
    assert run.call_here(workers=1) == 0
    assert {rank: number - before.get(rank, 0) for rank, number in run.claims().items()} == {
        rank: int(rank not in marked) for rank in range(3)
    }
    assert_whole(run, local)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"cpus_per_task": 2}, "has 2 CPUs and 4 GB for a task; 127.0.0.1 has 1 CPUs"),
        ({"mem_per_cpu_gb": 4096}, "4096 GB"),
    ],
)
def test_what_no_node_has_is_refused(box: Box, tmp_path: Path, asked: dict[str, object], message: str) -> None:
    """Ray would wait for ever. Two nodes with a CPU each are not one with two; nothing is written."""
    run = RayRun(box, tmp_path / "run", write_one_source(tmp_path, 5))
    with pytest.raises(UserError, match=message):
        run.call_here(**asked)
    assert not run.output.exists()


@pytest.fixture
def started(box: Box, local: Run) -> Iterator[Run]:
    """A complete run whose task 0 is to be done again."""
    layout, plan = open_run(local.output)
    marker = layout.completion(plan.sources[0].source.output_dir, 0)
    marker.unlink()
    yield local
    marker.touch()


def test_nodes_that_are_lost_for_good_end_the_run(started: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """No node fits any more: Ray would wait for one to come."""
    monkeypatch.setattr(module, "LOST_SECONDS", 0.5)
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.2)
    layout, plan = open_run(started.output)
    supervisor = RaySupervisor(plan, layout, workers=1, cluster=ClusterConfig(cpus_per_task=64), environment={})
    supervisor.run()
    assert list(supervisor.failures) == [(0, 0)]
    assert "lost every node" in supervisor.failures[0, 0]


def test_a_task_that_another_process_holds_is_not_begun(started: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one on a node that Ray has given up, which lives on."""
    monkeypatch.setattr(claim, "STILL_SECONDS", 0.5)
    monkeypatch.setattr(claim, "HEARTBEAT_SECONDS", 0.1)
    layout, plan = open_run(started.output)
    held = claim.take(layout, plan.sources[0].source.output_dir, 0, job="elsewhere")
    worker = TaskWorker(str(started.output), layout.fingerprint, {})
    worker._layout, worker._plan = layout, plan
    outcome, reason = worker.work(0, 0)
    held.end("done")
    assert outcome == "held"
    assert "job elsewhere works on it" in reason
