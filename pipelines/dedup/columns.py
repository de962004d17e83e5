"""Columns of a table of removals as numpy arrays, a batch at a time, and single rows of it.

Gives up: pyarrow's own `group_by` and `to_numpy`, which load pandas: 0.3 s of CPU.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

BATCH = 1 << 16


def batches(file: pq.ParquetFile, columns: Sequence[str] | None = None, batch: int = BATCH) -> Iterator[pa.RecordBatch]:
    """These columns (all without), at most `batch` rows at a time. Raises ValueError where the table lacks one.

    One row group after another: `iter_batches` over several keeps what it has read of all of them until its end, 40
    bytes a row for two columns of ids.
    """
    if missing := [name for name in columns or () if name not in file.schema_arrow.names]:
        raise ValueError(f"it has no column {', '.join(missing)}")
    for group in range(file.num_row_groups):
        yield from file.iter_batches(min(batch, BATCH), row_groups=[group], columns=columns and list(columns))


def codes_of(column: pa.Array, *, nullable: bool = False) -> tuple[np.ndarray, list[Any]]:
    """(for each row the place of its value; the values). ValueError for an empty cell; -1 where `nullable`."""
    if column.null_count and not nullable:
        raise ValueError("a cell is empty that never is")
    coded = column.dictionary_encode()
    return _numbers(coded.indices.cast(pa.int64())), coded.dictionary.to_pylist()


def integers_of(column: pa.Array) -> np.ndarray:
    """A column of integers, -1 where there is none."""
    return _numbers(column.cast(pa.int64()))


def strings_of(column: pa.Array) -> list[str]:
    """A column of text. Raises ValueError where a cell is empty, which no table of this kind has."""
    if column.null_count:
        raise ValueError("a cell is empty that never is")
    found: list[str] = column.to_pylist()
    return found


def pairs_of(left: np.ndarray, right: np.ndarray) -> Iterator[tuple[tuple[int, int], int]]:
    """How often each pair of codes (0 or more) occurs."""
    if not len(left):
        return
    width = int(right.max()) + 1
    found, numbers = np.unique(left * width + right, return_counts=True)
    for code, number in zip(found.tolist(), numbers.tolist(), strict=True):
        yield divmod(code, width), number


def _numbers(column: pa.Array) -> np.ndarray:
    filled = pc.fill_null(column, -1) if column.null_count else column
    data = filled.buffers()[1]
    return np.frombuffer(data, np.int64)[filled.offset : filled.offset + len(filled)] if data else np.empty(0, np.int64)


def rows_at(path: Path, numbers: Sequence[int], batch: int = 4096) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number, row) for the rows with these numbers, in order; a batch in memory, other row groups not read."""
    wanted = np.unique(np.asarray(numbers, np.int64))
    with pq.ParquetFile(path) as file:
        first = 0
        for group in range(file.num_row_groups):
            end = first + file.metadata.row_group(group).num_rows
            mine = wanted[(wanted >= first) & (wanted < end)]
            for part in file.iter_batches(batch, row_groups=[group]) if len(mine) else ():
                here = mine[(mine >= first) & (mine < first + part.num_rows)]
                rows = part.take(pa.array(here - first)).to_pylist() if len(here) else []
                yield from zip(here.tolist(), rows, strict=True)
                first += part.num_rows
                if first > mine[-1]:
                    break
            first = end
