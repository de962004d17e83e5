"""Near misses: pairs that `minhash` has not found to be duplicates, but nearly; `_run/near_misses.parquet`.

Candidates are the pairs of near_pairs.py, and with `min_similarity` those that share a bucket and were not similar
enough. Of all whose two documents are still there at the end, the `MOST` with the highest estimated similarity are
written: enough to see what a looser setting would remove. Gives up: near misses of `exact`, which has none, and of
`simhash`.

Columns: method, estimated_jaccard, and of each side (`left_`, `right_`) id, source, run ("" for this run), and file and
row in the run that holds it.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.dedup import minhash, store
from pipelines.dedup.check import is_wanted
from pipelines.dedup.decide import final_partners
from pipelines.dedup.documents import Table
from pipelines.dedup.near_pairs import PER_PART, drawn
from pipelines.dedup.work import CANARY_ROWS, Work

FILE = "near_misses.parquet"
ASKED = 20_000
MOST = 200


def write_near_misses(work: Work, path: Path) -> int:
    """Write the table, empty where `minhash` is no method of this deduplication; answers how many rows it has."""
    pairs, jaccard = np.empty((0, 2), np.uint64), np.empty(0)
    if minhash.NAME in work.methods:
        pairs = _candidates(work, removed=final_partners(work)[0])
        jaccard = minhash.similarity(work, pairs)
        best = np.argsort(-jaccard, kind="stable")[:MOST]
        pairs, jaccard = pairs[best], jaccard[best]
    table = Table(work)
    columns: dict[str, pa.Array] = {"method": pa.array([minhash.NAME] * len(pairs), pa.string())}
    for side, numbers in (("left", pairs[:, 0]), ("right", pairs[:, 1])):
        columns[f"{side}_id"] = pa.array(table.names(numbers), pa.string())
        columns[f"{side}_source"] = pa.array(table.sources(numbers), pa.string())
        columns[f"{side}_run"] = pa.array(table.runs(numbers), pa.string())
        places = table.rows(numbers)
        columns[f"{side}_file"] = pa.array([path for path, _ in places], pa.string())
        columns[f"{side}_row"] = pa.array([row for _, row in places], pa.int64())
    columns["estimated_jaccard"] = pa.array(np.round(jaccard, 4), pa.float64())
    scratch = path.with_name(f".{path.name}.new")
    pq.write_table(pa.table(columns), scratch, compression="zstd")
    scratch.replace(path)
    return len(pairs)


def _candidates(work: Work, removed: np.ndarray) -> np.ndarray:
    """At most `ASKED` pairs of documents that are both still there, one of them at least of this run."""
    found = [np.empty((0, 2), np.uint64)]
    for part in range(minhash.num_parts(work)):
        folder = work.folder(f"{minhash.NAME}.match", part)
        found.append(np.asarray(store.load(folder, "near")).reshape(-1, 2))
        if is_wanted(work.plan.config, minhash.NAME):
            edges = np.asarray(store.load(folder, "edges")).reshape(-1, 2)
            found.append(drawn(_there(work, edges, removed), PER_PART))
    pairs = np.unique(np.sort(_there(work, np.concatenate(found), removed), axis=1), axis=0)
    return drawn(pairs[~Table(work).is_outside(pairs.reshape(-1)).reshape(-1, 2).all(axis=1)], ASKED)


def _there(work: Work, pairs: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """The pairs of real documents that are both not removed."""
    gone = np.isin(pairs, removed) | (pairs >= (work.offsets[1:] - np.uint64(CANARY_ROWS))[work.file_of(pairs)])
    return pairs[~gone.any(axis=1)]
