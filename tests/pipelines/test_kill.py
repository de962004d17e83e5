"""kill -9 at random moments, and the same command again: the documents are those of an undisturbed run.

A moment is a random number of lines of main.log plus a random few milliseconds, so that kills fall evenly between the
start of the first worker and the last ledger line, not into the imports. Seeded: the moments vary with the machine's
speed, the choices do not.
"""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.pipelines.conftest import TASKS
from tests.pipelines.processes import Run, finish, kill_group, workers_of

VICTIMS = ("parent", "group", "worker")
MOST_LOG_LINES = 29  # 1 at the start, 2 for each of 14 tasks; with fewer tasks left the run ends before and counts too


def wait_for_lines(process: "subprocess.Popen[str]", run: Run, number: int) -> None:
    """Until main.log has so many more lines than now, or the run has ended."""
    number += run.log().count("\n")
    while process.poll() is None and run.log().count("\n") < number:
        time.sleep(0.002)


def strike(run: Run, dice: random.Random, victim: str) -> bool:
    """Start the command and kill; False when the run was over before. A run that lost one worker must succeed."""
    process = run.start()
    left = MOST_LOG_LINES - 2 * len(run.markers())
    wait_for_lines(process, run, dice.randint(0, left if victim == "worker" else left * 2 // 3))
    time.sleep(dice.uniform(0, 0.04))
    workers = sorted(workers_of(process))
    hit = process.poll() is None
    try:
        if victim == "parent":
            process.kill()
        elif victim == "group":
            kill_group(process)
        elif workers:
            os.kill(dice.choice(workers), signal.SIGKILL)
        else:
            hit = False
    except ProcessLookupError:
        hit = False
    status, text = finish(process)
    if victim == "worker" or not hit:
        assert status == 0 or (hit and status == -signal.SIGKILL), f"one lost worker must not fail the run:\n{text}"
    return hit


def assert_nothing_partial(run: Run, undisturbed: Run) -> None:
    """At any moment every file in the output folder is whole: byte for byte one of the undisturbed run's."""
    expected = undisturbed.files()
    for name, data in run.files().items():
        assert data == expected[name], f"{name} is visible before it is whole"


def assert_equal(run: Run, undisturbed: Run) -> None:
    """Documents byte for byte, ledger line for line, and verify agrees."""
    found, expected = run.files(), undisturbed.files()
    assert sorted(found) == sorted(expected)
    assert [name for name in expected if found[name] != expected[name]] == []
    assert run.ledger() == undisturbed.ledger()
    status, text = run.verify()
    assert status == 0, text


def campaign(folder: Path, mixture: Path, undisturbed: Run, *, kills: int, seed: int) -> Counter[str]:
    """At least so many kills that hit, three in each output folder, each followed by the same command."""
    dice = random.Random(seed)
    hits: Counter[str] = Counter()
    attempt = 0
    while sum(hits.values()) < kills:
        run = Run(folder / str(attempt), mixture, *TASKS, "--workers", "2")
        attempt += 1
        assert attempt <= kills, f"the kills come too late: {hits}"
        # The worker last: the run survives that, and then nothing is left to be killed in.
        for victim in [*dice.sample(VICTIMS[:2], 2), VICTIMS[2]]:
            hits[victim] += strike(run, dice, victim)
            assert_nothing_partial(run, undisturbed)
        status, text = run.call()
        assert status == 0, text
        assert_equal(run, undisturbed)
    return hits


@pytest.mark.short
def test_a_few_kills_leave_the_documents_as_they_were(tmp_path: Path, mixture: Path, undisturbed: Run) -> None:
    campaign(tmp_path, mixture, undisturbed, kills=5, seed=1)


@pytest.mark.slow
def test_thirty_kills_leave_the_documents_as_they_were(tmp_path: Path, mixture: Path, undisturbed: Run) -> None:
    hits = campaign(tmp_path, mixture, undisturbed, kills=30, seed=2)
    assert min(hits[victim] for victim in VICTIMS) >= 9, hits
