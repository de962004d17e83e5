"""`smoltrove verify` for the counts by language of a deduplication, where the texts say it at little cost.

What was written is counted again while the files are read anyway, and what was read must be what the ledger of that run
has kept. The ledger's law then leaves only the reasons of a language to be looked at, where a file has several of both;
those files of the run are read again. Gives up: counts of what was read where that run is gone, or is in a store.
"""

from collections.abc import Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import pyarrow.parquet as pq

from pipelines.dedup.columns import batches
from pipelines.dedup.documents import read_documents
from pipelines.dedup.freeze import finished_run
from pipelines.dedup.inputs import InputFile, InputSource, read_json
from pipelines.dedup.languages import FileCounts, tally
from pipelines.dedup.report import FILE
from pipelines.dedup.work import Work
from pipelines.dedup.writer import FAMILY
from pipelines.errors import SourceError, UserError
from pipelines.histograms import Histogram, Tally
from pipelines.ledger import TaskRecord
from pipelines.run_layout import RUN_DIR

Task = tuple[str, int]


def tally_of(work: Work, record: TaskRecord) -> Tally | None:
    """What is to count the documents that a task has written; None where its record has no counts."""
    return None if record.histograms is None else tally(_source(work, record.source))


def verify_languages(work: Work, records: list[TaskRecord], written: Mapping[Task, Tally]) -> Iterator[str]:
    """Every difference, one line each; `written` has counted the documents of the files."""
    counted = {(r.source, r.rank): r for r in records if r.histograms is not None}
    for task, found in written.items():
        histograms = counted[task].histograms
        assert histograms is not None
        yield from _differences(task, "written", histograms.kept, found.histograms(), "its file")
    run = work.plan.runs[0]
    folder = Path(run.here or run.path)
    manifest = read_json(folder / RUN_DIR / "manifest.json") or {}
    if not counted or manifest.get("fingerprint") != run.fingerprint or manifest.get("state") != "complete":
        return
    try:
        for theirs in finished_run(folder)[1]:
            mine = counted.get((theirs.source, theirs.rank))
            # The run's counts have each document once, its files have it in each of its epochs.
            if mine is None or mine.histograms is None or theirs.histograms is None or theirs.repeated:
                continue
            yield from _differences(
                (mine.source, mine.rank), "read", mine.histograms.drawn, theirs.histograms.kept, "the run's ledger"
            )  # fmt: skip
        yield from _reasons(work, counted)
    except (OSError, ValueError) as error:
        yield f"{FILE}: cannot be read ({str(error).splitlines()[0]})"
    except (SourceError, UserError) as error:
        yield str(error)


def _differences(
    task: Task, what: str, said: Mapping[str, Histogram], found: Mapping[str, Histogram], where: str
) -> Iterator[str]:
    for language in sorted(said.keys() | found.keys()):
        mine, theirs = said.get(language, Histogram()), found.get(language, Histogram())
        if mine != theirs:
            numbers = f"{mine.documents:,} documents {what}, {where} has {theirs.documents:,}"
            same = ", of other lengths or scores" if mine.documents == theirs.documents else ""
            yield f"{task[0]} task {task[1]}: {language or 'other languages'}: {numbers}{same}"


def _reasons(work: Work, counted: Mapping[Task, TaskRecord]) -> Iterator[str]:
    """Reasons by language, of files where the sums leave them open."""
    left_open: dict[str, tuple[InputFile, TaskRecord]] = {}
    for index in work.own_files():
        file = work.plan.files[index]
        record = counted.get((file.source, file.rank))
        if record is None or record.dropped_by_language is None:
            continue
        if len(record.dropped) > 1 and len(record.dropped_by_language) > 1 and work.plan.place(file).is_file():
            left_open[file.path] = (file, record)
    if not left_open:
        return
    with pq.ParquetFile(work.layout.run_dir / FILE) as table:
        # Rows stand as the inputs do, so those of a file are together, and one file's are in memory.
        for path, rows in groupby(_removals(table), key=itemgetter(0)):
            if path in left_open:
                yield from _reasons_of(work, *left_open[path], {row: method for _, row, method in rows})


def _removals(table: pq.ParquetFile) -> Iterator[tuple[str, int, str]]:
    for batch in batches(table, ["removed_file", "removed_row", "method"]):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _reasons_of(work: Work, file: InputFile, record: TaskRecord, methods: Mapping[int, str]) -> Iterator[str]:
    counts = FileCounts(_source(work, file.source))
    for row, document in enumerate(read_documents(work, file)):
        if (method := methods.get(row)) is not None:
            counts.removed(document, f"{FAMILY}.{method}")
    found = counts.fields()["dropped_by_language"]
    if found != record.dropped_by_language:
        yield (
            f"{file.source} task {file.rank}: removed by language: {record.dropped_by_language} in the ledger, "
            f"{found} in the texts that were read"
        )


def _source(work: Work, name: str) -> InputSource:
    return next(source for source in work.plan.sources if source.source == name)
