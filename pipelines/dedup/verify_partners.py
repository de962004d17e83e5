"""That each removed document has a partner: in the files that were written, in an --against run, or in the cache.

Of partners elsewhere the hashes are collected (8 bytes each, different ones only) and looked for while the ids of their
run stream past, however many those are. A hash that is missing cannot be missing by chance, so nobody is accused
wrongly. Gives up: more than `MOST` lines for problems of one kind; the rest is counted.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.dedup import store
from pipelines.dedup.cache import family_dir
from pipelines.dedup.columns import batches, codes_of, integers_of, strings_of
from pipelines.dedup.documents import read_documents
from pipelines.dedup.report import FILE, shown_id
from pipelines.dedup.verify_places import Places
from pipelines.dedup.verify_written import Written
from pipelines.dedup.work import Work
from pipelines.errors import SourceError
from pipelines.hashed_names import Distinct, hashes_of, is_in, places_in

MOST = 100
_CACHE = "cache:"
_COLUMNS = ("kept_id", "kept_source", "kept_run", "removed_id")
_PLACES = ("kept_file", "kept_row")
_BATCH = 1 << 16


class Partners:
    """The documents that stay for removed ones, as the table names them."""

    def __init__(self, work: Work, written: Written, places: Places, file: pq.ParquetFile) -> None:
        self.work, self.written, self.places, self.file = work, written, places, file
        self.has_places = set(_PLACES) <= set(file.schema_arrow.names)
        self.outside: dict[str, Distinct] = {}
        self.lines: list[str] = []
        self.number = 0

    def problems(self) -> Iterator[str]:
        for batch in batches(self.file, [*_COLUMNS, *(_PLACES if self.has_places else ())]):
            rows = _Rows(batch)
            found = self._written(rows)
            for code, run in enumerate(rows.runs[1]):
                if run and (mine := np.flatnonzero(rows.runs[0] == code)).size:
                    self.outside.setdefault(run, Distinct()).add(rows.documents[mine])
            if self.has_places:
                self._stand(rows, found)
        yield from more(self.lines, self.number, f"of {FILE} have a partner that is not where it should be")
        lost: dict[str, np.ndarray] = {}
        for run, distinct in self.outside.items():
            needed = distinct.sorted()
            if (seen := _seen(self.work, run, needed)) is None:
                yield f"{run}: holds documents that stand for removed ones, and cannot be read"
            elif not seen.all():
                lost[run] = needed[~seen]
        yield from self._lost(lost)

    def _written(self, rows: "_Rows") -> np.ndarray:
        """Which rows have no problem by their id: own partners are in the files, others are looked for later."""
        own = np.array([not run for run in rows.runs[1]], bool)[rows.runs[0]]
        found = ~own
        for code, source in enumerate(rows.sources[1]):
            mine = np.flatnonzero(own & (rows.sources[0] == code))
            found[mine] = self.written.has(source, rows.hashes[mine])
        self._say(rows, np.flatnonzero(~found), "which is not in the files")
        return found

    def _stand(self, rows: "_Rows", found: np.ndarray) -> None:
        """The places of partners: in the plan, of the source, and not removed themselves. The cache has none."""
        files = self.places.file_numbers(rows.runs, codes_of(rows.batch.column("kept_file"), nullable=True))
        lines = integers_of(rows.batch.column("kept_row"))
        in_cache = np.array([run.startswith(_CACHE) for run in rows.runs[1]], bool)[rows.runs[0]]
        there = self.places.are_there(files, lines, rows.sources)
        gone = there.copy()
        gone[there] = self.places.are_removed(files[there], lines[there])
        self._say(rows, np.flatnonzero(found & ~there & ~in_cache), "and the row named for it is no such document")
        self._say(rows, np.flatnonzero(found & gone), "and the row named for it is of a removed document")

    def _say(self, rows: "_Rows", places: np.ndarray, what: str) -> None:
        self.number += len(places)
        for i in places[: max(0, MOST - len(self.lines))].tolist():
            self.lines.append(f"{rows.says(i)}, {what}")

    def _lost(self, lost: dict[str, np.ndarray]) -> Iterator[str]:
        """The rows whose partner is not in the run that they name."""
        if not lost:
            return
        lines: list[str] = []
        number = 0
        for batch in batches(self.file, _COLUMNS):
            rows = _Rows(batch)
            for code, run in enumerate(rows.runs[1]):
                mine = np.flatnonzero(rows.runs[0] == code) if run in lost else np.empty(0, np.int64)
                mine = mine[is_in(lost.get(run, np.empty(0, np.uint64)), rows.documents[mine])]
                number += len(mine)
                lines += [f"{rows.says(i)}, which is not in {run}" for i in mine[: MOST - len(lines)].tolist()]
        yield from more(lines, number, f"of {FILE} have a partner that is not in its run")


class _Rows:
    """One batch of the table."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.batch = batch
        self.names = strings_of(batch.column("kept_id"))
        self.sources, self.runs = codes_of(batch.column("kept_source")), codes_of(batch.column("kept_run"))
        self.hashes = hashes_of(self.names)
        self.documents = self.hashes ^ hashes_of(self.sources[1])[self.sources[0]]

    def says(self, i: int) -> str:
        gone: Any = self.batch.column("removed_id")[i].as_py()
        return f"{shown_id(gone)}: was removed for {shown_id(self.names[i])} ({self.sources[1][self.sources[0][i]]})"


def _seen(work: Work, run: str, needed: np.ndarray) -> np.ndarray | None:
    """Which of these documents (hashes, sorted) a run or a segment of the cache has; None when it cannot be read."""
    seen = np.zeros(len(needed), bool)
    try:
        for source, names in _ids_of(work, run):
            places = places_in(needed, hashes_of(names) ^ hashes_of([source]))
            seen[places[places >= 0]] = True
        return seen
    except (OSError, SourceError):
        return None


def _ids_of(work: Work, run: str) -> Iterator[tuple[str, list[str] | list[bytes]]]:
    """(source, some ids) of all documents of an --against run or of a segment of the cache. Raises SourceError."""
    plan = work.plan
    if run.startswith(_CACHE):
        segment = run.removeprefix(_CACHE)
        if plan.cache_dir is None or segment not in plan.segments:
            raise SourceError(f"{run}: is no part of the cache that was looked at")
        for folder in sorted((family_dir(Path(plan.cache_dir), plan.config.exact) / segment).iterdir()):
            if not folder.name.isdecimal():
                continue
            names = store.load(folder, "names").tobytes()
            ends = store.load(folder, "end").tolist()
            parts = [names[start:end] for start, end in zip([0, *ends], ends, strict=False)]
            yield str(store.totals(folder)["source"]), parts
        return
    for file in plan.files:
        if plan.runs[file.run].path != run:
            continue
        found: list[str] = []
        for document in read_documents(work, file):
            found.append(document["id"])
            if len(found) == _BATCH:
                yield file.source, found
                found = []
        yield file.source, found


def more(lines: list[str], number: int, what: str) -> Iterator[str]:
    """These lines, and how many of `number` rows have none of their own."""
    yield from lines
    if number > len(lines):
        yield f"{number - len(lines):,} more rows {what}"
