"""Which document of a cluster survives: kept already, then the priority of its source, then the longest, then the id.

A function of the documents alone: the same for any order, number of tasks or files. Gives up: judging quality.
"""

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase

import numpy as np

# Names that are in memory at a time, about 300 bytes each.
NAMES = 100_000


def ranks(sources: list[str], priority: list[str]) -> np.ndarray:
    """For each source key the place of the first glob that matches it; after all others where none does."""
    return np.array(
        [next((i for i, glob in enumerate(priority) if fnmatchcase(key, glob)), len(priority)) for key in sources],
        np.int64,
    )


Names = Callable[[np.ndarray], list[tuple[str, str, int]]]


def best_first(
    cluster: np.ndarray, outside: np.ndarray, rank: np.ndarray, length: np.ndarray, names: Names
) -> np.ndarray:
    """Places of all documents, cluster after cluster, in each the one first that `survivors` would choose.

    Arguments as there; names are asked for only where the rest is equal.
    """
    length = length.astype(np.int64)
    order = np.lexsort((-length, rank, ~outside, cluster))
    values = np.stack([cluster[order].astype(np.int64), outside[order], rank[order], length[order]])
    same = (values[:, 1:] == values[:, :-1]).all(axis=0)
    tied = np.append(same, False) | np.append(False, same)
    places = np.flatnonzero(tied)
    group = np.cumsum(~np.append(False, same))[places] if len(places) else places
    for some in _whole_groups(group):
        here = order[places[some]]
        by_name = sorted(zip(group[some].tolist(), names(here), here.tolist(), strict=True))
        order[places[some]] = [place for _, _, place in by_name]
    return order


def _whole_groups(groups: np.ndarray) -> Iterator[slice]:
    """Slices of about `NAMES` members, none of which cuts a group; groups stand one after the other."""
    start = 0
    while start < len(groups):
        last = groups[min(start + NAMES, len(groups)) - 1]
        end = start + int(np.searchsorted(groups[start:], last, side="right"))
        yield slice(start, end)
        start = end


def survivors(
    cluster: np.ndarray,
    outside: np.ndarray,
    rank: np.ndarray,
    length: np.ndarray,
    names: Names,
) -> np.ndarray:
    """For each document the place of its cluster's survivor.

    Args:
        cluster: cluster of each document (any integers).
        outside: documents that are kept already (another run's); one of them survives where there is one.
        rank: priority of its source, smaller is better. length: of the text, longer is better.
        names: what decides between documents that are equal so far (source and id), asked for only then.
    """
    if not len(cluster):
        return np.empty(0, np.int64)
    length = length.astype(np.int64)
    order = np.lexsort((-length, rank, ~outside, cluster))
    firsts = np.nonzero(np.diff(cluster[order], prepend=cluster[order[0]] - np.int64(1)))[0]
    sizes = np.diff(np.append(firsts, len(order)))
    best = order[firsts]
    of_cluster = np.repeat(np.arange(len(firsts)), sizes)
    leader = best[of_cluster]
    tied = (outside[order] == outside[leader]) & (rank[order] == rank[leader]) & (length[order] == length[leader])
    num_tied = np.bincount(of_cluster[tied], minlength=len(firsts))
    contested = tied & (num_tied[of_cluster] > 1)
    places, groups = order[contested], of_cluster[contested]
    for some in _whole_groups(groups):
        winners: dict[int, tuple[tuple[str, str, int], int]] = {}
        for place, group, name in zip(places[some].tolist(), groups[some].tolist(), names(places[some]), strict=True):
            if group not in winners or name < winners[group][0]:
                winners[group] = (name, place)
        for group, (_, place) in winners.items():
            best[group] = place
    answer = np.empty(len(cluster), np.int64)
    answer[order] = best[of_cluster]
    return answer
