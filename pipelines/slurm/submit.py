"""`--executor slurm`: the incomplete tasks of a plan as arrays of jobs, and one job after them for the account.

The plan, the ledger and the marks of completeness are those of a local run; only who starts a task differs. Gives up:
starting a second submission beside a live one; more tasks for a run are a reason to wait.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pipelines.config import LoadedConfig
from pipelines.errors import UserError
from pipelines.ledger import write_atomically
from pipelines.plan import Plan, largest_task_first
from pipelines.progress import MainLog
from pipelines.run import RunResult, begin, prepare, settle
from pipelines.run_layout import RunLayout
from pipelines.run_lock import lock_run
from pipelines.slurm.client import SlurmSilent, cancel, jobs_named, submit
from pipelines.slurm.config import ClusterConfig, check_path
from pipelines.slurm.limits import DEFAULT_ARRAY_SIZE, array_size, check_limits
from pipelines.slurm.node_check import check_on_a_node, files_of
from pipelines.slurm.script import array_script, finish_script, own_venv
from pipelines.slurm.submission import (
    SETTLED,
    Array,
    Submission,
    known_jobs,
    log_dir,
    new_submission,
    record,
    refuse_while_live,
    submission_dir,
)
from pipelines.slurm.task import incomplete_reasons
from pipelines.task_queue import is_complete

SCRIPTS_DIR = "slurm_scripts"
_POLL_SECONDS = 2.0


def submit_plan(
    plan: Plan, config: LoadedConfig, cluster: ClusterConfig, *, output_folder: Path, logging_dir: Path,
    mirror: Path | None, fresh: bool, wait: bool, say: Callable[[str], None],
) -> tuple[RunLayout, Submission | RunResult]:  # fmt: skip
    """Submit what is left of a plan; when nothing was left, its account, drawn up at once.

    `say` is told what is waited for.
    Raises UserError when the folders, the cluster or sbatch refuse; nothing is in the queue then.
    """
    layout, data = _prepared(plan, cluster, output_folder, logging_dir, mirror, fresh)
    check_limits(cluster)
    size = array_size(cluster)
    if wait:
        wait_until_idle(layout)
    refuse_while_live(layout)
    with lock_run(layout.run_dir):
        refuse_while_live(layout)
        if fresh or _planned(plan, layout, size) is not None:
            # Before an old run is deleted, and before a new one is written down.
            check_on_a_node(layout, files_of(plan, layout.mirror), cluster, say=say)
        begin(layout, plan, config, data, fresh=fresh)
        submission = _planned(plan, layout, size)
        if submission is None:
            return layout, settle(plan, layout, {}, num_done_before=plan.num_tasks)
        log_dir(layout, submission.name).mkdir(parents=True, exist_ok=True)
        folder = submission_dir(layout, submission.name)
        _write_scripts(layout, cluster, submission, folder)
        for index, rank in submission.tasks:
            layout.completion(plan.sources[index].source.output_dir, rank).unlink(missing_ok=True)
        record(layout, submission)
        try:
            submission = _submit(layout, submission, folder)
        except UserError:
            # All or nothing: what was submitted before the refusal would run without an account at its end.
            with suppress(SlurmSilent):
                cancel([job for job in jobs_named(submission.job_names) if job.live])
                (folder / SETTLED).touch()
            raise
        log = MainLog(plan, layout.logging_dir / "main.log")
        ids = ", ".join(str(array.job_id) for array in submission.arrays)
        log.say(f"run {layout.fingerprint[:16]}: {len(submission.tasks)} tasks submitted to Slurm as {ids}")
        log.close()
    return layout, submission


def write_scripts_only(
    plan: Plan, config: LoadedConfig, cluster: ClusterConfig, *, output_folder: Path, logging_dir: Path,
    mirror: Path | None, fresh: bool,
) -> Path | None:  # fmt: skip
    """Write the scripts that `submit_plan` would submit, to read; returns their folder, None when nothing is left."""
    layout, data = _prepared(plan, cluster, output_folder, logging_dir, mirror, fresh)
    try:
        size = array_size(cluster)
    except SlurmSilent:
        size = cluster.max_array_size or DEFAULT_ARRAY_SIZE
    with lock_run(layout.run_dir):
        refuse_while_live(layout)
        begin(layout, plan, config, data, fresh=fresh)
        submission = _planned(plan, layout, size)
        if submission is None:
            return None
        folder = layout.run_dir / SCRIPTS_DIR
        for old in folder.glob("*.sbatch"):
            old.unlink()
        _write_scripts(layout, cluster, submission, folder)
        return folder


def _prepared(
    plan: Plan, cluster: ClusterConfig, output_folder: Path, logging_dir: Path, mirror: Path | None, fresh: bool
) -> tuple[RunLayout, dict[str, object]]:
    for option, path in (("--output-folder", output_folder), ("--logging-dir", logging_dir)):
        try:
            check_path(str(path.absolute()))
        except ValueError as error:
            raise UserError(f"{option}: {error}") from None
    check_venv(cluster)
    return prepare(plan, output_folder=output_folder, logging_dir=logging_dir, mirror=mirror, fresh=fresh)


def check_venv(cluster: ClusterConfig) -> None:
    """Raises UserError when the activate script is not there."""
    if cluster.venv is not None and not Path(cluster.venv).is_file():
        example = own_venv() or ".venv/bin/activate"
        raise UserError(f"--venv {cluster.venv}: no such file; give the activate script, as {example}")


def _planned(plan: Plan, layout: RunLayout, size: int) -> Submission | None:
    tasks = tuple(
        (index, rank)
        for index in largest_task_first(plan.sources)
        for rank in range(len(plan.sources[index].tasks))
        if not is_complete(plan, layout, (index, rank))
    )
    if not tasks:
        return None
    arrays = tuple(
        Array(script=f"array-{first // size:03d}.sbatch", first=first, count=min(size, len(tasks) - first))
        for first in range(0, len(tasks), size)
    )
    return new_submission(layout, tasks).model_copy(update={"arrays": arrays})


def _write_scripts(layout: RunLayout, cluster: ClusterConfig, submission: Submission, folder: Path) -> None:
    for array in submission.arrays:
        write_atomically(folder / array.script, array_script(layout, cluster, submission, array))
    write_atomically(folder / "finish.sbatch", finish_script(layout, cluster, submission))


def _submit(layout: RunLayout, submission: Submission, folder: Path) -> Submission:
    for position, array in enumerate(submission.arrays):
        done = array.model_copy(update={"job_id": submit(folder / array.script)})
        arrays = (*submission.arrays[:position], done, *submission.arrays[position + 1 :])
        submission = submission.model_copy(update={"arrays": arrays})
        record(layout, submission)
    # afterany, on every array: the account looks at what is on disk, whatever Slurm thinks of its jobs.
    after = ":".join(str(array.job_id) for array in submission.arrays)
    finish_id = submit(folder / "finish.sbatch", f"--dependency=afterany:{after}")
    submission = submission.model_copy(update={"finish_id": finish_id})
    record(layout, submission)
    return submission


def wait_until_idle(layout: RunLayout) -> None:
    """Until no job of this run is queued or running. Ctrl-C ends the waiting, not the jobs."""
    while any(job.live for job in known_jobs(layout)):
        time.sleep(_POLL_SECONDS)


def outcome_of(plan: Plan, layout: RunLayout, submission: Submission) -> RunResult:
    """The account of a run whose jobs have ended; drawn up anew, since its last job may have been cancelled."""
    done_before = plan.num_tasks - len(submission.tasks)
    with lock_run(layout.run_dir):
        refuse_while_live(layout)
        return settle(plan, layout, incomplete_reasons(layout, plan), num_done_before=done_before)
