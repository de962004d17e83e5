"""On a real Ray of two nodes, deduplication makes the files of a local one, whatever happens to actors and nodes.

Stages whose pieces wait, fail or kill (pieces.py) stand for real ones where a moment must be hit; real ones are killed
at random moments by benchmarks/ray_faults.py. Gives up: nodes whose clocks differ; there is one machine.
"""

import io
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipelines import claim as claims
from pipelines.dedup import store
from pipelines.dedup.command import execute_dedup, parameters
from pipelines.dedup.config import DedupConfig, MinhashConfig
from pipelines.dedup.freeze import freeze
from pipelines.dedup.inputs import plan_fingerprint_data
from pipelines.dedup.pool import Stopped
from pipelines.dedup.processes import Notes
from pipelines.dedup.run import run_dedup
from pipelines.dedup.stages import start
from pipelines.dedup.verify import open_dedup, verify_dedup
from pipelines.dedup.work import Job, Work
from pipelines.errors import SourceError, UserError
from pipelines.manifest import fingerprint
from pipelines.ray import crew as module
from pipelines.ray.crew import Pieces, RayCrew, actors_on_ray
from pipelines.ray.worker import PieceWorker
from pipelines.run_lock import workers_end
from pipelines.signals import StopRequest
from pipelines.slurm.config import ClusterConfig
from pipelines.slurm.dedup_launch import probe
from pipelines.slurm.options import ClusterOptions, Executor
from tests.dedup.corpus import files_of, make_run, small_sources
from tests.dedup.test_kill import kill_at, stages_in
from tests.dedup.test_kill import start as start_command
from tests.pipelines.processes import MEASURED, wait_until, wait_until_gone
from tests.pipelines.ray import pieces
from tests.pipelines.ray.conftest import PATIENCE, meanwhile
from tests.pipelines.ray.pieces import FAILS, STAGE, gate
from tests.ray_box import Box

