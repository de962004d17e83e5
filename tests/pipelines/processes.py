"""Runs as real processes, for tests that kill them: start through the command line, watch the log, find the workers.

Linux only (processes are found in /proc). Gives up: nothing is waited for without a limit.
"""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.data import ROOT

HANG_SECONDS = 240
# Of a ledger line, what differs between two runs that did the same.
MEASURED = (
    "seconds", "cpu_seconds", "peak_memory_bytes", "memory_by_step", "step_seconds", "requests", "bytes_fetched",
)  # fmt: skip


class Run:
    """One output folder and one log folder below `folder`, and the command that fills them."""

    def __init__(self, folder: Path, config: Path, *options: str, script: bool = False) -> None:
        self.folder = folder
        self.output, self.logs = folder / "out", folder / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        if script:
            start = [str(ROOT / "smollm3_stage1_datatrove_pipeline.py"), "--config", str(config)]
        else:
            start = ["-m", "pipelines", "run", str(config)]
        folders = ["--output-folder", str(self.output), "--logging-dir", str(self.logs)]
        self.command = [sys.executable, *start, *folders, *options]
        self.env = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}

    def start(self, *options: str, **kwargs: Any) -> "subprocess.Popen[str]":
        """Start the command in a process group of its own."""
        return subprocess.Popen(
            [*self.command, *options], cwd=self.folder, env=self.env, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True, **kwargs,
        )  # fmt: skip

    def call(self, *options: str, **kwargs: Any) -> tuple[int, str]:
        """(exit status, everything it printed)."""
        return finish(self.start(*options, **kwargs))

    def verify(self, *options: str) -> tuple[int, str]:
        """`smoltrove verify` of the output folder."""
        return self.tool("verify", *options)

    def tool(self, verb: str, *options: str) -> tuple[int, str]:
        """Another verb on the output folder."""
        done = subprocess.run(
            [sys.executable, "-m", "pipelines", verb, str(self.output), *options], cwd=self.folder, env=self.env,
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=HANG_SECONDS, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout

    def log(self) -> str:
        """main.log as it stands."""
        path = self.logs / "main.log"
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    def files(self) -> dict[str, bytes]:
        """Everything in the output folder outside `_run`, by relative path."""
        found = {}
        for path in sorted(self.output.rglob("*")):
            name = path.relative_to(self.output).as_posix()
            if path.is_file() and not name.startswith("_run/"):
                found[name] = path.read_bytes()
        return found

    def documents(self) -> list[str]:
        """Every line of every file, sorted."""
        return sorted(line for data in self.files().values() for line in gzip.decompress(data).decode().splitlines())

    def ledger(self) -> list[dict[str, Any]]:
        """ledger.jsonl without what is measured."""
        lines = (self.output / "_run" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
        return [{k: v for k, v in json.loads(line).items() if k not in MEASURED} for line in lines]

    def markers(self) -> list[str]:
        """datatrove's completion markers."""
        return sorted(str(path) for path in self.output.glob("_run/stages/*/datatrove/**/completions/*"))


def finish(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Wait for a run; one that hangs is killed and fails the test."""
    try:
        text, _ = process.communicate(timeout=HANG_SECONDS)
    except subprocess.TimeoutExpired:
        kill_group(process)
        text, _ = process.communicate()
        raise AssertionError(f"the run hangs; it printed:\n{text}") from None
    return process.returncode, text


def kill_group(process: "subprocess.Popen[str]") -> None:
    """SIGKILL for the run and all its workers at once."""
    with suppress(ProcessLookupError):  # it has ended by itself
        os.killpg(process.pid, signal.SIGKILL)


def children(pid: int, having: str) -> list[int]:
    """Children of a process whose command line contains `having`."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            pids = [int(item) for item in path.read_text().split()]
        except OSError:
            continue
        found += [child for child in pids if having in _command_line(child)]
    return found


def workers_of(process: "subprocess.Popen[str]") -> list[int]:
    """The run's live worker processes."""
    return children(process.pid, "spawn_main")


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, IndexError):
        return False


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 60, every: float = 0.005) -> Any:
    """The first true answer of `condition`; fails the test after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain for {what}"
        time.sleep(every)
    return answer


def wait_until_gone(pids: Sequence[int], seconds: float = 10) -> None:
    """Fails the test when one of the processes lives on."""
    wait_until(lambda: not any(is_alive(pid) for pid in pids), f"the end of {pids}", seconds)
