"""Jobs of one stage on worker processes: a job is a function and a number, its result a committed folder or file.

A job that fails or a worker that is killed fails the run with a plain message; what other jobs have finished stays, and
the same command does the rest. Workers end with this process, however it ends. Gives up: retries; a stage of a
deduplication is short, and its command is the retry.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO

from pipelines.dedup.spent import measured
from pipelines.dedup.work import Job, Work, open_work
from pipelines.errors import SourceError, UserError
from pipelines.executors import without_secrets
from pipelines.reader_bytes import describe
from pipelines.run_layout import RunLayout
from pipelines.run_lock import share_workers_lock
from pipelines.signals import StopRequest, interrupts_held_back
from pipelines.worker import die_with_parent, redirect_output

_LOOK_SECONDS = 0.2
_held: list[IO[str]] = []


class Stopped(Exception):
    """SIGINT or SIGTERM came while jobs were left."""


class Pool:
    """Runs the jobs of one deduplication, on `workers` processes (0: in this one, which hears signals between jobs)."""

    def __init__(self, work: Work, *, workers: int, stop: StopRequest, log_path: Path) -> None:
        self.work, self.workers, self.stop = work, workers, stop
        self._executor: ProcessPoolExecutor | None = None
        self._lifeline: Connection | None = None
        self._log_path = log_path

    def run(
        self, stage: str, job: Job, numbers: Iterable[int], done: Callable[[int], None] = lambda _: None
    ) -> None:  # fmt: skip
        """Do a job of a stage for every number; `done` is called after each.

        Raises SourceError when one fails or a worker dies, Stopped on a signal.
        """
        left = list(numbers)
        if self.workers == 0 or not left:
            for number in left:
                self._heed()
                run_job(self.work, stage, job, number)
                done(number)
            return
        futures: dict[Future[None], int] = {}
        pending: set[Future[None]] = set()
        try:
            executor = self._start()
            for number in left:
                futures[executor.submit(_in_worker, stage, job, number)] = number
            pending = set(futures)
            while pending:
                finished, pending = wait(pending, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                    done(futures[future])
                self._heed()
        except BrokenProcessPool:
            raise SourceError(
                "a worker died (killed, or out of memory); finished work is kept: run the same command again, with "
                "fewer --workers if memory is short"
            ) from None
        finally:
            if pending:
                for future in pending:
                    future.cancel()
                self.close()

    def _heed(self) -> None:
        if self.stop.signum is not None:
            raise Stopped

    def _start(self) -> ProcessPoolExecutor:
        if self._executor is None:
            context = multiprocessing.get_context("spawn")
            watched, self._lifeline = context.Pipe(duplex=False)
            self._executor = ProcessPoolExecutor(
                self.workers, context, _begin, (self.work.layout, watched, str(self._log_path))
            )
            with interrupts_held_back():
                # Workers start when they are first needed; all of them now, while Ctrl-C is held back.
                wait([self._executor.submit(os.getpid) for _ in range(self.workers)])
        return self._executor

    def close(self) -> None:
        """End all workers, busy or not."""
        if self._lifeline is not None:
            self._lifeline.close()
            self._lifeline = None
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None


def run_job(work: Work, stage: str, job: Job, number: int) -> None:
    """One job, measured; whatever goes wrong becomes a SourceError in plain words."""
    try:
        with measured(work.layout, stage, number):
            job(work, number)
    except (SourceError, UserError):
        raise
    except MemoryError:
        raise SourceError(f"{job.__module__}.{job.__name__}({number}): out of memory; use fewer --workers") from None
    except Exception as error:
        raise SourceError(without_secrets(f"{job.__module__}.{job.__name__}({number}): {describe(error)}")) from error


def _begin(layout: RunLayout, lifeline: Connection, log_path: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    die_with_parent(lifeline)
    redirect_output(log_path)
    _held.append(share_workers_lock(layout))
    _layouts.append(layout)


_layouts: list[RunLayout] = []


def _in_worker(stage: str, job: Job, number: int) -> None:
    try:
        run_job(open_work(_layouts[0]), stage, job, number)
    except SourceError as error:
        print(error, file=sys.stderr, flush=True)
        raise SourceError(str(error)) from None
