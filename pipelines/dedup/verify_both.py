"""Documents that are removed and in the files as well, by the sums of what was read, removed and written.

An id that a source has given to two documents may go once and stay once, so what counts is the number: of each id that
is in both, the run has as many documents as were removed and written. Counted by hashes, which is safe: of ids with one
hash the sums are equal as well. Memory: 20 bytes for each id that is in both. Gives up: naming more than `SUSPECTS`.
"""

from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pyarrow.parquet as pq

from pipelines.dedup.columns import batches, codes_of, strings_of
from pipelines.dedup.documents import read_documents
from pipelines.dedup.report import FILE, shown_id
from pipelines.dedup.verify_partners import MOST, more
from pipelines.dedup.verify_written import Written
from pipelines.dedup.work import Work
from pipelines.errors import SourceError
from pipelines.hashed_names import SUSPECTS, hashes_of, is_in, places_in

_NAMES = ("removed_source", "removed_id")
_BATCH = 1 << 16


def in_both(work: Work, written: Written, file: pq.ParquetFile, suspects: np.ndarray) -> Iterator[str]:
    """A line for each document too many; `suspects`: hashes of (source, id) that are in both, sorted."""
    if not len(suspects):
        return
    left = _read(work, suspects)
    left -= written.count(suspects)
    for _, _, hashes in _removed(file):
        _add(left, suspects, hashes, -1)
    wrong = suspects[left < 0]
    named: set[tuple[str, str]] = set()
    number = 0
    for names, sources, hashes in _removed(file) if len(wrong) else ():
        mine = np.flatnonzero(is_in(wrong, hashes))
        number += len(mine)
        named.update((sources[i], names[i]) for i in mine[: max(0, SUSPECTS - len(named))].tolist())
    # By their ids: where the run is not there to be counted, a hash may be another document's.
    found = sorted(written.confirmed(named))
    lines = [
        f"{source}: {shown_id(name)}: is in {FILE} as removed and in the files as well" for source, name in found[:MOST]
    ]
    # Suspects that were not named are more than there can be by chance.
    yield from more(lines, len(found) + max(0, number - SUSPECTS), f"of {FILE} are in the files as well")


def _read(work: Work, suspects: np.ndarray) -> np.ndarray:
    """How often the run has documents with these hashes; less where it cannot be read."""
    numbers = np.zeros(len(suspects), np.int32)
    with suppress(OSError, SourceError):
        for index in work.own_files():
            file = work.plan.files[index]
            source = hashes_of([file.source])
            names: list[str] = []
            for document in read_documents(work, file):
                names.append(document["id"])
                if len(names) == _BATCH:
                    _add(numbers, suspects, hashes_of(names) ^ source, 1)
                    names = []
            _add(numbers, suspects, hashes_of(names) ^ source, 1)
    return numbers


def _removed(file: pq.ParquetFile) -> Iterator[tuple[list[str], list[str], np.ndarray]]:
    """(ids, their sources, hashes of both) of the removed documents, a batch at a time."""
    for batch in batches(file, _NAMES):
        names, (sources, of_source) = strings_of(batch.column("removed_id")), codes_of(batch.column(_NAMES[0]))
        yield names, [of_source[i] for i in sources.tolist()], hashes_of(names) ^ hashes_of(of_source)[sources]


def _add(numbers: np.ndarray, suspects: np.ndarray, hashes: np.ndarray, value: int) -> None:
    places = places_in(suspects, hashes)
    np.add.at(numbers, places[places >= 0], value)
