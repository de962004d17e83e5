"""Progress of a run: a live table on a terminal, plain lines elsewhere, and always `<logging-dir>/main.log`.

Gives up: progress of a single file; documents read and written are what is counted.
"""

import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from pipelines.ledger import read_record
from pipelines.plan import Plan
from pipelines.run_layout import RunLayout

Task = tuple[int, int]
PLAIN_EVERY_SECONDS = 10.0
MOST_ROWS = 30


class MainLog:
    """One line per event in `<logging-dir>/main.log`, for `tail -f`."""

    def __init__(self, plan: Plan, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.plan = plan
        self._handle = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 - closed by close()

    def say(self, text: str) -> None:
        """Write one line with the time of day in front."""
        self._handle.write(f"{datetime.now().isoformat(timespec='seconds')} {text}\n")

    def _name(self, task: Task) -> str:
        return f"{self.plan.sources[task[0]].key} task {task[1]}"

    def ready(self, seconds: float) -> None:
        self.say(f"worker ready after {seconds:.2f} s")

    def started(self, task: Task) -> None:
        self.say(f"start {self._name(task)}")

    def progress(self, task: Task, read: int, written: int) -> None:
        """Too many lines for a log."""

    def done(self, task: Task) -> None:
        self.say(f"done {self._name(task)}")

    def failed(self, task: Task, reason: str) -> None:
        self.say(f"FAILED {self._name(task)}: {reason}")

    def retried(self, task: Task, reason: str) -> None:
        self.say(f"retry {self._name(task)}: its worker was lost ({reason})")

    def tick(self) -> None:
        """Nothing to do between events."""

    def close(self) -> None:
        """Close the file."""
        self._handle.close()


@dataclass
class _SourceProgress:
    """What has happened to one source in this run."""

    started_at: float
    tasks: int = 0
    drawn: int = 0
    written: int = 0
    bytes_done: int = 0


class Display:
    """What stands on the screen while a run works."""

    def __init__(self, plan: Plan, layout: RunLayout, done_before: int) -> None:
        self.plan, self.layout = plan, layout
        self.done_before = done_before
        self.started_at = time.monotonic()
        self.running: dict[Task, tuple[int, int]] = {}
        self.sources: dict[int, _SourceProgress] = {}
        self.failed_tasks = 0
        self._bytes_total = sum(source.bytes_to_read for source in plan.sources)
        self._next_plain = time.monotonic() + PLAIN_EVERY_SECONDS
        self._live: Live | None = None
        if sys.stderr.isatty():
            self._live = Live(console=Console(stderr=True), refresh_per_second=4, transient=True)
            self._live.start()

    def ready(self, seconds: float) -> None:
        """Nothing to show yet."""

    def started(self, task: Task) -> None:
        self.running[task] = (0, 0)
        self.sources.setdefault(task[0], _SourceProgress(started_at=time.monotonic()))

    def progress(self, task: Task, read: int, written: int) -> None:
        self.running[task] = (read, written)

    def done(self, task: Task) -> None:
        self.running.pop(task, None)
        source, state = self.plan.sources[task[0]], self.sources[task[0]]
        record = read_record(self.layout.record(source.source.output_dir, task[1]))
        state.tasks += 1
        state.drawn += record.drawn
        state.written += record.written
        state.bytes_done += sum(file.size for file in source.task_files(task[1]))

    def failed(self, task: Task, reason: str) -> None:
        self.running.pop(task, None)
        self.failed_tasks += 1

    def retried(self, task: Task, reason: str) -> None:
        self.running.pop(task, None)

    def tick(self) -> None:
        if self._live is not None:
            self._live.update(self._table())
        elif time.monotonic() >= self._next_plain:
            self._next_plain = time.monotonic() + PLAIN_EVERY_SECONDS
            print(self._headline(), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Take the table off the screen."""
        if self._live is not None:
            self._live.stop()

    def _headline(self) -> str:
        seconds = time.monotonic() - self.started_at
        tasks = self.done_before + sum(state.tasks for state in self.sources.values())
        drawn = sum(state.drawn for state in self.sources.values())
        failed = f", {self.failed_tasks} failed" if self.failed_tasks else ""
        eta = time_left(seconds, sum(state.bytes_done for state in self.sources.values()), self._bytes_total)
        rate = drawn / seconds if seconds > 0 else 0.0
        return f"{tasks} of {self.plan.num_tasks} tasks done{failed}, {rate:,.0f} documents/s" + (
            f", {eta} left" if eta else ""
        )

    def _table(self) -> Table:
        table = Table(title=self._headline(), box=None, padding=(0, 1))
        table.add_column("source", no_wrap=True)
        for heading in ("tasks", "documents/s", "kept", "written", "left"):
            table.add_column(heading, justify="right")
        busy = {index for index, _ in self.running}
        for i in sorted(self.sources, key=lambda i: (i not in busy, i))[:MOST_ROWS]:
            source, state = self.plan.sources[i], self.sources[i]
            seconds = time.monotonic() - state.started_at
            written_now = sum(kept for (index, _), (_, kept) in self.running.items() if index == i)
            done = state.tasks == len(source.tasks)
            table.add_row(
                source.key,
                f"{state.tasks}/{len(source.tasks)}",
                f"{state.drawn / seconds:,.0f}" if state.drawn and not done and seconds > 0 else "",
                f"{state.written / state.drawn:.0%}" if state.drawn else "",
                f"{state.written + written_now:,}",
                "" if done else time_left(seconds, state.bytes_done, source.bytes_to_read),
            )
        return table


def time_left(seconds: float, done: float, total: float) -> str:
    """Time left at the pace so far, by bytes of input; empty while nothing is finished."""
    if not done or done >= total:
        return ""
    left = round(seconds * (total - done) / done)
    return f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02}"
