"""A throw-away Ray of two nodes with one CPU each on this machine, gone with the `with` block.

    with throw_away_ray() as box:
        ray.init(address=box.address)

Everything listens on the loopback interface only, behind a token; its files are in a folder of /tmp with a short name,
because sockets are among them. Import this before Ray: it reads its settings then. Gives up: a dashboard.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # loopback only, see pipelines/ray/connection.py
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
os.environ["RAY_AUTH_MODE"] = "token"
os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)

NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "node_ip_address": "127.0.0.1", "include_dashboard": False}
ATTEMPTS = 3


class Box:
    """The cluster; its second node may be lost and replaced."""

    def __init__(self, folder: str) -> None:
        from ray.cluster_utils import Cluster

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


@contextmanager
def throw_away_ray() -> Iterator[Box]:
    """A running cluster."""
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")
    try:
        box = _patiently(folder)
        try:
            yield box
        finally:
            box.cluster.shutdown()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _patiently(folder: str) -> Box:
    """Ray gives its processes 30 s to start, which a busy machine may exceed; what is left of a try ends at exit."""
    for attempt in range(ATTEMPTS):
        try:
            return Box(f"{folder}/{attempt}")
        except Exception:  # Ray raises Exception itself
            if attempt + 1 == ATTEMPTS:
                raise
    raise AssertionError
