"""Questions to servers, a few at a time in threads, each bounded in time.

Unlike concurrent.futures, a question that gets no answer holds up neither the others, nor Ctrl-C, nor the end of the
process. Gives up: work for the processor, which threads do not do side by side.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def side_by_side(
    jobs: Sequence[Callable[[], T]], *, at_once: int, seconds: float | None = None, order: Sequence[int] | None = None,
    done_with: Callable[[], None] = lambda: None,
) -> list[T | None]:  # fmt: skip
    """The answers of `jobs`, begun in `order` (default: as they stand); None for one that takes longer than `seconds`.

    A job that is given up keeps its thread, and another takes its turn. What a job raises is raised here, at once.
    `done_with` is called after each job that has answered or was given up.
    """
    answers: list[T | None] = [None] * len(jobs)
    todo: deque[int] = deque(range(len(jobs)) if order is None else order)
    running: dict[int, float] = {}
    done: queue.SimpleQueue[tuple[int, T | None, BaseException | None]] = queue.SimpleQueue()

    def work(index: int) -> None:
        try:
            done.put((index, jobs[index](), None))
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            done.put((index, None, error))

    while todo or running:
        while todo and len(running) < at_once:
            index = todo.popleft()
            running[index] = time.monotonic()
            threading.Thread(target=work, args=(index,), daemon=True, name=f"job-{index}").start()
        oldest = min(running, key=lambda i: running[i])
        left = None if seconds is None else max(0.0, running[oldest] + seconds - time.monotonic())
        try:
            index, answer, error = done.get(timeout=left)
        except queue.Empty:
            del running[oldest]
            done_with()
            continue
        if running.pop(index, None) is None:
            continue
        if error is not None:
            raise error
        answers[index] = answer
        done_with()
    return answers
