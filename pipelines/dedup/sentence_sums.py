"""Sentences that were cut against sentences that stay: two multitudes of 64-bit numbers, compared range by range.

Both go to temporary files by their topmost bits and are compared one range at a time, so that memory is `_BUFFERED`
numbers and one range in `RANGES`, whatever was cut. On disk: 16 bytes for each sentence that was cut (its number, and
the row of the table of cuts), 8 for each that stays, in the folder that TMPDIR names, gone with the process. Gives up:
naming the rows of more than `_NAMED` sentences that stay nowhere.
"""

from contextlib import ExitStack
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Any

import numpy as np

_BITS = 6
RANGES = 1 << _BITS
_BUFFERED = 1 << 19
_NAMED = 1000
_CUT = np.dtype([("number", "<u8"), ("row", "<u8")])


class SentenceSums:
    """Takes both in, in any order. Numbers are mixed well: their topmost bits are as good as random."""

    def __init__(self) -> None:
        self._files = ExitStack()
        self._cut, self._stays = _Ranges(self._files, _CUT), _Ranges(self._files, np.dtype("<u8"))

    def __enter__(self) -> "SentenceSums":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._files.close()

    def cut(self, numbers: np.ndarray, row: int) -> None:
        """Sentences that must stay somewhere, of one row of the table of cuts."""
        records = np.empty(len(numbers), _CUT)
        records["number"], records["row"] = numbers, row
        self._cut.add(records, numbers)

    def stays(self, numbers: np.ndarray) -> None:
        """Sentences that stay."""
        self._stays.add(numbers, numbers)

    def lost(self) -> tuple[int, np.ndarray]:
        """(how many of those that were cut do not stay, the rows of the first of them)."""
        number, rows = 0, np.empty(0, np.uint64)
        for i in range(RANGES):
            cut, stays = self._cut.read(i), self._stays.read(i)
            # By sorted arrays: a table of all values between the least and the greatest would not be small.
            gone = cut["row"][~np.isin(cut["number"], stays, kind="sort")]
            number += len(gone)
            rows = np.unique(np.concatenate([rows, gone]))[:_NAMED]
        return number, rows


class _Ranges:
    """Records by the topmost bits of their numbers, each range in a file of its own that has no name."""

    def __init__(self, files: ExitStack, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        self._files: list[IO[bytes]] = []
        for _ in range(RANGES):
            self._files.append(files.enter_context(TemporaryFile(buffering=0)))  # noqa: SIM115 - entered at once
        self._buffer: list[np.ndarray] = []
        self._tops: list[np.ndarray] = []
        self._buffered = 0

    def add(self, records: np.ndarray, numbers: np.ndarray) -> None:
        self._buffer.append(records)
        self._tops.append((numbers >> np.uint64(64 - _BITS)).astype(np.uint8))
        self._buffered += len(records)
        if self._buffered >= _BUFFERED:
            self._flush()

    def _flush(self) -> None:
        if not self._buffered:
            return
        records, tops = np.concatenate(self._buffer), np.concatenate(self._tops)
        order = np.argsort(tops, kind="stable")
        records = records[order]
        ends = np.cumsum(np.bincount(tops, minlength=RANGES)).tolist()
        for file, start, end in zip(self._files, [0, *ends[:-1]], ends, strict=True):
            if start < end:
                _write_all(file, records[start:end].tobytes())
        self._buffer, self._tops, self._buffered = [], [], 0

    def read(self, number: int) -> np.ndarray:
        """All records of one range."""
        self._flush()
        file = self._files[number]
        file.seek(0)
        return np.frombuffer(file.read(), self._dtype)


def _write_all(file: IO[bytes], data: bytes) -> None:
    """Unbuffered files may take less than they are given."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
