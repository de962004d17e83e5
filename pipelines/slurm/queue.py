"""Where the tasks of a run stand: Slurm's queue beside the ledger, for `smoltrove status` and `cancel`.

The ledger says what is complete; the queue only says what may still come. Gives up: history; of a task that was tried
several times the last try is shown.
"""

from collections import Counter
from pathlib import Path

from pydantic import BaseModel, Field
from rich.console import Console
from rich.table import Table

from pipelines.plan import Plan
from pipelines.run_layout import RunLayout
from pipelines.slurm.client import Job, SlurmSilent, cancel, jobs_named
from pipelines.slurm.pending import meaning
from pipelines.slurm.submission import SETTLED, Submission, known_jobs, log_dir, submission_dir, submissions
from pipelines.slurm.task import why_incomplete
from pipelines.task_queue import is_complete

LOG_LINES = 3
MOST_SHOWN = 10
_TAIL_BYTES = 4096
_WIDE = 2000  # a table is as wide as its cells; this only keeps paths from being cut off


class FailedTask(BaseModel):
    """A task that is not complete and has no job any more."""

    source: str
    rank: int
    job: str
    state: str | None
    reason: str
    log: str | None
    last_lines: list[str]


class QueueView(BaseModel):
    """The incomplete tasks of the last submission.

    `pending` counts them by Slurm's reason, `waiting` by source; `problem`: Slurm does not answer; `settled`: the last
    job has drawn up its account, so that nothing is left to come.
    """

    jobs: list[str]
    finish_job: str | None = None
    log_dir: str
    running: dict[str, list[str]] = Field(default_factory=dict)
    pending: dict[str, int] = Field(default_factory=dict)
    waiting: dict[str, int] = Field(default_factory=dict)
    failed: list[FailedTask] = Field(default_factory=list)
    problem: str | None = None
    is_live: bool = False
    settled: bool = False

    @property
    def state(self) -> str | None:
        """running, queued, unknown, or None when no job is left."""
        if self.problem is not None:
            return None if self.settled else "unknown"
        if self.running:
            return "running"
        return "queued" if self.is_live else None


def queue_view(layout: RunLayout, plan: Plan) -> QueueView | None:
    """What Slurm and the claims say about a run; None for a run that was never submitted."""
    known = [submission for submission in submissions(layout) if submission.was_submitted]
    if not known:
        return None
    last = known[-1]
    view = QueueView(
        jobs=[array.job_id for array in last.arrays if array.job_id is not None],
        finish_job=last.finish_id,
        log_dir=str(log_dir(layout, last.name)),
        settled=(submission_dir(layout, last.name) / SETTLED).exists(),
    )
    try:
        jobs = jobs_named(last.job_names)
    except SlurmSilent as error:
        view.problem = str(error)
        return view
    view.is_live = any(job.live for job in jobs)
    _sort_tasks(view, layout, plan, last, {(job.job_id, job.index): job for job in jobs})
    return view


def _sort_tasks(
    view: QueueView, layout: RunLayout, plan: Plan, last: Submission, jobs: dict[tuple[str, int | None], Job]
) -> None:
    pending: Counter[str] = Counter()
    for number, (index, rank) in enumerate(last.tasks):
        if is_complete(plan, layout, (index, rank)):
            continue
        source = plan.sources[index]
        array, element = last.place_of(number)
        job = jobs.get((array.job_id or "", element))
        if job is not None and job.state == "PENDING":
            pending[job.reason] += 1
            view.waiting[source.key] = view.waiting.get(source.key, 0) + 1
        elif job is not None and job.live:
            view.running.setdefault(source.key, []).append(f"task {rank} on {job.node} ({job.label})")
        else:
            log = last.log_path(layout, number)
            view.failed.append(
                FailedTask(
                    source=source.key, rank=rank, job=f"{array.job_id}_{element}", state=job.state if job else None,
                    reason=why_incomplete(layout, source.source.output_dir, rank), log=str(log) if log else None,
                    last_lines=last_lines(log) if log else [],
                )
            )  # fmt: skip
    view.pending = dict(pending)


