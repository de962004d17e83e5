"""The ids of the documents that a deduplication has written, as hashes, for its verification.

8 bytes a document, filled while the files are counted. Ids are read again only for hashes that raise a suspicion.
"""

from array import array
from collections.abc import Iterable, Iterator

import numpy as np
import orjson

from pipelines.compression import LINE_ERRORS, open_lines
from pipelines.dedup.hashed_names import SUSPECTS, hashes_of, is_in, repeated
from pipelines.dedup.work import Work
from pipelines.ledger import TaskRecord
from pipelines.store.store import open_at

_BATCH = 1 << 16


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
            again = repeated(hashes)
            if len(again) and (number := len(again) - self._by_chance(source, np.unique(again)[:SUSPECTS])):
                yield f"{source}: {number:,} ids occur more than once"

    def _by_chance(self, source: str, suspects: np.ndarray) -> int:
        """How many different ids have a hash of `suspects` that another id has as well."""
        found: dict[int, set[str]] = {}
        for names in self._names(source):
            hashes = hashes_of(names)
            for place in np.flatnonzero(is_in(suspects, hashes)).tolist():
                found.setdefault(int(hashes[place]), set()).add(names[place])
        return sum(len(names) - 1 for names in found.values())

    def confirmed(self, asked: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of these documents (source, id) that are in the files, looked up by their ids."""
        left = set(asked)
        found: set[tuple[str, str]] = set()
        for source in dict.fromkeys(source for source, _ in sorted(left)):
            for names in self._names(source):
                found |= left & {(source, name) for name in names}
        return found

    def _names(self, source: str) -> Iterator[list[str]]:
        """The ids of a source in the files, some at a time; what is no document is left out, as it is counted."""
        for record in self.records:
            if record.source != source or record.file is None:
                continue
            names: list[str] = []
            try:
                with (
                    open_at(self.work.layout.where, record.file.path) as raw,
                    open_lines(record.file.path, raw) as lines,
                ):
                    for line in lines:
                        if isinstance(name := _id_of(line), str):
                            names.append(name)
                        if len(names) == _BATCH:
                            yield names
                            names = []
            except LINE_ERRORS:
                # Said by the check of the files themselves.
                pass
            yield names


def _id_of(line: bytes) -> object:
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return document.get("id") if isinstance(document, dict) else None