# Little to load, and all that differs between methods: checked clusters, rounds, texts that are cut.
ALL = DedupConfig(
    methods=["exact", "minhash", "sentence"], minhash=MinhashConfig(min_similarity=0.7), priority=["*/books/*"]
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of six files."""
    return make_run(tmp_path_factory.mktemp("dedup") / "run", small_sources(), tasks=3)


@pytest.fixture(scope="module")
def local(run: Path) -> Path:
    """What a local deduplication makes of it."""
    run_dedup(run, config=ALL, output_folder=run.with_name("local"), workers=0)
    return run.with_name("local")


def on_ray(box: Box, **given: object) -> ClusterOptions:
    return ClusterOptions(executor=Executor.ray, given={"ray_address": box.address, **given})


def ledger(folder: Path) -> list[dict[str, Any]]:
    """Without what is measured."""
    lines = (folder / "_run" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    return [{key: value for key, value in json.loads(line).items() if key not in MEASURED} for line in lines]


def assert_same(out: Path, local: Path) -> None:
    """Documents, ledger and tables are the local ones, and verified; no claim is left."""
    assert files_of(out) == files_of(local)
    assert ledger(out) == ledger(local)
    assert verify_dedup(open_dedup(out)) == []
    assert list(out.glob("_run/stages/*/claims/dedup")) == []
    assert stages_in(out) == stages_in(local)


def test_a_killed_command_and_the_same_again(box: Box, run: Path, local: Path, tmp_path: Path) -> None:
    """Its actors end with it; the same command does the rest, and what it makes is what a local one makes."""
    out = tmp_path / "out"
    options = ("--executor", "ray", "--ray-address", box.address, "--workers", "1")
    same = {"output_folder": out, "workers": 1, "cluster": on_ray(box)}
    copied = make_run(tmp_path / "run", small_sources(), tasks=3)
    (copied / "_run" / "config.yaml").write_text(f"dedup: {ALL.model_dump_json()}\n", encoding="utf-8")
    assert kill_at(start_command(copied, out, *options), out, 4), "it was over before"
    assert workers_end(out / "_run", 10), "an actor outlives the command"
    log = (out / "_run" / "log" / "main.log").read_text(encoding="utf-8")
    done = {line.partition(" ")[2] for line in log.splitlines() if " done " in line}
    assert done
    assert execute_dedup(copied, config=parameters(copied, None, None), **same) == 0  # type: ignore[arg-type]
    again = (out / "_run" / "log" / "main.log").read_text(encoding="utf-8")[len(log) :]
    assert not [line for line in done if f" {line}\n" in again], "was done twice"
    assert_same(out, local)
    # Nothing is left to do: no stage, no actor.
    assert execute_dedup(copied, config=parameters(copied, None, None), **same) == 0  # type: ignore[arg-type]
    assert_same(out, local)


class Staged:
    """A deduplication that has started, and a crew on the box that does made-up stages of it."""

    def __init__(self, run: Path, out: Path) -> None:
        plan = freeze(run, against=[], config=DedupConfig())
        data = plan_fingerprint_data(plan)
        layout = probe(out, fingerprint(data))
        start(layout, plan, data)
        self.work = Work(layout=layout, plan=plan)
        self.stop = StopRequest()
        self._said = io.StringIO()

    def notes(self) -> Notes:
        return Notes(self._said, lambda _: None, show_progress=False)

    @contextmanager
    def crew(self, workers: int = 1, **cluster: object) -> Iterator[RayCrew]:
        options = ClusterConfig.model_validate(cluster)
        with actors_on_ray(workers, options, {}, self.work, self.notes(), self.stop) as crew:
            yield crew

    def left(self, numbers: list[int]) -> Pieces:
        """A stage of which these are left."""
        return Pieces(
            STAGE, numbers, done=self.is_done, finished=lambda _: None, notes=self.notes(), stop=self.stop
        )  # fmt: skip

    def is_done(self, number: int) -> bool:
        return store.is_committed(self.work.folder(STAGE, number))

    def each(self, crew: RayCrew, job: Job, *numbers: int) -> None:
        crew.each(STAGE, job, numbers, "files", self.is_done)

    def claim(self, number: int, attempt: int = 0) -> dict[str, Any]:
        """The claim on a piece, as soon as it is there."""
        path = claims.claims_dir(self.work.layout, f"dedup/{STAGE}") / f"{number:05d}.{attempt}.json"
        wait_until(path.is_file, f"claim {attempt} on piece {number}", PATIENCE)
        return dict(json.loads(path.read_bytes()))

    def hit(self, number: int, signum: int = signal.SIGKILL) -> None:
        os.kill(self.claim(number)["pid"], signum)

    def open(self, *numbers: int) -> None:
        for number in numbers:
            gate(self.work, number).touch()

    @property
    def log(self) -> str:
        return self._said.getvalue()


@pytest.fixture
def staged(box: Box, run: Path, tmp_path: Path) -> Staged:
    return Staged(run, tmp_path / "out")


def test_killed_at_work_and_at_rest_failed_and_stopped(staged: Staged) -> None:
    """The piece of a killed actor is done again, and one that died while it rested costs none an attempt.

    A piece that fails stops no other. At Ctrl-C the actors end, and what is done stays.
    """

    def stop() -> None:
        staged.claim(5)
        staged.stop.signum = signal.SIGINT

    # One actor, so that it is always the same that rests.
    with staged.crew() as crew:
        with meanwhile(lambda: staged.hit(0), lambda: staged.open(0)):
            staged.each(crew, pieces.waiting, 0)
        assert "retry made 0: its worker process has died" in staged.log
        resting = staged.claim(0, 1)["pid"]
        os.kill(resting, signal.SIGKILL)
        wait_until_gone([resting])
        crew.once("made.decided", pieces.committing, 3, partial(staged.is_done, 3))
        assert staged.log.count("retry") == 1
        with pytest.raises(SourceError, match=r"made: 1 of the files failed \(1: the disk is full\); finished work is"):
            staged.each(crew, pieces.difficult, 0, FAILS, 4)
        assert "FAILED made 1: the disk is full" in staged.log
        staged.each(crew, pieces.committing, FAILS)
        with meanwhile(stop), pytest.raises(Stopped):
            staged.each(crew, pieces.waiting, 5)
        last = staged.claim(5)["pid"]
    wait_until_gone([last])
    assert [number for number in range(6) if staged.is_done(number)] == [0, 1, 3, 4]


def test_a_lost_node(box: Box, staged: Staged) -> None:
    """kill -9 of a raylet while a piece is in work on its node: it is done on the other one, once it is free."""
    second = box.node_of(box.second)

    def lose() -> None:
        wait_until(lambda: [staged.claim(number) for number in (0, 1)], "two pieces in work", PATIENCE)
        (number,) = [n for n in (0, 1) if staged.claim(n)["node"].endswith(second)]
        staged.hit(number, signal.SIGSTOP)
        box.kill_second()
        with suppress(ProcessLookupError):
            staged.hit(number, signal.SIGCONT)
        staged.open(1 - number)
        assert not staged.claim(number, 1)["node"].endswith(second)
        staged.open(number)

    try:
        with staged.crew(workers=2) as crew, meanwhile(lose):
            staged.each(crew, pieces.waiting, 0, 1)
    finally:
        box.replace_second()
    assert staged.is_done(0)
    assert staged.is_done(1)


def test_past_its_time_limit(staged: Staged) -> None:
    """A piece that stands still is ended at its limit, and has failed."""
    with staged.crew(time="0:02") as crew:
        with pytest.raises(SourceError, match=r"0: ran into its time limit \(0:02\); raise --time"):
            staged.each(crew, pieces.waiting, 0)
        frozen = staged.claim(0)["pid"]
    wait_until_gone([frozen])


class Believed:
    """Actors that say that all is done, without doing anything."""

    def work_on(self, work: Pieces, _: object) -> None:
        for number in work.queue:
            work.tell("done", number)


def test_a_piece_that_is_not_on_this_nodes_disk_is_not_done(staged: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an actor says does not count: a node may have a folder of the same name of its own."""
    monkeypatch.setattr(module, "SEEN_SECONDS", 0.1)
    crew = RayCrew(Believed(), staged.notes(), staged.stop)  # type: ignore[arg-type]
    with pytest.raises(SourceError, match="made: 1 of the files are done, says Ray, and not on this node's disk"):
        staged.each(crew, pieces.committing, 0)


def test_a_piece_whose_actors_die_has_failed(staged: Staged) -> None:
    """Three times in all, or one that does not fit the memory would go round for ever."""
    left = staged.left([0])
    for _ in range(3):
        left.lost(left.take(set(), set()), "it was killed", "; more memory")
    assert (left.queue, left.failures) == ([], {0: "its worker died 3 times (it was killed); more memory"})


def test_what_is_on_disk_has_not_failed(staged: Staged) -> None:
    """One that was taken for lost may have woken up, and done it."""
    left = staged.left([0])
    pieces.committing(staged.work, 0)
    left.fail(left.take(set(), set()), "the actor is dead")
    assert left.failures == {}
    assert "FAILED" not in staged.log


def test_a_node_that_others_hold_or_that_has_other_packages(staged: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece in work elsewhere is not begun; a node that would make other documents does not work."""
    monkeypatch.setattr(claims, "STILL_SECONDS", 0.5)
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.1)
    layout = staged.work.layout
    held = claims.take(layout, f"dedup/{STAGE}", 0, job="elsewhere")
    worker = PieceWorker(str(layout.output_folder), layout.fingerprint, {})
    worker._layout, worker._work = layout, staged.work
    outcome, reason = worker.work(STAGE, pieces.__name__, "committing", 0)
    held.end("done")
    assert (outcome, staged.is_done(0)) == ("held", False)
    assert "job elsewhere works on it" in reason
    path = layout.run_dir / "fingerprint.json"
    data = json.loads(path.read_bytes())
    data["versions"]["datatrove"] = "0.0.1"
    path.write_text(json.dumps(data), encoding="utf-8")
    answer = PieceWorker(str(layout.output_folder), layout.fingerprint, {}).prepare()
    assert answer is not None
    assert "this node has other packages than the run was planned with (datatrove 0.0.1 -> " in answer


def test_what_cannot_be_done_is_refused(box: Box, run: Path, tmp_path: Path) -> None:
    """One line, before anything is written: a run that is none, what no node has, an option of Slurm's."""
    for given, message in (
        ({"cpus_per_task": 2}, "has 2 CPUs and 4 GB for a task; 127.0.0.1 has 1 CPUs"),
        ({"dedup_jobs": 3}, "--dedup-jobs: is Slurm's; --executor ray takes --cpus-per-task"),
    ):
        with pytest.raises(UserError, match=message):
            execute_dedup(run, config=ALL, output_folder=tmp_path / "out", cluster=on_ray(box, **given))
    with pytest.raises(UserError, match="not a run"):
        execute_dedup(tmp_path / "none", config=ALL, output_folder=tmp_path / "out", cluster=on_ray(box))
    assert list(tmp_path.iterdir()) == []
