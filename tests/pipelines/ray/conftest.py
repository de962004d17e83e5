"""One Ray of two nodes with one CPU each for all tests of this folder, and runs that use it from this process.

Gives up: a cluster for each test, and a process for each run; both cost seconds.
"""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipelines.commands import execute
from pipelines.slurm.options import ClusterOptions, Executor
from tests.pipelines.processes import Run, is_alive, wait_until
from tests.ray_box import Box, throw_away_ray

ray = pytest.importorskip("ray", reason="no Ray: pip install -r requirements_ray.txt")


@pytest.fixture(scope="package")
def box() -> Iterator[Box]:
    """A running cluster, with this process connected to its first node."""
    with throw_away_ray() as made:
        ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
        try:
            yield made
        finally:
            ray.shutdown()


PATIENCE = 240.0  # seconds; a busy machine takes a minute to start a worker


class RayRun(Run):
    """A run of this process on the box; `call_here` is its command."""

    def __init__(self, box: Box, folder: Path, config: Path, tasks: int | None = None) -> None:
        super().__init__(folder, config, *(("--tasks", str(tasks)) if tasks else ()))
        self.box, self.config, self.tasks = box, config, tasks

    def call_here(self, *, run_dedup: bool = False, workers: int | None = None, **given: object) -> int:
        """The exit status."""
        return execute(
            self.config, output_folder=self.output, logging_dir=self.logs, tasks=self.tasks, run_dedup=run_dedup,
            workers=workers,
            cluster=ClusterOptions(executor=Executor.ray, given={"ray_address": self.box.address, **given}),
        )  # fmt: skip

    def claim(self, rank: int, number: int = 0) -> dict[str, Any]:
        """The claim on a task of a run of one source, as soon as it is there."""
        pattern = f"_run/stages/*/claims/*/*/{rank:05d}.{number}.json"
        path = wait_until(
            lambda: next(iter(self.output.glob(pattern)), None), f"claim {number} on task {rank}", PATIENCE
        )
        return dict(json.loads(path.read_bytes()))

    def claims(self) -> dict[int, int]:
        """How often each task was claimed."""
        found: dict[int, int] = {}
        for path in self.output.glob("_run/stages/*/claims/*/*/*.json"):
            rank = int(path.name.split(".")[0])
            found[rank] = found.get(rank, 0) + 1
        return found

    def is_over(self, rank: int, number: int = 0) -> bool:
        """Whether the work on a claimed task has ended."""
        return next(self.output.glob(f"_run/stages/*/claims/*/*/{rank:05d}.{number}.end"), None) is not None

    def hit(self, rank: int, number: int = 0, signum: int = signal.SIGKILL) -> None:
        """Send a signal to the process that works on a task."""
        pid = self.claim(rank, number)["pid"]
        assert is_alive(pid)
        os.kill(pid, signum)


@contextmanager
def meanwhile(*deeds: Callable[[], None]) -> Iterator[None]:
    """Do things one after the other beside the block; what goes wrong with them fails the test."""
    wrong: list[BaseException] = []

    def do() -> None:
        try:
            for deed in deeds:
                deed()
        except BaseException as error:  # noqa: BLE001 - raised again below
            wrong.append(error)

    thread = threading.Thread(target=do, daemon=True)
    thread.start()
    yield
    thread.join(PATIENCE)
    assert not thread.is_alive(), "what should have happened meanwhile did not"
    if wrong:
        raise wrong[0]
