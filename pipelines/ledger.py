"""The ledger: every row of a task accounted for, checked before the task counts as done.

rows = rejected + sampled out + dropped + kept, and kept + repeated = written = lines in the file. The counts come from
the steps' own datatrove statistics, each step's input is checked against the one before, so a step that loses documents
without saying so fails its task. Gives up: telling which document was lost; that is what `--keep-dropped` is for.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from datatrove.data import DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from pydantic import BaseModel, Field

from filters.sampling import EpochRepeater, IntervalSampler
from pipelines.errors import SourceError
from pipelines.estimates import count_tokens
from pipelines.histograms import ByLanguage, Histograms, Measured
from pipelines.memory import LATER, process_peaks
from pipelines.native_counts import NativeCounts, counts_now, counts_since
from pipelines.traffic import Traffic
from pipelines.writers import DocumentWriter, WrittenFile, reason_name


class TaskRecord(BaseModel):
    """What one task did. Counts are rows or documents; `tokens` is estimated from `text_bytes` (UTF-8).

    `cut_*` count what a deduplication has cut from documents that it kept (sentences, and characters of text).
    `native` says which documents the native core judged, and which stock code, and why.
    `histograms` are of what came to the filters and what they kept, `dropped_by_language` has what lies between, by
    reason; None in records of versions that counted none.
    `memory_by_step`: what the worker's peak grew by in each step since the worker began (pipelines/memory.py).
    `requests` and `bytes_fetched` are what the attempt that succeeded asked of servers: files of the Hub and blobs.
    """

    source: str
    output_dir: str
    rank: int
    rows: int
    rejected: dict[str, int] = Field(default_factory=dict)
    sampled_out: int
    not_fetched: int = 0  # of those sampled out: rows whose text the reader did not ask for
    dropped: dict[str, int] = Field(default_factory=dict)
    repeated: int
    written: int
    text_bytes: int
    tokens: int
    file: WrittenFile | None = None
    dropped_files: list[WrittenFile] = Field(default_factory=list)
    cut_documents: int = 0
    cut_sentences: int = 0
    cut_chars: int = 0
    requests: int = 0
    bytes_fetched: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0
    memory_by_step: dict[str, int] = Field(default_factory=dict)
    step_seconds: dict[str, float] = Field(default_factory=dict)
    native: NativeCounts = Field(default_factory=NativeCounts)
    histograms: Histograms | None = None
    dropped_by_language: ByLanguage | None = None

    @property
    def num_rejected(self) -> int:
        """Rows that could not be used."""
        return sum(self.rejected.values())

    @property
    def num_dropped(self) -> int:
        """Documents that a filter dropped."""
        return sum(self.dropped.values())

    @property
    def drawn(self) -> int:
        """Documents that the sampler passed on to the filters."""
        return self.rows - self.num_rejected - self.sampled_out

    def problems(self) -> list[str]:
        """Which of the ledger's laws the record breaks; [] when it adds up."""
        found = []
        kept = self.drawn - self.num_dropped
        if kept + self.repeated != self.written:
            found.append(
                f"{self.rows} rows - {self.num_rejected} rejected - {self.sampled_out} sampled out - "
                f"{self.num_dropped} dropped + {self.repeated} repeated is not {self.written} written"
            )
        lines = self.file.lines if self.file else 0
        if lines != self.written:
            found.append(f"{self.written} documents written, {lines} lines in the file")
        if self.not_fetched > self.sampled_out:
            found.append(f"{self.not_fetched} rows not fetched, but only {self.sampled_out} sampled out")
        if min(self.rows, self.sampled_out, self.written, self.repeated, kept) < 0:
            found.append("a count is below zero")
        return found + self._problems_by_language()

    def _problems_by_language(self) -> list[str]:
        found: list[str] = []
        if self.dropped_by_language is None:
            return found
        whole: Counter[str] = Counter()
        for reasons in self.dropped_by_language.values():
            whole.update(reasons)
        if whole != Counter(self.dropped):
            by_language = whole.total()
            found.append(f"{by_language} dropped by language, {self.num_dropped} in all, or for other reasons")
        if self.histograms is not None:
            drawn, kept = self.histograms.drawn, self.histograms.kept
            for language in sorted({*drawn, *kept, *self.dropped_by_language}):
                came, left = (part[language].documents if language in part else 0 for part in (drawn, kept))
                lost = sum(self.dropped_by_language.get(language, {}).values())
                if came - lost != left:
                    found.append(f"{language or 'other languages'}: {came} drawn - {lost} dropped is not {left} kept")
        return found


class LedgerError(SourceError):
    """Two counts that must agree do not: a step lost or invented documents without saying so."""


def _count(step: PipelineStep, label: str) -> int:
    return int(step.stats[label].total) if label in step.stats.stats else 0


def _by_rule(step: PipelineStep, prefix: str, family: str) -> dict[str, int]:
    return {
        reason_name(family, label.removeprefix(prefix)): int(metric.total)
        for label, metric in sorted(step.stats.stats.items())
        if label.startswith(prefix)
    }


