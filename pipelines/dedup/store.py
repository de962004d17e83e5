"""Work files of a deduplication: numpy arrays in a folder that appears whole or not at all, with counts and digests.

A stage reads only folders that were committed, and refuses one whose files are not what was committed: stock stages
read whatever files lie there, which loses text silently. Raw little-endian arrays, so that signature files are
datatrove's byte for byte. Gives up: compression; work files live as long as the run of the command.
"""

import errno
import json
import mmap
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import xxhash

from pipelines.errors import SourceError
from pipelines.ledger import sync_folder

TOTALS = "totals.json"
_BLOCK = 1 << 22


class WorkFileError(SourceError):
    """A work file is missing, incomplete or altered."""


def commit(
    folder: Path, arrays: Mapping[str, np.ndarray | Callable[[], np.ndarray]], totals: Mapping[str, int | str]
) -> None:
    """Write `arrays` as files of `folder` with `totals` beside them; the folder gets its name when all is on disk.

    A function is called when its turn comes, so that not all arrays are in memory at a time. A folder that another
    process has committed meanwhile stays: it holds the same.
    """
    scratch = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.new")
    scratch.mkdir(parents=True)
    files = {}
    for name, given in arrays.items():
        array = np.ascontiguousarray(given() if callable(given) else given)
        with open(scratch / name, "wb") as handle:
            array.tofile(handle)
            handle.flush()
            os.fsync(handle.fileno())
        files[name] = {"dtype": _descr(array.dtype), "size": array.nbytes, "xxh3": _digest(scratch / name)}
    with open(scratch / TOTALS, "w", encoding="utf-8") as handle:
        json.dump({"totals": dict(totals), "files": files}, handle, sort_keys=True)
        handle.flush()
        os.fsync(handle.fileno())
    try:
        os.rename(scratch, folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        shutil.rmtree(scratch if is_committed(folder) else folder)
        if scratch.exists():
            os.rename(scratch, folder)
    sync_folder(folder.parent)


def _descr(dtype: np.dtype) -> Any:
    return dtype.str if dtype.names is None else dtype.descr


def _dtype(descr: Any) -> np.dtype:
    if isinstance(descr, str):
        return np.dtype(descr)
    return np.dtype([(name, kind, *(tuple(shape) for shape in more)) for name, kind, *more in descr])


def _digest(path: Path | str) -> str:
    digest = xxhash.xxh3_64()
    with open(path, "rb") as handle:
        while block := handle.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


@lru_cache(maxsize=100_000)
def _digest_of(path: str, _mtime_ns: int, _inode: int, _size: int) -> str:
    # Every file asks what was decided about it of the same few arrays.
    return _digest(path)


def is_committed(folder: Path) -> bool:
    """Whether the folder is there, whole."""
    return (folder / TOTALS).is_file()


def totals(folder: Path) -> dict[str, Any]:
    """The counts that were committed with a folder. Raises WorkFileError where there are none."""
    found: dict[str, Any] = _description(folder)["totals"]
    return found


def _description(folder: Path) -> dict[str, Any]:
    try:
        path = f"{folder}/{TOTALS}"
        stat = os.stat(path)
        return _read_description(path, stat.st_mtime_ns, stat.st_ino, stat.st_size)
    except (OSError, ValueError, KeyError) as error:
        raise WorkFileError(
            f"{folder}: the stage before did not finish it ({error}); run the same command again"
        ) from None


@lru_cache(maxsize=20_000)
def _read_description(path: str, _mtime_ns: int, _inode: int, _size: int) -> dict[str, Any]:
    # A part reads one bucket of every file, in turn; a cache of fewer descriptions than files would never be hit.
    data: dict[str, Any] = json.loads(Path(path).read_bytes())
    data["totals"], data["files"]
    return data


def has(folder: Path, name: str) -> bool:
    """Whether a committed folder has an array of this name."""
    return name in _description(folder)["files"]


def load(folder: Path, name: str, *, check: bool = True) -> np.ndarray:
    """One array of a committed folder, mapped from disk, read only. `check` compares its digest (reads it whole, once
    in a process as long as the file is not touched).

    Raises WorkFileError when the file is not the one that was committed.
    """
    said = _description(folder)["files"].get(name)
    # Strings: a stage asks for an array of every file, and pathlib takes longer for a name than the system for a file.
    path = f"{folder}/{name}"
    try:
        if said is not None:
            with open(path, "rb") as handle:
                return _mapped(path, handle, said, check)
    except (FileNotFoundError, IsADirectoryError):
        pass
    raise WorkFileError(f"{path}: is missing; remove the folder {folder} and run the same command again")


def _mapped(path: str, handle: BinaryIO, said: Mapping[str, Any], check: bool) -> np.ndarray:
    stat = os.fstat(handle.fileno())
    size = stat.st_size
    if size != said["size"]:
        raise WorkFileError(
            f"{path}: has {size:,} bytes, {said['size']:,} were written; remove its folder and run again"
        )
    if check and _digest_of(path, stat.st_mtime_ns, stat.st_ino, size) != said["xxh3"]:
        raise WorkFileError(f"{path}: is not what was written; remove its folder and run the same command again")
    dtype = _dtype(said["dtype"])
    if not size:
        return np.empty(0, dtype)
    # As numpy.memmap does it, in a third of the time: a part maps an array of every file.
    return np.frombuffer(mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ), dtype)


def clear_unfinished(folder: Path) -> None:
    """Remove what killed attempts left below `folder`."""
    for path in folder.rglob(".*.new"):
        if path.is_dir():
            shutil.rmtree(path)
