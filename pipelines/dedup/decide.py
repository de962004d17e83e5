"""After a method has matched all parts: check that nothing is missing, make clusters, choose survivors.

Runs in one process. Memory: 300 bytes a document that has a duplicate, nothing for the others.
"""

from bisect import bisect_left
from collections.abc import Iterator

import numpy as np

from pipelines.dedup import check, store
from pipelines.dedup.canaries import take_out
from pipelines.dedup.clusters import clusters
from pipelines.dedup.documents import Table
from pipelines.dedup.methods import method
from pipelines.dedup.survivors import Names, best_first, survivors
from pipelines.dedup.work import Work


def decide(work: Work, name: str) -> None:
    """Commit `<name>.decided`: `removed` (sorted) with `match`, and `kept` (sorted) with `size` of its cluster.

    Raises WorkFileError when the parts have not seen every record, CanaryError when known duplicates were not found.
    """
    module = method(name)
    parts = [work.folder(f"{name}.match", part) for part in range(module.num_parts(work))]
    seen, expected = sum(store.totals(part)["records"] for part in parts), module.num_records(work)
    if seen != expected:
        raise store.WorkFileError(
            f"{name}: the parts have seen {seen:,} records, {expected:,} were written; remove "
            f"{work.folder(name).parent} and run the same command again"
        )
    numbers, labels = clusters(np.asarray(store.load(part, "edges")).reshape(-1, 2) for part in parts)
    real = take_out(work, name, numbers, labels)
    numbers, labels = numbers[real], labels[real]
    table = Table(work)
    outside = table.is_outside(numbers)
    # A cluster of other runs' documents alone is nobody's business here.
    ours = np.isin(labels, np.unique(labels[~outside]))
    numbers, labels, outside = numbers[ours], labels[ours], outside[ours]
    repeats = _repeats(table, numbers, labels, outside)
    merits = _merits(work, table, numbers, outside)
    if check.is_wanted(work.plan.config, name):
        labels = check.split(work, numbers, labels, outside, best_first(labels, *merits))
    winners = survivors(labels.astype(np.int64, copy=False), *merits)
    removed = ~outside & (winners != np.arange(len(numbers))) & ~repeats
    sizes = sizes_before(work, name, numbers)
    together = np.zeros(len(numbers), np.int64)
    if len(numbers):
        order = np.argsort(labels, kind="stable")
        ordered = labels[order]
        firsts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
        sums = np.add.reduceat(sizes[order], firsts)
        together[order] = np.repeat(sums, np.diff(np.append(firsts, len(order))))
    store.commit(
        work.folder(f"{name}.decided"),
        {
            "removed": numbers[removed],
            "match": numbers[winners[removed]],
            "kept": numbers[~removed],
            "size": together[~removed].astype(np.uint64),
        },
        {"removed": int(removed.sum()), "clusters": int((np.unique(labels, return_counts=True)[1] > 1).sum())},
    )


def _merits(
    work: Work, table: Table, numbers: np.ndarray, outside: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Names]:
    """What decides who survives, as `survivors` takes it."""
    runs = table.run_places(numbers)

    def names(places: np.ndarray) -> list[tuple[str, str, int]]:
        asked = numbers[places]
        return [
            (name, source, run)
            for name, source, run in zip(table.names(asked), table.sources(asked), runs[places].tolist(), strict=True)
        ]

    return outside, table.ranks(numbers), table.column("length", numbers), names


def _repeats(table: Table, numbers: np.ndarray, labels: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Later epochs of a document that an earlier run has: repeated on purpose, not its own duplicate."""
    if not outside.any():
        return np.zeros(len(numbers), bool)
    names = np.empty(len(numbers), [("label", labels.dtype), ("identity", np.uint64)])
    names["label"], names["identity"] = labels, table.column("identity", numbers)
    return ~outside & (table.column("epoch", numbers) > 1) & np.isin(names, names[outside])


def sizes_before(work: Work, name: str, numbers: np.ndarray) -> np.ndarray:
    """How many documents each one stands for already, by the methods before this one."""
    sizes = np.ones(len(numbers), np.int64)
    for _, kept, size in _decisions(work, before=name):
        places = np.searchsorted(kept, numbers)
        found = places < len(kept)
        found[found] = kept[places[found]] == numbers[found]
        sizes[found] = size[places[found]]
    return sizes


def _decisions(work: Work, before: str | None) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    for name in work.methods:
        if name == before:
            return
        folder = work.folder(f"{name}.decided")
        yield name, store.load(folder, "kept"), store.load(folder, "size")


def cluster_sizes(work: Work, first: int = 0, end: int = 1 << 64) -> tuple[np.ndarray, np.ndarray]:
    """(documents that stand for more than themselves, sorted; how many each stands for, itself included).

    Of those whose numbers lie in [first, end).
    """
    numbers, sizes = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for _, kept, size in _decisions(work, before=None):
        low, high = bisect_left(kept, first), bisect_left(kept, end)
        numbers.append(np.asarray(kept[low:high]))
        sizes.append(np.asarray(size[low:high]).astype(np.int64))
    number, size = np.concatenate(numbers), np.concatenate(sizes)
    # The last method that has an answer knows what all before it have found.
    order = np.argsort(number, kind="stable")
    last = np.append(number[order][1:] != number[order][:-1], True)[: len(order)]
    return number[order][last], size[order][last]


def final_partners(work: Work) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """All removals in document order: (removed, partner in its method, document that survives in the end, method)."""
    removed, match, by = [], [], []
    for i, name in enumerate(work.methods):
        folder = work.folder(f"{name}.decided")
        removed.append(np.asarray(store.load(folder, "removed")))
        match.append(np.asarray(store.load(folder, "match")))
        by.append(np.full(len(removed[-1]), i))
    gone, partner, how = np.concatenate(removed), np.concatenate(match), np.concatenate(by)
    order = np.argsort(gone)
    gone, partner, how = gone[order], partner[order], how[order]
    final = partner.copy()
    # A partner may have been removed by a later method; there are as many steps as methods at most.
    for _ in work.methods:
        places = np.minimum(np.searchsorted(gone, final), max(0, len(gone) - 1))
        again = gone[places] == final if len(gone) else np.zeros(0, bool)
        final[again] = partner[places[again]]
    return gone, partner, final, how
