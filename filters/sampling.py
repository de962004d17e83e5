"""The line of slots: which documents of a source a stage takes, decided by ids and seed alone.

A source is F files; each file is S slots, chosen by the hash of the document id; all F*S slots stand in one
pseudo-random order, each as wide as its share of the source's bytes, on a line of length 1. A document has one
position on that line. A stage takes an interval [start, end) of it; an interval that passes 1 goes round again
(epoch 2, 3, ...). So a sample does not depend on tasks or reading order, a smaller budget is a subset of a larger one,
consecutive stages share nothing until the source is used up, and files that the interval does not touch are not opened.

Gives up: exact token counts (a sample is exact in expectation) and drawing from every file (see `num_slots`).
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import xxhash
from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep

from filters.counting import CountedFilter, add_one

MIN_SLOTS_PER_SOURCE = 128
EPOCH = "epoch"
_PASSES = "_passes"
_BELOW_ONE = math.nextafter(1.0, 0.0)
# Far above the error of a few additions of doubles, far below the width of a slot of any real source.
_ROUNDING = 1e-13


def num_slots(num_files: int) -> int:
    """Slots per file: 1 for a source of 128 files or more, else enough to make 128 in all.

    With S slots a sample of rate r reads about min(1, S*r) of the source's bytes, so S = 1 reads least, and more slots
    spread a small sample over more files. 128 lets a source of a few files be sampled from all of them.
    """
    return max(1, math.ceil(MIN_SLOTS_PER_SOURCE / max(1, num_files)))


@dataclass(frozen=True, kw_only=True)
class FileSlots:
    """Where the slots of one file stand: `starts[slot]` on the line, all of the same `width`."""

    starts: tuple[float, ...]
    width: float

    def position(self, document_id: str, seed: int) -> float:
        """The document's place on the line, in [0, 1)."""
        digest = xxhash.xxh3_64_intdigest(document_id.encode("utf-8", "surrogatepass"), seed)
        slot = (digest >> 32) * len(self.starts) >> 32
        # Starts are sums of many floats: unlimited, the last slot may end above 1, and its end be in no interval.
        return min(self.starts[slot] + (digest & 0xFFFFFFFF) / 2**32 * self.width, _BELOW_ONE)

    def touches(self, start: float, end: float) -> bool:
        """Whether [start, end), read modulo 1, may hold a document of this file; errs towards yes at the edges."""
        laps = range(max(0, math.floor(start) - 1), math.ceil(end) + 1)
        slack = _ROUNDING * (1 + end)
        return any(
            left + lap < end + slack and left + self.width + lap > start - slack for left in self.starts for lap in laps
        )


def num_passes(position: float, start: float, end: float) -> range:
    """The laps k >= 0 (0 = first epoch) in which `position + k` lies in [start, end), as a range that may be empty.

    Written as a difference of two counts, so that adjoining intervals never share or lose a lap to rounding.
    """
    return range(max(0, math.ceil(start - position)), max(0, math.ceil(end - position)))


def lay_out(source: str, files: Sequence[tuple[str, int]], seed: int) -> dict[str, FileSlots]:
    """The whole line of a source: `files` are (path, bytes) pairs; paths must be unique.

    The order of `files` does not matter; a file of no bytes counts as one byte, so that it has a place.
    """
    slots = num_slots(len(files))
    total = sum(max(1, size) for _, size in files)
    order = sorted(
        (xxhash.xxh3_64_intdigest(f"{source}\n{path}\n{slot}".encode(), seed), path, slot, max(1, size) / slots)
        for path, size in files
        for slot in range(slots)
    )
    starts: dict[str, list[float]] = {path: [0.0] * slots for path, _ in files}
    passed = 0.0
    for _, path, slot, size in order:
        starts[path][slot] = passed / total
        passed += size
    return {
        path: FileSlots(starts=tuple(starts[path]), width=max(1, size) / slots / total) for path, size in sorted(files)
    }


