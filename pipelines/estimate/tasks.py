"""The tasks of a planned source as numbers: bytes that are read and drawn, and what they cost at given rates.

The same formulas hold for one task and for a whole source. Gives up: files of one source whose rows are not alike.
"""

from dataclasses import dataclass

import numpy as np

from filters.sampling import lay_out, share_of_files
from pipelines.estimate.rates import Rates
from pipelines.estimate.sample import SourceSample
from pipelines.estimates import bytes_per_token
from pipelines.plan import PlannedSource

# CPU seconds of a task besides its rows: datatrove's executor, its log, the ledger's record, syncing to disk
# (`python benchmarks/estimate_check.py --overhead`).
TASK_SECONDS = 0.015


@dataclass(frozen=True, kw_only=True)
class SourceTasks:
    """Bytes of files by task: `read`, and `drawn`, the part of them that the sampler passes on (once; `copies` times
    written). text_bytes: of the whole source as the plan estimates it; listed_bytes: of all its files."""

    read: np.ndarray
    drawn: np.ndarray
    copies: float
    text_bytes: float
    listed_bytes: int


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """What tasks, or whole sources, come to; arrays of one shape. Seconds are of CPU but for `wait`."""

    rows: np.ndarray
    drawn: np.ndarray
    documents: np.ndarray
    text_bytes: np.ndarray
    written_bytes: np.ndarray
    fetched_bytes: np.ndarray
    cpu_seconds: np.ndarray
    wait_seconds: np.ndarray


def tasks_of(source: PlannedSource, seed: int) -> SourceTasks:
    """The tasks of a source, in order."""
    slots = lay_out(source.key, [(file.path, file.size) for file in source.listing.files], seed)
    shares = share_of_files(slots, *source.interval)
    sizes = np.array([file.size for file in source.files], dtype=float)
    drawn = sizes * np.array([shares[file.path] for file in source.files])
    return SourceTasks(
        read=np.array([sizes[list(task)].sum() for task in source.tasks]),
        drawn=np.array([drawn[list(task)].sum() for task in source.tasks]),
        copies=max(1.0, source.epochs),
        text_bytes=source.available_tokens * bytes_per_token(source.source.language),
        listed_bytes=sum(file.size for file in source.listing.files),
    )


def amounts(tasks: SourceTasks, rates: Rates, sample: SourceSample, *, whole: bool) -> Amounts:
    """Costs and results. `whole`: of the source, one number for each replicate; else of each task, at one replicate."""
    read = np.array([tasks.read.sum()]) if whole else tasks.read
    drawn = np.array([tasks.drawn.sum()]) if whole else tasks.drawn
    per_byte = _rows_per_byte(tasks, rates)
    rows, drawn_documents = read * per_byte, drawn * per_byte * rates.documents_per_row
    layout = TASK_SECONDS + sample.layout_seconds
    cpu = layout * (len(tasks.read) if whole else 1) + drawn_documents * rates.work_seconds
    if sample.lazy:
        # Rows that are not drawn cost their line in the index, and no text.
        index = np.minimum(sample.index_seconds, rates.read_seconds * rates.documents_per_row)
        own = rates.read_seconds - index / np.maximum(rates.documents_per_row, 1e-12)
        cpu = cpu + rows * index + drawn_documents * np.maximum(0.0, own)
    else:
        cpu = cpu + rows * rates.documents_per_row * rates.read_seconds
    kept = drawn_documents * rates.kept
    cpu = cpu + (tasks.copies - 1) * kept * sample.write_seconds
    text = drawn_documents * rates.kept_bytes * tasks.copies
    return Amounts(
        rows=rows,
        drawn=drawn_documents,
        documents=kept * tasks.copies,
        text_bytes=text,
        written_bytes=text * packing_of(sample),
        fetched_bytes=read * fetched_share(sample) + drawn_documents * sample.blob_bytes,
        cpu_seconds=cpu,
        wait_seconds=drawn_documents * sample.wait_seconds,
    )


def _rows_per_byte(tasks: SourceTasks, rates: Rates) -> np.ndarray:
    """Of the files' own bytes; by the plan's estimate of the text where the files do not say it."""
    planned = tasks.text_bytes / max(1, tasks.listed_bytes) / (rates.text_bytes * rates.documents_per_row)
    return np.where(np.isnan(rates.rows_per_byte), planned, rates.rows_per_byte)


def packing_of(sample: SourceSample) -> float:
    """Bytes written for a byte of text kept."""
    kept = sum(document.kept_bytes for document in sample.documents)
    return sample.written_bytes / kept if kept else 0.0


def fetched_share(sample: SourceSample) -> float:
    """Share of the files' bytes that a run reads: all of them, but for Parquet columns that nobody asks for."""
    shares = [file.facts.fetched_share for file in sample.files]
    return sum(shares) / len(shares) if shares else 1.0
