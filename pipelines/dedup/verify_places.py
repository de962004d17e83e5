"""Places of documents as a table of removals names them, against the plan: a file of a run and a row in it.

One bit for each row of the run that was read. Gives up: opening the files to see which id stands there; verifying the
run that was read, and the sums of each task, leave only an exchange of two ids that are both removed.
"""

from collections.abc import Sequence

import numpy as np

from pipelines.dedup.work import Work


class Places:
    """The files of the plan, and which rows of the run's own are removed."""

    def __init__(self, work: Work) -> None:
        plan = work.plan
        self.files = plan.files
        self._numbers = {
            (plan.runs[file.run].path if plan.is_against(file) else "", file.path): i
            for i, file in enumerate(plan.files)
        }
        lines = np.array([file.lines for file in plan.files], np.int64)
        self._lines = np.append(lines, 0)
        self._first = np.concatenate([[0], np.cumsum(lines)])
        self._own = np.array([not plan.is_against(file) for file in plan.files] + [False])
        self._source = {source: i for i, source in enumerate(dict.fromkeys(file.source for file in plan.files))}
        self._source_of = np.array([self._source[file.source] for file in plan.files] + [-1])
        self._removed = np.zeros(int(self._first[-1]) // 8 + 1, np.uint8)
        self.twice = 0

    def file_numbers(
        self, runs: tuple[np.ndarray, Sequence[str]], paths: tuple[np.ndarray, Sequence[str | None]]
    ) -> np.ndarray:
        """The file that each row of a table names, given as codes and values; -1 for one that is not in the plan."""
        known = np.array(
            [[self._numbers.get((run, path or ""), -1) for path in [*paths[1], ""]] for run in [*runs[1], ""]], np.int64
        )
        return known[runs[0], paths[0]]

    def are_there(self, files: np.ndarray, rows: np.ndarray, sources: tuple[np.ndarray, Sequence[str]]) -> np.ndarray:
        """Whether a file has the row, and is of the source that the table says."""
        source = np.array([*(self._source.get(name, -2) for name in sources[1]), -2])[sources[0]]
        return (files >= 0) & (rows >= 0) & (rows < self._lines[files]) & (self._source_of[files] == source)

    def remove(self, files: np.ndarray, rows: np.ndarray) -> None:
        """Note that these rows, which are there, are removed; `twice` counts those that are already."""
        number = np.sort(self._first[files] + rows)
        repeats = np.append(False, number[1:] == number[:-1])[: len(number)]
        bits = (1 << (number & 7)).astype(np.uint8)
        repeats |= (self._removed[number >> 3] & bits) != 0
        self.twice += int(repeats.sum())
        np.bitwise_or.at(self._removed, number >> 3, bits)

    def are_removed(self, files: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Whether these rows, which are there, are removed; False for other runs."""
        number = self._first[files] + rows
        return self._own[files] & ((self._removed[number >> 3] >> (number & 7)) & 1).astype(bool)
