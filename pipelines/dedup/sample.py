"""The true similarity of a sample of removed pairs, and of near misses: what `--explain` adds to a complete run.

Jaccard similarity of the word n-grams that `minhash` compares, computed and not estimated. A removed document is
compared with the one that survives for it. Reads the files of the run again.
Gives up: survivors that only the cache knows, whose texts are elsewhere.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from datatrove.utils.text import ngrams

from filters.text import UnsplittableText
from pipelines.dedup import minhash
from pipelines.dedup.columns import rows_at
from pipelines.dedup.documents import language_of, read_documents
from pipelines.dedup.inputs import KIND, read_json
from pipelines.dedup.near_misses import FILE as NEAR_MISSES
from pipelines.dedup.report import FILE
from pipelines.dedup.verify import open_dedup
from pipelines.dedup.work import Work
from pipelines.run_layout import RUN_DIR

PAIRS = 200
Key = tuple[str, str, str]  # run ("" for this one), source, id


def is_complete(output_folder: Path) -> bool:
    """Whether a folder holds a complete deduplication."""
    manifest = read_json(output_folder / RUN_DIR / "manifest.json") or {}
    return manifest.get("kind") == KIND and manifest.get("state") == "complete"


def similarities(output_folder: Path, pairs: int = PAIRS) -> tuple[dict[str, list[float]], list[dict[str, Any]]]:
    """(true similarities of removed pairs by method; near misses, each with its `jaccard`, most similar first).

    Removals are taken at even distances, at most about `pairs` of them. Empty where nothing is complete.
    """
    if not is_complete(output_folder):
        return {}, []
    run_dir = output_folder / RUN_DIR
    number = pq.read_metadata(run_dir / FILE).num_rows
    drawn = rows_at(run_dir / FILE, range(0, number, max(1, number // pairs)))
    rows = [row for _, row in drawn if not row["kept_run"].startswith("cache:")]
    # At most 200 rows (near_misses.py).
    near = pq.read_table(run_dir / NEAR_MISSES).to_pylist() if (run_dir / NEAR_MISSES).is_file() else []
    asked = [(("", row["removed_source"], row["removed_id"]), _key(row, "kept")) for row in rows]
    asked += [(_key(row, "left"), _key(row, "right")) for row in near]
    found = true_similarities(open_dedup(output_folder), asked)
    removed: dict[str, list[float]] = {}
    for row, value in zip(rows, found[: len(rows)], strict=True):
        if value is not None:
            removed.setdefault(row["method"], []).append(value)
    misses = [
        {**row, "jaccard": round(value, 4)}
        for row, value in zip(near, found[len(rows) :], strict=True)
        if value is not None
    ]
    return removed, sorted(misses, key=lambda row: -row["jaccard"])


def _key(row: dict[str, Any], side: str) -> Key:
    return row[f"{side}_run"], row[f"{side}_source"], row[f"{side}_id"]


def true_similarities(work: Work, pairs: Iterable[tuple[Key, Key]]) -> list[float | None]:
    """Jaccard similarity of each pair; None where a text is not there, has no n-gram or cannot be split."""
    pairs = list(pairs)
    config = minhash.stock_config(work.plan.config.minhash)
    grams: dict[Key, frozenset[tuple[str, ...]] | None] = {key: None for pair in pairs for key in pair}
    places = {key[:2] for key in grams}
    for file in work.plan.files:
        run = work.plan.runs[file.run]
        where = run.path if run.against else ""
        if (where, file.source) not in places:
            continue
        for document in read_documents(work, file):
            key = (where, file.source, document["id"])
            if key in grams:
                language = language_of(document, file)
                grams[key] = _grams(document["text"], language, config)
    return [jaccard(grams[left], grams[right]) for left, right in pairs]


def _grams(text: str, language: str | None, config: Any) -> frozenset[tuple[str, ...]] | None:
    try:
        return frozenset(ngrams(minhash.words_of(text, language, config), config.n_grams))
    except UnsplittableText:
        return None


def jaccard(left: frozenset[Any] | None, right: frozenset[Any] | None) -> float | None:
    """Size of the intersection over that of the union; None where a set is missing or empty."""
    return len(left & right) / len(left | right) if left and right else None


def tenths(values: list[float]) -> list[int]:
    """How many values lie in each tenth, from 0.0 to 1.0; 1.0 itself in the last."""
    counts = [0] * 10
    for value in values:
        counts[min(9, int(value * 10))] += 1
    return counts
