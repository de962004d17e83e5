"""`_run/sentence_cuts.parquet`: every piece of text that sentence deduplication has cut, in the order of the inputs.

Columns: id, source, removed (the whole document was, since too little was left), start and end (characters in the text
that was read), sentences, text, and where the same sentences stay: kept_id, kept_source, kept_run ("" for this run).
What was read is what was written and these pieces, for every document that is not removed. Gives up: what was left of
removed documents; it is in the run that was read.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.dedup import store
from pipelines.dedup.columns import batches
from pipelines.dedup.documents import Table
from pipelines.dedup.sentence_pieces import GONE
from pipelines.dedup.sentence_rounds import NAME as SENTENCE
from pipelines.dedup.sentence_rounds import piece_folder
from pipelines.dedup.work import Work

__all__ = ["CUTS_FILE", "CUT_SENTENCES", "SENTENCE", "CutPieces", "cut_rows", "write_cuts"]

CUTS_FILE = "sentence_cuts.parquet"
CUT_SENTENCES = "cut_sentences"
_ROWS = 50_000
_FIELDS: "list[pa.Field[Any]]" = [
    pa.field("id", pa.string()),
    pa.field("source", pa.string()),
    pa.field("removed", pa.bool_()),
    pa.field("start", pa.int64()),
    pa.field("end", pa.int64()),
    pa.field("sentences", pa.int64()),
    pa.field("text", pa.string()),
    pa.field("kept_id", pa.string()),
    pa.field("kept_source", pa.string()),
    pa.field("kept_run", pa.string()),
]
_SCHEMA = pa.schema(_FIELDS)


class CutPieces:
    """What goes from the documents of one file, for the writer. Without the method: nothing from any."""

    def __init__(self, work: Work, index: int) -> None:
        self.used = SENTENCE in work.methods
        if not self.used:
            return
        folder = piece_folder(work, index)
        self._unit = np.asarray(store.load(work.folder("index", index), "unit"))
        self._row = np.asarray(store.load(folder, "number")) - work.offsets[index]
        self._start, self._end, self._sentences = (
            np.asarray(store.load(folder, name)) for name in ("start", "end", "sentences")
        )

    def apply(self, row: int, text: str) -> tuple[str, int]:
        """(the text of this row without its pieces, how many sentences they are)."""
        if not self.used:
            return text, 0
        unit = np.uint64(self._unit[row])
        low, high = np.searchsorted(self._row, unit), np.searchsorted(self._row, unit, side="right")
        if low == high:
            return text, 0
        spans = zip(self._start[low:high].tolist(), self._end[low:high].tolist(), strict=True)
        return without(text, spans), int(self._sentences[low:high].sum())


def without(text: str, spans: "Iterator[tuple[int, int]] | zip[tuple[int, int]]") -> str:
    """A text without these pieces of it, which are in order."""
    left, at = [], 0
    for start, end in spans:
        left.append(text[at:start])
        at = end
    return "".join([*left, text[at:]])


def write_cuts(work: Work, path: Path) -> None:
    """Write the table."""
    table = Table(work)
    scratch = path.with_name(f".{path.name}.new")
    with pq.ParquetWriter(scratch, _SCHEMA, compression="zstd") as writer:
        for index in work.own_files():
            for columns in _batches(work, table, index):
                writer.write_table(pa.table(columns, schema=_SCHEMA))
    scratch.replace(path)


def _batches(work: Work, table: Table, index: int) -> Iterator[dict[str, Any]]:
    folder = piece_folder(work, index)
    row = (np.asarray(store.load(folder, "number")) - work.offsets[index]).astype(np.int64)
    unit = np.asarray(store.load(work.folder("index", index), "unit")).astype(np.int64)
    # A document and its epoch copies have the same pieces: each line is named.
    low, high = np.searchsorted(row, unit), np.searchsorted(row, unit, side="right")
    lines = np.repeat(np.arange(len(unit)), high - low)
    places = np.repeat(low - np.append(0, np.cumsum(high - low)[:-1]), high - low) + np.arange(len(lines))
    columns = {name: store.load(folder, name) for name in ("removed", "start", "end", "sentences", "to")}
    text = store.load(work.folder(GONE) / folder.name, "text")
    begins, ends = store.load(folder, "text_start"), store.load(folder, "text_end")
    for at in range(0, len(lines), _ROWS):
        chosen = places[at : at + _ROWS]
        numbers = lines[at : at + _ROWS].astype(np.uint64) + work.offsets[index]
        to = np.asarray(columns["to"])[chosen]
        yield {
            "id": table.names(numbers),
            "source": table.sources(numbers),
            "removed": np.asarray(columns["removed"])[chosen],
            **{name: np.asarray(columns[name])[chosen].astype(np.int64) for name in ("start", "end", "sentences")},
            "text": [text[int(begins[p]) : int(ends[p])].tobytes().decode() for p in chosen.tolist()],
            "kept_id": table.names(to),
            "kept_source": table.sources(to),
            "kept_run": table.runs(to),
        }


def cut_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of the table, one after another."""
    with pq.ParquetFile(path) as file:
        for batch in batches(file, batch=10_000):
            yield from batch.to_pylist()
