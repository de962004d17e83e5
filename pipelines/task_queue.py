"""The incomplete tasks of a plan, and what has become of each: what every supervisor keeps, whoever does the work.

A task whose worker is lost is tried again, MAX_ATTEMPTS times in all; one that fails is not, and stops no other. Gives
up: doing anything; `pipelines.supervisor` has processes of this machine, `pipelines.ray.supervisor` those of a cluster.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Protocol

from pipelines.ledger import find_record
from pipelines.plan import Plan
from pipelines.run_layout import RunLayout
from pipelines.signals import StopRequest

MAX_ATTEMPTS = 3

Task = tuple[int, int]  # (index of the source in the plan, rank)
Profile = tuple[str, ...]  # the languages whose word splitters a task loads


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


def is_complete(plan: Plan, layout: RunLayout, task: Task) -> bool:
    """Marker, record and files are all there, and each file has the recorded size; in a store they were when the
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


class TaskQueue(ABC):
    """What is left of `plan`, largest task first; `failures` says what did not work and why.

    A supervisor is one of these with a `run` of its own.
    """

    def __init__(
        self, plan: Plan, layout: RunLayout, *, watchers: Iterable[Watcher] = (), stop: StopRequest | None = None
    ) -> None:
        self.plan, self.layout = plan, layout
        self.stop = stop or StopRequest()
        self.watchers = list(watchers)
        self.failures: dict[Task, str] = {}
        self.attempts: dict[Task, int] = {}
        everything = [(i, rank) for i, source in enumerate(plan.sources) for rank in range(len(source.tasks))]
        self.queue = [task for task in everything if not is_complete(plan, layout, task)]
        self.queue.sort(key=lambda task: -sum(f.size for f in plan.sources[task[0]].task_files(task[1])))
        self.num_done_before = len(everything) - len(self.queue)

    @abstractmethod
    def run(self) -> None:
        """Until every task is done or has failed, or `stop` is set; nobody works when it returns or raises."""

    def _open(self) -> None:
        """Markers of tasks that are not complete go; the log folder is there."""
        for task in self.queue:
            source = self.plan.sources[task[0]].source
            self.layout.completion(source.output_dir, task[1]).unlink(missing_ok=True)
        self.layout.logging_dir.mkdir(parents=True, exist_ok=True)

    def _next_for(self, own: set[Profile], busy: set[Profile]) -> Task:
        """The largest task whose word splitters a worker has loaded, else one that no other worker is busy with."""
        for task in self.queue:
            if self._profile(task) in own:
                return task
        return next((task for task in self.queue if self._profile(task) not in busy), self.queue[0])

    def _profile(self, task: Task) -> Profile:
        source = self.plan.sources[task[0]]
        return source.languages if source.filters else ()

    def _lost(self, task: Task, how: str, advice: str, what: str = "its worker died") -> None:
        """The worker of a task is gone: the task was complete all the same, or is tried again, or has failed."""
        if is_complete(self.plan, self.layout, task):
            self._tell("done", task)
            return
        self.attempts[task] = self.attempts.get(task, 0) + 1
        if self.attempts[task] < MAX_ATTEMPTS:
            self.queue.insert(0, task)
            self._tell("retried", task, how)
        else:
            self._fail(task, f"{what} {MAX_ATTEMPTS} times ({how}){advice}")

    def _fail(self, task: Task, reason: str) -> None:
        self.failures[task] = reason
        self._tell("failed", task, reason)

    def _fail_rest(self, reason: str) -> None:
        """No task that waits can be done."""
        for task in self.queue:
            self._fail(task, reason)
        self.queue.clear()

    def _tell(self, event: str, *args: Any) -> None:
        for watcher in self.watchers:
            getattr(watcher, event)(*args)
