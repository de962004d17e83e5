"""One run at a time in a folder of an object store, on whatever machine: numbered locks with a heartbeat.

    <url>/_run/locks/000003.json    the third run that took the folder; rewritten every few seconds while it lives

The next lock is made under the next number, by a conditional put, so of two that find the same lock abandoned only one
goes on. Abandoned = ended, or not rewritten for STILL_SECONDS while we looked, or made from this very scratch folder,
whose own lock we hold. Gives up: stores without conditional puts (there two runs that start in the same instant both go
on, and a warning says so), and a process that freezes for longer than that between its last look and its last put: what
it puts then is what the other one puts.
"""

import json
import os
import socket
import threading
import time
from contextlib import suppress
from typing import Any

from pipelines.errors import SourceError, UserError
from pipelines.store.store import Store, StoreError

LOCKS = "_run/locks"
HEARTBEAT_SECONDS = 5.0
STILL_SECONDS = 20.0


class StoreLock:
    """Held from `take_lock` to `release`. `guarded`: whether the store has conditional puts."""

    def __init__(self, store: Store, number: int, holder: dict[str, Any], *, guarded: bool) -> None:
        self.store, self.number, self.guarded = store, number, guarded
        self._holder = holder
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="store-lock", daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        while not self._over.wait(HEARTBEAT_SECONDS):
            self._holder["beat"] += 1
            # A store that hangs for a moment is no reason to die; every task looks at the lock before it counts.
            with suppress(StoreError):
                self._write()

    def _write(self) -> None:
        self.store.write(_key(self.number), json.dumps(self._holder).encode())

    def release(self) -> None:
        """Say that this run has ended."""
        self._over.set()
        self._thread.join()
        self._holder["ended"] = True
        with suppress(StoreError):
            self._write()

    def __enter__(self) -> "StoreLock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def take_lock(store: Store, token: str) -> StoreLock:
    """Take the folder for this process, after waiting for an abandoned lock to be still.

    token: names the scratch folder, whose own lock this process holds. Raises UserError while another run lives.
    """
    number = newest_lock(store)
    if number:
        _wait_until_abandoned(store, number, token)
    holder = {"host": socket.gethostname(), "pid": os.getpid(), "token": token, "beat": 0, "ended": False}
    data = json.dumps(holder).encode()
    # An answer that was lost makes the client ask again, and find its own.
    if not store.create(_key(number + 1), data) and store.read(_key(number + 1)) != data:
        raise UserError(f"{store.url}: another run has just begun to write here; wait for it")
    # A store that lets a second put through has no conditional puts.
    guarded = not store.create(_key(number + 1), data)
    for old in range(max(1, number - 8), number):
        store.delete(_key(old))
    return StoreLock(store, number + 1, holder, guarded=guarded)


def newest_lock(store: Store) -> int:
    """The number of the last lock, 0 where there was none."""
    names = (key.rpartition("/")[2].removesuffix(".json") for key in store.list(LOCKS))
    return max((int(name) for name in names if name.isdecimal()), default=0)


def fence(store: Store, number: int) -> None:
    """Raises SourceError when another run has taken the folder over from the one with this lock."""
    if newest_lock(store) != number:
        raise SourceError(f"{store.url}: another run took it over while this one stood still; that one finishes it")


def is_locked(store: Store, seconds: float = HEARTBEAT_SECONDS * 1.5) -> bool:
    """Whether a run works there: its lock is rewritten while we look."""
    number = newest_lock(store)
    before = _holder(store, number) if number else None
    deadline = time.monotonic() + seconds
    while before is not None and not before["ended"]:
        if (now := _holder(store, number)) != before:
            return now is not None and not now["ended"]
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return False


def _wait_until_abandoned(store: Store, number: int, token: str) -> None:
    first = _holder(store, number)
    if first is None or first["ended"] or first["token"] == token:
        return
    deadline = time.monotonic() + STILL_SECONDS
    while time.monotonic() < deadline:
        time.sleep(1.0)
        now = _holder(store, number)
        if now is None or now["ended"]:
            return
        if now != first:
            raise UserError(
                f"{store.url}: another run is writing here (process {first['pid']} on {first['host']}); wait for it, "
                "or choose another --output-folder"
            )


def _holder(store: Store, number: int) -> dict[str, Any] | None:
    try:
        found = json.loads(store.read(_key(number)) or b"null")
        return {key: found[key] for key in ("host", "pid", "token", "beat", "ended")} if found else None
    except (ValueError, KeyError, TypeError):
        return None


def _key(number: int) -> str:
    return f"{LOCKS}/{number:06d}.json"
