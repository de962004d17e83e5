"""Where a deduplication stands: what is committed of each stage, who works on what, which jobs have ended too early.

For `smoltrove status` of its output and of the run that it reads. The disk says what is done, the claims who works, the
queue what may still come. Gives up: the number of rounds of `sentence`, which nobody knows before.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field
from rich.console import Console

from pipelines.claim import claims_dir, held
from pipelines.dedup import check, store
from pipelines.dedup.claimed_piece import claims_of
from pipelines.dedup.inputs import DedupPlan, read_json
from pipelines.dedup.methods import method
from pipelines.dedup.stages import FINISH, WRITE, is_complete
from pipelines.dedup.verify import open_dedup
from pipelines.dedup.work import PLAN_FILE, Work
from pipelines.dedup.writer import is_written
from pipelines.ledger import find_record
from pipelines.slurm.client import Job, SlurmSilent, jobs_named
from pipelines.slurm.dedup_launch import last_launch, probe
from pipelines.slurm.pending import meaning
from pipelines.slurm.queue import MOST_SHOWN, last_lines
from pipelines.slurm.submission import Submission, log_dir
from pipelines.store.lock import is_locked
from pipelines.store.store import connect
from pipelines.store.url import store_url


class StageCount(BaseModel):
    """How many pieces of a stage are there; `total` None where nobody knows it."""

    stage: str
    done: int
    total: int | None


class EndedJob(BaseModel):
    """A job that has ended and has not seen the deduplication complete."""

    job: str
    state: str | None
    log: str
    last_lines: list[str]


class DedupView(BaseModel):
    """Where a deduplication stands. `running`: pieces by stage; `pending` counts jobs by Slurm's reason.

    `state`: running, queued, unknown (Slurm does not answer), complete or incomplete.
    """

    output_folder: str
    state: str
    stages: list[StageCount] = Field(default_factory=list)
    jobs: list[str] = Field(default_factory=list)
    after: str | None = None
    log_dir: str | None = None
    waiting: int = 0
    running: dict[str, list[str]] = Field(default_factory=dict)
    pending: dict[str, int] = Field(default_factory=dict)
    ended: list[EndedJob] = Field(default_factory=list)
    problem: str | None = None

    @property
    def complete(self) -> bool:
        """Whether everything is done."""
        return self.state == "complete"

    @property
    def over(self) -> bool:
        """Whether nothing more will come by itself."""
        return self.state in ("complete", "incomplete")

    def print(self) -> None:
        """How far it is, in plain lines."""
        _print_view(self)


def dedup_view(output_folder: Path) -> DedupView:
    """How far a deduplication is. Raises UserError for damaged files."""
    if (url := store_url(output_folder)) is not None:
        return _stored_view(url)
    view = DedupView(output_folder=str(output_folder), state="incomplete")
    found, jobs = last_launch(output_folder), {}
    if found is not None:
        submission, launch = found
        view.jobs, view.after = [str(submission.arrays[0].job_id)], launch.after
        view.log_dir = str(log_dir(probe(output_folder), submission.name))
        try:
            # The queue first: a job that ends between the two looks has finished its work, not lost it.
            jobs = {job.index: job for job in jobs_named(submission.job_names) if job.job_id == view.jobs[0]}
        except SlurmSilent as error:
            view.problem = str(error)
    work = _work(output_folder)
    if work is not None and is_complete(work):
        view.state = "complete"
        return view
    if work is not None:
        view.stages = stage_counts(work)
    if view.problem is not None:
        view.state = "unknown"
    elif found is not None:
        _sort_jobs(view, output_folder, work, found[0], jobs)
    return view


def _stored_view(url: str) -> DedupView:
    """Of one in a store, what is there: its stages are on the machine that works on it."""
    work = _work(Path(url))
    assert work is not None
    records = [
        find_record(work.layout.record(s.output_dir, rank)) for s in work.plan.sources for rank in range(s.tasks)
    ]
    manifest = read_json(work.layout.run_dir / "manifest.json") or {}
    state = "complete" if manifest.get("state") == "complete" and all(records) else "incomplete"
    put = StageCount(stage="put", done=sum(record is not None for record in records), total=len(records))
    return DedupView(output_folder=url, state="running" if is_locked(connect(url)) else state, stages=[put])


def _work(output_folder: Path) -> Work | None:
    """The work of a deduplication that has started."""
    if store_url(output_folder) is not None:
        return open_dedup(output_folder, tables=False)
    layout = probe(output_folder)
    manifest = read_json(layout.run_dir / "manifest.json") or {}
    path = layout.run_dir / PLAN_FILE
    if "fingerprint" not in manifest or not path.is_file():
        return None
    plan = DedupPlan.model_validate_json(path.read_bytes())
    return Work(layout=probe(output_folder, manifest["fingerprint"]), plan=plan)


def _sort_jobs(
    view: DedupView, output_folder: Path, work: Work | None, submission: Submission, jobs: dict[int | None, Job]
) -> None:
    pending: Counter[str] = Counter()
    live: dict[str, Job] = {}
    for element in range(submission.arrays[0].count):
        job = jobs.get(element)
        if job is not None and job.state == "PENDING":
            pending[job.reason] += 1
        elif job is not None and job.live:
            live[job.label] = job
        else:
            log = log_dir(probe(output_folder), submission.name) / f"{submission.arrays[0].job_id}_{element}.out"
            view.ended.append(
                EndedJob(
                    job=f"{submission.arrays[0].job_id}_{element}", state=job.state if job else None, log=str(log),
                    last_lines=last_lines(log),
                )
            )  # fmt: skip
    view.pending = dict(pending)
    busy = set()
    for stage, number, word in _claims(work) if work is not None else ():
        if word.get("job") in live:
            busy.add(word["job"])
            view.running.setdefault(stage, []).append(f"{number} on {word['node']} ({word['job']})")
    view.waiting = len(live) - len(busy)
    view.state = "running" if live else "queued" if pending else "incomplete"


def _claims(work: Work) -> list[tuple[str, int, dict[str, Any]]]:
    """(stage, number, who) of all pieces on which somebody works."""
    folder = claims_dir(work.layout, claims_of(FINISH)).parent
    stages = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return [(stage, number, who) for stage in stages for number, who in held(work.layout, claims_of(stage))]


def stage_counts(work: Work) -> list[StageCount]:
    """Every stage in its order, as far as it is known."""
    files, own = len(work.plan.files), work.own_files()
    found = [_count(work, "index", files)]
    for name in work.methods:
        module = method(name)
        found += [_count(work, f"{name}.scan", files), _count(work, f"{name}.match", module.num_parts(work))]
        if hasattr(module, "settle"):
            found += [_count(work, f"{name}.{part}", None) for part in ("cut", "left", "gone", "piece")]
        if check.is_wanted(work.plan.config, name):
            found.append(_count(work, check.STAGE, files))
        decided = work.folder(f"{name}.decided")
        found.append(StageCount(stage=decided.name, done=int(store.is_committed(decided)), total=1))
    written = sum(is_written(work, index) for index in own)
    return [*found, StageCount(stage=WRITE, done=written, total=len(own)), StageCount(stage=FINISH, done=0, total=1)]


def _count(work: Work, stage: str, total: int | None) -> StageCount:
    done = sum(1 for path in work.folder(stage).glob(f"[0-9]*/{store.TOTALS}"))
    return StageCount(stage=stage, done=done, total=total)


def _print_view(view: DedupView) -> None:
    """How far it is, in plain lines."""
    console = Console(width=180, highlight=False)

    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    counted = [f"{c.stage} {c.done}" + (f"/{c.total}" if c.total is not None else "") for c in view.stages]
    say(f"deduplication into {view.output_folder}: {view.state}")
    if counted:
        say(f"  stages: {', '.join(counted)}")
    if view.problem is not None:
        say(f"  Slurm: {view.problem}")
        return
    if view.jobs and view.state != "complete":
        busy, pending = sum(map(len, view.running.values())), sum(view.pending.values())
        say(
            f"  Slurm {', '.join(view.jobs)}: {busy} working, {view.waiting} waiting for others, {pending} pending, "
            f"{len(view.ended)} ended"
        )
    for stage, pieces in view.running.items():
        say(f"    running: {stage}: {', '.join(pieces[:MOST_SHOWN])}{', ...' if len(pieces) > MOST_SHOWN else ''}")
    for reason, number in view.pending.items():
        words = f"after job {view.after}, the filters' account" if reason == "Dependency" and view.after else None
        words = words or meaning(reason)
        say(f"    pending: {number} jobs, Slurm's reason: {reason}{f' ({words})' if words else ''}")
    for job in view.ended[:MOST_SHOWN]:
        say(f"    ended: {job.job}{f', {job.state}' if job.state else ''}; log: {job.log}")
        for line in job.last_lines:
            say(f"      | {line}")
    if view.ended and view.state == "incomplete":
        say("  run the same command again: it submits what is left")


def show_dedup_status(output_folder: Path, *, as_json: bool) -> int:
    """Print the state of a deduplication; 0 when it is complete."""
    view = dedup_view(output_folder)
    work = _work(output_folder)
    if as_json:
        print(json.dumps(view.model_dump(), ensure_ascii=False, indent=1))
    elif view.state == "complete" and work is not None:
        from pipelines.dedup.command import print_result
        from pipelines.dedup.run import result_of

        print_result(result_of(work), work.plan.config)
        print(f"{work.layout.where}: complete; log: {work.layout.logging_dir}")
    else:
        view.print()
    return 0 if view.state == "complete" else 1
