"""A run from plan to outcome: refuse or continue, lock, supervise, account.

`run_plan(...)` is what every command line and the examples call. Gives up: several runs in one call; run the stages one
after the other.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipelines.config import LoadedConfig
from pipelines.errors import SourceError, UserError
from pipelines.ledger import write_atomically
from pipelines.manifest import (
    check_continues,
    delete_run,
    fingerprint,
    fingerprint_data,
    has_run,
    start_run,
    write_manifest,
)
from pipelines.outcome import SourceOutcome, source_outcome, summary, totals, write_ledger
from pipelines.plan import Plan
from pipelines.plan_table import plan_text
from pipelines.progress import Display, MainLog
from pipelines.report.write import report_at_the_end
from pipelines.run_layout import RunLayout, make_writable, unusable
from pipelines.run_lock import lock_run
from pipelines.signals import StopRequest, note_signals, signal_name
from pipelines.slurm.submission import refuse_while_live
from pipelines.supervisor import Supervisor
from pipelines.task_queue import Task, TaskQueue

# Makes the supervisor of a run out of its plan, its folders and what may stop it.
Hire = Callable[[Plan, RunLayout, StopRequest], TaskQueue]


class RunResult(BaseModel):
    """The outcome of every source; `ok` only when everything planned was done. `stopped` is a signal's number."""

    outcomes: list[SourceOutcome]
    stopped: int | None = None
    num_done_before: int = 0

    @property
    def ok(self) -> bool:
        """Whether the corpus is what the plan says."""
        return self.stopped is None and all(outcome.ok for outcome in self.outcomes)


def run_plan(
    plan: Plan,
    config: LoadedConfig,
    *,
    output_folder: Path,
    logging_dir: Path,
    workers: int = 2,
    mirror: Path | None = None,
    fresh: bool = False,
    hire: Hire | None = None,
) -> RunResult:
    """Run what is left of `plan` in `output_folder`, on `workers` processes of this machine unless `hire` says who.

    Raises UserError when a folder cannot be used or belongs to another plan or another process, SourceError when the
    disk fails during the run. Failures of sources do not raise: they are in the result, and in `_run/state.json`.
    """
    layout, data = prepare(plan, output_folder=output_folder, logging_dir=logging_dir, mirror=mirror, fresh=fresh)
    stop = StopRequest()
    try:
        with lock_run(layout.run_dir), note_signals(stop):
            refuse_while_live(layout)
            begin(layout, plan, config, data, fresh=fresh)
            return supervise(plan, layout, hire or partial(hire_here, workers), stop)
    except OSError as error:
        raise SourceError(
            f"the run cannot go on: {error}; finished tasks are kept: put that right and run the same command again"
        ) from error


def prepare(
    plan: Plan, *, output_folder: Path, logging_dir: Path, mirror: Path | None, fresh: bool
) -> tuple[RunLayout, dict[str, Any]]:
    """Where a run will live, and the data of its fingerprint; both folders are there and writable afterwards.

    Raises UserError when a folder cannot be used or holds another run.
    """
    output_folder, logging_dir = output_folder.absolute(), logging_dir.absolute()
    data = fingerprint_data(plan)
    layout = RunLayout(
        output_folder=output_folder,
        logging_dir=logging_dir,
        fingerprint=fingerprint(data),
        mirror=mirror.absolute() if mirror else None,
    )
    if logging_dir.is_relative_to(output_folder):
        raise UserError(
            f"--logging-dir {logging_dir}: is inside --output-folder, which holds documents only; choose another"
        )
    if not fresh:
        try:
            check_continues(layout, data)
        except OSError as error:
            raise unusable("--output-folder", output_folder, error) from None
    make_writable("--output-folder", output_folder)
    make_writable("--logging-dir", logging_dir)
    return layout, data


def begin(layout: RunLayout, plan: Plan, config: LoadedConfig, data: dict[str, Any], *, fresh: bool) -> None:
    """Under the run's lock: delete the old run when that is asked for, and write down the new one unless it goes on."""
    if fresh and has_run(layout):
        delete_run(layout)
    if not check_continues(layout, data):
        start_run(layout, plan, config, data, plan_text(plan, layout.store or layout.output_folder))


def hire_here(workers: int, plan: Plan, layout: RunLayout, stop: StopRequest) -> TaskQueue:
    """Workers on this machine."""
    return Supervisor(plan, layout, workers=workers, stop=stop)


def supervise(plan: Plan, layout: RunLayout, hire: Hire, stop: StopRequest) -> RunResult:
    """Do the tasks that are not complete, and draw up the account. The run's lock is held by the caller."""
    log = MainLog(plan, layout.logging_dir / "main.log")
    supervisor = hire(plan, layout, stop)
    supervisor.watchers.append(log)
    log.say(f"run {layout.fingerprint[:16]} in {layout.where}: {len(supervisor.queue)} tasks to do")
    display = Display(plan, layout, supervisor.num_done_before)
    supervisor.watchers.append(display)
    try:
        supervisor.run()
    finally:
        display.close()
    log.close()
    return settle(plan, layout, supervisor.failures, stopped=stop.signum, num_done_before=supervisor.num_done_before)


def settle(
    plan: Plan, layout: RunLayout, failures: Mapping[Task, str], *, stopped: int | None = None, num_done_before: int = 0
) -> RunResult:
    """Draw up the account of a run on which nobody works any more: ledger, manifest, state, main.log.

    `failures` says why tasks are not complete, by (source, rank); `stopped` is the signal that ended the run early.
    """
    outcomes = [source_outcome(plan, layout, i, failures) for i in range(len(plan.sources))]
    # A signal that comes when all is done stops nothing.
    if all(outcome.tasks_done == outcome.tasks for outcome in outcomes):
        stopped = None
    result = RunResult(outcomes=outcomes, stopped=stopped, num_done_before=num_done_before)
    write_ledger(plan, layout)
    state = "complete" if result.ok else "incomplete"
    write_manifest(layout, plan, state=state, totals=totals(outcomes))
    write_atomically(
        layout.run_dir / "state.json",
        json.dumps({"state": state, "stopped": stopped, "sources": [o.model_dump() for o in outcomes]}, indent=1)
        + "\n",
    )
    log = MainLog(plan, layout.logging_dir / "main.log")
    if stopped is not None:
        log.say(f"stopped by {signal_name(stopped)}")
    for outcome in outcomes:
        log.say(("ok " if outcome.ok else "NOT OK ") + summary(outcome) + "".join(f"; {p}" for p in outcome.problems))
    log.close()
    # No worker is alive here, so whatever is left of a killed attempt is nobody's.
    shutil.rmtree(layout.stage_dir / "work", ignore_errors=True)
    # The documents of a run in a store are not here to be looked at.
    if stopped is None and layout.store is None:
        report_at_the_end(layout.output_folder, layout.logging_dir / "main.log")
    return result
