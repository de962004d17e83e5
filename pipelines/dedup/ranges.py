"""Where sorted records are cut into parts, so that each part has about as many: by values at even distances in them.

The smallest hash of a document is smaller the longer it is, so ranges of equal width would leave most records in the
first one. Equal values stay together, as pairs are looked for inside a part. Gives up: cutting one value that more
records have than a part should hold.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence

import numpy as np

# Values looked at for each part: its size is off by 1/16 (one standard deviation), as that of a random sample would be.
SAMPLES = 256

# How many records a file has, and their values (uint64) at some places; places and values are increasing.
Column = tuple[int, Callable[[np.ndarray], np.ndarray]]


def even_bounds(columns: Sequence[Column], splits: int) -> np.ndarray:
    """The `splits - 1` values (uint64, increasing) at which the records of all files are cut."""
    ends = np.cumsum([0, *(size for size, _ in columns)])
    total = int(ends[-1])
    wanted = min(total, splits * SAMPLES)
    places = (2 * np.arange(wanted, dtype=np.int64) + 1) * total // max(1, 2 * wanted)
    edges = np.searchsorted(places, ends)
    found = [np.empty(0, np.uint64)]
    for i, (_, values_at) in enumerate(columns):
        if edges[i] < edges[i + 1]:
            found.append(values_at(places[edges[i] : edges[i + 1]] - ends[i]).astype(np.uint64))
    values = np.sort(np.concatenate(found))
    return values[np.arange(1, splits) * len(values) // splits] if len(values) else np.zeros(splits - 1, np.uint64)


def rows_of_part(size: int, value: Callable[[int], int], bounds: np.ndarray, split: int) -> slice:
    """Which rows of a file belong to a part. `value` gives that of one row; a look takes 20 of them, not the file."""
    rows = range(size)
    start = bisect_left(rows, int(bounds[split - 1]), key=value) if split else 0
    end = bisect_left(rows, int(bounds[split]), key=value) if split < len(bounds) else size
    return slice(start, max(start, end))
