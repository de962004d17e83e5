"""Two locks on an output folder: one supervisor at a time, and no new one while an old one's workers still live.

Advisory file locks (flock): they end with the process that holds them, so a dead run never blocks. Gives up: protection
on network filesystems without lock support; there the lock is reported as not available and the run goes on.
"""

import errno
import fcntl
import os
import time
from pathlib import Path
from typing import IO

from pipelines.errors import UserError
from pipelines.run_layout import RunLayout

WORKERS_LOCK = "workers.lock"
RUN_LOCK = "run.lock"
_WAIT_SECONDS = 30.0
_LOOK_SECONDS = 0.5
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)


def lock_run(run_dir: Path) -> IO[str]:
    """Hold the folder for this process. Raises UserError naming the process that holds it."""
    run_dir.mkdir(parents=True, exist_ok=True)
    handle = open(run_dir / RUN_LOCK, "a+", encoding="utf-8")  # noqa: SIM115 - held for the run's life
    # `status` holds the lock for an instant to see whether anybody else does; that must not look like a run.
    deadline = time.monotonic() + _LOOK_SECONDS
    while not (held := _try(handle, fcntl.LOCK_EX)) and time.monotonic() < deadline:
        time.sleep(0.02)
    if not held:
        handle.seek(0)
        holder = handle.read().strip() or "unknown"
        handle.close()
        raise UserError(
            f"{run_dir.parent}: another run is writing here (process {holder}); wait for it, or choose another "
            "--output-folder"
        )
    handle.seek(0)
    handle.truncate()
    handle.write(f"{os.getpid()}\n")
    handle.flush()
    _wait_for_workers(run_dir)
    return handle


def _wait_for_workers(run_dir: Path) -> None:
    if not workers_end(run_dir, _WAIT_SECONDS):
        raise UserError(
            f"{run_dir.parent}: workers of an earlier run are still alive; end them (`pgrep -fa "
            "'multiprocessing|ray::'`) and run the same command again"
        )


def workers_end(run_dir: Path, seconds: float) -> bool:
    """Wait until no worker holds its lock any more; False when one still does after `seconds`."""
    deadline = time.monotonic() + seconds
    with open(run_dir / WORKERS_LOCK, "a+", encoding="utf-8") as handle:
        while not _try(handle, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
    return True


def share_workers_lock(layout: RunLayout) -> IO[str]:
    """Called by each worker: held until the process ends."""
    handle = open(layout.run_dir / WORKERS_LOCK, "a+", encoding="utf-8")  # noqa: SIM115 - held for the process's life
    _try(handle, fcntl.LOCK_SH)
    return handle


def _try(handle: IO[str], mode: int) -> bool:
    try:
        fcntl.flock(handle, mode | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return True
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True
