"""What a deduplication will take in time: its own stages, run on a sample of the run's own documents.

Of each source some documents of its largest file, and one alone, go through every stage in a temporary folder; the
difference is the price of a byte, what is left that of a file. Matching, deciding and the tables at the end depend on
the whole corpus and not on a sample; their prices are those of `benchmarks/dedup.py memory`. Gives up: how much faster
later documents are once the word splitters know the words (real runs are faster than this says), slow disks, and what
other processes take.
"""

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson

from filters.text import UnsplittableText
from pipelines.compression import READ_ERRORS, open_lines
from pipelines.dedup import check, minhash
from pipelines.dedup.cache import collect
from pipelines.dedup.decide import decide
from pipelines.dedup.documents import index_file, language_of, read_documents
from pipelines.dedup.inputs import DedupPlan, InputFile
from pipelines.dedup.methods import method
from pipelines.dedup.processes import Alone
from pipelines.dedup.work import Work
from pipelines.dedup.writer import write_file
from pipelines.errors import UserError
from pipelines.run_layout import RunLayout
from pipelines.writers import Sink

SAMPLE_BYTES = 6_000_000
MOST_OF_A_SOURCE = 1_000_000
LEAST_OF_A_SOURCE = 60_000
MOST_DOCUMENTS = 2000
# CPU seconds for each document, all parts of a stage together (stages of 80,000 documents: see the guide's table).
MATCH_SECONDS = {"exact": 0.3e-6, "minhash": 4e-6, "simhash": 1.2e-6}
DECIDE_SECONDS = 1.2e-6
REPORT_SECONDS = 6e-6
# Until a worker has imported what it needs (same command, ten documents).
START_SECONDS = 4.0


@dataclass(frozen=True, kw_only=True)
class Cost:
    """`cpu_seconds` by stage; `wall_seconds` for `workers` processes on this machine; what was measured for it."""

    cpu_seconds: dict[str, float]
    wall_seconds: float
    workers: int
    sample_documents: int
    sample_bytes: int


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """The two files of one source, as they stand in the sample's plan, and what they stand for."""

    small: InputFile
    large: InputFile
    source: list[InputFile]


