"""Pairs that a deduplication took for duplicates: the removed document and the one that stays for it, side by side.

A seeded sample of `_run/duplicates.parquet`; texts come from the run that was deduplicated (and from --against runs),
whose files of the sources in question are read through. Gives up: survivors that only a cache knows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pipelines.dedup.report import FILE
from pipelines.dedup.verify import is_dedup, open_dedup
from pipelines.errors import UserError
from pipelines.inspect.lines import Line, lines_of
from pipelines.run_layout import RUN_DIR

Key = tuple[str, str, str]  # run ("" for the one that is deduplicated), source, id


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One row of the table with both texts; None for a text that is not to be had."""

    row: dict[str, Any]
    removed: Line | None
    kept: Line | None


def sample_pairs(folder: Path, number: int, seed: int, source: str = "") -> list[Pair]:
    """Up to `number` pairs, the same for the same seed, in the table's order; `source`: a glob
    of the removed one's, or part of it.

    Raises:
        UserError: not the output of a deduplication, or one that is not finished.
        SourceError: a file cannot be read.
    """
    path = folder / RUN_DIR / FILE
    if not is_dedup(folder):
        raise UserError(f"{folder}: is no deduplication; --duplicates takes its output, such as {folder}_dedup")
    if not path.is_file():
        raise UserError(f"{path}: is not there; run the deduplication to its end")
    rows = _rows(path, number, seed, source)
    return _with_texts(folder, rows)


def _rows(path: Path, number: int, seed: int, source: str) -> list[dict[str, Any]]:
    """The row numbers are drawn first, so that of the table only these rows are made into objects."""
    table = pq.ParquetFile(path)
    matching = np.arange(table.metadata.num_rows)
    if source:
        names = table.read(["removed_source"]).column(0).to_pylist()
        matching = np.array([i for i, name in enumerate(names) if fnmatchcase(name, f"*{source}*")], np.int64)
    drawn = np.random.default_rng(seed).permutation(matching)[:number]
    found: list[dict[str, Any]] = []
    first = 0
    for group in range(table.num_row_groups):
        count = table.metadata.row_group(group).num_rows
        mine = np.sort(drawn[(drawn >= first) & (drawn < first + count)]) - first
        if len(mine):
            found += table.read_row_group(group).take(mine.tolist()).to_pylist()
        first += count
    return found


def _with_texts(folder: Path, rows: Sequence[dict[str, Any]]) -> list[Pair]:
    keys: list[tuple[Key, Key]] = [
        (("", row["removed_source"], row["removed_id"]), (row["kept_run"], row["kept_source"], row["kept_id"]))
        for row in rows
    ]
    missing = {key for pair in keys for key in pair}
    texts: dict[Key, Line] = {}
    plan = open_dedup(folder).plan
    for file in plan.files:
        run = plan.runs[file.run].path if plan.is_against(file) else ""
        if not any(key[:2] == (run, file.source) for key in missing):
            continue
        for line in lines_of(plan.place(file)):
            key = (run, file.source, line.id)
            if key in missing:
                texts[key] = line
                missing.discard(key)
    return [
        Pair(row=row, removed=texts.get(left), kept=texts.get(right))
        for row, (left, right) in zip(rows, keys, strict=True)
    ]
