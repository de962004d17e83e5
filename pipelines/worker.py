"""A worker process: runs tasks that the supervisor names, until told to stop or until the supervisor is gone.

Keeps language models and word splitters between tasks of all sources, so that they load once. Gives up: more than one
task at a time in a process.
"""

import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep

from pipelines.errors import SourceError, UserError
from pipelines.executors import SafeLog, SourceExecutor, without_secrets
from pipelines.reader_bytes import describe

REPORT_EVERY_SECONDS = 0.5


def worker_main(layout: Any, orders: Connection, lifeline: Connection, log_path: str) -> None:
    """Entry point of the process. `layout` is the run's RunLayout; `orders` carries (source index, rank) or None."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    die_with_parent(lifeline)
    redirect_output(log_path)

    from pipelines.manifest import load_plan
    from pipelines.run_lock import share_workers_lock

    held = share_workers_lock(layout)
    plan = load_plan(layout)
    orders.send(("ready", os.getpid()))
    while (order := orders.recv()) is not None:
        index, rank = order
        try:
            run_task(plan, index, rank, layout, orders=orders)
        except (SourceError, UserError) as error:
            orders.send(("failed", index, rank, without_secrets(str(error))))
        except Exception as error:  # noqa: BLE001 - any failure of a task is reported and ends that task only
            orders.send(("failed", index, rank, without_secrets(describe(error))))
        else:
            orders.send(("done", index, rank, None))
    held.close()


def redirect_output(log_path: str) -> None:
    """Everything that this process prints goes to the end of `log_path`; crashes of native code too, secrets not."""
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, sys.stderr.fileno())
    os.dup2(log, sys.stdout.fileno())
    faulthandler.enable()
    sys.stdout, sys.stderr = SafeLog(sys.stdout), SafeLog(sys.stderr)


def run_task(
    plan: Any, index: int, rank: int, layout: Any, *, orders: Connection | None = None,
    before_commit: Sequence[PipelineStep] = (),
) -> None:  # fmt: skip
    """One task of a plan in this process, from its files to its completion marker; any error ends the task.

    `orders` is told of progress; `before_commit` are steps that see all documents before the files move to their place.
    """
    from pipelines.stages import build_steps, clear_work

    source = plan.sources[index]
    output_dir = source.source.output_dir
    clear_work(layout, output_dir, rank)
    steps = build_steps(plan, source, layout, rank)
    steps[-1:-1] = before_commit
    if orders is not None:
        steps.insert(1, Progress(index, rank, orders, steps[-2 - len(before_commit)]))
    executor = SourceExecutor(
        steps,
        tasks=len(source.tasks),
        state_dir=layout.datatrove_dir(output_dir),
        log_dir=layout.log_dir(output_dir),
    )
    executor.run_rank(rank)


class Progress(PipelineStep):
    """Tells the supervisor, twice a second, how many documents were read and written; changes nothing."""

    name = "📡 Progress"
    type = "📡 - PROGRESS"

    def __init__(self, index: int, rank: int, orders: Connection, writer: PipelineStep) -> None:
        super().__init__()
        self.index, self.rank, self.orders, self.writer = index, rank, orders, writer

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        due = time.monotonic() + REPORT_EVERY_SECONDS
        for read, doc in enumerate(data or (), start=1):
            yield doc
            if time.monotonic() >= due:
                due = time.monotonic() + REPORT_EVERY_SECONDS
                written = int(self.writer.stats["total"].total)
                self.orders.send(("progress", self.index, self.rank, (read, written)))


def die_with_parent(lifeline: Connection) -> None:
    """End this process the moment the supervisor is gone, however it went: its end of the lifeline closes then."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: at once, even inside native code

    def watch() -> None:
        try:
            lifeline.recv()
        except (EOFError, OSError):
            os._exit(70)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def worker_log(logging_dir: Path) -> Path:
    """Where what a worker prints outside of tasks ends up, native crashes included."""
    return logging_dir / "workers.log"
