"""One file of the Hub into a mirror: resumed where it broke off, hashed whole, renamed to its place when it is right.

What is under way has `.part` at its end, which no reading of a mirror looks at. Gives up: several connections for one
file; many files are fetched at a time instead.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.errors import SourceError
from pipelines.hub_file import HubFile
from pipelines.ledger import sync_folder
from pipelines.mirror.record import HeldFile
from pipelines.sources import FileInfo
from pipelines.traffic import Traffic

PART = ".part"
_BLOCK = 1 << 20
Progress = Callable[[int], None]
"""Told how many more bytes of a file are here; fewer than none when some turned out to be wrong."""


class Sums:
    """sha256 of a file as it comes, and whether it is the file that the Hub lists: by sha256, or by git's sha1."""

    def __init__(self, file: FileInfo) -> None:
        self.file = file
        self.num_bytes = 0
        self._sha256 = hashlib.sha256()
        self._git = hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False) if len(file.identity) == 40 else None

    def update(self, block: bytes) -> None:
        """The next bytes, in order."""
        self.num_bytes += len(block)
        self._sha256.update(block)
        if self._git is not None:
            self._git.update(block)

    @property
    def sha256(self) -> str:
        """Of what came so far, hexadecimal."""
        return self._sha256.hexdigest()

    @property
    def right(self) -> bool:
        """Whether what came is the whole file and no other."""
        digest = self.sha256 if self._git is None else self._git.hexdigest()
        return self.num_bytes == self.file.size and digest == self.file.identity

    def read(self, path: Path, progress: Progress = lambda _: None) -> "Sums":
        """Take in a file on disk."""
        with open(path, "rb") as handle:
            while block := handle.read(_BLOCK):
                self.update(block)
                progress(len(block))
        return self


def held_file(name: str, file: FileInfo, sums: Sums) -> HeldFile:
    """The record's line about a file that is right."""
    return HeldFile(path=f"{name}/{file.path}", size=file.size, identity=file.identity, sha256=sums.sha256)


def fetch(name: str, uri: str, file: FileInfo, place: Path, *, traffic: Traffic, progress: Progress) -> HeldFile:
    """Get one file. `uri`: hf://datasets/org/name@<sha>/path.

    Raises SourceError when the Hub does not give it, or gives other bytes; OSError when the disk does not take it.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_file() and place.stat().st_size == file.size:
        # Whole before a kill, but not on record; or damaged, and so taken off it.
        sums = Sums(file).read(place, progress)
        if sums.right:
            return held_file(name, file, sums)
        progress(-sums.num_bytes)
    part = place.with_name(place.name + PART)
    if part.is_file() and part.stat().st_size > file.size:
        part.unlink()
    resumed = part.is_file() and part.stat().st_size > 0
    sums = _attempt(uri, file, part, traffic, progress)
    if not sums.right and resumed:
        # What a kill or a power cut left may be wrong; what comes now is not built on it.
        progress(-sums.num_bytes)
        part.unlink()
        sums = _attempt(uri, file, part, traffic, progress)
    if not sums.right:
        progress(-sums.num_bytes)
        part.unlink()
        raise SourceError(
            f"{file.path}: damaged on its way: its bytes are not those that the Hub lists; run the same command again"
        )
    os.replace(part, place)
    sync_folder(place.parent)
    return held_file(name, file, sums)


def _attempt(uri: str, file: FileInfo, part: Path, traffic: Traffic, progress: Progress) -> Sums:
    """Fill the part up from where it ends; the hash of all that is in it then."""
    sums = Sums(file)
    if part.is_file():
        sums.read(part, progress)
    source: Any
    with open(part, "ab") as out, HubFile(uri, file.size, sequential=True, traffic=traffic) as source:
        source.seek(sums.num_bytes)
        while block := source.read(_BLOCK):
            out.write(block)
            sums.update(block)
            progress(len(block))
        out.flush()
        os.fsync(out.fileno())
    return sums
