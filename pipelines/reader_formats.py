"""The rows of one frozen input file: JSON lines, Parquet, CSV, WARC, strict about every row.

Stock readers stop quietly at the first byte they cannot decode. Here a bad line or value costs that row, under a rule
that is counted. Gives up: guessing (encodings, delimiters, JSON arrays over many lines), and reading part of a file.
"""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from pipelines.errors import SourceError, did_you_mean
from pipelines.json_line import line_loader
from pipelines.reader_bytes import ReadFile, describe, local_path, open_binary, read_bytes, split_lines

if TYPE_CHECKING:
    from pipelines.hub_file import HubFile

BLANK = "blank"
"""The rule of a line of white space: not a row, so neither read nor rejected."""

OTHER_RECORD = "other_record"
"""The rule of a WARC record that is no page: not a row either."""

Row = tuple[Any, "str | None"]
"""(the row as a dict, None), or (what was there instead, the rule that refuses it)."""

BATCH_BYTES = 8 << 20
MAX_BATCH_ROWS = 512
PEEK_BATCH_ROWS = 64  # for a look at the first rows: no more is decoded than is looked at
MAX_CSV_FIELD_CHARS = 1 << 29


def read_rows(file: ReadFile, columns: Sequence[str] | None = None, required: Sequence[str] = ()) -> Iterator[Row]:
    """Every row of `file` in order. `columns` (top-level names) limits what Parquet decodes; None means all of them.

    Raises SourceError, naming the file and never a URL, for whatever makes the rest of the file unreadable, and for a
    Parquet or CSV file without a `required` column.
    """
    reader = _READERS.get(file.format)
    if reader is None:
        raise SourceError(f"{file.path}: format {file.format!r} cannot be read; known formats: {', '.join(_READERS)}")
    try:
        yield from reader(file, columns, required)
    except SourceError:
        raise
    except Exception as error:  # noqa: BLE001 - every remote file system raises its own kinds
        # A chained remote error would print its URL, with whatever signature it carries.
        cause = error if local_path(file.uri) else None
        raise SourceError(f"{file.path}: cannot be read: {describe(error)}") from cause


# JSON lines -----------------------------------------------------------------------------------------------------


def _jsonl_rows(file: ReadFile, columns: Sequence[str] | None, required: Sequence[str]) -> Iterator[Row]:
    loads = line_loader()
    for line in split_lines(read_bytes(file)):
        try:
            row = loads(line)
        except orjson.JSONDecodeError as error:
            yield line, json_rule(line, str(error))
            continue
        if type(row) is dict:
            yield row, None
        else:
            yield line, "not_an_object"


def json_rule(line: bytes | bytearray, message: str = "") -> str:
    """Why orjson refuses a line. The standard library accepts more, which tells a broken line from a loose one."""
    if not line.strip():
        return BLANK
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return "invalid_utf8"
    if "depth limit" in message or "recursion limit" in message.lower():
        return "too_deep"
    constants: list[str] = []
    try:
        value = json.loads(text, parse_constant=constants.append)
    except RecursionError:
        return "too_deep"
    except ValueError:
        return "invalid_json"
    if constants:
        return "not_strict_json"
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return "lone_surrogate"
    return "not_strict_json"


# CSV ------------------------------------------------------------------------------------------------------------


class _CsvLines:
    """Feeds csv.reader one decoded line at a time and remembers whether the current record had undecodable bytes."""

    def __init__(self, lines: Iterator[bytes | bytearray]) -> None:
        self.lines, self.bad, self.text = lines, False, ""

    def __iter__(self) -> "_CsvLines":
        return self

    def __next__(self) -> str:
        line = next(self.lines)
        try:
            self.text = line.decode("utf-8")
        except UnicodeDecodeError:
            self.bad = True
            self.text = line.decode("utf-8", "surrogateescape")
        if "\0" in self.text:
            # csv refuses NUL before Python 3.11 only; a lone surrogate stands in for it on every version.
            self.bad, self.text = True, self.text.replace("\0", "\udc00")
        self.text = self.text.removesuffix("\r") + "\n"
        return self.text


def _csv_rows(file: ReadFile, columns: Sequence[str] | None, required: Sequence[str]) -> Iterator[Row]:
    csv.field_size_limit(MAX_CSV_FIELD_CHARS)  # the module's limit is global and 128 KiB; texts are longer
    feed = _CsvLines(split_lines(read_bytes(file)))
    records = csv.reader(feed, strict=True)
    header = next((record for record in records if record), None)
    if header is None:
        return
    if feed.bad:
        raise SourceError(f"{file.path}: the header row is not UTF-8 text")
    _require(file, header, required)
    first_line = records.line_num + 1
    while True:
        feed.bad = False
        try:
            record = next(records)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end" in str(error) or "field limit" in str(error):
                where = f"the record at line {first_line:,}"
                raise SourceError(f"{file.path}: a quote opened in {where} never closes") from None
            yield feed.text, "bad_csv_row"
        else:
            if feed.bad:
                yield record, "invalid_utf8"
            elif not record or (len(record) == 1 and not record[0].strip() and len(header) > 1):
                yield record, BLANK
            elif len(record) != len(header):
                yield record, "bad_csv_row"
            else:
                yield dict(zip(header, record, strict=True)), None
        first_line = records.line_num + 1