class IntervalSampler(CountedFilter):
    """Keeps the documents whose position lies in the interval; `metadata["source_file"]` names each one's file.

    Args:
        interval: (start, end) on the source's line, start <= end; a length above 1 repeats documents.
        slots: the line of the files that will be read, from `lay_out`.
        seed: the stage's seed; the same for all stages of a curriculum.
    """

    name = "🎯 Interval sampler"
    family = "sampling"

    def __init__(self, *, interval: tuple[float, float], slots: dict[str, FileSlots], seed: int = 0) -> None:
        super().__init__()
        if not 0 <= interval[0] <= interval[1]:
            raise ValueError(f"the interval {interval} must run upwards from 0")
        self.interval = interval
        self.slots = slots
        self.seed = seed

    def laps(self, source_file: str, document_id: str) -> range:
        """The laps in which a document is drawn; empty when it is not."""
        file = self.slots.get(source_file)
        if file is None:
            raise ValueError(
                f"document {document_id}: source_file {source_file!r} is not one of the {len(self.slots)} files of the "
                "line; the reader must set it to the path given to lay_out"
            )
        return num_passes(file.position(document_id, self.seed), *self.interval)

    def wants(self, source_file: str, document_id: str) -> bool:
        """Whether a document is drawn: lets a reader leave out fetching the texts of the others."""
        return bool(self.laps(source_file, document_id))

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        laps = self.laps(doc.metadata.get("source_file", ""), doc.id)
        if not laps:
            return False, "out"
        if laps.stop > 1:
            doc.metadata[_PASSES] = (laps.start, laps.stop)
        return True


class EpochRepeater(PipelineStep):
    """Writes a document once for each epoch that the sampler found for it; goes between the filters and the writer.

    The first epoch keeps the source's id; later ones get `#epoch2`, `#epoch3`, ... so that ids stay unique in a run.
    """

    name = "🔁 Epochs"
    type = "🔁 - REPEATER"

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        return self._repeat(data)

    def _repeat(self, data: Iterable[Document]) -> Iterator[Document]:
        for doc in data:
            add_one(self.stats.stats, "total")
            first, stop = doc.metadata.pop(_PASSES, (0, 1))
            if stop - first > 1:
                self.stat_update("repeated", value=stop - first - 1)
            for lap in range(first, stop):
                if lap == 0:
                    yield doc
                else:
                    metadata = {**doc.metadata, EPOCH: lap + 1}
                    yield Document(text=doc.text, id=f"{doc.id}#epoch{lap + 1}", media=doc.media, metadata=metadata)


def share_of_files(slots: dict[str, FileSlots], start: float, end: float) -> dict[str, float]:
    """For each file that the interval touches: the share of its documents that are taken at least once, in [0, 1].

    A file that is only touched at its edge has a share of (about) 0.
    """
    shares = {}
    for path, file in slots.items():
        if end - start >= 1:
            shares[path] = 1.0
        elif start < end and file.touches(start, end):
            covered = sum(_overlap(left, file.width, start, end) for left in file.starts)
            shares[path] = min(1.0, covered / (file.width * len(file.starts)))
    return shares


def _overlap(left: float, width: float, start: float, end: float) -> float:
    laps = range(math.floor(start), math.ceil(end) + 1)
    return sum(max(0.0, min(left + width + lap, end) - max(left + lap, start)) for lap in laps)


def assign(sizes: Sequence[int], num_tasks: int) -> list[list[int]]:
    """Deals items of the given sizes to tasks, largest first to the least loaded; each task's items in their old order.

    Deterministic. Returns `num_tasks` lists of indices; some are empty when there are fewer items than tasks.
    """
    loads = [(0, task) for task in range(num_tasks)]
    tasks: list[list[int]] = [[] for _ in range(num_tasks)]
    for item in sorted(range(len(sizes)), key=lambda i: (-sizes[i], i)):
        load, task = loads.pop(0)
        tasks[task].append(item)
        entry = (load + max(1, sizes[item]), task)
        loads.insert(bisect_right(loads, entry), entry)
    return [sorted(items) for items in tasks]
