"""What a job runs: one task of a submission (`python -m pipelines.slurm.task RUN SUBMISSION FIRST`), or with `--finish`
the account of the run after all of them.

Exit status 0 means complete, as everywhere. SIGUSR1, which Slurm sends before the time limit, puts the job back into
the queue; SIGTERM ends it with a note. Gives up: a task in parts; one that is stopped begins anew.
"""

import faulthandler
import os
import sys
import time
from pathlib import Path
from typing import NoReturn

from pipelines.claim import Claim, last_word, take
from pipelines.claimed_task import refuse_other_packages, work_on
from pipelines.errors import SourceError, UserError
from pipelines.executors import SafeLog
from pipelines.plan import Plan
from pipelines.run_layout import RunLayout
from pipelines.run_lock import share_workers_lock
from pipelines.slurm.stop_signals import STOPPED, StopSignals, back_into_the_queue
from pipelines.slurm.submission import SETTLED, Submission, read_submission, submission_dir
from pipelines.task_queue import is_complete
from pipelines.verify import open_run
from pipelines.work_queue import MAX_ATTEMPTS


def main(arguments: list[str]) -> int:
    """Run one task, or finish a run. Returns the exit status."""
    sys.stdout, sys.stderr = SafeLog(sys.stdout), SafeLog(sys.stderr)
    faulthandler.enable(file=2)
    run_folder, name, first = arguments
    try:
        layout, plan = open_run(Path(run_folder))
        submission = read_submission(layout, name)
        _refuse_other(layout, submission)
        if first == "--finish":
            return finish(layout, plan, submission)
        number = int(first) + int(os.environ["SLURM_ARRAY_TASK_ID"])
        return run_one(layout, plan, submission.tasks[number])
    except (SourceError, UserError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 2 if isinstance(error, UserError) else 1


def _refuse_other(layout: RunLayout, submission: Submission) -> None:
    """A node with other packages, or a folder that holds another run by now, makes other documents."""
    if submission.fingerprint != layout.fingerprint:
        raise UserError(f"{layout.output_folder}: holds another run than the one that this job was submitted for")
    refuse_other_packages(layout, "give --venv")


def run_one(layout: RunLayout, plan: Plan, task: tuple[int, int]) -> int:
    """One task in this process, under a claim. Returns 0 when it is complete."""
    source, rank = plan.sources[task[0]], task[1]
    label = f"{source.key} task {rank}"
    job_id = os.environ["SLURM_JOB_ID"]
    job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    output_dir = source.source.output_dir
    signals = StopSignals()
    held = share_workers_lock(layout)
    claim = take(layout, output_dir, rank, job=job)
    _answer_signals(signals, claim, job_id)
    outcome, reason = work_on(plan, layout, task, claim)
    if outcome == "failed":
        print(f"FAILED {label}: {reason}", file=sys.stderr, flush=True)
        return 1
    held.close()
    print(f"{outcome} {label}; {time.process_time():.2f} s of CPU in all", flush=True)
    return 0


def _answer_signals(signals: StopSignals, claim: Claim, job_id: str) -> None:
    restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0"))

    def requeue() -> NoReturn:
        if restarts + 1 >= MAX_ATTEMPTS:
            claim.end("failed", f"stopped before its time limit {MAX_ATTEMPTS} times; raise --time or --tasks")
            os._exit(1)
        claim.end("requeued", "stopped before its time limit")
        back_into_the_queue(job_id)

    def stop() -> NoReturn:
        claim.end("stopped", STOPPED)
        os._exit(143)

    signals.answer(requeue, stop)


def finish(layout: RunLayout, plan: Plan, submission: Submission) -> int:
    """The account of a run whose jobs have ended, from what is on disk and nothing else; 0 when it is complete."""
    from pipelines.commands import print_outcome
    from pipelines.run import settle
    from pipelines.run_lock import lock_run

    with lock_run(layout.run_dir):
        result = settle(plan, layout, incomplete_reasons(layout, plan))
        (submission_dir(layout, submission.name) / SETTLED).touch()
    print_outcome(plan, result.outcomes, layout.output_folder, 0)
    return 0 if result.ok else 1


def incomplete_reasons(layout: RunLayout, plan: Plan) -> dict[tuple[int, int], str]:
    """Why each incomplete task is not done, as far as its last job could say; markers without their files go."""
    found = {}
    for index, source in enumerate(plan.sources):
        output_dir = source.source.output_dir
        for rank in range(len(source.tasks)):
            if not is_complete(plan, layout, (index, rank)):
                layout.completion(output_dir, rank).unlink(missing_ok=True)
                found[index, rank] = why_incomplete(layout, output_dir, rank)
    return found


def why_incomplete(layout: RunLayout, output_dir: str, rank: int) -> str:
    """What the last job of a task said, or that it said nothing."""
    word = last_word(layout, output_dir, rank)
    if word is None:
        return "its job did not start it; see `smoltrove status`"
    if word.get("outcome") in ("failed", "stopped", "requeued"):
        return word["reason"]
    return f"its job ended without a word (job {word.get('job')}, node {word.get('node')}); killed?"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
