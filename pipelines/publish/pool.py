"""A function over a list on worker processes that end with this one, however it ends; results as they come.

Gives up: retries; a job leaves nothing half done, and the same command does the rest.
"""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import TypeVar

from pipelines.errors import SourceError
from pipelines.signals import StopRequest, interrupts_held_back
from pipelines.worker import die_with_parent

_LOOK_SECONDS = 0.2
Item = TypeVar("Item")
Result = TypeVar("Result")


class Stopped(Exception):
    """SIGINT or SIGTERM came while jobs were left."""


def results(
    job: Callable[[Item], Result], items: Sequence[Item], *, workers: int, stop: StopRequest
) -> Iterator[Result]:
    """`job(item)` for every item, in the order in which they finish; one worker is this process.

    Raises what a job raises, SourceError when a worker dies, Stopped on a signal.
    """
    workers = min(workers, len(items))
    if workers <= 1:
        for item in items:
            if stop.signum is not None:
                raise Stopped
            yield job(item)
        return
    context = multiprocessing.get_context("spawn")
    watched, lifeline = context.Pipe(duplex=False)
    executor = ProcessPoolExecutor(workers, context, _begin, (watched,))
    try:
        with interrupts_held_back():
            wait([executor.submit(_nothing) for _ in range(workers)])
        pending: set[Future[Result]] = {executor.submit(job, item) for item in items}
        while pending:
            finished, pending = wait(pending, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()
            if stop.signum is not None:
                raise Stopped
    except BrokenProcessPool:
        raise SourceError(
            "a worker died (killed, or out of memory); finished work is kept: run the same command again, with fewer "
            "--workers if memory is short"
        ) from None
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        lifeline.close()
        executor.shutdown(wait=True)


def _nothing() -> None:
    """Makes a worker start."""


def _begin(lifeline: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    die_with_parent(lifeline)