def _require(file: ReadFile, names: Sequence[str], required: Sequence[str]) -> None:
    for name in required:
        if name not in names:
            hint = did_you_mean(name, names)
            raise SourceError(f"{file.path}: has no column {name!r}; its columns: {', '.join(names)}{hint}")


# Parquet --------------------------------------------------------------------------------------------------------

_INVALID = object()


def _parquet_rows(file: ReadFile, columns: Sequence[str] | None, required: Sequence[str]) -> Iterator[Row]:
    import pyarrow.parquet as pq  # here: JSON lines need none of it, and it takes 0.2 s to import

    local = local_path(file.uri)
    with open_binary(file) as handle:
        # A buffer keeps a large local row group out of memory; remote, it would turn one request into hundreds.
        parquet = pq.ParquetFile(
            local or handle,
            buffer_size=1 << 20 if local or file.peek else 0,
            pre_buffer=False,
            page_checksum_verification=True,
        )
        with parquet:
            names = parquet.schema_arrow.names
            _require(file, names, required)
            wanted = names if columns is None else [name for name in names if name in columns]
            seen = 0
            remote = None if local or file.peek else _as_hub_file(handle)
            if remote is not None:
                groups = (parquet.metadata.row_group(group) for group in range(parquet.num_row_groups))
                remote.expect(sum(_num_bytes(group, wanted, "total_compressed_size") for group in groups))
            for group in range(parquet.num_row_groups):
                batches = parquet.iter_batches(
                    _batch_rows(parquet.metadata.row_group(group), wanted, PEEK_BATCH_ROWS if file.peek else None),
                    row_groups=[group],
                    columns=wanted,
                    use_threads=False,  # a task has one core; the other workers have theirs
                )
                for batch in batches:
                    seen += batch.num_rows
                    yield from _batch(batch)
            if seen != parquet.metadata.num_rows:
                raise SourceError(f"{file.path}: {seen:,} rows read, its footer says {parquet.metadata.num_rows:,}")
            if remote is not None:
                remote.finish()


def _as_hub_file(handle: Any) -> "HubFile | None":
    from pipelines.hub_file import HubFile  # here: local runs need none of it

    return handle if isinstance(handle, HubFile) else None


def _num_bytes(group: Any, wanted: Sequence[str], size: str) -> int:
    """Bytes of the wanted columns of a row group; `size` names how they are counted."""
    chunks = (group.column(index) for index in range(group.num_columns))
    return sum(getattr(chunk, size) for chunk in chunks if chunk.path_in_schema.split(".")[0] in wanted)


def _batch_rows(group: Any, wanted: Sequence[str], most: int | None = None) -> int:
    """Rows per batch so that a batch holds about BATCH_BYTES of the wanted columns."""
    size = _num_bytes(group, wanted, "total_uncompressed_size")
    return max(1, min(most or MAX_BATCH_ROWS, BATCH_BYTES * group.num_rows // max(size, 1)))


def _batch(batch: Any) -> Iterator[Row]:
    names = batch.schema.names
    columns: list[list[Any]] = []
    doubtful = False
    for column in batch.columns:
        objects, whole = _values(column)
        columns.append(objects)
        doubtful = doubtful or not whole
    for values in zip(*columns, strict=True):
        if doubtful and any(value is _INVALID for value in values):
            shown = ("(invalid UTF-8)" if value is _INVALID else value for value in values)
            yield dict(zip(names, shown, strict=True)), "invalid_utf8"
        else:
            yield dict(zip(names, values, strict=True)), None


def _values(column: Any) -> tuple[list[Any], bool]:
    """A column as Python objects, and whether all of it could be decoded."""
    import pyarrow as pa

    kind = column.type
    try:
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            # 0.96 against 13.98 us per document for to_pylist (web-en, 3 kB texts, pyarrow 26).
            return column.to_numpy(zero_copy_only=False).tolist(), True
        if pa.types.is_timestamp(kind) and kind.unit == "ns":
            column = column.cast(pa.timestamp("us", kind.tz), safe=False)  # Python's datetime ends at microseconds
        return column.to_pylist(), True
    except (ValueError, OverflowError, pa.ArrowException):
        return [_value(scalar) for scalar in column], False


def _value(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return _INVALID
    except (ValueError, OverflowError):  # a date outside the years 1 to 9999, which Python cannot hold
        return None


# WARC -----------------------------------------------------------------------------------------------------------


def _warc_rows(file: ReadFile, columns: Sequence[str] | None, required: Sequence[str]) -> Iterator[Row]:
    from pipelines.reader_warc import COLUMNS, warc_rows  # here: no other format needs warcio

    _require(file, COLUMNS, required)
    yield from warc_rows(file)


_READERS: dict[str, Callable[[ReadFile, Sequence[str] | None, Sequence[str]], Iterator[Row]]] = {
    "jsonl": _jsonl_rows,
    "parquet": _parquet_rows,
    "csv": _csv_rows,
    "warc": _warc_rows,
}
