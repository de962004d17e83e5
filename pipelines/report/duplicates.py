"""What a deduplication removed, within sources and across them: sums over `duplicates.parquet` and its ledger.

Reads the table in batches. Gives up: single pairs; the table itself has them.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, Field

from pipelines.dedup.columns import batches, codes_of
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
    """How often each combination of values stands in a batch."""
    columns = [codes_of(batch.column(name)) for name in _COLUMNS]
    combined = np.zeros(batch.num_rows, np.int64)
    for codes, values in columns:
        combined = combined * len(values) + codes
    found, numbers = np.unique(combined, return_counts=True)
    counted = {}
    for combination, number in zip(found.tolist(), numbers.tolist(), strict=True):
        named = []
        for _, values in reversed(columns):
            combination, code = divmod(combination, len(values))
            named.append(values[code])
        counted[tuple(reversed(named))] = number
    return counted


def read_duplicates(work: Work, records: Sequence[TaskRecord]) -> Duplicates | None:
    """The numbers of a complete deduplication; None where it is not complete.

    `by_source`: read, written, and what was removed `within` the source and `across` (for another source or run).
    """
    path = work.layout.run_dir / FILE
    if not records or not path.is_file():
        return None
    pairs: Counter[tuple[str, ...]] = Counter()
    with pq.ParquetFile(path) as file:
        for batch in batches(file, _COLUMNS):
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
