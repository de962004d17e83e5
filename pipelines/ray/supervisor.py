"""Gives the tasks of a plan to actors on a Ray cluster, and notices whatever happens to them.

An actor is a process that keeps its models; one that dies, or whose node does, loses its task to another one, three
attempts in all. A task that runs into its time limit has failed. Gives up: going on without the node that this process
is connected to; the same command does.
"""

import re
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayError

from pipelines.executors import without_secrets
from pipelines.plan import Plan
from pipelines.ray.connection import forwarded
from pipelines.ray.resources import memory_bytes, num_places
from pipelines.ray.worker import WORKERS_DIR, TaskWorker
from pipelines.run_layout import RunLayout
from pipelines.run_lock import workers_end
from pipelines.signals import StopRequest
from pipelines.slurm.config import ClusterConfig, seconds_of
from pipelines.task_queue import MAX_ATTEMPTS, Profile, Task, TaskQueue, Watcher, is_complete

# How long a cluster without a node that fits may stay so; a node that restarts is back sooner.
LOST_SECONDS = 20.0
_LOOK_SECONDS = 2.0
_TELL_SECONDS = 10.0
# Ray kills a process that does not answer after 5 seconds.
_STOP_SECONDS = 10.0


@dataclass
class _Worker:
    actor: Any
    answer: Any  # what is awaited of it: ray.ObjectRef
    asked_at: float = field(default_factory=time.monotonic)
    ready: bool = False
    task: Task | None = None
    overdue: bool = False
    profiles: set[Profile] = field(default_factory=set)


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
        self.num_workers = max(1, workers)
        self.cluster = cluster
        self._time_limit = seconds_of(cluster.time)
        self._workers: list[_Worker] = []
        self._false_starts = 0
        self._arguments = (str(layout.output_folder), layout.fingerprint, forwarded(environment))
        # Neither actor nor task is started again by Ray: who does what again is decided here, with the claims.
        self._actor_class = ray.remote(
            num_cpus=cluster.cpus_per_task, memory=memory_bytes(cluster), max_restarts=0, max_task_retries=0
        )(TaskWorker)
        self._node_id = ray.get_runtime_context().get_node_id()
        self._look_at = 0.0
        self._idle_since = time.monotonic()
        self._unfit_since: float | None = None
        self._told = False

    def run(self) -> None:
        """Until every task is done or has failed, or `stop` is set; no actor is alive when it returns or raises."""
        if not self.queue:
            return
        self._open()
        try:
            self._hire()
            while self.stop.signum is None and (self.queue or any(worker.task for worker in self._workers)):
                self._step()
        except (RayError, ConnectionError) as error:
            self._give_up(f"Ray does not answer any more ({why(error)}); run the same command again")
        finally:
            self._end_workers()

    def _step(self) -> None:
        by_answer = {worker.answer: worker for worker in self._workers}
        if by_answer:
            answers, _ = ray.wait(list(by_answer), num_returns=1, timeout=0.25)
            if answers:
                answers, _ = ray.wait(list(by_answer), num_returns=len(by_answer), timeout=0)
            for answer in answers:
                self._hear(by_answer[answer])
        for worker in self._workers:
            if worker.task is not None and not worker.overdue and self._is_overdue(worker):
                worker.overdue = True
                ray.kill(worker.actor)
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_SECONDS
            self._look_at_nodes()
        self._hire()
        self._tell("tick")

    def _hear(self, worker: _Worker) -> None:
        try:
            answer = ray.get(worker.answer)
        except RayError as error:
            self._bury(worker, error)
            return
        if not worker.ready and answer is not None:
            self._dismiss(worker)
            self._false_start(answer)
            return
        if not worker.ready:
            worker.ready = True
            self._false_starts = 0
            self._tell("ready", time.monotonic() - worker.asked_at)
        elif worker.task is not None:
            task, worker.task = worker.task, None
            outcome, reason = answer
            if outcome == "done":
                self._tell("done", task)
            elif outcome == "failed":
                self._fail(task, reason)
            else:
                self._lost(task, reason, "", "it could not be begun")
        self._give_work(worker)

    def _give_work(self, worker: _Worker) -> None:
        if not self.queue:
            self._dismiss(worker)
            return
        busy = {profile for other in self._workers if other is not worker for profile in other.profiles}
        task = self._next_for(worker.profiles, busy)
        self.queue.remove(task)
        worker.task, worker.asked_at = task, time.monotonic()
        worker.profiles.add(self._profile(task))
        self._tell("started", task)
        worker.answer = worker.actor.work.remote(*task)

    def _bury(self, worker: _Worker, error: RayError) -> None:
        self._dismiss(worker)
        if worker.task is None:
            self._false_start(why(error))
        elif worker.overdue:
            self._past_limit(worker.task)
        else:
            advice = "; give it more --mem-per-cpu-gb" if isinstance(error, OutOfMemoryError) else ""
            self._lost(worker.task, why(error), f"{advice}; see {self.layout.logging_dir / WORKERS_DIR}")

    def _past_limit(self, task: Task) -> None:
        self._fail(task, f"ran into its time limit ({self.cluster.time}); raise --time or --tasks")

    def _is_overdue(self, worker: _Worker) -> bool:
        return time.monotonic() - worker.asked_at > self._time_limit

    def _false_start(self, reason: str) -> None:
        """An actor that ends before its first task has none to blame; without a bound there would be ever new ones."""
        self._false_starts += 1
        if self._false_starts >= MAX_ATTEMPTS * self.num_workers:
            self._fail_rest(f"workers do not start: {reason}")

    def _dismiss(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        with suppress(RayError):
            ray.kill(worker.actor)

    def _hire(self) -> None:
        """Ask for as many actors as there is work for; Ray starts each when a node has room."""
        work = len(self.queue) + sum(worker.task is not None for worker in self._workers)
        for _ in range(min(self.num_workers, work) - len(self._workers)):
            actor = self._actor_class.remote(*self._arguments)
            self._workers.append(_Worker(actor=actor, answer=actor.prepare.remote()))

    def _look_at_nodes(self) -> None:
        """Notice what Ray itself would wait for: our own node that is gone, or no node that fits a task any more."""
        now = time.monotonic()
        nodes = ray.nodes()
        if any(node["NodeID"] == self._node_id and not node["Alive"] for node in nodes):
            self._give_up("the Ray node of this command is lost; run the same command again, from a node that lives")
            return
        if any(worker.ready for worker in self._workers):
            self._idle_since, self._unfit_since = now, None
            return
        if num_places(nodes, self.cluster):
            self._unfit_since = None
            if now - self._idle_since > _TELL_SECONDS and not self._told:
                self._told = True
                print("waiting for Ray: no node has room for a worker yet", file=sys.stderr, flush=True)
            return
        self._unfit_since = self._unfit_since or now
        if now - self._unfit_since > LOST_SECONDS:
            self._fail_rest("the cluster has lost every node that could run it; start one, and run the same command")

    def _give_up(self, reason: str) -> None:
        """Nothing more can be heard of any task; what is complete on disk counts."""
        for worker in self._workers:
            task, worker.task = worker.task, None
            if task is not None and is_complete(self.plan, self.layout, task):
                self._tell("done", task)
            elif task is not None:
                self._fail(task, reason)
        self._fail_rest(reason)

    def _end_workers(self) -> None:
        for worker in list(self._workers):
            self._dismiss(worker)
        # Ray says that they are dead as soon as it has been asked to kill them.
        workers_end(self.layout.run_dir, _STOP_SECONDS)


def why(error: BaseException) -> str:
    """What Ray says of the end of an actor, in one line."""
    text = without_secrets(str(error)).strip()
    found = re.search(r"The actor is dead because (.*?)(?:\.(?:\s|$)|\n|$)", text)
    if found is None:
        return text.splitlines()[0] if text else type(error).__name__
    reason = found[1].replace("`ray.kill`", "ray.kill")
    detail = re.search(r"Worker exit detail: (.*?)(?:\.(?:\s|$)|\n|$)", text)
    return f"{reason}: {detail[1]}" if detail else reason
