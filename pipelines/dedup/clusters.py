"""Pairs of duplicates to clusters: union-find in numpy arrays.

datatrove's cluster stage keeps Python dictionaries of tuples, about 300 bytes a duplicate; here it is 16 bytes, and
about 100 while a batch of pairs is worked in. Batches (a bucket, a part) are put together until they have as many pairs
as documents are known, so that thousands of small parts are a few rounds of work. Gives up: pairs one by one.
"""

from collections.abc import Iterable

import numpy as np

LEAST_PAIRS = 1_000_000


def components(num_nodes: int, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """For nodes 0..n-1 and edges left[i]-right[i]: the smallest node of each node's component.

    Every root that has a smaller neighbour hangs itself below it, then all paths are halved until flat; repeated until
    no edge connects two roots.
    """
    parent = np.arange(num_nodes, dtype=np.int64)
    while len(left):
        a, b = parent[left], parent[right]
        open_edges = a != b
        left, right, a, b = left[open_edges], right[open_edges], a[open_edges], b[open_edges]
        np.minimum.at(parent, np.maximum(a, b), np.minimum(a, b))
        while True:
            above = parent[parent]
            if np.array_equal(above, parent):
                break
            parent = above
    return parent


def clusters(batches: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(document numbers in increasing order, the smallest number of each one's cluster).

    `batches` are arrays of pairs, shape (n, 2), uint64. The answer does not depend on the order of pairs or batches.
    """
    numbers, roots = np.empty(0, np.uint64), np.empty(0, np.uint64)
    waiting: list[np.ndarray] = []
    size = 0
    for pairs in batches:
        waiting.append(pairs)
        size += len(pairs)
        if size >= max(LEAST_PAIRS, len(numbers)):
            numbers, roots = _joined(numbers, roots, np.concatenate(waiting))
            waiting, size = [], 0
    return _joined(numbers, roots, np.concatenate(waiting)) if size else (numbers, roots)


def _joined(numbers: np.ndarray, roots: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Clusters of what is known and these pairs."""
    joined, places = np.unique(np.concatenate([numbers, roots, pairs[:, 0], pairs[:, 1]]), return_inverse=True)
    places = places.reshape(-1)
    known, more = len(numbers), len(pairs)
    left = np.concatenate([places[:known], places[2 * known : 2 * known + more]])
    right = np.concatenate([places[known : 2 * known], places[2 * known + more :]])
    return joined, joined[components(len(joined), left, right)]
