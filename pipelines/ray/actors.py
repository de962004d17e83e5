"""Gives the items of a work queue to actors on a Ray cluster, and notices whatever happens to them.

An actor is a process that keeps what it has loaded; one that dies, or whose node does, loses its item to another one,
three attempts in all. An item that runs into its time limit has failed. Tasks of a run and pieces of a deduplication
both go through here. Gives up: going on without the node that this process is connected to; the same command does.
"""

import re
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayError

from pipelines.executors import without_secrets
from pipelines.ray.connection import forwarded
from pipelines.ray.resources import memory_bytes, num_places
from pipelines.ray.worker import WORKERS_DIR, Worker
from pipelines.run_layout import RunLayout
from pipelines.run_lock import workers_end
from pipelines.slurm.config import ClusterConfig, seconds_of
from pipelines.work_queue import MAX_ATTEMPTS, Item, Kind, WorkQueue

# How long a cluster without a node that fits may stay so; a node that restarts is back sooner.
LOST_SECONDS = 20.0
_LOOK_SECONDS = 2.0
_TELL_SECONDS = 10.0
# Ray kills a process that does not answer after 5 seconds.
_STOP_SECONDS = 10.0


@dataclass
class _Worker:
    actor: Any
    answer: Any  # what is awaited of it: ray.ObjectRef, None while it rests
    asked_at: float = field(default_factory=time.monotonic)
    ready: bool = False
    item: Any = None
    overdue: bool = False
    kinds: set[Kind] = field(default_factory=set)


