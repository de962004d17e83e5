"""Documents of a frozen file, verified while they are read, and the first stage: a table of all documents.

A document and its epoch copies (`<id>#epoch2`, ...) are one: they stand next to each other in one file, the first of
them speaks for all, and they stay or go together. Gives up: reading from the middle of a file.
"""

import hashlib
import io
from array import array
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from typing import IO, Any, Protocol

import numpy as np
import orjson
import xxhash

from filters.sampling import EPOCH
from pipelines.compression import LINE_ERRORS, open_lines
from pipelines.dedup import store
from pipelines.dedup.inputs import InputFile
from pipelines.dedup.methods import method
from pipelines.dedup.survivors import ranks
from pipelines.dedup.work import CACHE_BASE, Work
from pipelines.errors import SourceError


class _Hashed(io.RawIOBase):
    """A file that hashes what is read from it."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self.digest = hashlib.sha256()
        self.size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._raw.read(len(buffer))
        buffer[: len(data)] = data
        self.digest.update(data)
        self.size += len(data)
        return len(data)


def read_documents(work: Work, file: InputFile) -> Iterator[dict[str, Any]]:
    """Every document of a file as `{"text", "id", "metadata"}`; raises as `read_rows` does."""
    for _, document in read_rows(work, file):
        yield document


def read_rows(work: Work, file: InputFile, wanted: Iterable[bool] = ()) -> Iterator[tuple[int, dict[str, Any]]]:
    """(row, document) of a file. Where `wanted` says False for a row, its line is only counted.

    Raises SourceError at the end when the file is not the one that was frozen; results must not be committed before.
    """
    path = work.plan.place(file)
    lines = 0
    takes = chain(wanted, repeat(True))
    try:
        with work.plan.open(file) as raw:
            hashed = _Hashed(raw)
            with open_lines(path.name, io.BufferedReader(hashed, 1 << 20)) as handle:
                for line, take in zip(handle, takes, strict=False):
                    lines += 1
                    if not take:
                        continue
                    document: dict[str, Any] = orjson.loads(line)
                    if not is_document(document):
                        raise SourceError(f"{path}: line {lines:,} is no document of a run; verify that run")
                    yield lines - 1, document
            while hashed.readinto(bytearray(1 << 16)):
                pass
    except LINE_ERRORS as error:
        raise SourceError(f"{path}: cannot be read after {lines:,} documents ({error}); verify that run") from None
    if (lines, hashed.size, hashed.digest.hexdigest()) != (file.lines, file.size, file.sha256):
        raise SourceError(f"{path}: changed since its run was finished; verify that run, and deduplicate anew")


def is_document(data: Any) -> bool:
    """Whether a line is what a run writes."""
    try:
        return type(data["text"]) is str and type(data["id"]) is str and type(data["metadata"]) is dict
    except (KeyError, TypeError):
        return False


def language_of(document: dict[str, Any], file: InputFile) -> str | None:
    """The language of a document: its own, else that of its source. A column of that name may hold anything."""
    own = document["metadata"].get("language")
    return own if type(own) is str and own else file.language


def base_id(document: dict[str, Any]) -> tuple[str, int]:
    """The id without its epoch mark, and the epoch (1 for the first)."""
    epoch = document["metadata"].get(EPOCH, 1)
    name: str = document["id"]
    mark = f"#epoch{epoch}"
    # A column of the source may be called `epoch` too; only a mark that a run has made counts.
    is_mark = type(epoch) is int and 1 < epoch < 1 << 32 and name.endswith(mark)
    return (name.removesuffix(mark), epoch) if is_mark else (name, 1)


def identity(source: str, name: str) -> int:
    """64 bits that stand for one document of one source, whatever its epoch."""
    return xxhash.xxh3_64_intdigest(f"{source}\0{name}".encode())


class FileScan(Protocol):
    """What a method keeps of one file, taken in while the file is read."""

    def take(self, row: int, document: dict[str, Any]) -> None:
        """Take in the document of a row; rows come in order."""

    def commit(self) -> None:
        """Commit the folder of the method's scan, when the whole file was read and is the frozen one."""


def scan_file(work: Work, index: int, before: str, scan: FileScan) -> None:
    """Let `scan` take in the documents of a file that the methods before `before` have left, and commit it."""
    active = work.active_rows(index, before=before).tolist()
    for row, document in read_rows(work, work.plan.files[index], active):
        scan.take(row, document)
    scan.commit()


def index_file(work: Work, index: int) -> None:
    """The table of one file: per row its length in characters, the row of its unit, its epoch, identity and id.

    The first method takes in what it wants of the file at the same reading, if it can, and its own stage then finds
    that done; no method before it has removed anything.
    """
    file = work.plan.files[index]
    lengths, units, epochs, identities, ends = array("Q"), array("I"), array("I"), array("Q"), array("Q")
    names = bytearray()
    before = before_text = ""
    first = getattr(method(work.methods[0]), "Scan", None)
    scan: FileScan | None = None if first is None else first(work, index)
    for row, document in read_rows(work, file):
        name, epoch = base_id(document)
        same = row > 0 and epoch > 1 and name == before and document["text"] == before_text
        units.append(units[-1] if same else row)
        before, before_text = name, document["text"]
        lengths.append(len(document["text"]))
        epochs.append(epoch)
        identities.append(identity(file.source, name))
        names += document["id"].encode()
        ends.append(len(names))
        if scan is not None and not same:
            scan.take(row, document)
    if scan is not None:
        scan.commit()
    store.commit(
        work.folder("index", index),
        {
            "length": np.array(lengths, np.uint64),
            "unit": np.array(units, np.uint32),
            "epoch": np.array(epochs, np.uint32),
            "identity": np.array(identities, np.uint64),
            "end": np.array(ends, np.uint64),
            "names": np.frombuffer(bytes(names), np.uint8),
        },
        {"documents": file.lines},
    )


