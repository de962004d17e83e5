"""Signals of the Gopher filters on a bounded sample of a source's documents, kept and (with --keep-dropped) dropped.

The native core gives verdicts and not values, so values are measured afterwards, on few documents, the same ones each
time: of the first FIRST_LINES of each of up to MAX_FILES files, those whose ids have the smallest hashes. Gives up:
what stands further back in large files, and long documents (MAX_CHARS).
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson
import xxhash
from datatrove.data import Document
from pydantic import BaseModel, Field

from pipelines.compression import LINE_ERRORS, open_lines
from pipelines.ledger import TaskRecord
from pipelines.profiles import FilterSpec
from pipelines.report.signals import SIGNALS, Limits, Measures
from pipelines.store.store import open_at
from pipelines.writers import WrittenFile

MAX_FILES = 4
FIRST_LINES = 400
# Documents of one source, kept and dropped each; over all sources at most MAX_DOCUMENTS of both, a few seconds.
PER_SOURCE = 100
MAX_DOCUMENTS = 2000
MAX_CHARS = 100_000
_MAX_LINE = 1 << 20
_DAMAGED: tuple[type[Exception], ...] = (*LINE_ERRORS, KeyError, TypeError, AttributeError)


class SignalHistogram(BaseModel):
    """One signal: documents in each bin of `SIGNALS[name].edges` (values outside count in the outermost bins).

    `beyond_*` are documents for which the filter would drop by this signal.
    """

    limits: Limits
    kept: list[int]
    dropped: list[int]
    beyond_kept: int = 0
    beyond_dropped: int = 0


class SignalSample(BaseModel):
    """A source's sample. `languages`: signals by the language whose rules judge ("" for the source's base rules)."""

    kept: int = 0
    dropped: int = 0
    dropped_were_kept: bool = False
    not_measured: int = 0
    languages: dict[str, dict[str, SignalHistogram]] = Field(default_factory=dict)


def per_source(num_sources: int) -> int:
    """Documents of each kind to take from each of so many sources that Gopher filters judge."""
    return min(PER_SOURCE, MAX_DOCUMENTS // (2 * max(1, num_sources)))


def sample_source(
    output_folder: Path | str,
    records: Sequence[TaskRecord],
    specs: Sequence[FilterSpec],
    number: int,
    *,
    keep_dropped: bool,
) -> SignalSample | None:
    """Measure up to `number` kept and `number` dropped documents; None where no Gopher filter judges the source.

    output_folder: of the run; a store's URL will do.
    """
    measures = Measures(tuple(specs))
    if not measures.filters or number < 1:
        return None
    kept = [record.file for record in records if record.file is not None]
    dropped = [file for record in records for file in record.dropped_files if not file.path.count("/reader/")]
    sample = SignalSample(dropped_were_kept=keep_dropped)
    for kind, files in (("kept", kept), ("dropped", dropped)):
        for document in _documents(output_folder, _spread(files), number):
            language, values = measures.measure(document)
            if not values:
                sample.not_measured += 1
                continue
            setattr(sample, kind, getattr(sample, kind) + 1)
            if language not in sample.languages:
                sample.languages[language] = _empty(measures.limits(language))
            for name, value in values.items():
                if name in sample.languages[language]:
                    _count(sample.languages[language][name], SIGNALS[name].edges, kind, value)
    return sample


def _empty(limits: dict[str, Limits]) -> dict[str, SignalHistogram]:
    return {
        name: SignalHistogram(
            limits=limit, kept=[0] * (len(SIGNALS[name].edges) - 1), dropped=[0] * (len(SIGNALS[name].edges) - 1)
        )
        for name, limit in limits.items()
    }


def _count(histogram: SignalHistogram, edges: Sequence[float], kind: str, value: float) -> None:
    place = int(np.searchsorted(edges, value, side="right")) - 1
    getattr(histogram, kind)[min(max(place, 0), len(edges) - 2)] += 1
    if histogram.limits.broken_by(value):
        setattr(histogram, f"beyond_{kind}", getattr(histogram, f"beyond_{kind}") + 1)


def _spread(files: list[WrittenFile]) -> list[WrittenFile]:
    """Up to MAX_FILES of them for each folder (documents; dropped ones of each filter), evenly over the tasks."""
    folders: dict[str, list[WrittenFile]] = {}
    for file in files:
        folders.setdefault(file.path.rpartition("/")[0], []).append(file)
    return [
        group[i * len(group) // MAX_FILES] if len(group) > MAX_FILES else group[i]
        for group in folders.values()
        for i in range(min(len(group), MAX_FILES))
    ]


def _documents(folder: Path | str, files: list[WrittenFile], number: int) -> Iterator[Document]:
    """The sample: from each file a share that follows its lines, the documents whose ids hash lowest."""
    total = sum(file.lines for file in files)
    for file in files:
        share = -(-number * file.lines // total) if total else 0
        found = sorted(_first(folder, file.path), key=lambda item: item[0])[:share]
        for _, line in found:
            data = orjson.loads(line)
            yield Document(text=data["text"], id=data["id"], metadata=data["metadata"])


def _first(folder: Path | str, name: str) -> Iterator[tuple[int, bytes]]:
    """The first documents of a file as (hash of the id, line); damage is `smoltrove verify`'s to report."""
    try:
        with open_at(folder, name) as raw, open_lines(name, raw) as handle:
            for line in _short_lines(handle):
                data: Any = orjson.loads(line)
                if len(data["text"]) <= MAX_CHARS:
                    yield xxhash.xxh3_64_intdigest(data["id"].encode()), line
    except _DAMAGED:
        return


def _short_lines(handle: IO[bytes]) -> Iterable[bytes]:
    for _ in range(FIRST_LINES):
        line = handle.readline(_MAX_LINE)
        if not line:
            return
        if line.endswith(b"\n"):
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = handle.readline(_MAX_LINE)
