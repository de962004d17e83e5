"""The sbatch scripts: plain text that a person can read, with everything that Slurm is asked for.

Nothing of a configuration is shell code in them: names, values and paths are checked beforehand, and quoted. Gives up:
srun; one process in a job needs no step, and Slurm's signals reach it directly.
"""

import shlex
import sys
import sysconfig
from pathlib import Path

import pipelines
from pipelines.run_layout import RunLayout
from pipelines.slurm.config import ClusterConfig, seconds_of
from pipelines.slurm.submission import Array, Submission, log_dir

# SIGUSR1 comes so long before the time limit, or a tenth of a short limit; Slurm may send it up to a minute earlier.
SIGNAL_SECONDS = 120
TASK, DEDUP = "pipelines.slurm.task", "pipelines.slurm.dedup_task"


def array_script(layout: RunLayout, cluster: ClusterConfig, submission: Submission, array: Array) -> str:
    """The script of one array: element i runs task `array.first` + i of the submission."""
    options = _array_options(layout, cluster, submission, array)
    return _script(layout, cluster, submission, options, TASK, str(array.first))


def dedup_script(layout: RunLayout, cluster: ClusterConfig, submission: Submission, array: Array) -> str:
    """The script of the jobs of a deduplication; `layout` is that of its output."""
    return _script(layout, cluster, submission, _array_options(layout, cluster, submission, array), DEDUP)


def _array_options(layout: RunLayout, cluster: ClusterConfig, submission: Submission, array: Array) -> dict[str, str]:
    lead = min(SIGNAL_SECONDS, int(seconds_of(cluster.time) // 10))
    return {
        "job-name": submission.job_names[0],
        "array": f"0-{array.count - 1}",
        "output": str(log_dir(layout, submission.name) / "%A_%a.out"),
        "signal": f"B:USR1@{lead}",
        "requeue": "",
    }


def finish_script(layout: RunLayout, cluster: ClusterConfig, submission: Submission) -> str:
    """The script of the job that draws up the account when all arrays have ended, however they ended."""
    options = {
        "job-name": submission.job_names[1],
        "output": str(log_dir(layout, submission.name) / "finish_%j.out"),
        "requeue": "",
    }
    return _script(layout, cluster, submission, options, TASK, "--finish")


def _script(
    layout: RunLayout, cluster: ClusterConfig, submission: Submission, options: dict[str, str], *program: str
) -> str:
    """`program`: a module of ours, and what it is told after the folder and the name of the submission."""
    asked = {
        **options,
        "open-mode": "append",
        **resources(cluster),
        "time": cluster.time,
        "kill-on-invalid-dep": "yes",
        **cluster.sbatch,
    }
    command = ["exec", python_of(cluster), "-m", program[0], str(layout.output_folder), submission.name, *program[1:]]
    return "\n".join(["#!/bin/bash", *directives(asked), "set -eu", *environment(cluster), shlex.join(command), ""])


def resources(cluster: ClusterConfig) -> dict[str, str]:
    """What a task is given, and from whom, as options of sbatch."""
    return {
        "nodes": "1",
        "ntasks": "1",
        "cpus-per-task": str(cluster.cpus_per_task),
        "mem-per-cpu": f"{cluster.mem_per_cpu_gb}G",
        **{key: value for key in ("partition", "qos", "account") if (value := getattr(cluster, key)) is not None},
    }


def directives(options: dict[str, str]) -> list[str]:
    """Options of sbatch as lines of a script."""
    return [f"#SBATCH --{key}={value}" if value else f"#SBATCH --{key}" for key, value in options.items()]


def environment(cluster: ClusterConfig) -> list[str]:
    """Lines of shell after which this project's packages are found."""
    activate = cluster.venv or own_venv()
    lines = []
    if activate is not None:
        # Activate scripts of old virtualenvs read variables that are not set.
        lines += ["set +u", f". {shlex.quote(activate)}", "set -u"]
    place = Path(pipelines.__file__).resolve().parent.parent
    if place not in {Path(sysconfig.get_path(key)).resolve() for key in ("purelib", "platlib")}:
        # A clone that is not installed; an installed package is found without this.
        lines.append(f'export PYTHONPATH={shlex.quote(str(place))}"${{PYTHONPATH:+:$PYTHONPATH}}"')
    return [*lines, "export PYTHONUNBUFFERED=1"]


def python_of(cluster: ClusterConfig) -> str:
    """The interpreter, to be called after `environment`."""
    return "python" if cluster.venv or own_venv() else sys.executable


def own_venv() -> str | None:
    """The activate script of the virtual environment that this process runs in; None outside of one."""
    script = Path(sys.prefix) / "bin" / "activate"
    return str(script) if sys.prefix != sys.base_prefix and script.is_file() else None
