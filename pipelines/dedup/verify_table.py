"""`duplicates.parquet` of a finished deduplication against its ledger, its plan and the documents that were written.

As many removals as the ledger has, each once and gone from the files, each with somebody that stays
(verify_partners.py). The table is read in batches, twice. Memory: one bit for each document of the run that was read;
of tables of earlier versions, which name no rows, 8 bytes for each removed document. Gives up: more than `MOST` lines
for problems of one kind; the rest is counted.
"""

from array import array
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.dedup.columns import batches, codes_of, integers_of, pairs_of, strings_of
from pipelines.dedup.report import FILE, shown_id
from pipelines.dedup.verify_both import in_both
from pipelines.dedup.verify_partners import MOST, Partners, more
from pipelines.dedup.verify_places import Places
from pipelines.dedup.verify_written import Written
from pipelines.dedup.work import Work
from pipelines.dedup.writer import FAMILY
from pipelines.hashed_names import SUSPECTS, Distinct, hashes_of, is_in, repeated
from pipelines.ledger import TaskRecord
from pipelines.run_layout import RUN_DIR

_NAMES = ("removed_source", "removed_id")
_PLACES = ("removed_file", "removed_row")


def verify_table(work: Work, records: list[TaskRecord], written: Written) -> Iterator[str]:
    """Every difference, one line each."""
    try:
        with pq.ParquetFile(work.layout.run_dir / FILE) as file:
            removed = _Removed(work, records, written, file)
            yield from removed.problems()
            yield from Partners(work, written, removed.places, file).problems()
    except (OSError, ValueError) as error:
        yield f"{RUN_DIR}/{FILE}: cannot be read ({str(error).splitlines()[0]})"


class _Removed:
    """What the table says of the documents that are gone."""

    def __init__(self, work: Work, records: list[TaskRecord], written: Written, file: pq.ParquetFile) -> None:
        self.work, self.records, self.written, self.file = work, records, written, file
        self.places = Places(work)
        self.has_places = set(_PLACES) <= set(file.schema_arrow.names)  # tables of earlier versions have none
        self.by_source: Counter[tuple[str, str]] = Counter()
        self.by_task: Counter[tuple[str, int, str]] = Counter()
        self.nowhere: list[str] = []
        self.num_nowhere = 0
        self.both = Distinct()

    def problems(self) -> Iterator[str]:
        hashes = array("Q")
        for batch in batches(self.file, [*_NAMES, "method", *(_PLACES if self.has_places else ())]):
            names, (sources, of_source) = strings_of(batch.column("removed_id")), codes_of(batch.column(_NAMES[0]))
            mine = hashes_of(names)
            documents = mine ^ hashes_of(of_source)[sources]
            self._count(batch, (sources, of_source))
            for code, source in enumerate(of_source):
                chosen = np.flatnonzero(sources == code)
                self.both.add(documents[chosen[self.written.has(source, mine[chosen])]])
            if not self.has_places:
                hashes.frombytes(documents.tobytes())
            else:
                self._place(batch, names, (sources, of_source))
        yield from self._counts()
        yield from self._twice(np.frombuffer(hashes, np.uint64) if hashes else np.empty(0, np.uint64))
        yield from more(self.nowhere, self.num_nowhere, f"of {FILE} name places that are not of the run")
        yield from in_both(self.work, self.written, self.file, self.both.sorted())

    def _count(self, batch: pa.RecordBatch, sources: tuple[np.ndarray, list[str]]) -> None:
        methods, of_method = codes_of(batch.column("method"))
        for (source, method), number in pairs_of(sources[0], methods):
            self.by_source[sources[1][source], of_method[method]] += number

    def _place(self, batch: pa.RecordBatch, names: list[str], sources: tuple[np.ndarray, list[str]]) -> None:
        this_run = (np.zeros(batch.num_rows, np.int64), [""])
        files = self.places.file_numbers(this_run, codes_of(batch.column("removed_file"), nullable=True))
        rows = integers_of(batch.column("removed_row"))
        there = self.places.are_there(files, rows, sources)
        self.places.remove(files[there], rows[there])
        methods, of_method = codes_of(batch.column("method"))
        for (number, method), count in pairs_of(files[there], methods[there]):
            file = self.work.plan.files[number]
            self.by_task[file.source, file.rank, of_method[method]] += count
        lost = np.flatnonzero(~there)
        self.num_nowhere += len(lost)
        for i in lost[: MOST - len(self.nowhere)].tolist():
            path, row = batch.column("removed_file")[i].as_py(), batch.column("removed_row")[i].as_py()
            where = f"{path}, row {row}, which is no document of {sources[1][sources[0][i]]}"
            self.nowhere.append(f"{shown_id(names[i])}: {FILE} has it in {where}")

    def _counts(self) -> Iterator[str]:
        """What the ledger says, of each source, and where that is right of each task."""
        expected: Counter[tuple[str, str]] = Counter()
        of_task: Counter[tuple[str, int, str]] = Counter()
        for record in self.records:
            for reason, number in record.dropped.items():
                method = reason.removeprefix(f"{FAMILY}.")
                expected[record.source, method] += number
                of_task[record.source, record.rank, method] += number
        wrong = set()
        for source, method in sorted(self.by_source.keys() | expected.keys()):
            if self.by_source[source, method] != expected[source, method]:
                wrong.add(source)
                yield (
                    f"{source}: {FILE} has {self.by_source[source, method]:,} documents removed by {method}, the "
                    f"ledger {expected[source, method]:,}"
                )
        if not self.has_places or self.num_nowhere:
            return
        for source, rank, method in sorted(self.by_task.keys() | of_task.keys()):
            key = (source, rank, method)
            if source not in wrong and self.by_task[key] != of_task[key]:
                yield (
                    f"{source} task {rank}: {FILE} has {self.by_task[key]:,} documents removed by {method}, the "
                    f"ledger {of_task[key]:,}"
                )

    def _twice(self, hashes: np.ndarray) -> Iterator[str]:
        """By the rows of the run: a source may have given an id to two documents. By ids where no rows are named."""
        hashes.sort()
        again = repeated(hashes)
        number = self.places.twice + len(again)
        if len(again):
            number -= self._by_chance(np.unique(again)[:SUSPECTS])
        if number:
            yield f"{FILE}: {number:,} documents are removed twice"

    def _by_chance(self, suspects: np.ndarray) -> int:
        """How many different documents have a hash of `suspects` that another one has as well."""
        found: dict[int, set[tuple[str, str]]] = {}
        for batch in batches(self.file, _NAMES):
            names, (sources, of_source) = strings_of(batch.column("removed_id")), codes_of(batch.column(_NAMES[0]))
            hashes = hashes_of(names) ^ hashes_of(of_source)[sources]
            for i in np.flatnonzero(is_in(suspects, hashes)).tolist():
                found.setdefault(int(hashes[i]), set()).add((of_source[sources[i]], names[i]))
        return sum(len(documents) - 1 for documents in found.values())