def account(
    steps: Sequence[PipelineStep], *, source: str, output_dir: str, rank: int, language: str | None
) -> TaskRecord:
    """The record of a task whose steps have run: reader first, then sampler and filters, `DocumentWriter` last.

    Raises LedgerError when two steps disagree about how many documents passed between them.
    """
    reader, writer = steps[0], steps[-1]
    if not isinstance(writer, DocumentWriter):
        raise LedgerError(f"the last step is {writer}, which does not say what it wrote")
    passed = _count(reader, "documents")
    not_fetched = sampled_out = _count(reader, "not_wanted")
    repeated = 0
    dropped: dict[str, int] = {}
    for step in steps[1:-1]:
        seen = _count(step, "total")
        if seen != passed:
            raise LedgerError(f"{step} saw {seen:,} documents, {passed:,} were passed on before it")
        if isinstance(step, EpochRepeater):
            repeated = _count(step, "repeated")
            passed += repeated
            continue
        forwarded, lost = _count(step, "forwarded"), _count(step, "dropped")
        if forwarded + lost != seen:
            raise LedgerError(f"{step} saw {seen:,} documents, forwarded {forwarded:,} and dropped {lost:,}")
        if isinstance(step, IntervalSampler):
            sampled_out += lost
        elif lost:
            family = getattr(step, "family", type(step).__name__)
            named = _by_rule(step, "dropped_", family)
            if lost > sum(named.values()):
                named[reason_name(family, None)] = lost - sum(named.values())
            for reason, number in named.items():
                dropped[reason] = dropped.get(reason, 0) + number
        passed = forwarded
    written = _count(writer, "total")
    if written != passed:
        raise LedgerError(f"{written:,} documents were written, {passed:,} were kept")
    files = writer.written
    return TaskRecord(
        source=source,
        output_dir=output_dir,
        rank=rank,
        rows=_count(reader, "rows"),
        rejected=_by_rule(reader, "rejected_", "reader"),
        sampled_out=sampled_out,
        not_fetched=not_fetched,
        dropped=dropped,
        repeated=repeated,
        written=written,
        text_bytes=writer.text_bytes,
        tokens=count_tokens(writer.text_bytes, language),
        file=files[0] if files else None,
        step_seconds={str(step): round(step.stats.time_stats.total, 3) for step in steps},
    )


class CommitStep(PipelineStep):
    """Last step of a task: when all documents have passed, check the ledger, move the files, write the record.

    The order makes a kill at any moment harmless: files first (a rerun writes the same bytes over them), then the
    record; datatrove's completion marker follows after this step. publish: puts files and record into a store, between
    the two; called with the record, the output folder and the record's place in it.
    """

    name = "📒 Ledger"
    type = "📒 - LEDGER"

    def __init__(
        self, *, steps: Sequence[PipelineStep], source: str, language: str | None, output_folder: Path,
        output_dir: str, records_dir: Path, dropped_dir: Path, traffic: Traffic | None = None,
        publish: Callable[[TaskRecord, Path, str], None] | None = None,
        measured: Measured | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.publish = publish
        self.steps = list(steps)
        self.source, self.language, self.output_dir = source, language, output_dir
        self.traffic = traffic or Traffic()
        self.measured = measured
        self.output_folder, self.records_dir, self.dropped_dir = output_folder, records_dir, dropped_dir

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        started, cpu, counted = time.perf_counter(), time.process_time(), counts_now()
        yield from data
        record = account(self.steps, source=self.source, output_dir=self.output_dir, rank=rank, language=self.language)
        if self.measured is not None:
            record.histograms = Histograms(drawn=self.measured.drawn.histograms(), kept=self.measured.kept.histograms())
            record.dropped_by_language = self.measured.dropped.by_language()
        if problems := record.problems():
            raise LedgerError(f"the ledger of task {rank} does not add up: {'; '.join(problems)}")
        record.requests, record.bytes_fetched = self.traffic.requests, self.traffic.num_bytes
        record.native = counts_since(counted)
        record.seconds = round(time.perf_counter() - started, 3)
        record.cpu_seconds = round(time.process_time() - cpu, 3)
        peaks = process_peaks()
        peaks.note(LATER)
        record.memory_by_step = dict(peaks.by_step)
        record.peak_memory_bytes = sum(record.memory_by_step.values())
        place = self.output_folder / self.output_dir / self.steps[-1].file_name(rank)
        if record.file is None:
            place.unlink(missing_ok=True)
        else:
            record.file = move(record.file, place, self.output_folder)
        for step in self.steps:
            writer = getattr(step, "exclusion_writer", None) or getattr(step, "rejects_writer", None)
            if writer is not None:
                for file in writer.written:
                    folder = self.dropped_dir / (writer.family or "reader")
                    record.dropped_files.append(move(file, folder / Path(file.path).name, self.output_folder))
        path = self.records_dir / f"{rank:05d}.json"
        if self.publish is not None:
            self.publish(record, self.output_folder, path.relative_to(self.output_folder).as_posix())
        write_atomically(path, record.model_dump_json(indent=1))


def move(file: WrittenFile, place: Path, root: Path) -> WrittenFile:
    """Rename a finished file to its place, durably; its path becomes relative to `root`."""
    place.parent.mkdir(parents=True, exist_ok=True)
    os.replace(file.path, place)
    sync_folder(place.parent)
    return file.model_copy(update={"path": place.relative_to(root).as_posix()})


def write_atomically(path: Path, text: str) -> None:
    """Write a small file so that readers see the old text or the new, never a part; survives a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with open(scratch, "w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(scratch, path)
    except OSError:
        scratch.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_record(path: Path) -> TaskRecord:
    """One record back from disk."""
    return TaskRecord.model_validate_json(path.read_bytes())


def find_record(path: Path) -> TaskRecord | None:
    """A record, or None where there is none that can be read; its task is then done again."""
    try:
        return read_record(path)
    except (OSError, ValueError):
        return None


def ledger_line(record: TaskRecord) -> str:
    """A record as one line of ledger.jsonl."""
    data: dict[str, Any] = record.model_dump(mode="json")
    return json.dumps(data, ensure_ascii=False, sort_keys=True) + "\n"
