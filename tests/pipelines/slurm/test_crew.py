"""Jobs that share a deduplication, as threads of this process: any number of them makes the bytes of one.

Gives up: Slurm itself; tests/pipelines/slurm/test_dedup.py has it.
"""

import threading
from pathlib import Path

import pytest

from pipelines import claim as claims
from pipelines.claim import take_if_free
from pipelines.dedup.claimed_piece import claims_of
from pipelines.dedup.config import DedupConfig, MinhashConfig
from pipelines.dedup.freeze import freeze
from pipelines.dedup.inputs import plan_fingerprint_data
from pipelines.dedup.run import run_dedup
from pipelines.dedup.stages import all_stages, is_complete, start
from pipelines.dedup.verify import open_dedup, verify_dedup
from pipelines.dedup.work import Work
from pipelines.errors import SourceError
from pipelines.manifest import fingerprint
from pipelines.slurm import crew
from pipelines.slurm.crew import AllDone, Jobs
from pipelines.slurm.dedup_launch import probe
from pipelines.work_queue import MAX_ATTEMPTS
from tests.dedup.corpus import files_of, make_run, small_sources
from tests.native.oracle import needs_core

ALL = DedupConfig(
    methods=["exact", "minhash", "simhash", "sentence"],
    minhash=MinhashConfig(min_similarity=0.7),
    priority=["*/books/*"],
)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "FIRST_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(crew, "LAST_LOOK_SECONDS", 0.05)


def started(run: Path, out: Path, config: DedupConfig) -> Work:
    plan = freeze(run, against=[], config=config)
    data = plan_fingerprint_data(plan)
    layout = probe(out, fingerprint(data))
    start(layout, plan, data)
    return Work(layout=layout, plan=plan)


def jobs_of(work: Work, number: int) -> list[Jobs]:
    return [Jobs(work, submission="s", job=f"1_{i}", place=i, num_jobs=number) for i in range(number)]


@needs_core  # spaCy, which splits words without it, breaks when threads share it; jobs are processes
def test_jobs_together_make_the_bytes_of_one_command(tmp_path: Path) -> None:
    """All methods, checked clusters included; each piece is done once, and every job comes to its end."""
    run = make_run(tmp_path / "run", small_sources(), tasks=3)
    run_dedup(run, config=ALL, output_folder=tmp_path / "local", workers=0)
    work = started(run, tmp_path / "out", ALL)
    done: list[str] = []
    problems: list[BaseException] = []

    def take_part(jobs: Jobs) -> None:
        jobs.note = lambda text: done.append(text.split(" in ")[0])  # type: ignore[method-assign]
        try:
            all_stages(work, jobs)
        except AllDone:
            pass
        except (SourceError, OSError) as error:
            if not is_complete(work):
                problems.append(error)

    threads = [threading.Thread(target=take_part, args=(jobs,)) for jobs in jobs_of(work, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    pieces = [text for text in done if text.startswith("done ")]
    assert len(set(pieces)) == len(pieces) > 30
    assert files_of(tmp_path / "out") == files_of(tmp_path / "local")
    assert verify_dedup(open_dedup(tmp_path / "out")) == []
    assert not (work.layout.stage_dir / "dedup").exists()


def test_a_failed_piece_does_not_stop_the_others_and_is_said(tmp_path: Path) -> None:
    """All pieces that can be done are there; every job of the submission ends with the reason, and does not try it."""
    work = started(make_run(tmp_path / "run", small_sources(), tasks=2), tmp_path / "out", DedupConfig())
    did: list[int] = []

    def piece(_: Work, number: int) -> None:
        if number == 2:
            raise SourceError("the disk is full")
        did.append(number)

    first, second = jobs_of(work, 2)
    with pytest.raises(SourceError, match=r"some: 1 of the files failed \(2: the disk is full\)"):
        first.each("some", piece, range(4), "files", did.__contains__)
    assert sorted(did) == [0, 1, 3]
    with pytest.raises(SourceError, match="the disk is full"):
        second.each("some", lambda *_: pytest.fail("was tried again"), range(4), "files", did.__contains__)
    # Another submission is another try.
    again = Jobs(work, submission="t", job="2_0", place=0, num_jobs=1)
    again.each("some", lambda _, number: did.append(number), range(4), "files", did.__contains__)
    assert sorted(did) == [0, 1, 2, 3]


def test_a_piece_that_kills_its_jobs_does_not_kill_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that does not fit the memory is tried MAX_ATTEMPTS times; the job after that says so instead of dying."""
    monkeypatch.setattr(claims, "STILL_SECONDS", 0.0)
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 3600.0)
    work = started(make_run(tmp_path / "run", small_sources()), tmp_path / "out", DedupConfig())
    for attempt in range(MAX_ATTEMPTS):
        assert take_if_free(work.layout, claims_of("some"), 0, job=f"1_{attempt}", submission="s") is not None
    with pytest.raises(SourceError, match=rf"ended without a word \(job 1_2, node .*{MAX_ATTEMPTS} attempts"):
        jobs_of(work, 1)[0].each("some", lambda *_: pytest.fail("tried once more"), [0], "parts", lambda _: False)


def test_a_held_piece_is_waited_for(tmp_path: Path) -> None:
    """What another job works on is neither done twice nor skipped."""
    work = started(make_run(tmp_path / "run", small_sources()), tmp_path / "out", DedupConfig())
    held = take_if_free(work.layout, claims_of("some"), 0, job="1_1", submission="s")
    assert held is not None
    there = threading.Event()
    ended = threading.Event()

    def wait_for_it() -> None:
        jobs_of(work, 1)[0].once("some", lambda *_: pytest.fail("done twice"), 0, there.is_set)
        ended.set()

    thread = threading.Thread(target=wait_for_it)
    thread.start()
    assert not ended.wait(0.3)
    there.set()
    held.end("done")
    thread.join(10)
    assert ended.is_set()
