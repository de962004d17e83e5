"""Whether a cluster can ever run a task, looked at beforehand: Ray waits for ever for what it does not have.

Gives up: nodes that an autoscaler has yet to start; they count when they are there.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pipelines.errors import UserError
from pipelines.slurm.config import ClusterConfig

BYTES_PER_GB = 2**30


def memory_bytes(cluster: ClusterConfig) -> int:
    """Memory of one task, in bytes."""
    return cluster.cpus_per_task * cluster.mem_per_cpu_gb * BYTES_PER_GB


def num_places(nodes: Iterable[Mapping[str, Any]], cluster: ClusterConfig) -> int:
    """How many tasks fit at once on the live nodes of `ray.nodes()` when nobody else is there."""
    return sum(_fitting(node["Resources"], cluster) for node in nodes if node["Alive"])


def _fitting(resources: Mapping[str, float], cluster: ClusterConfig) -> int:
    by_cpu = int(resources.get("CPU", 0) // cluster.cpus_per_task)
    return min(by_cpu, int(resources.get("memory", 0) // memory_bytes(cluster)))


def check_resources(nodes: list[dict[str, Any]], cluster: ClusterConfig) -> int:
    """The number of places. Raises UserError when no node could ever run a task."""
    places = num_places(nodes, cluster)
    if places:
        return places
    alive = [node for node in nodes if node["Alive"]]
    largest = max(alive, key=lambda n: (n["Resources"].get("CPU", 0), n["Resources"].get("memory", 0)), default=None)
    has = "it has no live node" if largest is None else (
        f"{largest['NodeManagerAddress']} has {largest['Resources'].get('CPU', 0):g} CPUs and "
        f"{largest['Resources'].get('memory', 0) / BYTES_PER_GB:.1f} GB"
    )  # fmt: skip
    raise UserError(
        f"--cpus-per-task {cluster.cpus_per_task} --mem-per-cpu-gb {cluster.mem_per_cpu_gb}: no node of this Ray "
        f"cluster has {cluster.cpus_per_task} CPUs and {memory_bytes(cluster) // BYTES_PER_GB} GB for a task; {has}"
    )
