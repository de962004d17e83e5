"""Ids as 64-bit hashes in sorted arrays: how a verification remembers documents, at 8 bytes each.

Of n different ids two have the same hash with a probability of about n^2 / 2^65 (the birthday bound): 3 in 10,000 at
10^8. So a hash that is missing proves something, and equal hashes are a suspicion: whoever accuses reads the ids of
the suspects again. Gives up: reading again more than `SUSPECTS` of them; that many hashes are not equal by chance.
"""

from collections.abc import Collection

import numpy as np
import xxhash

SUSPECTS = 10_000
_COMPACT = 1 << 20


def hashes_of(names: Collection[str] | Collection[bytes]) -> np.ndarray:
    """The hash of each id (uint64), in their order."""
    return np.fromiter(map(xxhash.xxh3_64_intdigest, names), np.uint64, len(names))


def places_in(known: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """For each hash its place in the sorted array `known`, -1 where it is not there."""
    found = np.full(len(hashes), -1)
    if len(known) and len(hashes):
        # In their order, neighbours are looked for in the same memory, not each somewhere in the whole array.
        order = np.argsort(hashes)
        ordered = hashes[order]
        places = np.minimum(np.searchsorted(known, ordered), len(known) - 1)
        found[order] = np.where(known[places] == ordered, places, -1)
    return found


def is_in(known: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """For each hash whether the sorted array `known` has it."""
    return places_in(known, hashes) >= 0


def repeated(ordered: np.ndarray) -> np.ndarray:
    """Every value of a sorted array that is the same as the one before it."""
    return ordered[1:][ordered[1:] == ordered[:-1]]


class Distinct:
    """The distinct values of many arrays (uint64); holds 16 bytes for each of them, 32 for a moment."""

    def __init__(self) -> None:
        self._known = np.empty(0, np.uint64)
        self._new: list[np.ndarray] = []
        self._num_new = 0

    def add(self, values: np.ndarray) -> None:
        """Take in an array in any order."""
        self._new.append(_distinct(values.copy()))
        self._num_new += len(self._new[-1])
        if self._num_new > max(_COMPACT, len(self._known)):
            self.sorted()

    def sorted(self) -> np.ndarray:
        """The distinct values so far, sorted."""
        if self._new:
            joined = np.concatenate([self._known, *self._new])
            self._new, self._num_new = [], 0
            self._known = _distinct(joined)
        return self._known


def _distinct(values: np.ndarray) -> np.ndarray:
    values.sort()
    return values[np.append(True, values[1:] != values[:-1])] if len(values) else values
