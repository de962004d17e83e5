"""The reader: a frozen list of files in, documents out, every row accounted for.

The first step of every pipeline here, in place of datatrove's JSONL, Parquet and CSV readers, which lose rows without
counting them. The law: rows == documents + not_wanted + sum of the rejected_<rule> counts, whatever is in the files
(not_wanted is 0 unless `wanted` is given); a file that cannot be read to its end raises SourceError.
Gives up: listing folders, limits, and passing every column on.
"""

import datetime
import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import islice
from time import perf_counter
from typing import Any

from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.readers.base import BaseReader
from datatrove.pipeline.writers.disk_base import DiskWriter

from filters.counting import add_length
from pipelines.adapters import NOT_WANTED, Rejected, RowAdapter, Wanted
from pipelines.errors import SourceError, did_you_mean
from pipelines.fields import FieldPath
from pipelines.json_line import surely_composed
from pipelines.reader_bytes import ReadFile
from pipelines.reader_formats import BLANK, OTHER_RECORD, Row, read_rows

READER_FAMILY = "reader"
ID_SCOPES = ("source", "file")
MAX_REJECT_CHARS = 2_000
_UNWANTED = "unwanted"  # the mark of a row that the sampler leaves out; never a rule of a rejected row
_CAUSES = {
    "invalid_json": "are these JSON lines, one object per line?",
    "invalid_utf8": "is this UTF-8 text?",
    "not_an_object": "every line must be a JSON object",
    "bad_csv_row": "does the header row fit the rows?",
    "bad_id": "ids must be strings or whole numbers",
    "blob_missing": "is the location of the blobs right?",
}


class SourceReader(BaseReader):
    """Reads the files of this task, in order.

    Args:
        source: `<name>/<label>`; the first part of ids that are made up.
        tasks: tasks[rank] = the files of that rank.
        text_field: the text; may be a place inside a column (`meta.text`, `responses[0].response`).
        id_field: a column of strings or whole numbers; None = ids are `<source>/<path>#<row>`, rows counted from 0,
            rejected ones too, so that an id never depends on the number of tasks.
        id_scope: source = the id as it is; file = `<path>#<id>`, for sources whose ids repeat from file to file.
        metadata_fields: columns carried into the metadata, None where a row has none; one whose name is taken by
            `default_metadata` or `source_file` is carried as `row_<name>`.
        default_metadata: metadata of every document.
        adapter: makes documents of a row in place of `text_field`.
        rejects_writer: gets one document for every rejected row: its text or the start of its line, and metadata
            reason, source_file, row.
        wanted: asked with (file path, document id) where an adapter fetches or works out texts; where it says no, that
            is not done and the row counts as `not_wanted`. Rows with their text in the file always come out.
        min_rows, max_rejected: once a task has read `min_rows` rows and rejected more than this share, it stops
            with a SourceError that names the likely cause.
        max_rows: of each file, for a look at a source; None = all.

    Statistics: rows, documents, rejected_<rule>, not_wanted (all per file), blank_lines and other_records (no rows),
    input_files.
    Raises ValueError for settings that make no sense, SourceError for a file that cannot be read as planned.
    """

    name = "📚 Source"
    _requires_dependencies = ("orjson", "pyarrow")

    def __init__(
        self,
        *,
        source: str,
        tasks: Sequence[Sequence[ReadFile]],
        text_field: str = "text",
        id_field: str | None = None,
        id_scope: str = "source",
        metadata_fields: Sequence[str] = (),
        default_metadata: Mapping[str, Any] | None = None,
        adapter: RowAdapter | None = None,
        rejects_writer: DiskWriter | None = None,
        wanted: Callable[[str, str], bool] | None = None,
        min_rows: int = 1_000,
        max_rejected: float = 0.5,
        max_rows: int | None = None,
    ) -> None:
        super().__init__(text_key=text_field, id_key=id_field or "", default_metadata=dict(default_metadata or {}))
        if id_scope not in ID_SCOPES:
            raise ValueError(f"id_scope {id_scope!r} is unknown; it is one of {', '.join(ID_SCOPES)}")
        self.source = source
        self.tasks = tuple(tuple(files) for files in tasks)
        self.text_field = FieldPath(text_field)
        self.id_field = FieldPath(id_field) if id_field else None
        self.id_scope = id_scope
        taken = {*self.default_metadata, "source_file"}
        self.metadata_fields = tuple(
            (f"row_{name}" if name in taken else name, FieldPath(name)) for name in metadata_fields
        )
        # Name, column, and the place inside the column where there is one.
        self.metadata_columns = tuple(
            (name, field.name, field if len(field.steps) > 1 else None) for name, field in self.metadata_fields
        )
        self.row_adapter = adapter
        self.rejects_writer = rejects_writer
        self.wanted = wanted
        self.min_rows, self.max_rejected, self.max_rows = min_rows, max_rejected, max_rows
        required = list(adapter.required_columns if adapter else (self.text_field.column,))
        columns = list(adapter.columns if adapter else (self.text_field.column, text_field))
        if self.id_field:
            required.append(self.id_field.column)
            columns += [self.id_field.column, self.id_field.name]
        columns += [name for _, field in self.metadata_fields for name in (field.column, field.name)]
        self.columns, self.required = tuple(dict.fromkeys(columns)), tuple(dict.fromkeys(required))

    def wanted_in(self, path: str) -> Wanted | None:
        """`wanted` for the ids of one file, as they are in its rows."""
        wanted = self.wanted
        if wanted is None:
            return None
        prefix = f"{path}#" if self.id_scope == "file" else ""
        return lambda ident: wanted(path, prefix + ident)

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Documents of `data`, if any, then those of this rank's files."""
        if world_size != len(self.tasks) or not 0 <= rank < world_size:
            raise ValueError(f"planned for {len(self.tasks)} tasks, run as rank {rank} of {world_size}")
        if data:
            yield from data
        run = _Run(self, rank)
        with self.rejects_writer if self.rejects_writer else nullcontext():
            for file in self.tasks[rank]:
                self.stat_update("input_files")
                documents = run.read(file)
                seconds = 0.0
                try:
                    while True:
                        start = perf_counter()
                        document = next(documents, None)
                        seconds += perf_counter() - start
                        if document is None:
                            break
                        add_length(self.stats.stats, document)
                        yield document
                finally:
                    self.stats.time_stats.update(seconds, "input_file")
                    # Also after an error or an early end downstream: what was read is on the books.
                    documents.close()
                    run.book()


