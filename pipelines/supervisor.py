"""Runs the tasks of a plan in worker processes, and notices whatever happens to them.

A killed worker's task is tried again (three times in all), a failed task does not stop the others, workers end with
this process. One pool serves all sources, so starting up is paid once. Gives up: more than one machine; clusters have
their own executors.
"""

import multiprocessing
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from pipelines.plan import Plan
from pipelines.run_layout import RunLayout
from pipelines.signals import StopRequest, interrupts_held_back, signal_name
from pipelines.task_queue import Task, TaskQueue, Watcher
from pipelines.work_queue import MAX_ATTEMPTS, Kind
from pipelines.worker import worker_log, worker_main

_STOP_SECONDS = 5.0


@dataclass
class _Worker:
    process: Any
    orders: Connection
    lifeline: Connection
    started_at: float = field(default_factory=time.monotonic)
    task: Task | None = None
    dismissed: bool = False
    kinds: set[Kind] = field(default_factory=set)


class Supervisor(TaskQueue):
    """Runs every incomplete task of `plan` on `workers` processes of this machine."""

    def __init__(
        self,
        plan: Plan,
        layout: RunLayout,
        *,
        workers: int,
        watchers: Iterable[Watcher] = (),
        stop: StopRequest | None = None,
    ) -> None:
        super().__init__(plan, layout, watchers=watchers, stop=stop)
        self.num_workers = max(1, workers)
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._false_starts = 0

    def run(self) -> None:
        """Until every task is done or has failed, or `stop` is set; no worker is alive when it returns or raises."""
        if not self.queue:
            return
        self._open()
        try:
            self._hire()
            while self.stop.signum is None and (self.queue or any(worker.task for worker in self._workers)):
                self._step()
        finally:
            self._end_workers()

    def _step(self) -> None:
        by_handle: dict[Any, _Worker] = {}
        for worker in self._workers:
            by_handle[worker.orders] = worker
            by_handle[worker.process.sentinel] = worker
        for handle in wait(list(by_handle), timeout=0.25):
            worker = by_handle[handle]
            if worker not in self._workers:
                continue
            if handle is worker.orders and self._hear(worker):
                if worker.task is None and not worker.dismissed:
                    self._give_work(worker)
                continue
            if not worker.process.is_alive():
                self._bury(worker)
        self._hire()
        self.tell("tick")

    def _hear(self, worker: _Worker) -> bool:
        """Take one message; False when the worker's end is closed, which means that it is dying."""
        try:
            kind, *rest = worker.orders.recv()
        except (EOFError, OSError):
            worker.process.join(1.0)
            return False
        if kind == "ready":
            self._false_starts = 0
            self.tell("ready", time.monotonic() - worker.started_at)
        elif kind == "progress":
            index, rank, (read, written) = rest
            self.tell("progress", (index, rank), read, written)
        else:
            task = (rest[0], rest[1])
            worker.task = None
            if kind == "done":
                self.tell("done", task)
            else:
                self.fail(task, rest[2])
        return True

    def _give_work(self, worker: _Worker) -> None:
        busy = {kind for other in self._workers if other is not worker for kind in other.kinds}
        order = self.take(worker.kinds, busy) if self.queue else None
        if order is None:
            worker.dismissed = True
        else:
            worker.task = order
            worker.kinds.add(self.kind(order))
            self.tell("started", order)
        # A worker that has just died cannot be told; its sentinel says so, and _bury takes the task back.
        with suppress(OSError):
            worker.orders.send(order)

    def _bury(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        # Its last words count: a task that it reported before it died is not done again.
        while _has_message(worker.orders) and self._hear(worker):
            pass
        worker.orders.close()
        worker.lifeline.close()
        if worker.task is not None:
            code = worker.process.exitcode
            how = f"killed by {signal_name(-code)}" if code is not None and code < 0 else f"exit status {code}"
            hint = "; out of memory? give it fewer --workers" if how.endswith("SIGKILL") else ""
            self.lost(worker.task, how, f"{hint}; see {worker_log(self.layout.logging_dir)}")
        elif worker.process.exitcode != 0 and not worker.dismissed:
            # A worker that dies before its first task has none to blame; without a bound it would respawn for ever.
            self._false_starts += 1
            if self._false_starts >= MAX_ATTEMPTS * self.num_workers:
                self.fail_rest(f"workers do not start; see {worker_log(self.layout.logging_dir)}")

    def _hire(self) -> None:
        """Start as many workers as there is work for; one that has been dismissed does not count."""
        staff = [worker for worker in self._workers if not worker.dismissed]
        work = len(self.queue) + sum(worker.task is not None for worker in staff)
        for _ in range(min(self.num_workers, work) - len(staff)):
            self._workers.append(self._start_worker())

    def _start_worker(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        lifeline, watched = self._context.Pipe()
        process = self._context.Process(
            target=worker_main,
            args=(self.layout, theirs, watched, str(worker_log(self.layout.logging_dir))),
            name="smoltrove-worker",
            daemon=True,
        )
        with interrupts_held_back():
            process.start()
        theirs.close()
        watched.close()
        return _Worker(process=process, orders=ours, lifeline=lifeline)

    def _end_workers(self) -> None:
        for worker in self._workers:
            # Nothing is lost with one that has work or is still starting; only the dismissed are on their way out.
            if not worker.dismissed:
                worker.process.kill()
            worker.lifeline.close()
        deadline = time.monotonic() + _STOP_SECONDS
        for worker in self._workers:
            worker.process.join(max(0.1, deadline - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.orders.close()
        self._workers.clear()


def _has_message(orders: Connection) -> bool:
    try:
        return orders.poll()
    except OSError:
        return False
