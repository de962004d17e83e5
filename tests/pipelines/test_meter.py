"""Long commands say how far they are: lines at intervals where nobody watches, a bar on a terminal; on stderr."""

import io
import os
import pty
import re
import subprocess
import sys

import pytest

from pipelines import meter as module
from pipelines.meter import Meter
from tests.data import ROOT
from tests.pipelines.processes import Run


class Clock:
    """Time as the test wants it."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


def test_elsewhere_a_line_every_ten_seconds_with_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    with Meter("verifying", 60_000_000, "bytes") as meter:
        for _ in range(60):
            clock.now += 0.5
            meter.advance(1_000_000)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "verifying: 20 MB of 60 MB, 0:00:20 left",
        "verifying: 40 MB of 60 MB, 0:00:10 left",
        "verifying: 60 MB of 60 MB",
    ]


def test_it_can_be_silent(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    with Meter("x", 2, "files", show=False) as meter:
        clock.now += 100
        meter.advance()
    assert capsys.readouterr() == ("", "")


def test_nothing_to_do_is_no_division(capsys: pytest.CaptureFixture[str]) -> None:
    with Meter("x", 0, "files") as meter:
        meter.advance(0)
    assert capsys.readouterr().err == ""


def test_on_a_terminal_a_bar_that_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    with Meter("exporting", 3, "files") as meter:
        meter.advance(2)
        assert meter._bar is not None
        meter._bar.refresh()
    shown = terminal.getvalue()
    assert "exporting: 2 of 3 files" in shown
    assert "━" in shown
    assert shown.endswith("\x1b[2K"), "the line is erased"


def on_a_terminal(*arguments: str) -> str:
    """What a command writes to a terminal that is its stderr."""
    leader, follower = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines", *arguments], cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=follower
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            block = os.read(leader, 1 << 16)
        except OSError:  # the other side is closed
            break
        if not block:
            break
        shown += block
    os.close(leader)
    assert process.wait() == 0
    return shown.decode()


def test_a_command_shows_it_on_a_terminal(undisturbed: Run) -> None:
    assert re.search(r"verifying: \d[\d.]* k?B of", on_a_terminal("verify", str(undisturbed.output)))
