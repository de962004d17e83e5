"""How far a long command is: a bar with the time left on a terminal, a line every ten seconds elsewhere, on stderr.

`run` has a table of its own (progress.py); this is for commands that do one thing after another. Gives up: speaking
between two steps; a step that takes minutes is silent for as long.
"""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from pipelines.progress import PLAIN_EVERY_SECONDS, time_left
from pipelines.quantities import show_bytes


class Meter:
    """Counts towards `total`. `unit`: what is counted, in the plural; "bytes" are shown as MB. A context manager.

    show: False prints nothing. what: a verb, such as "verifying".
    """

    def __init__(self, what: str, total: float, unit: str, *, show: bool = True) -> None:
        self.what, self.total, self.unit, self.show = what, total, unit, show
        self.done = 0.0
        self._started = time.monotonic()
        self._next_plain = self._started + PLAIN_EVERY_SECONDS
        self._bar: Progress | None = None

    def __enter__(self) -> "Meter":
        if self.show and sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn(),
                console=Console(stderr=True), transient=True,
            )  # fmt: skip
            self._task = self._bar.add_task(self._counted(), total=self.total or None)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, amount: float = 1) -> None:
        """So much more is done."""
        self.done += amount
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, description=self._counted())
        elif self.show and time.monotonic() >= self._next_plain:
            self._next_plain = time.monotonic() + PLAIN_EVERY_SECONDS
            left = time_left(time.monotonic() - self._started, self.done, self.total)
            print(self._counted() + (f", {left} left" if left else ""), file=sys.stderr, flush=True)

    def _counted(self) -> str:
        if self.unit == "bytes":
            return f"{self.what}: {show_bytes(self.done)} of {show_bytes(self.total)}"
        return f"{self.what}: {self.done:,.0f} of {self.total:,.0f} {self.unit}"
