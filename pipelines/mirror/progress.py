"""What stands on the screen while a mirror is made or checked: a bar on a terminal, a line every ten seconds elsewhere.

Gives up: a bar for each file.
"""

import sys
import threading
import time

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bar

from pipelines.quantities import show_bytes

PLAIN_EVERY_SECONDS = 10.0


class Progress:
    """Told by any thread of bytes and files. `verb`: what is done with them."""

    def __init__(self, verb: str) -> None:
        self.verb = verb
        self._console = Console(stderr=True, highlight=False)
        self._lock = threading.Lock()
        self._files = self._num_files = self._bytes = self._num_bytes = 0
        self._due = time.monotonic() + PLAIN_EVERY_SECONDS
        self._bar: Bar | None = None
        if sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
                       TimeRemainingColumn())  # fmt: skip
            self._bar = Bar(*columns, console=self._console, transient=True)
            self._task = self._bar.add_task(verb, total=0)

    def start(self, num_files: int, num_bytes: int) -> None:
        """So much is to be done."""
        self._num_files, self._num_bytes = num_files, num_bytes
        if self._bar is not None and num_files:
            self._bar.update(self._task, total=num_bytes)
            self._bar.start()

    def bytes(self, number: int) -> None:
        """So many more bytes are done."""
        with self._lock:
            self._bytes += number
        self._show()

    def file(self) -> None:
        """One more file is done, or will not be."""
        with self._lock:
            self._files += 1
        self._show()

    def say(self, text: str) -> None:
        """One line of its own."""
        self._console.print(text, markup=False, soft_wrap=True)

    def _show(self) -> None:
        line = f"{self.verb} {self._files} of {self._num_files} files"
        with self._lock:
            if self._bar is not None:
                self._bar.update(self._task, completed=self._bytes, description=line)
            elif time.monotonic() >= self._due:
                self._due = time.monotonic() + PLAIN_EVERY_SECONDS
                self.say(f"{line}, {show_bytes(self._bytes)} of {show_bytes(self._num_bytes)}")

    def close(self) -> None:
        """Take the bar off the screen."""
        if self._bar is not None:
            self._bar.stop()
