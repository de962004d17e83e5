"""`_run/near_misses.parquet`: pairs that `minhash` or `simhash` has not found to be duplicates, but nearly.

Candidates of `minhash` are the pairs of near_pairs.py, and with `min_similarity` those that share a bucket and were not
similar enough; those of `simhash` differ in a few bits too many. Of all whose two documents are still there at the end,
the `MOST` with the highest estimated similarity, or the fewest different bits, are written for each method: enough to
see what a looser setting would remove. Gives up: near misses of `exact`, which has none, and of `sentence`.

Columns: method, estimated_jaccard (none for simhash), different_bits (none for minhash), and of each side (`left_`,
`right_`) id, source, run ("" for this run), and file and row in the run that holds it.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.dedup import minhash, simhash, store
from pipelines.dedup.check import is_wanted
from pipelines.dedup.decide import final_partners
from pipelines.dedup.documents import Table
from pipelines.dedup.near_pairs import PER_PART, drawn
from pipelines.dedup.work import CANARY_ROWS, Work

FILE = "near_misses.parquet"
ASKED = 20_000
MOST = 200


def write_near_misses(work: Work, path: Path) -> int:
    """Write the table, empty where no method of this deduplication has any; answers how many rows it has."""
    removed = final_partners(work)[0]
    methods: list[str] = []
    pairs = [np.empty((0, 2), np.uint64)]
    jaccard: list[float | None] = []
    bits: list[int | None] = []
    if minhash.NAME in work.methods:
        found = _of_minhash(work, removed)
        estimated = minhash.similarity(work, found)
        best = np.argsort(-estimated, kind="stable")[:MOST]
        pairs.append(found[best])
        jaccard += np.round(estimated[best], 4).tolist()
        bits += [None] * len(best)
        methods += [minhash.NAME] * len(best)
    if simhash.NAME in work.methods:
        found, different = _of_simhash(work, removed)
        pairs.append(found)
        jaccard += [None] * len(found)
        bits += different.tolist()
        methods += [simhash.NAME] * len(found)
    table, numbers = Table(work), np.concatenate(pairs)
    columns: dict[str, pa.Array] = {"method": pa.array(methods, pa.string())}
    for side, of_side in (("left", numbers[:, 0]), ("right", numbers[:, 1])):
        columns[f"{side}_id"] = pa.array(table.names(of_side), pa.string())
        columns[f"{side}_source"] = pa.array(table.sources(of_side), pa.string())
        columns[f"{side}_run"] = pa.array(table.runs(of_side), pa.string())
        places = table.rows(of_side)
        columns[f"{side}_file"] = pa.array([path for path, _ in places], pa.string())
        columns[f"{side}_row"] = pa.array([row for _, row in places], pa.int64())
    columns["estimated_jaccard"] = pa.array(jaccard, pa.float64())
    columns["different_bits"] = pa.array(bits, pa.int64())
    scratch = path.with_name(f".{path.name}.new")
    pq.write_table(pa.table(columns), scratch, compression="zstd")
    scratch.replace(path)
    return len(numbers)


def _of_minhash(work: Work, removed: np.ndarray) -> np.ndarray:
    """At most `ASKED` pairs of documents that are both still there, one of them at least of this run."""
    found = [np.empty((0, 2), np.uint64)]
    for part in range(minhash.num_parts(work)):
        folder = work.folder(f"{minhash.NAME}.match", part)
        found.append(np.asarray(store.load(folder, "near")).reshape(-1, 2))
        if is_wanted(work.plan.config, minhash.NAME):
            edges = np.asarray(store.load(folder, "edges")).reshape(-1, 2)
            found.append(drawn(edges[_are_there(work, edges, removed)], PER_PART))
    pairs = np.concatenate(found)
    pairs = np.unique(np.sort(pairs[_are_there(work, pairs, removed)], axis=1), axis=0)
    return drawn(pairs[_are_ours(work, pairs)], ASKED)


def _of_simhash(work: Work, removed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the `MOST` nearest of such pairs, in how many bits each differs)."""
    found, bits = [np.empty((0, 2), np.uint64)], [np.empty(0, np.uint8)]
    for part in range(simhash.num_parts(work)):
        folder = work.folder(f"{simhash.NAME}.match", part)
        pairs = np.asarray(store.load(folder, "near")).reshape(-1, 2)
        there = _are_there(work, pairs, removed)
        found.append(pairs[there])
        bits.append(np.asarray(store.load(folder, "bits"))[there])
    # A pair that is equal in two bands is there twice.
    pairs, first = np.unique(np.sort(np.concatenate(found), axis=1), axis=0, return_index=True)
    different, ours = np.concatenate(bits)[first], _are_ours(work, pairs)
    pairs, different = pairs[ours], different[ours]
    best = np.argsort(different, kind="stable")[:MOST]
    return pairs[best], different[best]


def _are_there(work: Work, pairs: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """Which pairs are of real documents that are both not removed."""
    gone = np.isin(pairs, removed) | (pairs >= (work.offsets[1:] - np.uint64(CANARY_ROWS))[work.file_of(pairs)])
    return np.logical_not(gone.any(axis=1))


def _are_ours(work: Work, pairs: np.ndarray) -> np.ndarray:
    """Which pairs have a document of this run."""
    outside = Table(work).is_outside(pairs.reshape(-1)).reshape(-1, 2)
    return np.logical_not(outside.all(axis=1))
