"""The pieces of a deduplication on a Ray cluster, stage by stage, from the process that typed the command.

What cannot be cut into pieces goes to an actor, too: there it is on a node whose memory Ray has counted, it is tried
again when that node is lost, and too little memory ends an actor and not the command. Actors keep their word splitters
from stage to stage. An actor's word is not the end: a stage is over when its pieces are on this node's disk. Gives up:
giving CPUs back while one piece decides.
"""

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pipelines.claim import claims_dir
from pipelines.dedup.claimed_piece import claims_of, pieces_failed
from pipelines.dedup.pool import Stopped
from pipelines.dedup.processes import Notes
from pipelines.dedup.stages import FINISH
from pipelines.dedup.work import Job, Work
from pipelines.errors import SourceError
from pipelines.ray.actors import Actors
from pipelines.ray.worker import PieceWorker
from pipelines.signals import StopRequest
from pipelines.slurm.config import ClusterConfig
from pipelines.work_queue import WorkQueue

# NFS clients believe for up to 60 s that a file is not there (nfs(5), acdirmax).
SEEN_SECONDS = 90.0
_LOOK_SECONDS = 0.5


class Pieces(WorkQueue[int]):
    """What is left of one stage."""

    def __init__(
        self, name: str, numbers: Iterable[int], *, done: Callable[[int], bool], finished: Callable[[int], None],
        notes: Notes, stop: StopRequest,
    ) -> None:  # fmt: skip
        super().__init__(numbers, stop=stop)
        self._name, self._done, self._finished, self._notes = name, done, finished, notes

    def is_done(self, item: int) -> bool:
        """Whether the piece is committed."""
        return self._done(item)

    def fail(self, item: int, reason: str) -> None:
        """Unless it is there all the same: one that was taken for lost may have woken up and done it."""
        if self.is_done(item):
            self.tell("done", item)
        else:
            super().fail(item, reason)

    def tell(self, event: str, *args: Any) -> None:
        """To main.log, and to who counts."""
        if event == "done":
            self._finished(args[0])
        elif event in ("failed", "retried"):
            self._notes.log(f"{'FAILED' if event == 'failed' else 'retry'} {self._name} {args[0]}: {args[1]}")


class RayCrew:
    """Does the pieces of one deduplication on `actors`."""

    def __init__(self, actors: Actors, notes: Notes, stop: StopRequest) -> None:
        self._actors, self._notes, self._stop = actors, notes, stop
        self.note = notes.note

    def each(self, name: str, job: Job, numbers: Iterable[int], what: str, done: Callable[[int], bool]) -> None:
        """The pieces that are left. Raises SourceError when one has failed, after all the others; Stopped on a signal.

        A piece fails, too, whose actors have died three times, or that has run into its time limit.
        """
        if left := [number for number in numbers if not done(number)]:
            with self._notes.stage(name, len(left), what) as finished:
                self._do(name, job, left, what, done, finished)

    def once(self, name: str, job: Job, number: int, done: Callable[[], bool]) -> None:
        """On one actor, unless it is done."""
        if not done():
            self._do(name, job, [number], "pieces", lambda _: done(), lambda _: self._notes.log(f"done {name}"))

    def _do(
        self, name: str, job: Job, left: Sequence[int], what: str, done: Callable[[int], bool],
        finished: Callable[[int], None],
    ) -> None:  # fmt: skip
        pieces = Pieces(name, left, done=done, finished=finished, notes=self._notes, stop=self._stop)
        self._actors.work_on(pieces, lambda number: (name, job.__module__, job.__name__, number))
        if self._stop.signum is not None:
            raise Stopped
        if pieces.failures:
            raise pieces_failed(name, what, pieces.failures)
        unseen, deadline = list(left), time.monotonic() + SEEN_SECONDS
        while unseen := [number for number in unseen if not done(number)]:
            if time.monotonic() > deadline:
                raise SourceError(
                    f"{name}: {len(unseen)} of the {what} are done, says Ray, and not on this node's disk; all nodes "
                    "must see one folder"
                )
            time.sleep(_LOOK_SECONDS)


@contextmanager
def actors_on_ray(
    workers: int, cluster: ClusterConfig, environment: dict[str, str], work: Work, notes: Notes, stop: StopRequest
) -> Iterator[RayCrew]:
    """At most `workers` actors on the cluster that this process is connected to."""
    actors = Actors(PieceWorker, work.layout, workers=workers, cluster=cluster, environment=environment, keep=True)
    try:
        yield RayCrew(actors, notes, stop)
    finally:
        actors.close()
    # All stages are done. A frozen actor that wakes up finds no claim of its own, and commits nothing.
    shutil.rmtree(claims_dir(work.layout, claims_of(FINISH)).parent, ignore_errors=True)
