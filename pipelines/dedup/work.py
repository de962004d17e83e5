"""What every stage of a deduplication shares: the frozen plan, its folders, and one number for each document.

A document's number is its file's offset plus its row; files are numbered in the plan's order, so numbers depend on
nothing else. Each file has two rows more than documents: the canaries (see canaries.py). Numbers from `CACHE_BASE` on
are documents of earlier runs in the cache. Gives up: more than 2^62 documents.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from pipelines.dedup import store
from pipelines.dedup.inputs import DedupPlan, InputFile
from pipelines.run_layout import RunLayout

CANARY_ROWS = 2
CACHE_BASE = np.uint64(1 << 62)
PLAN_FILE = "dedup.json"


@dataclass(frozen=True, kw_only=True)
class Work:
    """One deduplication: its plan and where its files are.

    `fence` is called before a result goes where another process may have put the same; it raises where that is so.
    """

    layout: RunLayout
    plan: DedupPlan
    fence: Callable[[], None] = field(default=lambda: None, compare=False)

    def folder(self, stage: str, index: int | None = None) -> Path:
        """The work folder of a stage, or of one of its jobs."""
        place = f"dedup/{stage}" if index is None else f"dedup/{stage}/{index:05d}"
        return self.layout.stage_dir / place

    @cached_property
    def offsets(self) -> np.ndarray:
        """First number of every file, and the end of the last one."""
        rows = [file.lines + CANARY_ROWS for file in self.plan.files]
        return np.concatenate([[0], np.cumsum(rows)]).astype(np.uint64)

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """Methods in the order in which they run."""
        return tuple(self.plan.config.methods)

    def files(self) -> Iterator[tuple[int, InputFile]]:
        """Every file with its number."""
        return enumerate(self.plan.files)

    @cached_property
    def _own_files(self) -> tuple[int, ...]:
        return tuple(i for i, file in self.files() if not self.plan.is_against(file))

    def own_files(self) -> tuple[int, ...]:
        """Files that will be written again; the others are of --against runs."""
        return self._own_files

    def file_of(self, numbers: np.ndarray) -> np.ndarray:
        """Which file each document is in."""
        return np.searchsorted(self.offsets, numbers, side="right") - 1

    def removed_rows(self, index: int, before: str | None = None) -> np.ndarray:
        """Rows of a file that methods have removed (those that run before `before`), sorted."""
        first, end = self.offsets[index], self.offsets[index + 1]
        found = []
        for method in self.methods:
            if method == before:
                break
            removed = store.load(self.folder(f"{method}.decided"), "removed")
            low, high = np.searchsorted(removed, first), np.searchsorted(removed, end)
            found.append(np.asarray(removed[low:high]) - first)
        return np.sort(np.concatenate(found)).astype(np.int64) if found else np.empty(0, np.int64)

    def active_rows(self, index: int, before: str | None = None) -> np.ndarray:
        """True for the rows that are documents of their own (no epoch copies) and not removed yet."""
        unit = store.load(self.folder("index", index), "unit")
        active = np.asarray(unit) == np.arange(len(unit))
        active[self.removed_rows(index, before)] = False
        return active


Job = Callable[[Work, int], None]  # one piece of a stage: its result is a committed folder or a file in its place


@lru_cache(maxsize=2)
def open_work(layout: RunLayout) -> Work:
    """The work of a run as its plan file has it; what worker processes start from."""
    text = (layout.run_dir / PLAN_FILE).read_bytes()
    return Work(layout=layout, plan=DedupPlan.model_validate_json(text))
