"""The machines that an estimate is for: nodes, cores, shared bandwidth, and what a task may take.

Gives up: machines of several kinds, and cores that are slower than the ones the sample was measured on.
"""

import os
from dataclasses import dataclass

from pipelines.errors import UserError
from pipelines.quantities import parse_quantity
from pipelines.slurm.config import ClusterConfig, seconds_of


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """cores_per_node: tasks at a time on a node. bandwidth: bytes a second that all nodes share, None = no bound.
    time_limit: seconds of one task; memory_per_core: bytes of one task; None = no limit."""

    nodes: int = 1
    cores_per_node: int = 1
    bandwidth: float | None = None
    time_limit: float | None = None
    memory_per_core: int | None = None

    @property
    def cores(self) -> int:
        """Tasks at a time."""
        return self.nodes * self.cores_per_node

    @property
    def pooled(self) -> bool:
        """Whether workers live as long as the run: on one node; on several, Slurm starts a process for each task."""
        return self.nodes == 1


def cluster_of(
    *, nodes: int, cores_per_node: int | None, bandwidth: str | None, time_limit: str | None,
    memory_per_core: str | None, block: ClusterConfig,
) -> Cluster:  # fmt: skip
    """The options of a command line. What several nodes may take is the `cluster:` block's unless it is given.

    Raises UserError, one line a problem.
    """
    problems = []
    values: dict[str, float | None] = {"bandwidth": None, "memory": None, "time": None}
    for key, option, text in (
        ("bandwidth", "--bandwidth", bandwidth),
        ("memory", "--memory-per-core", memory_per_core),
    ):
        try:
            values[key] = None if text is None else float(parse_quantity(text))
        except ValueError:
            problems.append(f"{option}: {text!r} is not a number of bytes; write one such as 500M, 1.25G or 2G")
    try:
        values["time"] = None if time_limit is None else seconds_of(time_limit)
    except ValueError as error:
        problems.append(f"--time-limit: {error}; write minutes or hours:minutes:seconds, as 24:00:00")
    if problems:
        raise UserError("\n".join(problems))
    if nodes > 1:
        given = block.mem_per_cpu_gb * block.cpus_per_task * 2**30
        values["memory"] = values["memory"] or float(given)
        values["time"] = values["time"] or seconds_of(block.time)
    memory = values["memory"]
    return Cluster(
        nodes=nodes, cores_per_node=cores_per_node or os.cpu_count() or 1, bandwidth=values["bandwidth"],
        time_limit=values["time"], memory_per_core=None if memory is None else int(memory),
    )  # fmt: skip
