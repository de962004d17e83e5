"""Lanes: processes that do the same work side by side, one piece at a time, each with its own clock.

A lane reads one JSON line for each piece, works, and answers with one JSON line: CPU seconds of its own process,
counts, peak memory. The driver gives the same piece to one lane after the other, so all of them see the same load of
the machine, and none shares memory, caches or imports with another. Standard library only: peers' environments run
this too. Gives up: lanes at the same time; on two cores they would disturb each other.
"""

import gc
import gzip
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

Answer = dict[str, Any]
# One core for each lane, whatever a library would like to use.
ONE_CORE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), "1")


class LaneError(RuntimeError):
    """A lane ended before it answered; the message has the end of what it printed."""


class Lane:
    """A process that answers questions.

    Args:
        name: shown in messages.
        command: arguments of the process, the interpreter first.
        folder: where it is started; None is the present one.

    Attributes:
        ready: what it said once it was ready: `setup_seconds` (CPU, imports and models), `setup_memory` (bytes).
    """

    def __init__(self, name: str, command: Sequence[str], folder: str | None = None) -> None:
        self.name = name
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by close()
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | ONE_CORE
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, cwd=folder,
            env=environment,
        )  # fmt: skip
        self.ready = self._hear()

    def ask(self, **question: Any) -> Answer:
        """One piece of work, done. Raises LaneError when the process ends instead."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # its last words are in its log, which `_hear` shows
        return self._hear()

    def _hear(self) -> Answer:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._log.seek(0)
            raise LaneError(f"{self.name}: ended with {self._process.returncode}: {self._log.read()[-2000:].strip()}")
        answer: Answer = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process and wait for it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def __enter__(self) -> "Lane":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def peak_memory() -> int:
    """The most memory that this process has had, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measured(call: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of a call (all threads of this process), and what it returned."""
    gc.collect()
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


def read_texts(path: str) -> list[str]:
    """The texts of a jsonl.gz file, as new objects."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def serve(answer: Callable[[dict[str, Any]], Answer]) -> None:
    """The lane's side: says that it is ready, then answers until the driver hangs up."""
    # What libraries print goes to the log; the answers have the standard output to themselves.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(what: Answer) -> None:
        answers.write(json.dumps(what) + "\n")
        answers.flush()

    say({"setup_seconds": time.process_time(), "setup_memory": peak_memory()})
    for line in sys.stdin:
        say(answer(json.loads(line)) | {"peak_memory": peak_memory()})
