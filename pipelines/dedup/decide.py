"""After a method has matched all parts: check that nothing is missing, make clusters, choose survivors.

Runs in one process. Memory: 100 bytes a document that has a duplicate, about 500 where only ids tell which one
survives, nothing for the others.
"""

from collections.abc import Iterator

import numpy as np

from pipelines.dedup import check, store
from pipelines.dedup.canaries import take_out
from pipelines.dedup.clusters import clusters
from pipelines.dedup.documents import Table
from pipelines.dedup.methods import method
from pipelines.dedup.survivors import Names, best_first, ranks, survivors
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
    sources = table.sources(numbers)
    runs = {run: i for i, run in enumerate(dict.fromkeys(table.runs(numbers)))}

    def names(places: np.ndarray) -> list[tuple[str, ...]]:
        asked = numbers[places]
        return [
            (name, source, f"{runs[run]:09d}")
            for name, source, run in zip(table.names(asked), table.sources(asked), table.runs(asked), strict=True)
        ]

    return outside, ranks(sources, work.plan.config.priority), table.column("length", numbers), names


def _repeats(table: Table, numbers: np.ndarray, labels: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Later epochs of a document that an earlier run has: repeated on purpose, not its own duplicate."""
    identities, epochs = table.column("identity", numbers), table.column("epoch", numbers)
    known = set(zip(labels[outside].tolist(), identities[outside].tolist(), strict=True))
    return np.array(
        [
            not out and epoch > 1 and (label, name) in known
            for out, epoch, label, name in zip(
                outside.tolist(), epochs.tolist(), labels.tolist(), identities.tolist(), strict=True
            )
        ],
        bool,
    )


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
        yield name, np.asarray(store.load(folder, "kept")), np.asarray(store.load(folder, "size"))


def cluster_sizes(work: Work) -> tuple[np.ndarray, np.ndarray]:
    """(documents that stand for more than themselves, sorted; how many each stands for, itself included)."""
    found: dict[int, int] = {}
    for _, kept, size in _decisions(work, before=None):
        found.update(zip(kept.tolist(), size.tolist(), strict=True))
    numbers = np.array(sorted(found), np.uint64)
    return numbers, np.array([found[number] for number in numbers.tolist()], np.int64)


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
