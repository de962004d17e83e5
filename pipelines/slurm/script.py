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


def array_script(layout: RunLayout, cluster: ClusterConfig, submission: Submission, array: Array) -> str:
    """The script of one array: element i runs task `array.first` + i of the submission."""
    lead = min(SIGNAL_SECONDS, int(seconds_of(cluster.time) // 10))
    options = {
        "job-name": submission.job_names[0],
        "array": f"0-{array.count - 1}",
        "output": str(log_dir(layout, submission.name) / "%A_%a.out"),
        "signal": f"B:USR1@{lead}",
        "requeue": "",
    }
    return _script(layout, cluster, submission, options, str(array.first))


def finish_script(layout: RunLayout, cluster: ClusterConfig, submission: Submission) -> str:
    """The script of the job that draws up the account when all arrays have ended, however they ended."""
    options = {
        "job-name": submission.job_names[1],
        "output": str(log_dir(layout, submission.name) / "finish_%j.out"),
        "requeue": "",
    }
    return _script(layout, cluster, submission, options, "--finish")


def _script(
    layout: RunLayout, cluster: ClusterConfig, submission: Submission, options: dict[str, str], last_argument: str
) -> str:
    asked = {
        **options,
        "open-mode": "append",
        "nodes": "1",
        "ntasks": "1",
        "cpus-per-task": str(cluster.cpus_per_task),
        "mem-per-cpu": f"{cluster.mem_per_cpu_gb}G",
        "time": cluster.time,
        "kill-on-invalid-dep": "yes",
        **{key: value for key in ("partition", "qos", "account") if (value := getattr(cluster, key)) is not None},
        **cluster.sbatch,
    }
    directives = [f"#SBATCH --{key}={value}" if value else f"#SBATCH --{key}" for key, value in asked.items()]
    command = ["exec", _python(cluster), "-m", "pipelines.slurm.task", str(layout.output_folder), submission.name]
    return "\n".join(
        ["#!/bin/bash", *directives, "set -eu", *_environment(cluster), shlex.join([*command, last_argument]), ""]
    )


def _environment(cluster: ClusterConfig) -> list[str]:
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


def _python(cluster: ClusterConfig) -> str:
    return "python" if cluster.venv or own_venv() else sys.executable


def own_venv() -> str | None:
    """The activate script of the virtual environment that this process runs in; None outside of one."""
    script = Path(sys.prefix) / "bin" / "activate"
    return str(script) if sys.prefix != sys.base_prefix and script.is_file() else None
