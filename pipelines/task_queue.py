"""The incomplete tasks of a plan as a work queue, and who is told of them.

Gives up: doing anything; `pipelines.supervisor` has processes of this machine, `pipelines.ray.supervisor` those of a
cluster.
"""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, Protocol

from pipelines.ledger import find_record
from pipelines.plan import Plan
from pipelines.run_layout import RunLayout
from pipelines.signals import StopRequest
from pipelines.work_queue import Kind, WorkQueue

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


class TaskQueue(WorkQueue[Task]):
    """What is left of `plan`, largest task first.

    A supervisor is one of these with a `run` of its own.
    """

    def __init__(
        self, plan: Plan, layout: RunLayout, *, watchers: Iterable[Watcher] = (), stop: StopRequest | None = None
    ) -> None:
        everything = [(i, rank) for i, source in enumerate(plan.sources) for rank in range(len(source.tasks))]
        super().__init__((task for task in everything if not is_complete(plan, layout, task)), stop=stop)
        self.plan, self.layout = plan, layout
        self.watchers = list(watchers)
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

    def is_done(self, item: Task) -> bool:
        """Whether the task is complete."""
        return is_complete(self.plan, self.layout, item)

    def kind(self, item: Task) -> Kind:
        """The languages whose word splitters a task loads."""
        source = self.plan.sources[item[0]]
        return source.languages if source.filters else ()

    def tell(self, event: str, *args: Any) -> None:
        """All watchers."""
        for watcher in self.watchers:
            getattr(watcher, event)(*args)
