"""A task is worked on by one job at a time, and a dead holder does not block it for longer than its heartbeat."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipelines import claim as claims
from pipelines.claim import Claim, Fence, claims_dir, held, last_word, take
from pipelines.errors import SourceError
from pipelines.run_layout import RunLayout


@pytest.fixture
def layout(tmp_path: Path) -> RunLayout:
    return RunLayout(output_folder=tmp_path / "out", logging_dir=tmp_path / "logs", fingerprint="f" * 64)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(claims, "STILL_SECONDS", 0.6)


def test_a_living_holder_keeps_its_task(layout: RunLayout) -> None:
    """The second job gets an error that names the first, and not the task."""
    first = take(layout, "a/b", 3, job="12_3")
    with pytest.raises(SourceError, match="task 3: job 12_3 works on it"):
        take(layout, "a/b", 3, job="13_3")
    assert first.is_newest
    first.end("done")


def test_an_ended_claim_is_free_at_once(layout: RunLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failed or put back into the queue: nothing to wait for, and the reason stays readable."""
    monkeypatch.setattr(claims, "STILL_SECONDS", 3600.0)
    take(layout, "a/b", 0, job="1_0").end("failed", "no such file")
    word = last_word(layout, "a/b", 0)
    assert word is not None
    assert (word["job"], word["outcome"], word["reason"]) == ("1_0", "failed", "no such file")
    assert take(layout, "a/b", 0, job="2_0").number == 1


def test_a_still_heart_is_a_dead_holder(layout: RunLayout) -> None:
    """A killed job says nothing; its task is free when the time of its claim stands still."""
    first = take(layout, "a/b", 0, job="1_0")
    first._over.set()  # as kill -9 does
    second = take(layout, "a/b", 0, job="2_0")
    assert second.is_newest
    assert not first.is_newest
    second.end("done")


def test_an_old_claim_is_taken_without_waiting(layout: RunLayout) -> None:
    """The claim of a run that died yesterday costs no time."""
    first = take(layout, "a/b", 0, job="1_0")
    first._over.set()
    time.sleep(0.15)
    os.utime(first.path, (1, 1))
    assert take(layout, "a/b", 0, job="2_0").number == 1


def test_of_many_takers_one_wins(layout: RunLayout) -> None:
    """Twelve that find the same abandoned claim: one goes on."""
    take(layout, "a/b", 0, job="1_0").end("stopped")
    won: list[Claim] = []
    lost: list[SourceError] = []
    start = threading.Barrier(12)

    def try_it(number: int) -> None:
        start.wait()
        try:
            won.append(take(layout, "a/b", 0, job=f"{number}_0"))
        except SourceError as error:
            lost.append(error)

    threads = [threading.Thread(target=try_it, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert len(lost) == 11
    won[0].end("done")
    assert not [path for path in claims_dir(layout, "a/b").iterdir() if path.name.startswith(".")]


def test_who_was_overtaken_does_not_commit(layout: RunLayout) -> None:
    """A process that slept through its heartbeat and woke up fails before its files move."""
    first = take(layout, "a/b", 0, job="1_0")
    first._over.set()
    os.utime(first.path, (1, 1))
    assert list(Fence(first).run(iter([1, 2]))) == [1, 2]
    second = take(layout, "a/b", 0, job="2_0")
    with pytest.raises(SourceError, match="another job took it over"):
        list(Fence(first).run(iter([1, 2])))
    assert list(Fence(second).run(iter([]))) == []
    second.end("done")


def test_held_tasks_are_those_with_a_living_holder(layout: RunLayout) -> None:
    """Ended claims, dead ones and older ones are nobody's; the last claim on a task counts."""
    assert held(layout, "a/b") == []
    take(layout, "a/b", 0, job="1_0").end("done")
    take(layout, "a/b", 1, job="1_1").end("failed")
    living = take(layout, "a/b", 1, job="2_1")
    dead = take(layout, "a/b", 2, job="1_2")
    dead._over.set()
    time.sleep(0.15)
    os.utime(dead.path, (1, 1))
    assert [(rank, who["job"]) for rank, who in held(layout, "a/b")] == [(1, "2_1")]
    living.end("done")


@pytest.mark.skipif(sys.platform != "linux", reason="processes are identified in /proc")
def test_a_claim_of_a_dead_process_of_this_machine_is_free_at_once(
    layout: RunLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for the heartbeat of a process that can be seen to be gone; a living one keeps its task."""
    monkeypatch.setattr(claims, "STILL_SECONDS", 3600.0)
    take(layout, "a/b", 0, job="1_0")._over.set()
    path = claims_dir(layout, "a/b") / "00000.0.json"
    holder = json.loads(path.read_bytes())
    assert not claims._is_gone(path)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = claims.process_identity(child.pid)
    path.write_text(json.dumps({**holder, "pid": child.pid, "process": identity}))
    assert not claims._is_gone(path)
    child.communicate(b"\n")
    assert claims._is_gone(path)
    # Another process with that number, another machine, a claim of before: only the heartbeat tells.
    for other, gone in ((f"{identity}1", True), ("b" + str(identity), False), (None, False)):
        path.write_text(json.dumps({**holder, "pid": os.getpid(), "process": other}))
        assert claims._is_gone(path) is gone
    path.write_text(json.dumps({**holder, "pid": child.pid, "process": identity}))
    assert take(layout, "a/b", 0, job="2_0").number == 1
