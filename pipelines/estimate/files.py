"""What a file says about itself without being read: how many rows it has, and how many of its bytes a run fetches.

Parquet says both in its footer; of JSON lines and CSV one block is inflated and its lines counted. Gives up: WARC
files, whose records are not rows; there the plan's own estimate of the text has to do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.reader_bytes import ReadFile, first_block, local_path, open_binary


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """`rows_per_byte` of the file's own bytes, None where only reading would tell; `fetched_share`: of its bytes, by a
    run that reads these columns."""

    rows_per_byte: float | None
    fetched_share: float = 1.0


def look_into(file: ReadFile, columns: Sequence[str]) -> FileFacts:
    """Raises what the reader raises for a file that cannot be opened: SourceError, OSError, pyarrow's errors."""
    if file.format == "parquet":
        return _footer(file, columns)
    if file.format not in ("jsonl", "csv"):
        return FileFacts(rows_per_byte=None)
    size, content, whole = first_block(file)
    # A last line without its end is a row of a file that was read to its end, and the start of one of any other.
    lines = content.count(b"\n") + (whole and not content.endswith(b"\n") and bool(content))
    return FileFacts(rows_per_byte=lines / size if size and lines else None)


def _footer(file: ReadFile, columns: Sequence[str]) -> FileFacts:
    import pyarrow.parquet as pq  # here: JSON lines need none of it

    local = local_path(file.uri)
    with open_binary(file) as handle:
        metadata = pq.read_metadata(local or handle)
    wanted = 0
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        chunks = (row_group.column(index) for index in range(row_group.num_columns))
        wanted += sum(
            chunk.total_compressed_size for chunk in chunks if chunk.path_in_schema.split(".")[0] in set(columns)
        )
    size = file.size or 1
    return FileFacts(rows_per_byte=metadata.num_rows / size, fetched_share=min(1.0, wanted / size))