def expected_cost(plan: DedupPlan, workers: int, num_cached: int = 0) -> Cost:
    """Runs the sample (some seconds). Raises UserError when a file of the run cannot be read.

    num_cached: documents of earlier runs in the cache, with which `exact` compares.
    """
    groups: dict[tuple[int, str], list[InputFile]] = {}
    for file in plan.files:
        groups.setdefault((file.run, file.source), []).append(file)
    share = min(MOST_OF_A_SOURCE, max(LEAST_OF_A_SOURCE, SAMPLE_BYTES // len(groups)))
    with tempfile.TemporaryDirectory(prefix="smoltrove-dedup-") as name:
        folder = Path(name)
        samples = [_take(plan, files, folder, i, share) for i, files in enumerate(groups.values())]
        files = tuple(file for sample in samples for file in (sample.small, sample.large))
        runs = tuple(run.model_copy(update={"path": name, "here": None}) for run in plan.runs)
        sampled = plan.model_copy(update={"runs": runs, "files": files, "cache_dir": None, "segments": ()})
        layout = RunLayout(output_folder=folder / "out", logging_dir=folder / "log", fingerprint="0" * 64)
        seconds = _run(Work(layout=layout, plan=sampled), for_cache=plan.cache_dir is not None)
    # A sample has hardly any candidates; at most every document is one.
    if check.is_wanted(plan.config, "minhash") and "minhash" in plan.config.methods:
        seconds[check.STAGE] = seconds["minhash.scan"]
    parallel = {stage: _scaled(found, samples) for stage, found in seconds.items()}
    known = [name for name in plan.config.methods if name in MATCH_SECONDS]
    compared = {"exact": plan.num_documents + num_cached}
    parallel |= {f"{name}.match": MATCH_SECONDS[name] * compared.get(name, plan.num_documents) for name in known}
    serial = {f"{name}.decide": DECIDE_SECONDS * plan.num_documents for name in known}
    serial["report"] = REPORT_SECONDS * plan.num_documents
    at_once = max(1, min(workers, os.cpu_count() or 1, len(plan.files)))
    return Cost(
        cpu_seconds={stage: round(value, 6) for stage, value in (parallel | serial).items()},
        wall_seconds=round(START_SECONDS + sum(parallel.values()) / at_once + sum(serial.values()), 3),
        workers=workers,
        sample_documents=sum(sample.large.lines for sample in samples),
        sample_bytes=sum(sample.large.text_bytes for sample in samples),
    )


def _take(plan: DedupPlan, files: list[InputFile], folder: Path, number: int, num_bytes: int) -> _Sample:
    """Documents of the largest file of a source, as two files in `folder`: one document, and the rest."""
    largest = max(files, key=lambda file: file.text_bytes)
    documents = _first_documents(plan, largest, num_bytes)
    return _Sample(
        small=_write(documents[:1], folder, 2 * number, largest),
        large=_write(documents[1:] or documents, folder, 2 * number + 1, largest),
        source=files,
    )


def _first_documents(plan: DedupPlan, file: InputFile, num_bytes: int) -> list[bytes]:
    """Lines of a file until there are so many bytes of JSON; at least one."""
    lines: list[bytes] = []
    path = plan.place(file)
    try:
        with plan.open(file) as raw, open_lines(path.name, raw) as handle:
            for line in islice(handle, MOST_DOCUMENTS):
                lines.append(line)
                num_bytes -= len(line)
                if num_bytes <= 0:
                    break
    except READ_ERRORS as error:
        raise UserError(f"{path}: cannot be read ({error}); verify that run") from None
    return lines


def _write(lines: list[bytes], folder: Path, rank: int, like: InputFile) -> InputFile:
    sink = Sink(folder / f"{rank:05d}.jsonl.gz")
    for line in lines:
        sink.write(line)
    written = sink.close()
    return like.model_copy(
        update={
            "output_dir": "sample", "rank": rank, "path": Path(written.path).name, "size": written.size,
            "sha256": written.sha256, "lines": written.lines,
            "text_bytes": sum(len(orjson.loads(line)["text"].encode()) for line in lines),
        }
    )  # fmt: skip


def _run(work: Work, *, for_cache: bool) -> dict[str, list[float]]:
    """Every stage on the sample; CPU seconds of each file by stage, for the stages that go file by file."""
    every = [index for index, _ in work.files()]
    # What loads with the first document of a language is not the price of a document.
    for name in work.methods:
        if name == "minhash":
            for index in every[::2]:
                _warm(work, index)
    seconds = {"index": [_cpu(index_file, work, index) for index in every]}
    for name in work.methods:
        module = method(name)
        scan = seconds[f"{name}.scan"] = [_cpu(module.scan, work, index) for index in every]
        if name == work.methods[0] and hasattr(module, "Scan"):
            # The index has made this scan too, at one reading; it is counted once, under its own name.
            seconds["index"] = [max(0.0, both - alone) for both, alone in zip(seconds["index"], scan, strict=True)]
        if hasattr(module, "settle"):
            seconds[f"{name}.match"] = _match_and_settle(work, module)
            continue
        if hasattr(module, "prepare"):
            module.prepare(work, Alone(work))
        for part in range(module.num_parts(work)):
            module.match(work, part)
        if check.is_wanted(work.plan.config, name):
            for index in every:
                check.scan_candidates(work, index)
        decide(work, name)
    own = set(work.own_files())
    seconds["write"] = [_cpu(write_file, work, index) if index in own else 0.0 for index in every]
    if for_cache:
        seconds["cache"] = [_cpu(collect, work, index) if index in own else 0.0 for index in every]
    return seconds


def _match_and_settle(work: Work, module: ModuleType) -> list[float]:
    """CPU seconds of what sees the whole sample, dealt to the larger file of each source by its bytes."""
    started = time.process_time()
    for part in range(module.num_parts(work)):
        module.match(work, part)
    module.settle(work, Alone(work))
    seconds = time.process_time() - started
    files = work.plan.files
    total = max(1, sum(file.text_bytes for file in files[1::2]))
    return [seconds * file.text_bytes / total if i % 2 else 0.0 for i, file in enumerate(files)]


def _warm(work: Work, index: int) -> None:
    file = work.plan.files[index]
    stock = minhash.stock_config(work.plan.config.minhash)
    for document in read_documents(work, file):
        with suppress(UnsplittableText):
            minhash.words_of(document["text"], language_of(document, file), stock)


def _cpu(job: Callable[[Work, int], None], work: Work, index: int) -> float:
    started = time.process_time()
    job(work, index)
    return time.process_time() - started


def _scaled(seconds: list[float], samples: list[_Sample]) -> float:
    """CPU seconds of one stage over all files of the run."""
    total = 0.0
    for i, sample in enumerate(samples):
        small, large = seconds[2 * i], seconds[2 * i + 1]
        num_bytes = sum(file.text_bytes for file in sample.source)
        more = sample.large.text_bytes - sample.small.text_bytes
        if more <= 0 or large <= small:
            # One long document, or a handful of small ones: nothing to tell byte and file apart by.
            total += large * num_bytes / max(1, sample.large.text_bytes)
            continue
        byte = (large - small) / more
        each_file = max(0.0, small - byte * sample.small.text_bytes)
        total += byte * num_bytes + each_file * len(sample.source)
    return total


def cost_lines(cost: dict[str, Any]) -> list[str]:
    """A `Cost` as plain data, for people."""
    seconds: dict[str, float] = cost["cpu_seconds"]
    shown = sorted(seconds.items(), key=lambda item: -item[1])
    return [
        f"time: about {show_seconds(sum(seconds.values()))} of CPU, {show_seconds(cost['wall_seconds'])} with "
        f"{cost['workers']} workers on this machine when it is idle; measured on {cost['sample_documents']:,} of the "
        "documents",
        "      " + ", ".join(f"{stage} {show_seconds(value)}" for stage, value in shown),
    ]


def show_seconds(seconds: float) -> str:
    """Two digits and a unit: `0.35 s`, `42 s`, `3.5 min`, `12 h`; what is next to nothing as that."""
    if seconds < 0.01:
        return "under 0.01 s"
    for limit, unit, factor in ((120, "s", 1), (7200, "min", 60), (float("inf"), "h", 3600)):
        if seconds < limit:
            value = seconds / factor
            return f"{value:.0f} {unit}" if value >= 10 else f"{value:.2g} {unit}"
    raise AssertionError(seconds)
