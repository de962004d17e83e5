"""The last stage: each file without its duplicates and what was cut, into a folder of its own, with a ledger record.

Same bytes for the same decisions. The order makes a kill at any moment harmless: the file first, then its record.
"""

import time
from pathlib import Path

import numpy as np
import orjson

from pipelines.dedup import store
from pipelines.dedup.decide import cluster_sizes
from pipelines.dedup.documents import read_documents
from pipelines.dedup.languages import FileCounts
from pipelines.dedup.sentence_report import CUT_SENTENCES, CutPieces
from pipelines.dedup.work import Work
from pipelines.estimates import count_tokens
from pipelines.ledger import LedgerError, TaskRecord, find_record, move, write_atomically
from pipelines.memory import peak_memory_bytes
from pipelines.writers import Sink, WrittenFile

CLUSTER_SIZE = "cluster_size"
FAMILY = "dedup"


def is_written(work: Work, index: int) -> bool:
    """Whether a file is in its place, as its record says."""
    file = work.plan.files[index]
    record = find_record(work.layout.record(file.output_dir, file.rank))
    if record is None:
        return False
    if record.file is None:
        return True
    path = work.layout.output_folder / record.file.path
    return path.is_file() and path.stat().st_size == record.file.size


def write_file(work: Work, index: int) -> None:
    """Write one file again without what the methods removed; each document says how many it stands for.

    Raises LedgerError when rows read are not removed + written, in all and for each language.
    """
    started, cpu = time.perf_counter(), time.process_time()
    file = work.plan.files[index]
    by_row = _removed_by(work, index)
    sizes, pieces = _sizes(work, index), CutPieces(work, index)
    output = work.plan.output
    place = work.layout.output_folder / file.output_dir / f"{file.rank:05d}{output.suffix}"
    sink = Sink(Path(work.layout.work_dir(file.output_dir)) / place.name, output)
    text_bytes = rows = cut_documents = cut_sentences = cut_chars = 0
    dropped: dict[str, int] = {}
    by_language = FileCounts(next(source for source in work.plan.sources if source.source == file.source))
    try:
        for row, document in enumerate(read_documents(work, file)):
            rows += 1
            by_language.read(document)
            if by_row[row] >= 0:
                reason = f"{FAMILY}.{work.methods[by_row[row]]}"
                dropped[reason] = dropped.get(reason, 0) + 1
                by_language.removed(document, reason)
                continue
            document["metadata"][CLUSTER_SIZE] = int(sizes[row])
            if pieces.used:
                text, num_cut = pieces.apply(row, document["text"])
                cut_documents += num_cut > 0
                cut_sentences += num_cut
                cut_chars += len(document["text"]) - len(text)
                document["text"], document["metadata"][CUT_SENTENCES] = text, num_cut
            text_bytes += len(document["text"].encode())
            by_language.written(document)
            sink.write(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))
    except BaseException:
        sink.abandon()
        raise
    written: WrittenFile | None = None
    if sink.lines:
        written = sink.close()
    else:
        sink.abandon()
    record = TaskRecord(
        source=file.source, output_dir=file.output_dir, rank=file.rank, rows=rows, sampled_out=0, repeated=0,
        dropped=dict(sorted(dropped.items())), written=sink.lines, text_bytes=text_bytes,
        tokens=count_tokens(text_bytes, file.language), file=written, cut_documents=cut_documents,
        cut_sentences=cut_sentences, cut_chars=cut_chars,
        **by_language.fields(),
    )  # fmt: skip
    if problems := record.problems():
        raise LedgerError(f"{file.path}: the ledger does not add up: {'; '.join(problems)}")
    work.fence()
    if written is None:
        place.unlink(missing_ok=True)
    else:
        record.file = move(written, place, work.layout.output_folder)
    record.seconds = round(time.perf_counter() - started, 3)
    record.cpu_seconds = round(time.process_time() - cpu, 3)
    record.peak_memory_bytes = peak_memory_bytes()
    write_atomically(work.layout.record(file.output_dir, file.rank), record.model_dump_json(indent=1))


def write_empty_records(work: Work) -> None:
    """Records of tasks that have no file because nothing was written there in the first place."""
    present = {(file.source, file.rank) for file in work.plan.files if not work.plan.is_against(file)}
    for source in work.plan.sources:
        for rank in range(source.tasks):
            if (source.source, rank) not in present:
                record = TaskRecord(
                    source=source.source, output_dir=source.output_dir, rank=rank, rows=0, sampled_out=0, repeated=0,
                    written=0, text_bytes=0, tokens=0, **FileCounts(source).fields(),
                )  # fmt: skip
                write_atomically(work.layout.record(source.output_dir, rank), record.model_dump_json(indent=1))


def _removed_by(work: Work, index: int) -> np.ndarray:
    """For each row the place of the method that removed its document (epoch copies go with it), -1 for none."""
    unit = np.asarray(store.load(work.folder("index", index), "unit"))
    by_row = np.full(len(unit), -1)
    first, end = work.offsets[index], work.offsets[index + 1]
    for i, name in enumerate(work.methods):
        removed = store.load(work.folder(f"{name}.decided"), "removed")
        low, high = np.searchsorted(removed, first), np.searchsorted(removed, end)
        by_row[(np.asarray(removed[low:high]) - first).astype(np.int64)] = i
    return by_row[unit]


def _sizes(work: Work, index: int) -> np.ndarray:
    """For each row how many documents it stands for."""
    unit = np.asarray(store.load(work.folder("index", index), "unit"))
    sizes = np.ones(len(unit), np.int64)
    first, end = work.offsets[index], work.offsets[index + 1]
    numbers, found = cluster_sizes(work, int(first), int(end))
    sizes[(numbers - first).astype(np.int64)] = found
    return sizes[unit]