def last_lines(path: Path) -> list[str]:
    """The last lines of a log, [] where there is none; secrets were kept out of it when it was written."""
    try:
        with open(path, "rb") as handle:
            handle.seek(0, 2)
            handle.seek(max(0, handle.tell() - _TAIL_BYTES))
            text = handle.read().decode(errors="replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()][-LOG_LINES:]


def print_queue(view: QueueView) -> None:
    """The queue in plain lines, below the table of sources."""
    console = Console(width=180, highlight=False)

    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    if view.problem is not None:
        say(f"Slurm: {view.problem}")
        return
    running, pending = sum(map(len, view.running.values())), sum(view.pending.values())
    say(f"Slurm {', '.join(view.jobs)}: {running} running, {pending} pending, {len(view.failed)} failed")
    for source, tasks in view.running.items():
        say(f"  running: {source}: {', '.join(tasks[:MOST_SHOWN])}{', ...' if len(tasks) > MOST_SHOWN else ''}")
    for reason, number in view.pending.items():
        words = f" ({meaning(reason)})" if meaning(reason) else ""
        say(f"  pending: {number} tasks, Slurm's reason: {reason}{words}")
    if len(view.waiting) > 1:
        counts = [f"{source} {number}" for source, number in view.waiting.items()]
        say(f"  pending by source: {', '.join(counts[:MOST_SHOWN])}{', ...' if len(counts) > MOST_SHOWN else ''}")
    for task in view.failed[:MOST_SHOWN]:
        state = f", {task.state}" if task.state else ""
        say(f"  failed: {task.source} task {task.rank}: {task.reason} (Slurm {task.job}{state}; log: {task.log})")
        for line in task.last_lines:
            say(f"    | {line}")
    if len(view.failed) > MOST_SHOWN:
        say(f"  ... and {len(view.failed) - MOST_SHOWN} more failed; --json has all")
    if view.failed and not view.is_live:
        say("  run the same command again: it submits the incomplete tasks only")


def print_submission(layout: RunLayout, plan: Plan, submission: Submission) -> None:
    """The table that a submission answers with: which jobs, for what, and what to type next."""
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("source", no_wrap=True)
    for heading in ("tasks", "jobs", "logs of the tasks"):
        table.add_column(heading, no_wrap=True)
    for index, source in enumerate(plan.sources):
        numbers = [number for number, task in enumerate(submission.tasks) if task[0] == index]
        if numbers:
            table.add_row(
                source.key,
                f"{len(numbers)} of {len(source.tasks)}",
                _ranges(submission, numbers),
                str(layout.log_dir(source.source.output_dir)),
            )
    console = Console(width=_WIDE, highlight=False)
    console.print(table)
    arrays = ", ".join(str(array.job_id) for array in submission.arrays)
    out = layout.output_folder
    for line in (
        f"{len(submission.tasks)} tasks submitted to Slurm as {arrays}; the account follows as {submission.finish_id}",
        f"logs of the jobs: {log_dir(layout, submission.name)}/<job>_<index>.out",
        f"progress: smoltrove status {out}",
        f"to end it: smoltrove cancel {out}",
    ):
        console.print(line, markup=False, soft_wrap=True)


def _ranges(submission: Submission, numbers: list[int]) -> str:
    """Tasks that stand one after the other, as Slurm's programs take them: 12_[0-3], 13_[0]."""
    found: dict[str, list[int]] = {}
    for number in numbers:
        array, element = submission.place_of(number)
        found.setdefault(str(array.job_id), []).append(element)
    parts = []
    for job_id, elements in found.items():
        first, last = elements[0], elements[-1]
        parts.append(f"{job_id}_[{first}]" if first == last else f"{job_id}_[{first}-{last}]")
    return ", ".join(parts)


def cancel_run(layout: RunLayout) -> int:
    """End all jobs of a run; how many were queued or running."""
    live = [job for job in known_jobs(layout) if job.live]
    cancel(live)
    return len(live)
