"""One throw-away Slurm for all tests of this folder, and runs that use it. Skipped with the reason where there is none.

Gives up: a cluster for each test; names of submissions keep them apart.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.data import MINI_HUB, ROOT
from tests.pipelines.processes import Run
from tests.slurm import Slurm, throw_away_slurm, why_not

PATIENCE = 240.0
STAGE_1 = ROOT / "configs" / "smollm3_weighted_config.yaml"
OPTIONS = ("--mirror", str(MINI_HUB), "--max-datasets", "3", "--target-tokens", "60k", "--tasks", "2")


@pytest.fixture(scope="session")
def box() -> Iterator[Slurm]:
    """A running cluster of two nodes; its folder has a short name, because sockets must."""
    if reason := why_not():
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="box"))
    try:
        with throw_away_slurm(folder / "slurm") as slurm:
            yield slurm
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Stage 1 on the mini hub by the local executor, and its deduplication beside it."""
    run = Run(tmp_path_factory.mktemp("local"), STAGE_1, *OPTIONS, script=True)
    status, text = run.call("--run-dedup")
    assert status == 0, text
    return run


class SlurmRun(Run):
    """A run that goes to the throw-away cluster."""

    def __init__(self, box: Slurm, folder: Path, config: Path, *options: str, script: bool = False) -> None:
        super().__init__(folder, config, *options, script=script)
        self.box = box
        self.env["SLURM_CONF"] = box.env["SLURM_CONF"]

    def submit(self, *options: str) -> str:
        """Submit, by itself without a test job; what the command prints."""
        status, text = self.call("--executor", "slurm", "--node-test-seconds", "0", *options)
        assert status == 0, text
        return text

    def submissions(self) -> list[dict[str, Any]]:
        """All submissions, oldest first."""
        folders = sorted((self.output / "_run" / "slurm").iterdir())
        return [
            json.loads((f / "tasks.json").read_bytes()) | json.loads((f / "jobs.json").read_bytes()) for f in folders
        ]

    def queue(self) -> list[str]:
        """`<job>_<index> <state>` of everything of this run that Slurm still has to do."""
        names = [name for s in self.submissions() for name in (s["name"], f"{s['name']}-finish")]
        return self.box.run("squeue", "-h", "-r", f"--name={','.join(names)}", "-o", "%i %T").splitlines()

    def wait(self) -> None:
        """Until the queue has nothing of this run."""
        until(lambda: not self.queue(), "the queue does not get empty")

    def claim(self, rank: int, number: int = 0) -> dict[str, Any]:
        """The claim on a task of a run of one source, as soon as it is there."""
        pattern = f"_run/stages/*/claims/*/*/{rank:05d}.{number}.json"
        until(lambda: bool(list(self.output.glob(pattern))), f"nobody claims task {rank}")
        return json.loads(next(iter(self.output.glob(pattern))).read_bytes())

    def signal(self, rank: int, signum: int, number: int = 0) -> dict[str, Any]:
        """Send a signal to the process that works on a task."""
        claim = self.claim(rank, number)
        if is_task(claim["pid"]):
            os.kill(claim["pid"], signum)
        return claim

    def usr1(self, job: str, pid: int) -> None:
        """Have Slurm send SIGUSR1 to a stopped task, which goes on then.

        scancel is not waited for: on a busy machine it asks twice, finds the job back in the queue, and waits for it.
        """
        command = ["scancel", "--signal=USR1", "--batch", job]
        with subprocess.Popen(command, env=self.box.env, stderr=subprocess.DEVNULL) as scancel:
            until(lambda: not is_task(pid) or is_pending(pid, signal.SIGUSR1), f"SIGUSR1 does not come to job {job}")
            scancel.kill()
        if is_task(pid):
            os.kill(pid, signal.SIGCONT)

    def state(self) -> dict[str, Any]:
        """`smoltrove status --json`."""
        return json.loads(self.tool("status", "--json")[1])


def is_task(pid: int) -> bool:
    """Whether a process is a job's; numbers are given out again."""
    try:
        return b"pipelines.slurm.task" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def is_pending(pid: int, signum: int) -> bool:
    """Whether a signal has been sent to a process, and not been taken yet."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return any(int(mask, 16) >> (signum - 1) & 1 for mask in re.findall(r"(?:SigPnd|ShdPnd):\s*(\w+)", status))


def until(done: Callable[[], bool], complaint: str, every: float = 0.02) -> None:
    """Wait for something, with a limit; a look every so many seconds."""
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, complaint
        time.sleep(every)
