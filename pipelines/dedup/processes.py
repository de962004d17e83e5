"""The crew of one machine: a pool of processes for the pieces of a stage. And what any crew of one command says.

Gives up: several machines; pipelines/ray and pipelines/slurm have crews for those.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import IO

from pipelines.dedup.pool import Pool, run_job
from pipelines.dedup.work import Job, Work
from pipelines.meter import Meter
from pipelines.signals import StopRequest

Say = Callable[[str], None]


class Notes:
    """What a deduplication says while it works: to main.log, to who called, and as a bar for each stage."""

    def __init__(self, log: IO[str], say: Say, show_progress: bool) -> None:
        self._log, self._say, self.show_progress = log, say, show_progress

    def log(self, text: str) -> None:
        """A line for main.log alone."""
        self._log.write(f"{datetime.now().isoformat(timespec='seconds')} {text}\n")

    def note(self, text: str) -> None:
        """A line for main.log and for who called."""
        self.log(text)
        self._say(text)

    @contextmanager
    def stage(self, name: str, total: int, what: str) -> Iterator[Callable[[int], None]]:
        """Says what begins; gives what is to be called after each piece."""
        self.note(f"{name}: {total} {what}")
        with Meter(f"dedup {name}", total, what, show=self.show_progress) as meter:

            def finished(number: int) -> None:
                self.log(f"done {name} {number}")
                meter.advance()

            yield finished


class Processes:
    """A pool for pieces, this process for what cannot be cut into pieces."""

    def __init__(self, work: Work, pool: Pool, notes: Notes) -> None:
        self._work, self._pool, self._notes = work, pool, notes
        self.note = notes.note

    def each(self, name: str, job: Job, numbers: Iterable[int], what: str, done: Callable[[int], bool]) -> None:
        """The pieces that are left, on the pool."""
        if left := [number for number in numbers if not done(number)]:
            with self._notes.stage(name, len(left), what) as finished:
                self._pool.run(name, job, left, finished)

    def once(self, name: str, job: Job, number: int, done: Callable[[], bool]) -> None:
        """In this process, unless it is done."""
        if not done():
            run_job(self._work, name, job, number)
            self._notes.log(f"done {name}")


class Alone:
    """This process and nobody else, which says nothing."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def each(self, _: str, job: Job, numbers: Iterable[int], __: str, done: Callable[[int], bool]) -> None:
        """The pieces that are left, one after the other."""
        for number in numbers:
            if not done(number):
                job(self._work, number)

    def once(self, _: str, job: Job, number: int, done: Callable[[], bool]) -> None:
        """The one piece, unless it is done."""
        if not done():
            job(self._work, number)

    def note(self, text: str) -> None:
        """Nobody is told."""


@contextmanager
def processes_here(workers: int, work: Work, notes: Notes, stop: StopRequest) -> Iterator[Processes]:
    """`workers` processes of this machine, 0: this one alone."""
    pool = Pool(work, workers=workers, stop=stop, log_path=work.layout.logging_dir / "workers.log")
    try:
        yield Processes(work, pool, notes)
    finally:
        pool.close()
