"""What was submitted, on disk: one folder for each submission, its list of tasks never written twice.

    _run/slurm/<name>/tasks.json       the tasks of its jobs; job number n of a submission runs the n-th of them
    _run/slurm/<name>/jobs.json        the arrays with their ids, as far as they have been submitted
    _run/slurm/<name>/*.sbatch         the scripts

datatrove writes one `ranks_to_run.json` anew at each launch, below the feet of a running array. Gives up: forgetting;
folders of earlier submissions stay with the run, for they say which job wrote which log.
"""

import json
import secrets
from datetime import datetime, timezone
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipelines.errors import UserError
from pipelines.ledger import write_atomically
from pipelines.run_layout import RunLayout
from pipelines.slurm.client import Job, SlurmSilent, jobs_named

Task = tuple[int, int]  # (index of the source in the plan, rank)
SLURM_DIR = "slurm"
SETTLED = "settled"  # written when all jobs of a submission had ended and its account was drawn up


class Array(BaseModel):
    """One array of jobs: `count` elements from task number `first` on. `job_id` None: not submitted (yet)."""

    model_config = ConfigDict(frozen=True)

    script: str
    first: int
    count: int
    job_id: str | None = None


class Submission(BaseModel):
    """One launch of a run's incomplete tasks. `name` is the name of its jobs in the queue and of its folder."""

    model_config = ConfigDict(frozen=True)

    name: str
    fingerprint: str
    tasks: tuple[Task, ...]
    arrays: tuple[Array, ...] = ()
    finish_id: str | None = None

    @property
    def job_names(self) -> tuple[str, str]:
        """Names in the queue: of the arrays, and of the job that draws up the account."""
        return self.name, f"{self.name}-finish"

    @property
    def was_submitted(self) -> bool:
        """Whether any job came of it; sbatch may have refused."""
        return any(array.job_id is not None for array in self.arrays)

    def place_of(self, number: int) -> tuple[Array, int]:
        """The array that runs task number `number`, and the element's index in it."""
        array = next(a for a in self.arrays if a.first <= number < a.first + a.count)
        return array, number - array.first

    def log_path(self, layout: RunLayout, number: int) -> Path | None:
        """The log of the job of a task; None while it has no job."""
        array, index = self.place_of(number)
        return None if array.job_id is None else log_dir(layout, self.name) / f"{array.job_id}_{index}.out"


def new_submission(layout: RunLayout, tasks: tuple[Task, ...]) -> Submission:
    """A submission with a name of its own; nothing is written yet."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S-%f")
    name = f"smoltrove-{layout.fingerprint[:8]}-{stamp}-{secrets.token_hex(2)}"
    return Submission(name=name, fingerprint=layout.fingerprint, tasks=tasks)


def submission_dir(layout: RunLayout, name: str) -> Path:
    """The folder of a submission."""
    return layout.run_dir / SLURM_DIR / name


def log_dir(layout: RunLayout, name: str) -> Path:
    """Where Slurm writes the output of a submission's jobs."""
    return layout.logging_dir / SLURM_DIR / name


def record(layout: RunLayout, submission: Submission) -> None:
    """Write what is known; the list of tasks only the first time."""
    folder = submission_dir(layout, submission.name)
    if not (folder / "tasks.json").exists():
        write_atomically(folder / "tasks.json", submission.model_dump_json(include={"name", "fingerprint", "tasks"}))
    write_atomically(folder / "jobs.json", submission.model_dump_json(include={"arrays", "finish_id"}))


def read_submission(layout: RunLayout, name: str) -> Submission:
    """A submission back from disk. Raises UserError where there is none."""
    folder = submission_dir(layout, name)
    try:
        parts = [json.loads((folder / part).read_bytes()) for part in ("tasks.json", "jobs.json")]
        return Submission.model_validate({**parts[0], **parts[1]})
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: not a submission ({str(error).splitlines()[0]})") from None


def submissions(layout: RunLayout) -> list[Submission]:
    """All submissions of a run, oldest first; scripts that were only written (`--script-only`) are none."""
    folder = layout.run_dir / SLURM_DIR
    names = sorted(path.parent.name for path in folder.glob("*/jobs.json")) if folder.is_dir() else []
    return sorted((read_submission(layout, name) for name in names), key=lambda s: s.name.split("-", 2)[2])


def known_jobs(layout: RunLayout) -> list[Job]:
    """The queue's view of all jobs that were ever submitted for this run."""
    return jobs_named([name for submission in submissions(layout) for name in submission.job_names])


def refuse_while_live(layout: RunLayout) -> None:
    """Raises UserError while a job of this run is queued or running, or when nobody can say."""
    if not (layout.run_dir / SLURM_DIR).is_dir():
        return
    try:
        live = [job for job in known_jobs(layout) if job.live]
    except SlurmSilent as error:
        if all((submission_dir(layout, s.name) / SETTLED).exists() for s in submissions(layout)):
            return
        raise UserError(
            f"{layout.output_folder}: has jobs in a Slurm queue that cannot be asked about ({error}); run this command "
            "where `squeue` works"
        ) from None
    if live:
        shown = ", ".join(sorted({job.job_id for job in live})[:5])
        raise UserError(
            f"{layout.output_folder}: {len(live)} jobs of this run are queued or running (Slurm {shown}); wait for "
            f"them (--wait), look at them (smoltrove status {layout.output_folder}) or end them (smoltrove cancel "
            f"{layout.output_folder})"
        )
