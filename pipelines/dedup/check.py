"""`minhash.min_similarity`: what the buckets connect is compared n-gram by n-gram before anything is removed.

A bucket is a guess, and a cluster is a chain of guesses: the first and the last version of a page may have little in
common. Here the best document of a cluster (the order of survivors.py) takes those that are similar enough to itself,
the best of the rest takes its own, and so on (leader clustering: Hartigan, Clustering Algorithms, 1975, chapter 3). So
a removed document is at least that similar to the one that survives for it, and no two survivors of a cluster are.
The order depends on the documents alone, and so does the outcome.

Similarity is the Jaccard index of the sets of n-gram hashes, computed: an estimate from 112 hashes is off by 0.04 at
0.8, too much for a precision of 0.99 (docs/decisions.md). The price: files with candidates are read again, and until
the end there are 8 bytes on disk for each n-gram of a candidate. Gives up: clusters in which hardly any two documents
are similar and which are large; every survivor is compared with all that are left.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from datatrove.utils.hashing import create_hash_func
from datatrove.utils.text import ngrams

from filters.text import split_words
from pipelines.dedup import minhash, store
from pipelines.dedup.canaries import CanaryError, canary_texts
from pipelines.dedup.config import DedupConfig
from pipelines.dedup.documents import language_of, read_rows
from pipelines.dedup.work import CANARY_ROWS, Work

STAGE = "minhash.shingles"
# N-grams that are compared at a time: 32 MB, and twice that while they are looked up.
BLOCK = 4_000_000
Sets = Callable[[int], np.ndarray]


def is_wanted(config: DedupConfig, name: str) -> bool:
    """Whether the clusters of a method are checked."""
    return name == minhash.NAME and config.minhash.min_similarity is not None


def scan_candidates(work: Work, index: int) -> None:
    """The n-grams of one file's candidates and canaries: arrays `row`, `end` and `shingles` (sorted for each row)."""
    file = work.plan.files[index]
    signer = minhash.Signer(minhash.stock_config(work.plan.config.minhash))
    rows = _candidates(work, index)
    wanted = rows[rows < file.lines]
    sets: list[np.ndarray] = []
    if len(wanted):
        for _, document in read_rows(work, file, np.isin(np.arange(file.lines), wanted).tolist()):
            language = language_of(document, file)
            sets.append(shingles_of(document["text"], language, signer))
    for text in canary_texts(minhash.NAME, index, work.layout.fingerprint, work.plan.config):
        sets.append(shingles_of(text, None, signer))
    known = np.append(wanted.astype(np.uint32), np.arange(CANARY_ROWS, dtype=np.uint32) + file.lines)
    store.commit(
        work.folder(STAGE, index),
        {
            "row": known.astype(np.uint32),
            "end": np.cumsum([len(one) for one in sets], dtype=np.uint64),
            "shingles": np.concatenate(sets),
        },
        {"documents": len(wanted)},
    )


def shingles_of(text: str, language: str | None, signer: minhash.Signer) -> np.ndarray:
    """The different hashes (uint64) of the n-grams that `minhash` signs, sorted. Raises UnsplittableText."""
    if signer.fast is not None:
        return signer.fast.grams(text, minhash.splitter_of(language), split_words)
    hash_of = create_hash_func(signer.config.hash_config)
    grams = ngrams(minhash.words_of(text, language, signer.config), signer.config.n_grams)
    return np.unique(np.fromiter((hash_of(" ".join(gram)) for gram in grams), np.uint64))


def _candidates(work: Work, index: int) -> np.ndarray:
    """Rows of a file that share a bucket with another document, sorted."""
    first, end = work.offsets[index], work.offsets[index + 1]
    found = [np.empty(0, np.uint64)]
    for part in range(minhash.num_parts(work)):
        members = store.load(work.folder(f"{minhash.NAME}.match", part), "members")
        low, high = np.searchsorted(members, [first, end])
        found.append(np.asarray(members[low:high]) - first)
    return np.unique(np.concatenate(found)).astype(np.int64)


