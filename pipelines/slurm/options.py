"""The options of `--executor slurm` and `ray`, written once for all commands, and merged with the `cluster:` block.

Gives up: a default that depends on the machine; what is not given is the configuration's, then ClusterConfig's.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from pipelines.errors import UserError
from pipelines.slurm.config import ClusterConfig


class Executor(str, Enum):
    """Who starts the tasks of a run."""

    local = "local"
    slurm = "slurm"
    ray = "ray"


# Keys of ClusterConfig that mean something to Ray; ray_address to nobody else.
RAY_KEYS = frozenset({"ray_address", "time", "cpus_per_task", "mem_per_cpu_gb"})


@dataclass(frozen=True)
class ClusterOptions:
    """What a command line says about who runs the tasks; `given` holds the keys of ClusterConfig that it names."""

    executor: Executor = Executor.local
    script_only: bool = False
    wait: bool = False
    given: dict[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Raises UserError for options that another executor takes."""
        named = [f"--{key.replace('_', '-')}" for key in self.given]
        named += [name for name, on in (("--script-only", self.script_only), ("--wait", self.wait)) if on]
        if self.executor is not Executor.ray and "ray_address" in self.given:
            raise UserError("--ray-address: says which Ray cluster; give --executor ray too")
        if self.executor is Executor.local and named:
            raise UserError(f"{named[0]}: says how to run on a cluster; give --executor slurm too")
        if self.executor is Executor.ray:
            ours = [f"--{key.replace('_', '-')}" for key in sorted(RAY_KEYS)]
            foreign = [name for name in named if name not in ours]
            if foreign:
                raise UserError(f"{foreign[0]}: is Slurm's; --executor ray takes {', '.join(ours)}")
            from pipelines.ray.connection import require_ray

            require_ray()

    def merged(self, block: ClusterConfig) -> ClusterConfig:
        """The configuration's block with what the command line says instead. Raises UserError, one line a problem."""
        given = dict(self.given)
        if "sbatch" in given:
            given["sbatch"] = {**block.sbatch, **_pairs(given["sbatch"])}
        try:
            merged = ClusterConfig.model_validate({**block.model_dump(), **given})
        except ValidationError as error:
            lines = []
            for problem in error.errors():
                message = str(problem.get("ctx", {}).get("error") or problem["msg"])
                lines.append(f"--{str(problem['loc'][0]).replace('_', '-')}: {message}")
            raise UserError("\n".join(lines)) from None
        if merged.venv is None:
            return merged
        return merged.model_copy(update={"venv": str(Path(merged.venv).expanduser().absolute())})


def _pairs(texts: list[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        key, _, value = text.partition("=")  # an option without a value is one too: exclusive
        found[key.removeprefix("--")] = value
    return found


# name of the parameter -> its annotation for typer and its default, in the order of `--help`.
_OPTIONS: dict[str, tuple[Any, Any]] = {
    "executor": (Annotated[Executor, typer.Option(help="Who runs the tasks.")], Executor.local),
    "partition": (Annotated[str | None, typer.Option(help="Slurm: partition.", show_default=False)], None),
    "time": (Annotated[str | None, typer.Option(help="Slurm, Ray: time limit of one task, as 24:00:00.")], None),
    "qos": (Annotated[str | None, typer.Option(help="Slurm: quality of service.")], None),
    "account": (Annotated[str | None, typer.Option(help="Slurm: account that is charged.")], None),
    "cpus_per_task": (Annotated[int | None, typer.Option(help="Slurm, Ray: CPUs of one task.")], None),
    "mem_per_cpu_gb": (Annotated[int | None, typer.Option(help="Slurm, Ray: GB of memory for each CPU.")], None),
    "max_array_size": (Annotated[int | None, typer.Option(help="Slurm: jobs in one array, at most.")], None),
    "dedup_jobs": (Annotated[int | None, typer.Option(help="Slurm: jobs of a deduplication, at most.")], None),
    "venv": (Annotated[str | None, typer.Option(help="Slurm: activate script; else that of this process.")], None),
    "node_test_seconds": (
        Annotated[int | None, typer.Option(help="Slurm: how long a test job may wait for a node before; 0: no test.")],
        None,
    ),
    "sbatch": (
        Annotated[list[str] | None, typer.Option(help="Slurm: option of sbatch, as key=value; repeat for several.")],
        None,
    ),
    "ray_address": (
        Annotated[str | None, typer.Option(help="Ray: host:port or auto; without it, a Ray on this machine.")],
        None,
    ),
    "script_only": (Annotated[bool, typer.Option("--script-only", help="Slurm: only write the sbatch files.")], False),
    "wait": (
        Annotated[bool, typer.Option("--wait", help="Slurm: wait for jobs of this run, before and after submitting.")],
        False,
    ),
}  # fmt: skip


def with_cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options above; it takes them together, as the keyword `cluster` (ClusterOptions)."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        values = {name: kwargs.pop(name, default) for name, (_, default) in _OPTIONS.items()}
        own = {name: values.pop(name) for name in ("executor", "script_only", "wait")}
        given = {name: value for name, value in values.items() if value is not None and value != []}
        return command(*args, **kwargs, cluster=ClusterOptions(**own, given=given))

    signature = inspect.signature(command)
    kept = [parameter for parameter in signature.parameters.values() if parameter.name != "cluster"]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in _OPTIONS.items()
    ]
    wrapped.__signature__ = signature.replace(parameters=[*kept, *added])  # type: ignore[attr-defined]
    annotations = {name: hint for name, hint in command.__annotations__.items() if name != "cluster"}
    wrapped.__annotations__ = {**annotations, **{name: hint for name, (hint, _) in _OPTIONS.items()}}
    return wrapped