class Actors:
    """At most `num_workers` actors of `worker_class`, for one queue after the other; `close` ends them.

    keep: actors without work rest until the next queue, else they end and their CPUs are free for others. help_limit:
    what to do about a time limit, in words.
    """

    def __init__(
        self,
        worker_class: type[Worker],
        layout: RunLayout,
        *,
        workers: int,
        cluster: ClusterConfig,
        environment: dict[str, str],
        keep: bool = False,
        help_limit: str = "raise --time",
    ) -> None:
        self.layout, self.cluster, self.num_workers = layout, cluster, max(1, workers)
        self._keep, self._help_limit = keep, help_limit
        self._time_limit = seconds_of(cluster.time)
        self._workers: list[_Worker] = []
        self._false_starts = 0
        self._arguments = (str(layout.output_folder), layout.fingerprint, forwarded(environment))
        # Neither actor nor call is started again by Ray: who does what again is decided here, with the claims.
        self._actor_class = ray.remote(
            num_cpus=cluster.cpus_per_task, memory=memory_bytes(cluster), max_restarts=0, max_task_retries=0
        )(worker_class)
        self._node_id = ray.get_runtime_context().get_node_id()
        self._look_at = 0.0
        self._idle_since = time.monotonic()
        self._unfit_since: float | None = None
        self._told = False
        self._work: WorkQueue[Any]
        self._order: Callable[[Any], tuple[Any, ...]]

    def work_on(self, work: WorkQueue[Item], order: Callable[[Item], tuple[Any, ...]]) -> None:
        """Until every item is done or has failed, or `work.stop` is set.

        `order` makes of an item what the actor's `work` is called with, which answers ("done", ""), ("failed", why), or
        ("held", who) when the item could not be begun.
        """
        self._work, self._order = work, order
        try:
            self._hire()
            while work.stop.signum is None and (work.queue or any(worker.item is not None for worker in self._workers)):
                self._step()
        except (RayError, ConnectionError) as error:
            self._give_up(f"Ray does not answer any more ({why(error)}); run the same command again")

    def close(self) -> None:
        """No actor is alive any more, as far as their lock can tell."""
        for worker in list(self._workers):
            self._dismiss(worker)
        # Ray says that they are dead as soon as it has been asked to kill them.
        workers_end(self.layout.run_dir, _STOP_SECONDS)

    def _step(self) -> None:
        by_answer = {worker.answer: worker for worker in self._workers if worker.answer is not None}
        if by_answer:
            answers, _ = ray.wait(list(by_answer), num_returns=1, timeout=0.25)
            if answers:
                answers, _ = ray.wait(list(by_answer), num_returns=len(by_answer), timeout=0)
            for answer in answers:
                self._hear(by_answer[answer])
        for worker in self._workers:
            if worker.item is not None and not worker.overdue and self._is_overdue(worker):
                worker.overdue = True
                ray.kill(worker.actor)
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_SECONDS
            self._look_at_nodes()
        self._hire()
        self._work.tell("tick")

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
            self._work.tell("ready", time.monotonic() - worker.asked_at)
        elif worker.item is not None:
            item, worker.item = worker.item, None
            outcome, reason = answer
            if outcome == "done":
                self._work.tell("done", item)
            elif outcome == "failed":
                self._work.fail(item, reason)
            else:
                self._work.lost(item, reason, "", "it could not be begun")
        self._give_work(worker)

    def _give_work(self, worker: _Worker) -> None:
        if not self._work.queue:
            self._rest(worker)
            return
        busy = {kind for other in self._workers if other is not worker for kind in other.kinds}
        worker.item, worker.asked_at = self._work.take(worker.kinds, busy), time.monotonic()
        worker.kinds.add(self._work.kind(worker.item))
        self._work.tell("started", worker.item)
        worker.answer = worker.actor.work.remote(*self._order(worker.item))

    def _rest(self, worker: _Worker) -> None:
        if self._keep:
            worker.answer, worker.ready = None, False
        else:
            self._dismiss(worker)

    def _bury(self, worker: _Worker, error: RayError) -> None:
        self._dismiss(worker)
        if worker.item is None:
            self._false_start(why(error))
        elif worker.overdue:
            self._work.fail(worker.item, f"ran into its time limit ({self.cluster.time}); {self._help_limit}")
        else:
            advice = "; give it more --mem-per-cpu-gb" if isinstance(error, OutOfMemoryError) else ""
            self._work.lost(worker.item, why(error), f"{advice}; see {self.layout.logging_dir / WORKERS_DIR}")

    def _is_overdue(self, worker: _Worker) -> bool:
        return time.monotonic() - worker.asked_at > self._time_limit

    def _false_start(self, reason: str) -> None:
        """An actor that ends before its first item has none to blame; without a bound there would be ever new ones."""
        self._false_starts += 1
        if self._false_starts >= MAX_ATTEMPTS * self.num_workers:
            self._work.fail_rest(f"workers do not start: {reason}")

    def _dismiss(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        with suppress(RayError):
            ray.kill(worker.actor)

    def _hire(self) -> None:
        """As many actors as there is work for; Ray starts each when a node has room.

        One that has rested is asked whether it is still there: it may have died meanwhile, which is no item's fault.
        """
        at_work = sum(worker.item is not None for worker in self._workers)
        wanted = min(self.num_workers, len(self._work.queue) + at_work)
        awake = sum(worker.answer is not None for worker in self._workers)
        resting = [worker for worker in self._workers if worker.answer is None]
        for worker in resting[: max(0, wanted - awake)]:
            worker.answer, worker.asked_at = worker.actor.prepare.remote(), time.monotonic()
        for _ in range(wanted - awake - len(resting)):
            actor = self._actor_class.remote(*self._arguments)
            self._workers.append(_Worker(actor=actor, answer=actor.prepare.remote()))

    def _look_at_nodes(self) -> None:
        """Notice what Ray itself would wait for: our own node that is gone, or no node that fits an item any more."""
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
            self._work.fail_rest(
                "the cluster has lost every node that could run it; start one, and run the same command"
            )

    def _give_up(self, reason: str) -> None:
        """Nothing more can be heard of any item; what is complete on disk counts."""
        for worker in self._workers:
            item, worker.item = worker.item, None
            if item is not None and self._work.is_done(item):
                self._work.tell("done", item)
            elif item is not None:
                self._work.fail(item, reason)
        self._work.fail_rest(reason)


def why(error: BaseException) -> str:
    """What Ray says of the end of an actor, in one line."""
    text = without_secrets(str(error)).strip()
    found = re.search(r"The actor is dead because (.*?)(?:\.(?:\s|$)|\n|$)", text)
    if found is None:
        return text.splitlines()[0] if text else type(error).__name__
    reason = found[1].replace("`ray.kill`", "ray.kill")
    detail = re.search(r"Worker exit detail: (.*?)(?:\.(?:\s|$)|\n|$)", text)
    return f"{reason}: {detail[1]}" if detail else reason
