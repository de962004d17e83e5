"""What the peak memory of a worker is made of: how much it grew while each step of a task was at work.

A process has one peak, which only grows. It is read at the borders between steps, on each document's way down the chain
and on the chain's way back for the next one; what it grew by belongs to the step between two readings. So the parts add
up to the peak, and what a step shares with later ones (words, models) counts for the one that loaded it. A worker keeps
its parts from task to task, as it keeps its models.

Gives up: telling steps apart after the first documents of a task (NUM_DOCUMENTS written, or MOST_DOCUMENTS drawn): what
longer ones and caches add later is one part; and memory of other processes (HTML is extracted in one of its own).
"""

import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any

from datatrove.data import DocumentsPipeline
from datatrove.pipeline.base import PipelineStep

# Reading the peak takes 16 us on Linux (`python benchmarks/memory_by_step.py`), so it is not done for every document.
NUM_DOCUMENTS = 16
MOST_DOCUMENTS = 250
PROCESS, LATER = "the process, libraries", "later documents, all steps"


# The highest peak of this process that the kernel has been told to forget.
_forgotten = 0


def peak_memory_bytes() -> int:
    """The most memory that this process has held, in bytes."""
    return max(_forgotten, peak_since_forgotten())


def forget_peak() -> bool:
    """Let the kernel count this process's peak from now on; False where it does not (other systems than Linux).

    What it has counted so far is kept here. Others who ask the kernel (`/usr/bin/time`) see the later peak alone.
    """
    global _forgotten
    before = peak_memory_bytes()
    try:
        # 5 sets VmHWM to what is held now (Linux: Documentation/filesystems/proc.rst).
        with open("/proc/self/clear_refs", "wb", buffering=0) as handle:
            handle.write(b"5")
    except OSError:
        return False
    _forgotten = before
    return True


def peak_since_forgotten() -> int:
    """The most memory that this process has held since `forget_peak`, in bytes.

    Linux: VmHWM. `ru_maxrss` begins at what the process that started this one held, and elsewhere has to do (in bytes
    on macOS, in kB on others).
    """
    try:
        with open("/proc/self/status", "rb", buffering=0) as status:
            return int(status.read().partition(b"VmHWM:")[2].split(maxsplit=1)[0]) * 1024
    except (OSError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


class Peaks:
    """The parts of a process's peak. `by_step`: bytes; they add up to the peak as it was last read."""

    def __init__(self, measure: Callable[[], int] = peak_memory_bytes) -> None:
        self._measure = measure
        self._peak = 0
        self.by_step: dict[str, int] = {}
        self.watching = False

    def note(self, step: str) -> None:
        """What the peak has grown by since it was last read is this step's."""
        peak = self._measure()
        if peak > self._peak:
            self.by_step[step] = self.by_step.get(step, 0) + peak - self._peak
            self._peak = peak


@cache
def process_peaks() -> Peaks:
    """Those of this process, which has one peak."""
    return Peaks()


class Border(PipelineStep):
    """Between two steps of a chain; changes nothing. The first border of a chain begins, the last one ends it."""

    name = "📏 Memory"
    type = "📏 - MEMORY"

    def __init__(self, before: str, after: str, peaks: Peaks, *, most: int, first: bool) -> None:
        super().__init__()
        self.before, self.after, self.peaks, self.most, self.first = before, after, peaks, most, first

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """The same documents; once nobody looks any more they pass at the speed of itertools."""
        documents = iter(data or ())
        return chain(self._watched(documents), documents)

    def _watched(self, documents: Iterator[Any]) -> Iterator[Any]:
        if self.first:
            self.peaks.note(PROCESS)
            self.peaks.watching = True
        for number, document in enumerate(documents, start=1):
            if self.peaks.watching:
                self.peaks.note(self.before)
                self.peaks.watching = number < self.most
            yield document
            if not self.peaks.watching:
                return
            self.peaks.note(self.after)
        if self.peaks.watching:
            self.peaks.note(self.before)


def with_borders(reader: Sequence[PipelineStep], filters: Sequence[PipelineStep], writer: Sequence[PipelineStep],
                 peaks: Peaks | None = None) -> list[PipelineStep]:  # fmt: skip
    """A chain with a border behind the reader (and what is one with it) and behind each filter.

    `writer` is the last part, which is called as its last step is.
    """
    names = [str(reader[0]), *map(str, filters), str(writer[-1])]
    peaks = peaks or process_peaks()

    def border(i: int) -> Border:
        most = NUM_DOCUMENTS if i == len(filters) else MOST_DOCUMENTS
        return Border(names[i], names[i + 1], peaks, most=most, first=i == 0)

    found = [*reader, border(0)]
    for i, step in enumerate(filters, start=1):
        found += [step, border(i)]
    return [*found, *writer]
