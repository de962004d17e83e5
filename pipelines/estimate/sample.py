"""A sample of one source through the run's own reader, sampler, filters and writer, every document timed.

A few of the planned files, chosen with chances like their sizes, and the first rows of each. CPU time, in a process of
its own (process.py), so that loading models and memory are those of a worker which does only this. Gives up: rows
further down in a file, which may be others; how much faster long runs are, whose word splitters have seen more words.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash
from datatrove.data import Document, DocumentsPipeline

from filters import FILTERS
from filters.sampling import IntervalSampler, lay_out
from pipelines.compression import OutputConfig
from pipelines.errors import SourceError, UserError
from pipelines.estimate.files import FileFacts, look_into
from pipelines.hub_http import at_most
from pipelines.memory import peak_memory_bytes
from pipelines.mirror.blobs import HeldBlobs
from pipelines.plan import PlannedSource
from pipelines.reader_bytes import ReadFile, describe
from pipelines.run_layout import blob_store, file_uri
from pipelines.selection import adapter_of
from pipelines.sources import FileInfo
from pipelines.stages import source_reader
from pipelines.traffic import Traffic
from pipelines.writers import DocumentWriter

# Rows of one file, so that what opening it costs is spread over as many as a page of a Parquet column has.
ROWS_PER_FILE = 250
MOST_FILES = 8
# The first documents load models and word splitters.
WARM_UP = 10
PATIENCE_SECONDS = 10.0
# CPU seconds of work on one source: word splitters without a native core take 60 ms a document (Korean).
WORK_SECONDS = 12.0
# Texts that are fetched or worked out for the rows that are drawn, and for no others.
LAZY_ADAPTERS = ("swh", "swh_repo", "html")
# A language is in some rows of an index of repositories only: so many rows a file for one that is wanted.
REPOSITORIES_PER_ROW = 8


@dataclass(frozen=True, kw_only=True)
class SampledDocument:
    """One document: which file of the sample, UTF-8 bytes as read and as kept (0: dropped), CPU seconds."""

    file: int
    text_bytes: int
    kept_bytes: int
    read_seconds: float
    work_seconds: float


@dataclass(frozen=True, kw_only=True)
class SampledFile:
    """One file of the sample: its bytes, rows read of it, rejected ones among them, and what it says about itself."""

    path: str
    size: int
    rows: int
    rejected: int
    facts: FileFacts


@dataclass(frozen=True, kw_only=True)
class SourceSample:
    """What was measured on one source.

    setup_seconds: CPU until models and word splitters are loaded; layout_seconds: of each task, to lay out the line of
    all files; index_seconds: of a row of a file whose texts are not fetched; items_per_row: rows as the reader counts
    them, for one of a file (a repository has several of a language, or none); written_bytes of the compressed output,
    at written_path; write_seconds: of one document; blob_bytes and wait_seconds for one document, where texts are
    fetched one by one; peak_bytes: memory of the process. problem: why there is nothing, or less than was asked for.
    """

    source: str
    documents: tuple[SampledDocument, ...] = ()
    files: tuple[SampledFile, ...] = ()
    lazy: bool = False
    setup_seconds: float = 0.0
    layout_seconds: float = 0.0
    index_seconds: float = 0.0
    items_per_row: float = 1.0
    write_seconds: float = 0.0
    wait_seconds: float = 0.0
    blob_bytes: float = 0.0
    written_bytes: int = 0
    written_path: str | None = None
    peak_bytes: int = 0
    requests: int = 0
    bytes_fetched: int = 0
    problem: str | None = None

    @property
    def rows(self) -> int:
        """Rows read of all files."""
        return sum(file.rows for file in self.files)

    @property
    def kept(self) -> int:
        """Documents that passed every filter."""
        return sum(document.kept_bytes > 0 for document in self.documents)


def choose_files(files: tuple[FileInfo, ...], number: int, seed: int) -> list[FileInfo]:
    """So many files, each with a chance that grows with its size; the same for the same names, sizes and seed.

    Weighted sampling without replacement by random keys (Efraimidis and Spirakis 2006, Inf. Process. Lett. 97:181).
    """

    def key(file: FileInfo) -> float:
        uniform = (xxhash.xxh3_64_intdigest(file.path.encode("utf-8", "surrogatepass"), seed) + 1) / (2**64 + 1)
        return math.log(uniform) / max(1, file.size)

    return sorted(files, key=lambda file: (-key(file), file.path))[:number]


def sample_source(
    source: PlannedSource, *, rows: int, seed: int, output: OutputConfig, work_dir: Path, mirror: Path | None = None
) -> SourceSample:
    """Read at most about `rows` rows of a source and time what becomes of them. Says what goes wrong, never raises."""
    traffic = Traffic()
    number = max(1, min(MOST_FILES, len(source.files), math.ceil(rows / ROWS_PER_FILE)))
    chosen = choose_files(source.files, number, seed)
    if not chosen:
        return SourceSample(source=source.key, problem="the plan has no file of it; nothing was measured")
    sample = _Sample(source, chosen, math.ceil(rows / number), seed, output, work_dir, mirror, traffic)
    try:
        with at_most(PATIENCE_SECONDS):
            sample.run()
    except (SourceError, UserError) as error:
        sample.problem = str(error).removeprefix(f"{source.key}: ")
    except Exception as error:  # noqa: BLE001 - a sample of one source must not end the look at the others
        sample.problem = describe(error)
    return sample.result()


class _Sample:
    """One sample in progress."""

    def __init__(
        self, source: PlannedSource, chosen: list[FileInfo], rows: int, seed: int, output: OutputConfig,
        work_dir: Path, mirror: Path | None, traffic: Traffic,
    ) -> None:  # fmt: skip
        self.source, self.seed, self.traffic = source, seed, traffic
        self.rows = rows * (REPOSITORIES_PER_ROW if source.source.adapter == "swh_repo" else 1)
        self.documents_wanted = rows
        self.lazy = source.source.adapter in LAZY_ADAPTERS
        self.files = [
            ReadFile(
                path=file.path, uri=file_uri(source.source.name, source.listing, file, mirror), size=file.size,
                format=file.format or "jsonl", identity=file.identity, traffic=traffic, peek=True,
            )
            for file in chosen
        ]  # fmt: skip
        options = {"attempts": 2, "timeout": PATIENCE_SECONDS, "max_wait": PATIENCE_SECONDS}
        self.blobs = blob_store(source.listing, mirror, traffic=traffic, **options)
        self.writer = _TimedWriter(work_dir, output=output)
        self.measured: list[list[float]] = []  # file, text bytes, kept bytes, seconds of reading and of working
        self.counts: list[dict[str, int]] = []
        self.facts: list[FileFacts] = []
        self.layout_seconds = self.index_seconds = self.wait = 0.0
        self.items_per_row = 1.0
        self.problem: str | None = None
        # Pages are extracted by a process of their own, whose CPU time is not ours; the wall clock has it.
        self.clock: Callable[[], float] = time.perf_counter if source.source.adapter == "html" else time.process_time

    def run(self) -> None:
        """Facts of the files, the price of rows that nobody wants, then the documents."""
        start = time.process_time()
        line = [(file.path, file.size) for file in self.source.listing.files]
        slots = lay_out(self.source.key, line, self.seed)
        self.layout_seconds = time.process_time() - start
        reader = self._reader(self._here())
        self.facts = [look_into(file, reader.columns) for file in self.files]
        if self.lazy:
            self.index_seconds = self._index_seconds()
        chosen = {file.path: slots[file.path] for file in self.files}
        data: DocumentsPipeline = IntervalSampler(interval=(0.0, 1.0), slots=chosen, seed=self.seed).run(
            self._metered(reader)
        )
        for spec in self.source.filters:
            data = FILTERS[spec.name](**spec.params).run(data, 0, 1)
        for _ in self.writer.run(data, 0, 1):
            pass

    def _here(self) -> Callable[[str, str], bool] | None:
        """A mirror that was downloaded has the blobs of planned rows only: those are looked at."""
        blobs, code = self.blobs, self.source.source.adapter in ("swh", "swh_repo")
        return (lambda _path, blob: blobs.has(blob)) if isinstance(blobs, HeldBlobs) and code else None

    def _reader(self, wanted: Callable[[str, str], bool] | None) -> Any:
        source = self.source.source
        return source_reader(
            source, tasks=[[file] for file in self.files], adapter=adapter_of(source, self.blobs), wanted=wanted,
            default_metadata={"source": self.source.key, "config": source.folder, "weight": source.weight},
            max_rows=self.rows,
        )  # fmt: skip

    def _index_seconds(self) -> float:
        """CPU seconds of a row of which no text is wanted: of a second time, since the first one imports things."""
        seconds, items = 0.0, 0
        for _ in range(2):
            reader = self._reader(lambda _path, _id: False)
            start = time.process_time()
            for rank in range(len(self.files)):
                for _document in reader.run(None, rank, len(self.files)):
                    pass
            seconds = time.process_time() - start
            items = _count(reader, "rows")
        rows = float(items)
        per_byte = [fact.rows_per_byte for fact in self.facts]
        if self.source.source.adapter == "swh_repo" and None not in per_byte:
            # The reader counts a repository's files, and those of the wanted language only.
            sizes = [file.size or 0 for file in self.files]
            rows = sum(min(float(self.rows), rate * size) for rate, size in zip(per_byte, sizes, strict=True) if rate)
            self.items_per_row = items / rows if rows else 1.0
        return seconds / rows if rows else 0.0

    def _metered(self, reader: Any) -> Iterator[Document]:
        """Documents of all files; the time until one is there is reading, until the next is asked for is work."""
        clock, writer = self.clock, self.writer
        seconds_a_file = WORK_SECONDS / len(self.files)
        for rank in range(len(self.files)):
            before = {label: _count(reader, label) for label in ("rows", "documents")}
            documents = reader.run(None, rank, len(self.files))
            spent = 0.0
            for number in range(self.documents_wanted):
                if spent > seconds_a_file:
                    break
                start, wall = clock(), time.perf_counter()
                document = next(documents, None)
                read, waited = clock() - start, time.perf_counter() - wall
                if document is None:
                    break
                self.wait += max(0.0, waited - read)
                text_bytes, kept_before = len(document.text.encode("utf-8", "surrogatepass")), writer.text_bytes
                start = time.process_time()
                yield document
                work = time.process_time() - start
                self.measured.append([rank, text_bytes, writer.text_bytes - kept_before, read, work])
                if number >= WARM_UP:
                    spent += work
            documents.close()
            self.counts.append({label: _count(reader, label) - number for label, number in before.items()})

    def result(self) -> SourceSample:
        """What there is, also after an error."""
        setup = _take_out_set_up(self.measured)
        documents = tuple(
            SampledDocument(file=int(f), text_bytes=int(t), kept_bytes=int(k), read_seconds=r, work_seconds=w)
            for f, t, k, r, w in self.measured
        )
        files = tuple(
            SampledFile(
                path=file.path,
                size=file.size or 0,
                rows=count["rows"],
                rejected=count["rows"] - count["documents"],
                facts=facts,
            )
            for file, count, facts in zip(self.files, self.counts, self.facts, strict=False)
        )
        written = self.writer.written
        kept = sum(document.kept_bytes > 0 for document in documents)
        remote_blobs = self.lazy and self.source.source.adapter != "html" and self.blobs.remote
        num = max(1, len(documents))
        return SourceSample(
            source=self.source.key,
            documents=documents,
            files=files,
            lazy=self.lazy,
            setup_seconds=setup,
            layout_seconds=self.layout_seconds,
            index_seconds=self.index_seconds,
            items_per_row=self.items_per_row,
            write_seconds=self.writer.seconds / kept if kept else 0.0,
            wait_seconds=self.wait / num if remote_blobs else 0.0,
            blob_bytes=self.traffic.num_bytes / num if remote_blobs else 0.0,
            written_bytes=sum(file.size for file in written),
            written_path=written[0].path if written else None,
            peak_bytes=peak_memory_bytes(),
            requests=self.traffic.requests,
            bytes_fetched=self.traffic.num_bytes,
            problem=self.problem or self._nothing(documents),
        )

    def _nothing(self, documents: tuple[SampledDocument, ...]) -> str | None:
        if documents:
            return None
        rows = sum(count["rows"] for count in self.counts)
        if not rows:
            return f"{self.files[0].path}: its first rows are none; check `data_files` and `split`"
        return f"none of the first {rows:,} rows can be used; `smoltrove doctor` says why"


class _TimedWriter(DocumentWriter):
    """The run's writer; its own CPU seconds, which a document costs again for every further epoch."""

    seconds = 0.0

    def write(self, document: Document, rank: int = 0, **kwargs: Any) -> None:
        start = time.process_time()
        super().write(document, rank, **kwargs)
        self.seconds += time.process_time() - start


def _take_out_set_up(measured: list[list[float]]) -> float:
    """The seconds that the first documents took above the others, taken out of them; they count once for a process."""
    setup = 0.0
    for place in (3, 4):
        times = [row[place] for row in measured]
        later = sorted(times[WARM_UP:] or times)
        if not later:
            continue
        # The first document of a file also opens it: the middle one is the price of a document here.
        typical = later[len(later) // 2]
        for row in measured[:WARM_UP]:
            setup += max(0.0, row[place] - typical)
            row[place] = min(row[place], typical)
    return setup


def _count(step: Any, label: str) -> int:
    return int(step.stats[label].total) if label in step.stats.stats else 0
