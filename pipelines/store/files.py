"""Files of a run between a store and this machine: fetched and compared with what its records say of them.

A file gets its name here when it is whole, so what has come stays, and the same call fetches the rest. Gives up:
parts of a file; one that was cut short is fetched anew.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pipelines.errors import UserError
from pipelines.ledger import TaskRecord
from pipelines.meter import Meter
from pipelines.quantities import show_bytes
from pipelines.run_layout import RUN_DIR
from pipelines.signals import StopRequest
from pipelines.store.store import Store, StoreError
from pipelines.verify import sha256_of
from pipelines.writers import WrittenFile

# Requests to the store that are under way at a time.
AT_ONCE = 4
# What a deduplication writes beside documents, as a list of WrittenFile.
TABLES = f"{RUN_DIR}/tables.json"

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


class Halted(Exception):
    """SIGINT or SIGTERM came while files were left."""


def files_of_records(records: Iterable[TaskRecord]) -> list[WrittenFile]:
    """Documents, kept and dropped, that records name."""
    return [file for record in records for file in (*([record.file] if record.file else ()), *record.dropped_files)]


def is_whole(path: Path, file: WrittenFile) -> bool:
    """Whether a path has the bytes that a record speaks of; reads them all."""
    return path.is_file() and path.stat().st_size == file.size and sha256_of(path) == file.sha256


def fetch_files(
    store: Store, files: Iterable[WrittenFile], folder: Path, stop: StopRequest, *, show: bool = False
) -> int:
    """Bring files to `folder`, those that are not there whole; answers how many came.

    Raises StoreError where one is not what its record says, Halted after a signal.
    """
    files = list(files)

    def bring(file: WrittenFile) -> tuple[int, int]:
        if stop.signum is not None:
            raise Halted
        place = folder / file.path
        if is_whole(place, file):
            return file.size, 0
        scratch = place.with_name(f".{place.name}.new")
        if not store.get(file.path, scratch) or not is_whole(scratch, file):
            scratch.unlink(missing_ok=True)
            raise StoreError(
                f"{store.url}/{file.path}: is missing, or not what the run has written; `smoltrove verify {store.url}` "
                "says more"
            )
        os.replace(scratch, place)
        return file.size, 1

    num_came = 0
    with Meter("fetching", sum(file.size for file in files), "bytes", show=show) as meter:
        for size, came in at_once(bring, files):
            num_came += came
            meter.advance(size)
    return num_came


def at_once(job: Callable[[_Item], _Answer], items: Iterable[_Item]) -> Iterator[_Answer]:
    """The answers to all items, AT_ONCE of them under way; the first error ends it, and what has not begun."""
    executor = ThreadPoolExecutor(AT_ONCE)
    try:
        yield from executor.map(job, items)
    finally:
        executor.shutdown(cancel_futures=True)


def bytes_left(files: Iterable[WrittenFile], folder: Path) -> int:
    """How much of it is not in `folder` yet, by the sizes there."""
    return sum(
        file.size
        for file in files
        if not (folder / file.path).is_file() or (folder / file.path).stat().st_size != file.size
    )


def check_room(folder: Path, needed: int, what: str) -> None:
    """Raises UserError where the disk of `folder` has less than `needed` bytes left; `what` says for what."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(f"{folder}: has {show_bytes(free)} free, and needs {show_bytes(needed)}: {what}")


def stored_tables(store: Store) -> list[WrittenFile]:
    """The tables of a deduplication in a store; [] for a filter run. Raises StoreError for a damaged list."""
    try:
        return [WrittenFile.model_validate(item) for item in json.loads(store.read(TABLES) or b"[]")]
    except ValueError as error:
        raise StoreError(f"{store.url}/{TABLES}: is damaged ({str(error).splitlines()[0]})") from None
