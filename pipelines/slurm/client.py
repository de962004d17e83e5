"""Slurm's own programs: submit, cancel, ask. Everything that is known about a queue comes through here.

Jobs are found by name, which is unique to a submission, not by id: a name is on disk before its job is submitted, and
Slurm gives ids out again. No sacct, which needs a database that many clusters do not have. Gives up: states of jobs
that ended longer ago than the controller remembers (MinJobAge, five minutes by default).
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import UserError

# squeue(1), JOB STATE CODES: those after which nothing of a job runs. COMPLETING is not one of them.
ENDED = frozenset(
    {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED",
     "TIMEOUT"}
)  # fmt: skip
PROGRAMS = ("sbatch", "squeue", "scancel", "scontrol")
_ANSWER_SECONDS = 60
_TRIES = 3
_FIELDS = "%F|%K|%T|%r|%N|%j"


class SlurmSilent(UserError):
    """Slurm does not answer, or is not on this machine."""


@dataclass(frozen=True)
class Job:
    """One job, or one element of an array (`index`; None for a job of its own), as squeue knows it."""

    job_id: str
    index: int | None
    state: str
    reason: str
    node: str
    name: str

    @property
    def live(self) -> bool:
        """Queued, running, or not yet quite gone."""
        return self.state not in ENDED

    @property
    def label(self) -> str:
        """As Slurm's programs take it: 12, or 12_3 for an element of an array."""
        return self.job_id if self.index is None else f"{self.job_id}_{self.index}"


def ask(*command: str, tries: int = _TRIES) -> str:
    """What a program of Slurm prints. Raises SlurmSilent with its words when it fails; a busy controller gets time."""
    if shutil.which(command[0]) is None:
        raise SlurmSilent(f"{command[0]}: not on this machine; run the command on a node of the cluster")
    words = ""
    for attempt in range(tries):
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False,
                env={**os.environ, "SLURM_BITSTR_LEN": "0", "LC_ALL": "C"},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            words = f"no answer in {_ANSWER_SECONDS} s"
            continue
        if done.returncode == 0:
            return done.stdout
        words = " ".join((done.stderr or done.stdout).split())
        if attempt + 1 < tries:
            time.sleep(1.0)
    raise SlurmSilent(f"{command[0]}: {words or 'failed without a word'}; see that the cluster is up, and try again")


def jobs_named(names: Sequence[str]) -> list[Job]:
    """All jobs with one of these names that the controller remembers, ended ones too; array elements one by one."""
    if not names:
        return []
    text = ask("squeue", "-h", "-r", "-t", "all", f"--name={','.join(names)}", "-o", _FIELDS)
    return [_job(line) for line in text.splitlines() if line.strip()]


def _job(line: str) -> Job:
    job_id, index, state, reason, node, name = line.strip().split("|")
    return Job(job_id, int(index) if index.isdigit() else None, state, reason, node, name)


def submit(script: Path, *options: str) -> str:
    """The id of the submitted job. Raises UserError with sbatch's words when it is refused."""
    try:
        # Not tried again: a refusal stays one, and an answer that was lost may have been a job.
        answer = ask("sbatch", "--parsable", *options, str(script), tries=1)
    except SlurmSilent as error:
        words = str(error).partition("; see that")[0]
        raise UserError(f"{words}; change the options or the `cluster:` block, script: {script}") from None
    return answer.strip().partition(";")[0]


def cancel(jobs: Sequence[Job]) -> None:
    """scancel jobs, and wait until they have left the queue, a minute at most."""
    whole = sorted({job.job_id for job in jobs})
    if not whole:
        return
    ask("scancel", *whole)
    names, deadline = sorted({job.name for job in jobs}), time.monotonic() + 60
    while any(job.live for job in jobs_named(names)) and time.monotonic() < deadline:
        time.sleep(0.5)


def settings(kind: str, name: str = "") -> list[dict[str, str]]:
    """`scontrol show <kind> -o`, one dictionary for each line."""
    text = ask("scontrol", "show", kind, *([name] if name else []), "-o")
    return [dict(re.findall(r"(\w+)=(\S*)", line)) for line in text.splitlines() if "=" in line]


def max_array_size() -> int | None:
    """The cluster's MaxArraySize: indices of an array are below it. None where it is not said."""
    match = re.search(r"^MaxArraySize\s*=\s*(\d+)", ask("scontrol", "show", "config"), re.MULTILINE)
    return int(match[1]) if match else None
