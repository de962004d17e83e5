"""What Slurm sends to a job that is to stop: SIGUSR1 (back into the queue) and SIGTERM (the end).

Noted from the beginning, answered as soon as there is somebody to answer. Not blocked meanwhile: a mask is of one
thread, numpy has started others by then, and the kernel gives the signal to one of those, which dies of it with the
whole process and without a word. Gives up: a signal in the second in which Python is still importing.
"""

import os
import signal
import subprocess
from collections.abc import Callable
from typing import Any, NoReturn

STOPPED = "stopped by SIGTERM: cancelled, preempted or past its time limit"


class StopSignals:
    """SIGUSR1 and SIGTERM of this process. Made once, in its main thread."""

    def __init__(self) -> None:
        self._came: list[int] = []
        for signum in (signal.SIGUSR1, signal.SIGTERM):
            signal.signal(signum, self._note)

    def _note(self, signum: int, _frame: Any) -> None:
        self._came.append(signum)

    def answer(self, requeue: Callable[[], NoReturn], stop: Callable[[], NoReturn]) -> None:
        """Call `requeue` for SIGUSR1 and `stop` for SIGTERM from now on, and for what came before."""
        answers = {signal.SIGUSR1: requeue, signal.SIGTERM: stop}

        def answer(signum: int, _frame: Any) -> NoReturn:
            answers[signal.Signals(signum)]()

        for number in answers:
            signal.signal(number, answer)
        for came in self._came:
            answer(came, None)


def back_into_the_queue(job_id: str) -> NoReturn:
    """Have Slurm requeue this job, and end."""
    print(f"SIGUSR1: job {job_id} goes back into the queue", flush=True)
    subprocess.run(["scontrol", "requeue", job_id], check=False)
    os._exit(75)  # EX_TEMPFAIL; Slurm ends this process in any case