class Shingles:
    """The n-grams of candidates by document number, mapped from disk. Raises WorkFileError for one that is missing."""

    def __init__(self, work: Work) -> None:
        self._work = work
        # A process may have 65,530 mappings (Linux: vm.max_map_count), and a file takes three.
        self._file = lru_cache(maxsize=4096)(self._mapped)

    def _mapped(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        folder = self._work.folder(STAGE, index)
        row, end, shingles = (np.asarray(store.load(folder, name)) for name in ("row", "end", "shingles"))
        return row, end, shingles

    def __call__(self, number: int) -> np.ndarray:
        index = int(self._work.file_of(np.array([number], np.uint64))[0])
        row, end, shingles = self._file(index)
        wanted = number - int(self._work.offsets[index])
        place = int(np.searchsorted(row, wanted))
        if place == len(row) or int(row[place]) != wanted:
            folder = self._work.folder(STAGE, index)
            raise store.WorkFileError(f"{folder}: lacks row {wanted:,}; remove {folder.parent} and run again")
        return shingles[int(end[place - 1]) if place else 0 : int(end[place])]


def check_canaries(work: Work, sets: Sets) -> None:
    """The known duplicates of all files have the same n-grams, and the decoys others; CanaryError if not."""
    ends = work.offsets[1:].tolist()
    first = sets(ends[0] - CANARY_ROWS)
    for end in ends:
        if not np.array_equal(sets(end - CANARY_ROWS), first) or np.isin(sets(end - 1), first).any():
            raise CanaryError(f"{minhash.NAME}: n-grams of known duplicates differ, or those of others do not")


def shared(pivot: np.ndarray, others: list[np.ndarray]) -> np.ndarray:
    """How many elements each of `others` has in common with `pivot`; all are sorted, without repeats, not empty."""
    counts = np.empty(len(others), np.int64)
    start = 0
    while start < len(others):
        end, size = start + 1, len(others[start])
        while end < len(others) and size + len(others[end]) <= BLOCK:
            size += len(others[end])
            end += 1
        flat = np.concatenate(others[start:end])
        places = np.minimum(np.searchsorted(pivot, flat), len(pivot) - 1)
        firsts = np.cumsum([0, *map(len, others[start : end - 1])])
        counts[start:end] = np.add.reduceat((pivot[places] == flat).astype(np.int64), firsts)
        start = end
    return counts


def leaders(numbers: np.ndarray, fixed: np.ndarray, sets: Sets, min_similarity: float) -> np.ndarray:
    """For each document of one cluster, best first, the place of the document that it goes for; its own if it stays.

    `fixed` documents (first, where there are any) always stay.
    """
    answer = np.arange(len(numbers))
    left = answer.copy()
    grams = [sets(number) for number in numbers.tolist()]
    sizes = np.array([len(one) for one in grams])
    while len(left) > 1:
        pivot, left = int(left[0]), left[1:]
        smaller, larger = np.minimum(sizes[left], sizes[pivot]), np.maximum(sizes[left], sizes[pivot])
        # No set can have more in common with another than its own size (Bayardo et al. 2007).
        possible = ~fixed[left] & (smaller / larger >= min_similarity)
        asked = left[possible]
        if not len(asked):
            continue
        common = shared(grams[pivot], [grams[place] for place in asked])
        similar = common / (sizes[asked] + sizes[pivot] - common) >= min_similarity
        answer[asked[similar]] = pivot
        left = left[~np.isin(left, asked[similar], assume_unique=True)]
    return answer


def split(work: Work, numbers: np.ndarray, labels: np.ndarray, outside: np.ndarray, order: np.ndarray) -> np.ndarray:
    """New clusters: for each document the number of the one that it goes for. `order`: best first in each cluster."""
    sets = Shingles(work)
    check_canaries(work, sets)
    min_similarity = work.plan.config.minhash.min_similarity
    assert min_similarity is not None
    found = labels.copy()
    ends = np.flatnonzero(labels[order][1:] != labels[order][:-1]) + 1
    for places in np.split(order, ends) if len(order) else ():
        members = numbers[places]
        found[places] = members[leaders(members, outside[places], sets, min_similarity)]
    return found
