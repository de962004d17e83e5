"""What a deduplication removed, within sources and across them: sums over `duplicates.parquet` and its ledger.

Reads the table in batches. Gives up: single pairs; the table itself has them.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, Field

from pipelines.dedup.report import FILE
from pipelines.dedup.work import Work
from pipelines.dedup.writer import FAMILY
from pipelines.ledger import TaskRecord

_COLUMNS = ["removed_source", "kept_source", "kept_run", "method"]


class Pair(BaseModel):
    """Documents of one source that were removed for documents of another (or the same); `kept_run` "" is this run."""

    removed_source: str
    kept_source: str
    kept_run: str
    method: str
    documents: int


class Duplicates(BaseModel):
    """A deduplication in numbers: `read` = sum of `removed` + `written`."""

    output_folder: str
    methods: list[str]
    read: int
    removed: dict[str, int]
    written: int
    tokens: int
    cut_documents: int = 0
    cut_sentences: int = 0
    by_source: dict[str, dict[str, int]] = Field(default_factory=dict)
    pairs: list[Pair] = Field(default_factory=list)


def _counted(batch: pa.RecordBatch) -> dict[tuple[str, ...], int]:
    """How often each combination of values stands in a batch.

    `Table.group_by` and `Array.to_numpy` load pandas, which takes 0.3 s of CPU; buffers do not.
    """
    columns = [batch.column(name).dictionary_encode() for name in _COLUMNS]
    codes = np.stack([_int32s(column.indices) for column in columns])
    found, numbers = np.unique(codes, axis=1, return_counts=True)
    values = [column.dictionary.to_pylist() for column in columns]
    return {
        tuple(names[code] for names, code in zip(values, combination, strict=True)): int(number)
        for combination, number in zip(found.T.tolist(), numbers, strict=True)
    }


def _int32s(column: pa.Int32Array) -> np.ndarray:
    """Numbers of an array without nulls."""
    data = column.buffers()[1]
    return np.frombuffer(data, np.int32)[column.offset : column.offset + len(column)] if data else np.empty(0, np.int32)


def read_duplicates(work: Work, records: Sequence[TaskRecord]) -> Duplicates | None:
    """The numbers of a complete deduplication; None where it is not complete.

    `by_source`: read, written, and what was removed `within` the source and `across` (for another source or run).
    """
    path = work.layout.run_dir / FILE
    if not records or not path.is_file():
        return None
    pairs: Counter[tuple[str, ...]] = Counter()
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=_COLUMNS):
            pairs.update(_counted(batch))
    removed: Counter[str] = Counter()
    by_source: dict[str, dict[str, int]] = {}
    for record in records:
        entry = by_source.setdefault(record.source, dict.fromkeys(("read", "within", "across", "written"), 0))
        entry["read"] += record.rows
        entry["written"] += record.written
        for reason, number in record.dropped.items():
            removed[reason.removeprefix(f"{FAMILY}.")] += number
    for (source, kept_source, kept_run, _), number in pairs.items():
        where = "within" if source == kept_source and not kept_run else "across"
        by_source[source][where] += number
    return Duplicates(
        output_folder=work.layout.where,
        methods=list(work.methods),
        read=sum(record.rows for record in records),
        removed=dict(removed),
        written=sum(record.written for record in records),
        tokens=sum(record.tokens for record in records),
        cut_documents=sum(record.cut_documents for record in records),
        cut_sentences=sum(record.cut_sentences for record in records),
        by_source=by_source,
        pairs=[
            Pair(removed_source=a, kept_source=b, kept_run=run, method=method, documents=number)
            for (a, b, run, method), number in sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
        ],
    )
