"""What a cluster allows, looked at before anything is submitted: a job that can never start waits for ever.

Gives up: limits of accounts and QOS, which live in Slurm's database; sbatch itself refuses on those.
"""

from pipelines.errors import UserError, did_you_mean
from pipelines.slurm.client import max_array_size, settings
from pipelines.slurm.config import ClusterConfig, seconds_of

DEFAULT_ARRAY_SIZE = 1000
_MB_PER_GB = 1024


def array_size(cluster: ClusterConfig) -> int:
    """How many jobs one array may have. Raises UserError when the asked is more than the cluster's MaxArraySize."""
    most = max_array_size()
    asked = cluster.max_array_size
    if most is not None and asked is not None and asked > most:
        raise UserError(f"--max-array-size {asked}: this cluster allows {most} (MaxArraySize); lower it")
    return asked or min(DEFAULT_ARRAY_SIZE, most or DEFAULT_ARRAY_SIZE)


def check_limits(cluster: ClusterConfig) -> None:
    """Raises UserError when no node of the partition could ever run a task, or not for so long."""
    partitions = {row["PartitionName"]: row for row in settings("partition")}
    if cluster.partition is None:
        names = [name for name, row in partitions.items() if row.get("Default") == "YES"]
        if not names:
            raise UserError(f"--partition: this cluster has no default; choose one of {', '.join(partitions)}")
    else:
        names = cluster.partition.split(",")
    for name in names:
        if name not in partitions:
            near = did_you_mean(name, partitions)
            raise UserError(f"--partition {name}: there is none of that name{near}; known: {', '.join(partitions)}")
        longest = partitions[name].get("MaxTime", "UNLIMITED")
        if seconds_of(cluster.time) > seconds_of(longest):
            raise UserError(
                f"--time {cluster.time}: partition {name} allows {longest}; lower it or choose another --partition"
            )
    _check_nodes(cluster, names)


def _check_nodes(cluster: ClusterConfig, partitions: list[str]) -> None:
    nodes = [row for row in settings("node") if set(row.get("Partitions", "").split(",")) & set(partitions)]
    megabytes = cluster.cpus_per_task * cluster.mem_per_cpu_gb * _MB_PER_GB
    if not nodes:
        raise UserError(f"--partition {','.join(partitions)}: has no nodes; choose another")
    if not any(_number(n, "CPUTot") >= cluster.cpus_per_task and _number(n, "RealMemory") >= megabytes for n in nodes):
        largest = max(nodes, key=lambda n: (_number(n, "RealMemory"), _number(n, "CPUTot")))
        raise UserError(
            f"--cpus-per-task {cluster.cpus_per_task} --mem-per-cpu-gb {cluster.mem_per_cpu_gb}: no node of partition "
            f"{','.join(partitions)} has {cluster.cpus_per_task} CPUs and {megabytes // _MB_PER_GB} GB; "
            f"{largest['NodeName']} has {largest.get('CPUTot')} CPUs and "
            f"{_number(largest, 'RealMemory') // _MB_PER_GB} GB"
        )


def _number(row: dict[str, str], key: str) -> int:
    return int(row[key]) if row.get(key, "").isdigit() else 0
