"""Pairs of documents that nearly share a bucket: neighbours in its order, equal in the first half of its hashes only.

With 14 x 8 a pair at similarity 0.6 is one with a chance of 0.86 (1 - (1 - s^4)^14), at 0.4 of 0.30, at 0.2 of 0.02.
One sort of a bucket serves this and the equal rows; a part keeps `PER_PART` of them, drawn by a hash. Gives up:
pairs that are no neighbours, and buckets of one hash, which have no half.
"""

import numpy as np

PER_PART = 2000


def drawn(pairs: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the pairs, by a hash of the two numbers: always the same ones."""
    if len(pairs) <= most:
        return pairs
    mixed = _mix(pairs)
    return pairs[np.sort(np.argpartition(mixed, most)[:most])]


def halves(hashes: np.ndarray) -> np.ndarray:
    """64 bits for each row: the upper ones of its first half, the lower ones of the rest; all of a row of one hash."""
    half = hashes.shape[1] // 2
    if not half:
        return _mix(hashes)
    low = np.uint64(32)
    return (_mix(hashes[:, :half]) >> low << low) | (_mix(hashes[:, half:]) >> low)


def half_equal(
    hashes: np.ndarray, numbers: np.ndarray, order: np.ndarray, keys: np.ndarray, most: int = PER_PART
) -> np.ndarray:
    """Pairs of `numbers` whose rows of `hashes` have an equal first half and another rest.

    Only neighbours in `order`, which sorts the rows; `keys` are their `halves` in that order.
    """
    half = hashes.shape[1] // 2
    if not half or len(numbers) < 2:
        return np.empty((0, 2), np.uint64)
    low = np.uint64(32)
    left = np.flatnonzero((keys[1:] >> low == keys[:-1] >> low) & (keys[1:] != keys[:-1]))
    pairs = drawn(np.stack([order[left], order[left + 1]], axis=1).astype(np.uint64), most).astype(np.int64)
    # Two fronts with one mix are no near miss.
    real = (hashes[pairs[:, 0], :half] == hashes[pairs[:, 1], :half]).all(axis=1)
    return numbers[pairs[real]].reshape(-1, 2)


def _mix(columns: np.ndarray) -> np.ndarray:
    """64 bits for each row."""
    mixed = np.zeros(len(columns), np.uint64)
    for column in columns.T:
        mixed ^= mixed >> np.uint64(29)
        mixed *= np.uint64(0x9E3779B97F4A7C15)
        mixed += column.astype(np.uint64)
    mixed ^= mixed >> np.uint64(32)
    return mixed * np.uint64(0xD6E8FEB86659FD93)