class _Run:
    """One task in progress: makes documents of rows and counts what becomes of every row."""

    def __init__(self, reader: SourceReader, rank: int) -> None:
        self.reader, self.rank = reader, rank
        self.rows = 0
        self.rules: Counter[str] = Counter()  # rejected rows of the whole task, by rule
        self.counts: Counter[str] = Counter()  # since the last file
        self.column_names: tuple[str, ...] = ()

    def book(self) -> None:
        """Hands the counts of a file to the step's statistics."""
        for label, value in sorted(self.counts.items()):
            self.reader.stat_update(label, value=value, unit="input_file")
        self.counts.clear()

    def read(self, file: ReadFile) -> Generator[Document, None, None]:
        reader, counts = self.reader, self.counts
        adapter, text_of = reader.row_adapter, reader.text_field.get
        wanted = reader.wanted_in(file.path)
        rows: Iterator[Row] = read_rows(file, reader.columns, reader.required)
        if reader.max_rows is not None:
            rows = islice(rows, reader.max_rows)
        if adapter is not None and not adapter.own_ids and wanted is not None:
            rows = self.marked(rows, file.path)
        if adapter is not None and adapter.batch_rows > 1:
            rows = _prefetched(rows, adapter, wanted)
        number = -1
        plain = 0  # documents of the frequent case: a row with its text in it
        try:
            for value, rule in rows:
                if rule is None and adapter is None:
                    number += 1
                    made = self.document(text_of(value), None, None, value, file.path, number)
                    if type(made) is str:
                        self.reject(made, value, text_of(value), file.path, number)
                        continue
                    self.rows += 1
                    plain += 1
                    yield made
                    continue
                if rule is BLANK:
                    counts["blank_lines"] += 1
                    continue
                if rule is OTHER_RECORD:
                    counts["other_records"] += 1
                    continue
                number += 1
                if rule is _UNWANTED:
                    counts["rows"] += 1
                    counts["not_wanted"] += 1
                    continue
                if rule is not None:
                    self.reject(rule, value, None, file.path, number)
                    continue
                assert adapter is not None
                yield from self.adapted(adapter.rows(value, wanted), value, file.path, number)
        finally:
            counts["rows"] += plain
            counts["documents"] += plain

    def adapted(self, items: Iterable[Any], value: Any, path: str, number: int) -> Iterator[Document]:
        """The documents that an adapter finds in one row: one, several, or none."""
        for item in items:
            if item is NOT_WANTED:
                self.counts["rows"] += 1
                self.counts["not_wanted"] += 1
                continue
            if isinstance(item, Rejected):
                self.reject(item.rule, value, item.text, path, number)
                continue
            text, ident, metadata = item
            made = self.document(text, ident, metadata, value, path, number)
            if isinstance(made, str):
                self.reject(made, value, text, path, number)
                continue
            self.rows += 1
            self.counts["rows"] += 1
            self.counts["documents"] += 1
            yield made

    def document(
        self,
        text: Any,
        ident: Any,
        metadata_of_adapter: Mapping[str, Any] | None,
        row: dict[str, Any],
        path: str,
        number: int,
    ) -> Document | str:
        """The document of a row, or the rule that refuses it."""
        reader = self.reader
        if type(text) is not str:
            return "missing_text" if text is None else "not_text"
        if not text or text.isspace():
            return "empty_text"
        ident, rule = self.ident(ident, row, path, number)
        if rule is not None:
            return rule
        if not (text.isascii() or surely_composed(text) or unicodedata.is_normalized("NFC", text)):
            text = unicodedata.normalize("NFC", text)
        metadata = dict(reader.default_metadata)
        for name, column, field in reader.metadata_columns:
            value = row.get(column)
            if value is None:
                value = field.get(row) if field is not None else None
            metadata[name] = value if value is None or type(value) is str else jsonable(value)
        if metadata_of_adapter:
            for name, value in metadata_of_adapter.items():
                metadata.setdefault(name, jsonable(value))
        metadata["source_file"] = path
        return Document(text=text, id=ident, metadata=metadata)

    def ident(self, given: Any, row: dict[str, Any], path: str, number: int) -> tuple[str, str | None]:
        """The id of a row's document, given one by an adapter or not; or ("", the rule that refuses it)."""
        reader, ident = self.reader, given
        if ident is None and reader.id_field is not None:
            ident = reader.id_field.get(row)
            if ident is None or ident == "":
                return "", "missing_id"
            if type(ident) is int:
                ident = str(ident)
            elif type(ident) is not str:
                return "", "bad_id"
        if ident is None:
            return f"{reader.source}/{path}#{number}", None
        return (f"{path}#{ident}" if reader.id_scope == "file" else ident), None

    def marked(self, rows: Iterator[Row], path: str) -> Iterator[Row]:
        """The same rows, those that the sampler leaves out marked as such; their ids are known before their texts."""
        wanted = self.reader.wanted
        assert wanted is not None
        number = -1
        for value, rule in rows:
            number += rule is not BLANK and rule is not OTHER_RECORD
            if rule is None:
                ident, refused = self.ident(None, value, path, number)
                if refused is None and not wanted(path, ident):
                    yield None, _UNWANTED
                    continue
            yield value, rule

    def reject(self, rule: str, value: Any, text: Any, path: str, number: int) -> None:
        """Counts a row that cannot be used, keeps it where that is wanted, and stops a task that is mostly such."""
        self.rows += 1
        self.rules[rule] += 1
        self.counts["rows"] += 1
        self.counts[f"rejected_{rule}"] += 1
        reader = self.reader
        if isinstance(value, dict):
            self.column_names = tuple(value)
        if reader.rejects_writer is not None:
            metadata = {"reason": f"{READER_FAMILY}.{rule}", "source_file": path, "row": number}
            ident = f"{reader.source}/{path}#{number}"
            reader.rejects_writer.write(Document(text=_shown(value, text), id=ident, metadata=metadata), self.rank)
        if self.rows >= reader.min_rows and self.rules.total() > reader.max_rejected * self.rows:
            raise SourceError(f"{path}: {self.likely_cause()}")

    def likely_cause(self) -> str:
        """One sentence on why most rows so far were refused."""
        reader = self.reader
        rule, count = self.rules.most_common(1)[0]
        share = f"{count:,} of {self.rows:,} rows"
        names = self.column_names
        columns = f"columns: {', '.join(names[:40])}" if names else "no row had columns"
        if rule in ("missing_text", "not_text", "empty_text") and reader.row_adapter is None:
            name = reader.text_field.name
            what = {"missing_text": "missing", "not_text": "not text", "empty_text": "empty"}[rule]
            hint = did_you_mean(name, [column for column in names if column != name]) if rule != "empty_text" else ""
            return f"text_field {name!r} is {what} in {share}; {columns}{hint}"
        if rule in ("missing_id", "bad_id") and reader.id_field is not None:
            name = reader.id_field.name
            hint = did_you_mean(name, [column for column in names if column != name])
            return f"id_field {name!r} is refused ({READER_FAMILY}.{rule}) in {share}; {columns}{hint}"
        return f"{READER_FAMILY}.{rule} in {share}; {_CAUSES.get(rule, columns)}"


def _prefetched(rows: Iterator[Row], adapter: RowAdapter, wanted: Wanted | None) -> Iterator[Row]:
    """The same rows, read a few ahead so that what they need can be fetched in parallel."""
    while batch := list(islice(rows, adapter.batch_rows)):
        adapter.prefetch([value for value, rule in batch if rule is None], wanted)
        yield from batch


def _shown(value: Any, text: Any) -> str:
    """A rejected row for a person to look at: its text where it has one, else the start of what was there."""
    if isinstance(text, str) and text.strip():
        return text[:MAX_REJECT_CHARS]
    if isinstance(value, (bytes, bytearray)):
        return bytes(value[:MAX_REJECT_CHARS]).decode("utf-8", "backslashreplace")[:MAX_REJECT_CHARS]
    shown = value if isinstance(value, str) else repr(value)
    # What is kept must itself be writable as UTF-8.
    return shown[:MAX_REJECT_CHARS].encode("utf-8", "backslashreplace").decode()


def jsonable(value: Any) -> Any:
    """`value` as JSON can hold it. Bytes, and numbers JSON has no word for, become None."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [jsonable(item) for item in value]
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return None
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return jsonable(value.tolist())
    return str(value)
