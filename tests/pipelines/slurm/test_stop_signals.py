"""SIGUSR1 and SIGTERM to a job that cannot answer yet: nothing is lost, whatever threads there are."""

import signal
import subprocess
import sys

import pytest

JOB = """
import os, signal, threading
threading.Thread(target=threading.Event().wait, daemon=True).start()  # as numpy's: made before, blocks nothing
from pipelines.slurm.stop_signals import StopSignals
signals = StopSignals()
if {early}:
    os.kill(os.getpid(), {signum})
print("claimed", flush=True)
signals.answer(lambda: os._exit(75), lambda: os._exit(143))
os.kill(os.getpid(), {signum})
signal.pause()
"""


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize(("signum", "status"), [(signal.SIGUSR1, 75), (signal.SIGTERM, 143)])
def test_a_signal_is_answered_whenever_it_comes(early: bool, signum: signal.Signals, status: int) -> None:
    """One that comes before there is a claim waits for it; a mask would hold it back in one thread only."""
    program = JOB.format(early=early, signum=int(signum))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (status, "claimed\n"), done.stderr
