"""`smoltrove status RUN`: how far a run is, from its records; who is working on it, from its lock and from Slurm.

Gives up: progress inside a task; `<logging-dir>/main.log` and the live table show that.
"""

import fcntl
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.commands import print_outcome
from pipelines.outcome import source_outcome, totals
from pipelines.reasons import reasons_table
from pipelines.run_layout import RunLayout
from pipelines.run_lock import RUN_LOCK
from pipelines.slurm.dedup_launch import dedup_of, is_dedup_folder, probe
from pipelines.slurm.queue import cancel_run, print_queue, queue_view
from pipelines.verify import open_run

if TYPE_CHECKING:
    from pipelines.slurm.dedup_status import DedupView


def is_running(layout: RunLayout) -> bool:
    """Whether a process holds the run's lock."""
    path = layout.run_dir / RUN_LOCK
    if not path.is_file():
        return False
    with open(path, encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def show_status(run_folder: Path, *, reasons: bool = False, as_json: bool = False) -> int:
    """Print the state of a run; 0 when it is complete and as planned."""
    layout, plan = open_run(run_folder)
    outcomes = [source_outcome(plan, layout, i, {}) for i in range(len(plan.sources))]
    complete = all(outcome.ok for outcome in outcomes)
    queue = queue_view(layout, plan)
    follow = _dedup_view_of(run_folder)
    working = "running" if is_running(layout) else queue.state if queue is not None else None
    state = working or ("complete" if complete else "incomplete")
    if as_json:
        data: dict[str, Any] = {"run": str(run_folder), "state": state, "totals": totals(outcomes)}
        if queue is not None:
            data["slurm"] = queue.model_dump()
        if follow is not None:
            data["dedup"] = follow.model_dump()
        print(json.dumps({**data, "sources": [o.model_dump() for o in outcomes]}, ensure_ascii=False, indent=1))
    elif reasons:
        print(reasons_table(outcomes))
    else:
        print_outcome(plan, outcomes, run_folder, 0)
        if queue is not None and (queue.is_live or not complete):
            print_queue(queue)
        if follow is not None:
            from pipelines.slurm.dedup_status import print_view

            print_view(follow)
        print(f"{run_folder}: {state}; log: {layout.logging_dir / 'main.log'}")
    return 0 if complete else 1


def _dedup_view_of(run_folder: Path) -> "DedupView | None":
    output = dedup_of(run_folder)
    if output is None:
        return None
    # Methods import word splitters; runs without a deduplication need none.
    from pipelines.slurm.dedup_status import dedup_view

    return dedup_view(output)


def show_cancel(run_folder: Path) -> int:
    """End the Slurm jobs of a run, those of its deduplication first; what is complete stays complete."""
    if is_dedup_folder(run_folder):
        number = cancel_run(probe(run_folder))
    else:
        layout, _ = open_run(run_folder)
        follow = dedup_of(run_folder)
        number = (cancel_run(probe(follow)) if follow is not None else 0) + cancel_run(layout)
    print(
        f"{run_folder}: {number} jobs cancelled; finished tasks are kept, the same command submits the rest"
        if number
        else f"{run_folder}: no jobs of this run are queued or running"
    )
    return 0