class Table:
    """Looks documents up by number, in all runs and in the cache. One array at a time is in memory."""

    def __init__(self, work: Work) -> None:
        self.work = work
        from pipelines.dedup.cache import cached_files

        self.cached = cached_files(work)
        rows = [item.documents for item in self.cached]
        self.cache_offsets = np.concatenate([[0], np.cumsum(rows)]).astype(np.uint64)

    def is_outside(self, numbers: np.ndarray) -> np.ndarray:
        """True for documents that are kept already: of --against runs and of the cache."""
        outside = numbers >= CACHE_BASE
        own = np.array([not self.work.plan.is_against(file) for file in self.work.plan.files], bool)
        inside = ~outside
        outside[inside] = ~own[self.work.file_of(numbers[inside])]
        return outside

    def column(self, name: str, numbers: np.ndarray) -> np.ndarray:
        """One column of the table for these documents; 0 where the cache does not keep it."""
        found = np.zeros(len(numbers), np.uint64)
        for folder, rows, places in self._by_folder(numbers):
            if name in ("identity", "epoch", "length") and store.has(folder, name):
                found[places] = store.load(folder, name)[rows]
        return found

    def names(self, numbers: np.ndarray) -> list[str]:
        """Ids of these documents."""
        found = [""] * len(numbers)
        for folder, rows, places in self._by_folder(numbers):
            ends, text = store.load(folder, "end"), store.load(folder, "names").data
            starts = np.where(rows > 0, ends[rows - 1], 0)
            for start, end, place in zip(starts.tolist(), ends[rows].tolist(), places.tolist(), strict=True):
                found[place] = str(text[start:end], "utf-8")
        return found

    def ranks(self, numbers: np.ndarray) -> np.ndarray:
        """Priority of each document's source, smaller is better."""
        sources = [file.source for file in self.work.plan.files] + [item.source for item in self.cached]
        return ranks(sources, self.work.plan.config.priority)[self._file_numbers(numbers)]

    def run_places(self, numbers: np.ndarray) -> np.ndarray:
        """The place in the plan of the run that holds each document; behind all of them the segments of the cache."""
        runs = [file.run for file in self.work.plan.files]
        segments = {segment: len(self.work.plan.runs) + i for i, segment in enumerate(self.work.plan.segments)}
        return np.array([*runs, *(segments[item.segment] for item in self.cached)])[self._file_numbers(numbers)]

    def _file_numbers(self, numbers: np.ndarray) -> np.ndarray:
        """Which file each document is in; files of the cache are counted behind those of the plan."""
        cached = numbers >= CACHE_BASE
        files = np.empty(len(numbers), np.int64)
        files[~cached] = self.work.file_of(numbers[~cached])
        local = numbers[cached] - CACHE_BASE
        files[cached] = len(self.work.plan.files) - 1 + np.searchsorted(self.cache_offsets, local, side="right")
        return files

    def sources(self, numbers: np.ndarray) -> list[str]:
        """Source keys of these documents."""
        files = self.work.plan.files
        return [
            self.cached[number].source if cached else files[number].source for cached, number in self._places(numbers)
        ]

    def runs(self, numbers: np.ndarray) -> list[str]:
        """The run that holds each document: "" for this one, a folder for --against, or `cache:<segment>`."""
        plan = self.work.plan
        return [
            f"cache:{self.cached[number].segment}"
            if cached
            else (plan.runs[plan.files[number].run].path if plan.is_against(plan.files[number]) else "")
            for cached, number in self._places(numbers)
        ]

    def rows(self, numbers: np.ndarray) -> list[tuple[str | None, int | None]]:
        """Where these documents stand: a file in the run that holds them, and a row; (None, None) in the cache."""
        files, offsets = self.work.plan.files, self.work.offsets
        return [
            (None, None) if cached else (files[file].path, int(number - offsets[file]))
            for (cached, file), number in zip(self._places(numbers), numbers, strict=True)
        ]

    def _places(self, numbers: np.ndarray) -> Iterator[tuple[bool, int]]:
        files, plan_files = self._file_numbers(numbers), len(self.work.plan.files)
        cached = files >= plan_files
        return zip(cached.tolist(), np.where(cached, files - plan_files, files).tolist(), strict=True)

    def _by_folder(self, numbers: np.ndarray) -> Iterator[tuple[Any, np.ndarray, np.ndarray]]:
        """(folder, rows in it, places in `numbers`) for each folder that holds some of the documents."""
        cached = numbers >= CACHE_BASE
        for in_cache in (False, True):
            places = np.nonzero(cached == in_cache)[0]
            if not len(places):
                continue
            local = numbers[places] - CACHE_BASE if in_cache else numbers[places]
            offsets = self.cache_offsets if in_cache else self.work.offsets
            files = np.searchsorted(offsets, local, side="right") - 1
            order = np.argsort(files, kind="stable")
            firsts = np.nonzero(np.diff(files[order], prepend=-1))[0]
            for chosen in np.split(order, firsts[1:]):
                number = int(files[chosen[0]])
                folder = self.cached[number].folder if in_cache else self.work.folder("index", number)
                yield folder, (local[chosen] - offsets[number]).astype(np.int64), places[chosen]
