"""Exact duplicates: equal 128-bit hashes of the normalised text, sorted on disk, part by part.

A part is a range of hashes and holds about `PART_RECORDS` records of the whole corpus, so a worker's memory does not
grow with the corpus: 56 bytes a record at the peak, 224 MB at most (benchmarks/dedup.py). Disk: 20 bytes a document.
Two different texts with one hash: a chance of 10^-18 at 10^10 documents. Gives up: hashes that an adversary cannot
collide (XXH3 is no cryptographic hash).
"""

import re
import unicodedata
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from pipelines.dedup import store
from pipelines.dedup.cache import cached_files
from pipelines.dedup.canaries import canary_texts
from pipelines.dedup.config import ExactConfig
from pipelines.dedup.documents import scan_file
from pipelines.dedup.work import CACHE_BASE, Work

NAME = "exact"
PART_RECORDS = 4_000_000
_SPACE = re.compile(r"\s+")


def normalise(text: str, config: ExactConfig) -> str:
    """The text that is hashed."""
    if not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    if config.ignore_case:
        text = unicodedata.normalize("NFC", text.casefold())
    return _SPACE.sub(" ", text).strip() if config.ignore_whitespace else text


def key(text: str, config: ExactConfig) -> int:
    """128 bits of the normalised text."""
    return xxhash.xxh3_128_intdigest(normalise(text, config).encode())


class Scan:
    """The hashes of one file, sorted: arrays `high`, `low`, `row`."""

    def __init__(self, work: Work, index: int) -> None:
        self.work, self.index, self.config = work, index, work.plan.config
        self.hashes, self.rows = bytearray(), array("I")

    def take(self, row: int, document: dict[str, Any]) -> None:
        """Hash one document."""
        self._add(row, document["text"])

    def _add(self, row: int, text: str) -> None:
        self.hashes += key(text, self.config.exact).to_bytes(16, "little")
        self.rows.append(row)

    def commit(self) -> None:
        """Hash the canaries too, and commit all."""
        lines = self.work.plan.files[self.index].lines
        for i, text in enumerate(canary_texts(NAME, self.index, self.work.layout.fingerprint, self.config)):
            self._add(lines + i, text)
        low, high = np.frombuffer(self.hashes, "<u8").reshape(-1, 2).T
        row = np.array(self.rows, np.uint32)
        order = np.lexsort((row, low, high))
        store.commit(
            self.work.folder(f"{NAME}.scan", self.index),
            {"high": high[order], "low": low[order], "row": row[order]},
            {"records": len(row)},
        )


def scan(work: Work, index: int) -> None:
    """The hashes of one file, read for them alone."""
    scan_file(work, index, NAME, Scan(work, index))


def num_parts(work: Work) -> int:
    """How many ranges of hashes there are."""
    records = int(work.offsets[-1]) + sum(item.documents for item in cached_files(work))
    return max(1, -(-records // PART_RECORDS))


def match(work: Work, part: int) -> None:
    """Pairs of equal texts in one range of hashes: array `edges`, each pair with the smallest number first."""
    parts = num_parts(work)
    bounds = (part << 64) // parts, ((part + 1) << 64) // parts
    found = [_range(*entry, bounds, check=part == 0) for entry in _folders(work)]
    high, low, number = (np.concatenate(columns) for columns in zip(*found, strict=True))
    order = np.lexsort((number, low, high))
    high, low, number = high[order], low[order], number[order]
    again = np.zeros(len(order), bool)
    again[1:] = (high[1:] == high[:-1]) & (low[1:] == low[:-1])
    first = number[np.maximum.accumulate(np.where(again, 0, np.arange(len(order))))]
    # Cached documents have the largest numbers, so a group that starts with one has no other documents.
    again &= first < CACHE_BASE
    store.commit(
        work.folder(f"{NAME}.match", part),
        {"edges": np.stack([first[again], number[again]], axis=1)},
        {"records": len(order)},
    )


def num_records(work: Work) -> int:
    """Records that all parts together must have seen."""
    return sum(store.totals(folder)["records"] for folder, _ in _folders(work))


def similarity(work: Work, pairs: np.ndarray) -> np.ndarray:
    """Texts with one hash are equal."""
    return np.ones(len(pairs))


def _folders(work: Work) -> Iterator[tuple[Path, int]]:
    """(folder of sorted hashes, first number of its documents): the files of this run, then the cache's."""
    for index, _ in work.files():
        yield work.folder(f"{NAME}.scan", index), int(work.offsets[index])
    first = int(CACHE_BASE)
    for item in cached_files(work):
        yield item.folder, first
        first += item.documents


def _range(
    folder: Path, first: int, bounds: tuple[int, int], *, check: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    high = store.load(folder, "high", check=check)
    start = int(np.searchsorted(high, np.uint64(bounds[0]))) if bounds[0] else 0
    end = int(np.searchsorted(high, np.uint64(bounds[1]))) if bounds[1] < 1 << 64 else len(high)
    low, row = (store.load(folder, name, check=check)[start:end] for name in ("low", "row"))
    return np.asarray(high[start:end]), np.asarray(low), row.astype(np.uint64) + np.uint64(first)
