"""The `cluster:` block of a stage configuration: what Slurm or Ray is asked for. It decides no document.

So it is no part of a run's fingerprint, and may change between two attempts. Gives up: settings per source; a source
that needs more memory sets the memory of all.
"""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

# What may stand in an sbatch script beside code; no blanks, quotes or shell characters. Commas separate partitions.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(,[A-Za-z0-9][A-Za-z0-9._-]*)*")
_KEY = re.compile(r"[a-z][a-z0-9-]*")
_VALUE = re.compile(r"[A-Za-z0-9._,:=/@%+*\[\]&|!()-]*")
# sbatch(1), --time: minutes, minutes:seconds, h:m:s, days-h, days-h:m, days-h:m:s.
_TIME = re.compile(r"\d+(:\d{1,2}){0,2}|\d+-\d{1,2}(:\d{1,2}){0,2}")
_ADDRESS = re.compile(r"([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9a-fA-F:]+\]):[0-9]{1,5}")
# What the toolkit sets itself; another value would lose tasks or their logs.
RESERVED = (
    "array", "begin-after", "chdir", "cpus-per-task", "dependency", "error", "export", "export-file", "job-name",
    "mem-per-cpu", "ntasks", "output", "parsable", "partition", "qos", "account", "test-only", "time", "wait", "wrap",
    "kill-on-invalid-dep", "open-mode", "input",
)  # fmt: skip
# As many as MinHash has buckets: of a stage with fewer parts than jobs, the others have nothing.
DEDUP_JOBS = 14


def _clean(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} is not a name; use letters, digits, '.', '_', '-', and a letter or digit first")
    return value


def _time(value: Any) -> Any:
    value = str(value) if type(value) is int else value
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise ValueError(f"{value!r} is not a time limit; write minutes or hours:minutes:seconds, as 24:00:00")
    return value


def _arguments(value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError("write a mapping of sbatch options, such as {constraint: haswell}")
    found = {}
    for key, text in value.items():
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} is not an option of sbatch; write its long name without '--', as constraint")
        if key in RESERVED:
            raise ValueError(f"{key!r} is set by the toolkit or by a key of its own; remove it")
        text = str(text) if type(text) in (int, float) else text
        if not isinstance(text, str) or not _VALUE.fullmatch(text):
            raise ValueError(f"{key}: {text!r} has characters that do not belong into an option of sbatch; remove them")
        found[key] = text
    return found


def check_address(value: str) -> str:
    """The address of a Ray cluster. Raises ValueError for what is none, such as `ray://` of Ray Client."""
    if value != "auto" and not _ADDRESS.fullmatch(value):
        raise ValueError(f"{value!r} is no address of Ray; write host:port, or auto on a node of the cluster")
    return value


def _path(value: str) -> str:
    check_path(value)
    return value


def check_path(value: str) -> None:
    """Raises ValueError for a path that sbatch or a shell would read as something else: % is a pattern to sbatch."""
    if not re.fullmatch(r"[A-Za-z0-9._/@+=,~-]+", value):
        raise ValueError(f"{value!r} has characters that mean something to sbatch or a shell; choose a plain path")


CleanName = Annotated[str, AfterValidator(_clean)]


class ClusterConfig(BaseModel):
    """What one task is given, and how jobs are submitted.

    time: limit of one job, as sbatch writes it; mem_per_cpu_gb: GB (2**30 bytes) for each CPU. max_array_size: jobs in
    one array; None = what the cluster allows, at most 1000. dedup_jobs: jobs of a deduplication, each of one process;
    None = DEDUP_JOBS; never more than files. venv: activate script; None = the environment that submits.
    node_test_seconds: how long the test job before a submission may wait for a node; 0 = no test job.
    ray_address: host:port or auto; None = $RAY_ADDRESS, or a Ray of the run's own on this machine.
    The defaults of cpus_per_task and mem_per_cpu_gb are those of datatrove's SlurmPipelineExecutor (0.10.1).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    partition: CleanName | None = None
    time: Annotated[str, BeforeValidator(_time)] = "24:00:00"
    qos: CleanName | None = None
    account: CleanName | None = None
    cpus_per_task: int = Field(default=1, ge=1, le=1024)
    mem_per_cpu_gb: int = Field(default=2, ge=1, le=4096)
    max_array_size: int | None = Field(default=None, ge=1, le=4_000_000)
    dedup_jobs: int | None = Field(default=None, ge=1, le=4_000_000)
    venv: Annotated[str, AfterValidator(_path)] | None = None
    node_test_seconds: int = Field(default=120, ge=0, le=86_400)
    ray_address: Annotated[str, AfterValidator(check_address)] | None = None
    sbatch: Annotated[dict[str, str], BeforeValidator(_arguments)] = Field(default_factory=dict)


def seconds_of(limit: str) -> float:
    """A time limit of Slurm in seconds; infinite for UNLIMITED and INFINITE. Raises ValueError for anything else."""
    if limit.upper() in ("UNLIMITED", "INFINITE"):
        return float("inf")
    if not _TIME.fullmatch(limit):
        raise ValueError(f"{limit!r} is not a time limit")
    days, dash, clock = limit.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    if dash:  # days-hours[:minutes[:seconds]]
        hours, minutes, seconds = (*parts, 0, 0)[:3]
    elif len(parts) == 3:
        hours, minutes, seconds = parts
    else:  # minutes[:seconds]
        hours, (minutes, seconds) = 0, (*parts, 0)[:2]
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60.0 + seconds
