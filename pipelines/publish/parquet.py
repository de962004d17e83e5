"""Documents as Parquet: one schema for all sources, row groups by bytes of text, read back before a file counts.

`id`, `text` and `metadata` (the document's metadata as JSON, nothing added or left out) are the document. The other
columns repeat what stands in the metadata, so that readers can filter without parsing JSON; they are empty where it has
no such value of that type. Gives up: a column for each field that some source has; fields differ from source to source,
and `datasets` refuses files of one configuration whose columns differ.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from pipelines.errors import SourceError

# Measured by `benchmarks/parquet_layout.py`; the table and the reasons are in docs/decisions.md.
ROW_GROUP_BYTES = 16_000_000
ZSTD_LEVEL = 3
MAX_ROW_GROUP_ROWS = 100_000
"""Bounds a row group of very short documents, whose metadata outweighs their text."""

_COPIED: dict[str, tuple[type, pa.DataType]] = {
    "source": (str, pa.string()),
    "language": (str, pa.string()),
    "language_score": (float, pa.float64()),
    "epoch": (int, pa.int64()),
    "cluster_size": (int, pa.int64()),
}
SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("text", pa.string()),
        *(pa.field(name, arrow_type) for name, (_, arrow_type) in _COPIED.items()),
        pa.field("metadata", pa.string()),
    ]
)


def table_of(documents: list[dict[str, Any]]) -> pa.Table:
    """Documents (`id`, `text`, `metadata`, as in the lines of a run) as rows of SCHEMA, in their order."""
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    for document in documents:
        metadata = document["metadata"]
        columns["id"].append(document["id"])
        columns["text"].append(document["text"])
        columns["metadata"].append(orjson.dumps(metadata).decode())
        for name, (python_type, _) in _COPIED.items():
            value = metadata.get(name)
            columns[name].append(value if type(value) is python_type and _fits(value) else None)
    return pa.Table.from_pydict(columns, schema=SCHEMA)


def _fits(value: Any) -> bool:
    return not isinstance(value, int) or -(2**63) <= value < 2**63


def document_of(row: dict[str, Any]) -> dict[str, Any]:
    """The document of one row, as it stood in the run: {"text", "id", "metadata"}."""
    return {"text": row["text"], "id": row["id"], "metadata": orjson.loads(row["metadata"])}


def row_groups(documents: Iterable[dict[str, Any]], *, max_bytes: int = ROW_GROUP_BYTES) -> Iterator[pa.Table]:
    """Tables of whole row groups: closed by the document with which they reach `max_bytes` of text (UTF-8)."""
    group: list[dict[str, Any]] = []
    num_bytes = 0
    for document in documents:
        group.append(document)
        text = document["text"]
        num_bytes += len(text) if text.isascii() else len(text.encode())
        if num_bytes >= max_bytes or len(group) >= MAX_ROW_GROUP_ROWS:
            yield table_of(group)
            group, num_bytes = [], 0
    if group:
        yield table_of(group)


def open_writer(path: Path, *, level: int = ZSTD_LEVEL, chunked_by_content: bool = True) -> pq.ParquetWriter:
    """A writer of SCHEMA with the settings of an export. The same tables give the same bytes with one pyarrow.

    Pages are cut where the content says so: after a change in one document the pages behind it are the same bytes
    again, and the Hub's storage, which keeps equal pieces once, need not get them anew. The page index lets readers
    skip to a row.
    """
    return pq.ParquetWriter(
        path, SCHEMA, compression="zstd", compression_level=level, use_dictionary=["source", "language"],
        write_page_index=True, use_content_defined_chunking=chunked_by_content,
    )  # fmt: skip


class Digest:
    """A hash over row groups in their order, to compare what was written with what was read.

    Over Arrow's own buffers, whatever chunks a column comes in: no row is made into Python objects again.
    """

    def __init__(self) -> None:
        self._hash, self._lengths = xxhash.xxh3_128(), xxhash.xxh3_128()
        self.rows = 0
        self.text_bytes = 0
        self.arrow_bytes = 0

    def add(self, table: pa.Table) -> None:
        """Add a row group: of each column which values are there, then those values."""
        self._hash.update(str(table.num_rows))
        for name, column in zip(table.column_names, table.columns, strict=True):
            self._hash.update(pc.is_valid(column).to_numpy().tobytes())
            if pa.types.is_string(column.type):
                num_bytes = sum(self._add_strings(chunk) for chunk in column.chunks)
                self.text_bytes += num_bytes if name == "text" else 0
            else:
                self._hash.update(pc.fill_null(column, 0).to_numpy().tobytes())
        self.rows += table.num_rows
        self.arrow_bytes += table.nbytes

    def _add_strings(self, chunk: pa.Array) -> int:
        """Lengths and bytes of the strings of a chunk; how many bytes."""
        if not len(chunk):
            return 0
        _, ends, data = chunk.buffers()
        offsets = np.frombuffer(ends, np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
        self._lengths.update(np.diff(offsets).tobytes())
        first, last = int(offsets[0]), int(offsets[-1])
        if last > first:
            self._hash.update(memoryview(data)[first:last])
        return last - first

    @property
    def value(self) -> str:
        """128 bits for the values and 128 for the lengths of strings, hexadecimal."""
        return str(self._hash.hexdigest() + self._lengths.hexdigest())


def write_parquet(path: Path, documents: Iterable[dict[str, Any]]) -> Digest:
    """Write documents to `path`, durably, and read them back; what they came to.

    Raises SourceError where what is read is not what was written; the file is gone then.
    """
    written = Digest()
    try:
        with open_writer(path) as writer:
            for table in row_groups(documents):
                written.add(table)
                writer.write_table(table, row_group_size=table.num_rows)
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if read_digest(path).value != written.value:
            raise SourceError(f"{path.name}: what was read back is not what was written; run the same command again")
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return written


def read_digest(path: Path) -> Digest:
    """The digest of the documents in a file. Raises SourceError for another schema."""
    digest = Digest()
    with pq.ParquetFile(path) as file:
        if not file.schema_arrow.equals(SCHEMA):
            raise SourceError(f"{path.name}: its columns are not those of an export")
        for i in range(file.num_row_groups):
            digest.add(file.read_row_group(i))
    return digest


def read_documents(path: Path) -> Iterator[dict[str, Any]]:
    """The documents of a file, as they stood in the run."""
    with pq.ParquetFile(path) as file:
        for i in range(file.num_row_groups):
            for row in file.read_row_group(i).to_pylist():
                yield document_of(row)
