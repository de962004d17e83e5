"""`smoltrove status RUN`: how far a run is, from its records; who is working on it, from its lock and from Slurm.

Gives up: progress inside a task; `<logging-dir>/main.log` and the live table show that.
"""

import fcntl
import json
from pathlib import Path
from typing import Any

from pipelines.commands import print_outcome
from pipelines.outcome import source_outcome, totals
from pipelines.reasons import reasons_table
from pipelines.run_layout import RunLayout
from pipelines.run_lock import RUN_LOCK
from pipelines.slurm.queue import cancel_run, print_queue, queue_view
from pipelines.store.lock import is_locked
from pipelines.store.store import connect
from pipelines.store.url import refuse_store
from pipelines.verify import open_run


def is_running(layout: RunLayout) -> bool:
    """Whether a process holds the run's lock."""
    if layout.store is not None:
        return is_locked(connect(layout.store))
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
    where = layout.store or str(run_folder)
    outcomes = [source_outcome(plan, layout, i, {}) for i in range(len(plan.sources))]
    complete = all(outcome.ok for outcome in outcomes)
    queue = queue_view(layout, plan)
    working = "running" if is_running(layout) else queue.state if queue is not None else None
    state = working or ("complete" if complete else "incomplete")
    if as_json:
        data: dict[str, Any] = {"run": where, "state": state, "totals": totals(outcomes)}
        if queue is not None:
            data["slurm"] = queue.model_dump()
        print(json.dumps({**data, "sources": [o.model_dump() for o in outcomes]}, ensure_ascii=False, indent=1))
    elif reasons:
        print(reasons_table(outcomes))
    else:
        print_outcome(plan, outcomes, where, 0)
        if queue is not None and (queue.is_live or not complete):
            print_queue(queue)
        print(f"{where}: {state}; log: {layout.logging_dir / 'main.log'}")
    return 0 if complete else 1


def show_cancel(run_folder: Path) -> int:
    """End the Slurm jobs of a run; what is complete stays complete."""
    refuse_store(run_folder, "`smoltrove cancel`")
    layout, _ = open_run(run_folder)
    number = cancel_run(layout)
    print(
        f"{run_folder}: {number} jobs cancelled; finished tasks are kept, the same command submits the rest"
        if number
        else f"{run_folder}: no jobs of this run are queued or running"
    )
    return 0
