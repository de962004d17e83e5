"""One Ray of two nodes with one CPU each for all tests of this folder, and runs that use it from this process.

Everything listens on the loopback interface only, behind a token. Gives up: a cluster for each test, and a process for
each run; both cost seconds.
"""

import json
import os
import secrets
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from pipelines.commands import execute
from pipelines.slurm.options import ClusterOptions, Executor
from tests.pipelines.processes import Run, is_alive, wait_until

# Ray reads them when it is imported.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # loopback only, see pipelines/ray/connection.py
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
os.environ["RAY_AUTH_MODE"] = "token"
os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)

ray = pytest.importorskip("ray", reason="no Ray: pip install -r requirements_ray.txt")
from ray.cluster_utils import Cluster  # noqa: E402 - only where Ray is installed

NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "node_ip_address": "127.0.0.1", "include_dashboard": False}


class Box:
    """The cluster: this process is connected to its first node; the second one may be lost and replaced."""

    def __init__(self, folder: str) -> None:
        self.cluster = Cluster(initialize_head=True, head_node_args={**NODE, "temp_dir": folder})
        self.second = self.cluster.add_node(**NODE)

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def node_of(self, node: Any) -> str:
        """The short id of a node, as it stands in a claim."""
        return str(node.node_id)[:8]

    def kill_second(self) -> None:
        """kill -9 of its raylet."""
        raylet = self.second.all_processes["raylet"][0].process
        raylet.kill()
        raylet.wait()  # a zombie would keep its workers alive

    def replace_second(self) -> None:
        """A new node for the lost one."""
        self.cluster.remove_node(self.second, allow_graceful=False)
        self.second = self.cluster.add_node(**NODE)


@pytest.fixture(scope="package")
def box() -> Iterator[Box]:
    """A running cluster, with this process connected."""
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # short, because it holds sockets
    try:
        made = Box(folder)
        ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
        yield made
    finally:
        ray.shutdown()
        with suppress(UnboundLocalError):
            made.cluster.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


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
        path = wait_until(lambda: next(iter(self.output.glob(pattern)), None), f"claim {number} on task {rank}")
        return dict(json.loads(path.read_bytes()))

    def claims(self) -> dict[int, int]:
        """How often each task was claimed."""
        found: dict[int, int] = {}
        for path in self.output.glob("_run/stages/*/claims/*/*/*.json"):
            rank = int(path.name.split(".")[0])
            found[rank] = found.get(rank, 0) + 1
        return found

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
    thread.join(90)
    assert not thread.is_alive(), "what should have happened meanwhile did not"
    if wrong:
        raise wrong[0]
