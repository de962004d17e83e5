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
from typing import Any, Protocol

from pipelines.ledger import find_record
from pipelines.plan import Plan
from pipelines.run_layout import RunLayout
from pipelines.signals import StopRequest, interrupts_held_back, signal_name
from pipelines.worker import worker_log, worker_main

MAX_ATTEMPTS = 3
_STOP_SECONDS = 5.0

Task = tuple[int, int]  # (index of the source in the plan, rank)


class Watcher(Protocol):
    """What a display or a log is told; every method may ignore it."""

    def ready(self, seconds: float) -> None:
        """A worker can take its first task, so many seconds after its process was started."""

    def started(self, task: Task) -> None:
        """A worker has begun the task."""

    def progress(self, task: Task, read: int, written: int) -> None:
        """Documents so far in this attempt."""

    def done(self, task: Task) -> None:
        """The task is complete, its record on disk."""

    def failed(self, task: Task, reason: str) -> None:
        """The task will not be tried again in this run."""

    def retried(self, task: Task, reason: str) -> None:
        """The task's worker died; it goes back into the queue."""

    def tick(self) -> None:
        """Called a few times a second."""


@dataclass
class _Worker:
    process: Any
    orders: Connection
    lifeline: Connection
    started_at: float = field(default_factory=time.monotonic)
    task: Task | None = None
    dismissed: bool = False
    profiles: set[tuple[str, ...]] = field(default_factory=set)


def is_complete(plan: Plan, layout: RunLayout, task: Task) -> bool:
    """Marker, record and files are all there, and each file has the recorded size; in a store, they were when the
    record came to this machine."""
    source = plan.sources[task[0]]
    output_dir = source.source.output_dir
    record_path = layout.record(output_dir, task[1])
    record = find_record(record_path) if layout.completion(output_dir, task[1]).is_file() else None
    if record is None:
        return False
    if layout.store is not None:
        return True
    for file in [*([record.file] if record.file else []), *record.dropped_files]:
        path = layout.output_folder / file.path
        if not path.is_file() or path.stat().st_size != file.size:
            return False
    return True


class Supervisor:
    """Runs every incomplete task of `plan` on `workers` processes; `failures` says what did not work and why."""

    def __init__(
        self,
        plan: Plan,
        layout: RunLayout,
        *,
        workers: int,
        watchers: Iterable[Watcher] = (),
        stop: StopRequest | None = None,
    ) -> None:
        self.plan, self.layout = plan, layout
        self.stop = stop or StopRequest()
        self.num_workers = max(1, workers)
        self.watchers = list(watchers)
        self.failures: dict[Task, str] = {}
        self.attempts: dict[Task, int] = {}
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._false_starts = 0
        everything = [(i, rank) for i, source in enumerate(plan.sources) for rank in range(len(source.tasks))]
        self.queue = [task for task in everything if not is_complete(plan, layout, task)]
        self.queue.sort(key=lambda task: -sum(f.size for f in plan.sources[task[0]].task_files(task[1])))
        self.num_done_before = len(everything) - len(self.queue)

    def run(self) -> None:
        """Until every task is done or has failed, or `stop` is set; no worker is alive when it returns or raises."""
        if not self.queue:
            return
        for task in self.queue:
            source = self.plan.sources[task[0]].source
            self.layout.completion(source.output_dir, task[1]).unlink(missing_ok=True)
        self.layout.logging_dir.mkdir(parents=True, exist_ok=True)
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
        self._tell("tick")

    def _hear(self, worker: _Worker) -> bool:
        """Take one message; False when the worker's end is closed, which means that it is dying."""
        try:
            kind, *rest = worker.orders.recv()
        except (EOFError, OSError):
            worker.process.join(1.0)
            return False
        if kind == "ready":
            self._false_starts = 0
            self._tell("ready", time.monotonic() - worker.started_at)
        elif kind == "progress":
            index, rank, (read, written) = rest
            self._tell("progress", (index, rank), read, written)
        else:
            task = (rest[0], rest[1])
            worker.task = None
            if kind == "done":
                self._tell("done", task)
            else:
                self.failures[task] = rest[2]
                self._tell("failed", task, rest[2])
        return True

    def _give_work(self, worker: _Worker) -> None:
        order = self._next_for(worker) if self.queue else None
        if order is None:
            worker.dismissed = True
        else:
            self.queue.remove(order)
            worker.task = order
            worker.profiles.add(self._profile(order))
            self._tell("started", order)
        # A worker that has just died cannot be told; its sentinel says so, and _bury takes the task back.
        with suppress(OSError):
            worker.orders.send(order)

    def _next_for(self, worker: _Worker) -> Task:
        """The largest task whose word splitters this worker has loaded, else one that no other worker is busy with."""
        for task in self.queue:
            if self._profile(task) in worker.profiles:
                return task
        busy = {profile for other in self._workers if other is not worker for profile in other.profiles}
        return next((task for task in self.queue if self._profile(task) not in busy), self.queue[0])

    def _profile(self, task: Task) -> tuple[str, ...]:
        source = self.plan.sources[task[0]]
        return source.languages if source.filters else ()

    def _bury(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        # Its last words count: a task that it reported before it died is not done again.
        while _has_message(worker.orders) and self._hear(worker):
            pass
        worker.orders.close()
        worker.lifeline.close()
        if worker.task is not None and is_complete(self.plan, self.layout, worker.task):
            self._tell("done", worker.task)
        elif worker.task is not None:
            task, code = worker.task, worker.process.exitcode
            how = f"killed by {signal_name(-code)}" if code is not None and code < 0 else f"exit status {code}"
            self.attempts[task] = self.attempts.get(task, 0) + 1
            if self.attempts[task] < MAX_ATTEMPTS:
                self.queue.insert(0, task)
                self._tell("retried", task, how)
            else:
                hint = "; out of memory? give it fewer --workers" if how.endswith("SIGKILL") else ""
                reason = (
                    f"its worker died {MAX_ATTEMPTS} times ({how}{hint}); see {worker_log(self.layout.logging_dir)}"
                )
                self.failures[task] = reason
                self._tell("failed", task, reason)
        elif worker.process.exitcode != 0 and not worker.dismissed:
            # A worker that dies before its first task has none to blame; without a bound it would respawn for ever.
            self._false_starts += 1
            if self._false_starts >= MAX_ATTEMPTS * self.num_workers:
                reason = f"workers do not start; see {worker_log(self.layout.logging_dir)}"
                for task in self.queue:
                    self.failures[task] = reason
                    self._tell("failed", task, reason)
                self.queue.clear()

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

    def _tell(self, event: str, *args: Any) -> None:
        for watcher in self.watchers:
            getattr(watcher, event)(*args)


def _has_message(orders: Connection) -> bool:
    try:
        return orders.poll()
    except OSError:
        return False
