"""`smoltrove status RUN`: how far a run is, from its records; who is working on it, from its lock and from Slurm. Once,
or again and again (`--watch`).

Gives up: progress inside a task; `<logging-dir>/main.log` and the live table show that.
"""

import fcntl
import io
import json
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.commands import print_outcome
from pipelines.outcome import SourceOutcome, source_outcome, totals
from pipelines.plan import Plan
from pipelines.reasons import reasons_table
from pipelines.run_layout import RunLayout
from pipelines.run_lock import RUN_LOCK
from pipelines.slurm.dedup_launch import dedup_of, is_dedup_folder, probe
from pipelines.slurm.queue import QueueView, cancel_run, print_queue, queue_view
from pipelines.verify import open_run

if TYPE_CHECKING:
    from pipelines.slurm.dedup_status import DedupView

_CLEAR = "\x1b[H\x1b[2J"


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


@dataclass(frozen=True)
class Standing:
    """Where a run stands. `state`: running, queued, unknown (Slurm does not answer), complete or incomplete."""

    run_folder: Path
    layout: RunLayout
    plan: Plan
    outcomes: list[SourceOutcome]
    queue: QueueView | None
    dedup: "DedupView | None"
    state: str

    @property
    def complete(self) -> bool:
        """Whether everything planned is done."""
        return all(outcome.ok for outcome in self.outcomes)

    @property
    def over(self) -> bool:
        """Whether nothing more will come by itself, of its deduplication neither."""
        return self.state in ("complete", "incomplete") and (self.dedup is None or self.dedup.over)

    def print(self) -> None:
        """The table of sources, the queue below it, and the state."""
        print_outcome(self.plan, self.outcomes, self.run_folder, 0)
        if self.queue is not None and (self.queue.is_live or not self.complete):
            print_queue(self.queue)
        if self.dedup is not None:
            self.dedup.print()
        print(f"{self.run_folder}: {self.state}; log: {self.layout.logging_dir / 'main.log'}")


def standing(run_folder: Path) -> Standing:
    """Look at the records of a run, at its lock and at Slurm's queue. Raises UserError where there is no run."""
    layout, plan = open_run(run_folder)
    # The queue first: a task that ends between the two looks is then complete, not lost.
    queue = queue_view(layout, plan)
    follow = _dedup_view_of(run_folder)
    working = "running" if is_running(layout) else queue.state if queue is not None else None
    outcomes = [source_outcome(plan, layout, i, {}) for i in range(len(plan.sources))]
    complete = all(outcome.ok for outcome in outcomes)
    if complete and working == "unknown":
        working = None
    state = working or ("complete" if complete else "incomplete")
    return Standing(run_folder, layout, plan, outcomes, queue, follow, state)


def show_status(run_folder: Path, *, reasons: bool = False, as_json: bool = False) -> int:
    """Print the state of a run; 0 when it is complete and as planned."""
    found = standing(run_folder)
    if as_json:
        data: dict[str, Any] = {"run": str(run_folder), "state": found.state, "totals": totals(found.outcomes)}
        if found.queue is not None:
            data["slurm"] = found.queue.model_dump()
        if found.dedup is not None:
            data["dedup"] = found.dedup.model_dump()
        print(json.dumps({**data, "sources": [o.model_dump() for o in found.outcomes]}, ensure_ascii=False, indent=1))
    elif reasons:
        print(reasons_table(found.outcomes))
    else:
        found.print()
    return 0 if found.complete else 1


def watch_status(run_folder: Path, every: float) -> int:
    """Print the state of a run, or of a deduplication, again and again until nobody works on it any more.

    A look every `every` seconds: on a terminal in place, elsewhere only what has changed. Returns 0 for a complete one,
    else 1, and 130 after Ctrl-C, which ends the watching only.
    """
    before, look = "", _look_of(run_folder)
    try:
        while True:
            found, text = look(run_folder), io.StringIO()
            if sys.stdout.isatty():
                print(_CLEAR, end="")
                found.print()
            else:
                with redirect_stdout(text):
                    found.print()
                if text.getvalue() != before:
                    before = text.getvalue()
                    print(f"{datetime.now().isoformat(timespec='seconds')}\n{before}", flush=True)
            if found.over:
                return 0 if found.complete else 1
            time.sleep(every)
    except KeyboardInterrupt:
        print("watching ends, the run goes on", file=sys.stderr)
        return 130


def _look_of(run_folder: Path) -> "Callable[[Path], Standing | DedupView]":
    if not is_dedup_folder(run_folder):
        return standing
    from pipelines.slurm.dedup_status import dedup_view

    return dedup_view


def _dedup_view_of(run_folder: Path) -> "DedupView | None":
    output = dedup_of(run_folder)
    if output is None:
        return None
    # Methods import word splitters; runs without a deduplication need none.
    from pipelines.slurm.dedup_status import dedup_view

    return dedup_view(output)


def show_cancel(run_folder: Path, *, as_json: bool = False) -> int:
    """End the Slurm jobs of a run, those of its deduplication first; what is complete stays complete."""
    if is_dedup_folder(run_folder):
        number = cancel_run(probe(run_folder))
    else:
        layout, _ = open_run(run_folder)
        follow = dedup_of(run_folder)
        number = (cancel_run(probe(follow)) if follow is not None else 0) + cancel_run(layout)
    if as_json:
        print(json.dumps({"run": str(run_folder), "jobs_cancelled": number}, indent=1))
        return 0
    print(
        f"{run_folder}: {number} jobs cancelled; finished tasks are kept, the same command submits the rest"
        if number
        else f"{run_folder}: no jobs of this run are queued or running"
    )
    return 0
