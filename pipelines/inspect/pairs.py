"""Pairs that a deduplication took for duplicates: the removed document and the one that stays for it, side by side.

Rows of `_run/duplicates.parquet`, which says where both texts stand: in the run that was deduplicated, or in one that
was given with --against. Of the table a batch is in memory at a time, of a file the lines that are shown. Gives up:
survivors that only a cache knows, and tables of versions that did not say where texts stand: their rows are shown.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pipelines.dedup.columns import batches, codes_of, rows_at
from pipelines.dedup.report import FILE
from pipelines.dedup.verify import is_dedup, open_dedup
from pipelines.errors import UserError
from pipelines.inspect.lines import Line, rows_of
from pipelines.run_layout import RUN_DIR

_BATCH = 4096
Row = dict[str, Any]
Place = tuple[str, str]  # the run as the table has it ("" for the one that was deduplicated), and the file in it


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Row `number` of the table with both texts; None for a text that is not at hand.

    `unread`: texts were left out because too much would have had to be read for them.
    """

    number: int
    row: Row
    removed: Line | None
    kept: Line | None
    unread: bool = False


@dataclass(frozen=True, kw_only=True)
class PairPage:
    """Pairs of one page, how many rows were looked at for it, and the row where the next one begins (None: the end)."""

    pairs: list[Pair]
    looked: int
    next: int | None


def _matching(table: pq.ParquetFile, source: str) -> Iterator[np.ndarray]:
    """The rows whose removed document is of such a source, a batch at a time."""
    first = 0
    for batch in batches(table, ["removed_source"]):
        codes, names = codes_of(batch.column(0))
        yield first + np.flatnonzero(np.array([fnmatchcase(name, f"*{source}*") for name in names], bool)[codes])
        first += batch.num_rows


def _picked(arrays: Iterator[np.ndarray], places: np.ndarray) -> np.ndarray:
    """The values at these sorted places of all arrays after one another."""
    found, first = [np.empty(0, np.int64)], 0
    for values in arrays:
        low, high = places.searchsorted(first), places.searchsorted(first + len(values))
        found.append(values[places[low:high] - first])
        first += len(values)
    return np.concatenate(found)


class Pairs:
    """The table of a finished deduplication. Safe to ask from several threads.

    Raises UserError: not the output of a deduplication, or of one that is not finished.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / RUN_DIR / FILE
        if not is_dedup(folder):
            raise UserError(f"{folder}: is no deduplication; --duplicates takes its output, such as {folder}_dedup")
        if not self.path.is_file():
            raise UserError(f"{self.path}: is not there; run the deduplication to its end")
        work = open_dedup(folder)
        plan = work.plan
        self.methods = list(work.methods)
        self.sources = list(dict.fromkeys(file.source for file in plan.files if not plan.is_against(file)))
        # The table names files; only those of the plan are opened.
        self._files: dict[Place, Path] = {
            (plan.runs[file.run].path if plan.is_against(file) else "", file.path): plan.place(file)
            for file in plan.files
        }

    def __len__(self) -> int:
        return int(pq.read_metadata(self.path).num_rows)

    def sample(self, number: int, seed: int, source: str = "") -> list[Pair]:
        """Up to `number` pairs, the same for the same seed, in the table's order; `source`: a glob
        of the removed one's, or part of it. Raises SourceError where a file cannot be read."""
        with pq.ParquetFile(self.path) as table:
            number_of = sum(map(len, _matching(table, source))) if source else len(self)
            drawn = np.sort(np.random.default_rng(seed).choice(number_of, min(number, number_of), replace=False))
            if source:
                drawn = _picked(_matching(table, source), drawn)
        rows = list(rows_at(self.path, drawn.tolist(), _BATCH))
        return self._with_texts(rows)

    def page(
        self, start: int, size: int, *, source: str = "", method: str = "", most: int = 100_000,
        max_bytes: float = float("inf"),
    ) -> PairPage:  # fmt: skip
        """The pairs from row `start` on that have a document of `source` and were found by `method`.

        A page ends when it is full or has looked at `most` rows; `max_bytes` is what is read of files for its texts.
        """
        found: list[tuple[int, Row]] = []
        looked = 0
        for first, batch in self._batches(start):
            named = batch.select(["removed_source", "kept_source", "method"]).to_pylist()
            for place in range(max(0, start - first), batch.num_rows):
                row = named[place]
                looked += 1
                of_source = not source or source in (row["removed_source"], row["kept_source"])
                if of_source and (not method or row["method"] == method):
                    found.append((first + place, batch.slice(place, 1).to_pylist()[0]))
                if len(found) == size or looked == most:
                    following = first + place + 1
                    more = following if following < len(self) else None
                    return PairPage(pairs=self._with_texts(found, max_bytes), looked=looked, next=more)
        return PairPage(pairs=self._with_texts(found, max_bytes), looked=looked, next=None)

    def _batches(self, start: int) -> Iterator[tuple[int, Any]]:
        """(number of the first row, batch), from the row group on that holds row `start`."""
        with pq.ParquetFile(self.path) as table:
            first = 0
            for group in range(table.num_row_groups):
                count = table.metadata.row_group(group).num_rows
                if first + count <= start:
                    first += count
                    continue
                for batch in table.iter_batches(_BATCH, row_groups=[group]):
                    if first + batch.num_rows > start:
                        yield first, batch
                    first += batch.num_rows

    def _with_texts(self, rows: Sequence[tuple[int, Row]], max_bytes: float = float("inf")) -> list[Pair]:
        asked: dict[Path, set[int]] = {}
        for _, row in rows:
            for side in ("removed", "kept"):
                if (path := self._place(row, side)) is not None:
                    asked.setdefault(path, set()).add(row[f"{side}_row"])
        texts: dict[tuple[Path, int], Line] = {}
        unread: set[Path] = set()
        for path, wanted in asked.items():
            found, read = rows_of(path, wanted, max_bytes)
            max_bytes -= read
            texts |= {(path, row): line for row, line in found.items()}
            if len(found) < len(wanted) and max_bytes <= 0:
                unread.add(path)

        def pair(number: int, row: Row) -> Pair:
            places = {side: self._place(row, side) for side in ("removed", "kept")}
            lines: dict[str, Line | None] = {}
            for side, path in places.items():
                line = None if path is None else texts.get((path, row[f"{side}_row"]))
                lines[side] = line if line is not None and line.id == row[f"{side}_id"] else None
            left_out = any(lines[side] is None and path in unread for side, path in places.items())
            return Pair(number=number, row=row, removed=lines["removed"], kept=lines["kept"], unread=left_out)

        return [pair(number, row) for number, row in rows]

    def _place(self, row: Row, side: str) -> Path | None:
        """The file of one side's text, if it is at hand."""
        run = row["kept_run"] if side == "kept" else ""
        path = self._files.get((run, row.get(f"{side}_file") or ""))
        return path if path is not None and path.is_file() else None
