"""The ids of the documents that a deduplication has written, as hashes, for its verification.

8 bytes a document, filled while the files are counted. Ids are read again only for hashes that raise a suspicion.
"""

from array import array
from collections.abc import Iterable, Iterator

import numpy as np

from pipelines.dedup.work import Work
from pipelines.hashed_names import hashes_of, is_in
from pipelines.ledger import TaskRecord
from pipelines.written_ids import repeated_ids, written_ids


class Written:
    """Hashes of ids by source: `ids` takes them in, after `sort` they can be asked for."""

    def __init__(self, work: Work, records: list[TaskRecord]) -> None:
        self.work, self.records = work, records
        self.ids: dict[str, array[int]] = {record.source: array("Q") for record in records}
        self._sorted: dict[str, np.ndarray] = {}

    def sort(self) -> None:
        """No more ids come."""
        self._sorted = {source: np.frombuffer(ids, np.uint64) for source, ids in self.ids.items() if ids}
        for hashes in self._sorted.values():
            hashes.sort()

    def has(self, source: str, hashes: np.ndarray) -> np.ndarray:
        """For each hash whether an id of this source that was written has it."""
        return is_in(self._sorted.get(source, np.empty(0, np.uint64)), hashes)

    def count(self, documents: np.ndarray) -> np.ndarray:
        """How often documents with these hashes of (source, id), as `hashes_of` makes them of both, were written."""
        numbers = np.zeros(len(documents), np.int32)
        for source, hashes in self._sorted.items():
            mine = documents ^ hashes_of([source])
            numbers += (hashes.searchsorted(mine, side="right") - hashes.searchsorted(mine)).astype(np.int32)
        return numbers

    def problems(self) -> Iterator[str]:
        """Ids that were written more than once."""
        for source, hashes in self._sorted.items():
            yield from repeated_ids(source, hashes, self.work.layout.where, self._files(source))

    def confirmed(self, asked: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of these documents (source, id) that are in the files, looked up by their ids."""
        left = set(asked)
        found: set[tuple[str, str]] = set()
        for source in dict.fromkeys(source for source, _ in sorted(left)):
            for names in written_ids(self.work.layout.where, self._files(source)):
                found |= left & {(source, name) for name in names}
        return found

    def _files(self, source: str) -> Iterator[str]:
        return (item.file.path for item in self.records if item.source == source and item.file is not None)
