"""The tasks of a run on a Ray cluster: the queue of every supervisor, given to actors.

Gives up: progress inside of a task.
"""

from collections.abc import Iterable

from pipelines.plan import Plan
from pipelines.ray.actors import Actors
from pipelines.ray.worker import TaskWorker
from pipelines.run_layout import RunLayout
from pipelines.signals import StopRequest
from pipelines.slurm.config import ClusterConfig
from pipelines.task_queue import TaskQueue, Watcher


class RaySupervisor(TaskQueue):
    """Runs every incomplete task of `plan` on at most `workers` actors; this process is connected to their cluster."""

    def __init__(
        self,
        plan: Plan,
        layout: RunLayout,
        *,
        workers: int,
        cluster: ClusterConfig,
        environment: dict[str, str],
        watchers: Iterable[Watcher] = (),
        stop: StopRequest | None = None,
    ) -> None:
        super().__init__(plan, layout, watchers=watchers, stop=stop)
        self._actors = Actors(
            TaskWorker, layout, workers=workers, cluster=cluster, environment=environment,
            help_limit="raise --time or --tasks",
        )  # fmt: skip

    def run(self) -> None:
        """Until every task is done or has failed, or `stop` is set; no actor is alive when it returns or raises."""
        if not self.queue:
            return
        self._open()
        try:
            self._actors.work_on(self, lambda task: task)
        finally:
            self._actors.close()
