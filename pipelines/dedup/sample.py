"""The true similarity of a sample of removed pairs, and of near misses: what `--explain` adds to a complete run.

Jaccard similarity of the word n-grams that `minhash` compares, computed and not estimated. A removed document is
compared with the one that survives for it. Files are read up to the last row that is wanted, others not at all.
Gives up: survivors that only the cache knows, whose texts are elsewhere; tables that do not say where texts stand.
"""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from datatrove.utils.text import ngrams

from filters.text import UnsplittableText
from pipelines.dedup import minhash
from pipelines.dedup.columns import rows_at
from pipelines.dedup.documents import language_of, read_rows
from pipelines.dedup.inputs import KIND, read_json
from pipelines.dedup.near_misses import FILE as NEAR_MISSES
from pipelines.dedup.report import FILE
from pipelines.dedup.verify import open_dedup
from pipelines.dedup.work import Work
from pipelines.run_layout import RUN_DIR

PAIRS = 200
Place = tuple[str, str, int]  # run ("" for this one), file in it, row
Text = tuple[Place, str]  # where a document stands, and the id that it must have there


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
    rows = [row for _, row in drawn if row.get("kept_file") is not None]
    # At most 200 rows for each of two methods (near_misses.py).
    near = pq.read_table(run_dir / NEAR_MISSES).to_pylist() if (run_dir / NEAR_MISSES).is_file() else []
    near = [row for row in near if "left_file" in row]
    asked = [(_text({**row, "removed_run": ""}, "removed"), _text(row, "kept")) for row in rows]
    asked += [(_text(row, "left"), _text(row, "right")) for row in near]
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


def _text(row: dict[str, Any], side: str) -> Text:
    return (row[f"{side}_run"], row[f"{side}_file"], row[f"{side}_row"]), row[f"{side}_id"]


def true_similarities(work: Work, pairs: Sequence[tuple[Text, Text]]) -> list[float | None]:
    """Jaccard similarity of each pair; None where a text is not there, has no n-gram or cannot be split."""
    config = minhash.stock_config(work.plan.config.minhash)
    wanted: dict[tuple[str, str], dict[int, str]] = {}
    for (run, path, row), name in chain.from_iterable(pairs):
        wanted.setdefault((run, path), {})[row] = name
    grams: dict[Place, frozenset[tuple[str, ...]] | None] = {}
    for file in work.plan.files:
        held_by = work.plan.runs[file.run]
        run = held_by.path if held_by.against else ""
        names = wanted.get((run, file.path), {})
        last = max(names, default=-1)
        # What comes behind the last one is not read: reading half of all files of a large run would take hours.
        for row, document in read_rows(work, file, (row in names for row in range(last + 1))) if names else ():
            if document["id"] == names[row]:
                grams[run, file.path, row] = _grams(document["text"], language_of(document, file), config)
            if row == last:
                break
    return [jaccard(grams.get(left), grams.get(right)) for (left, _), (right, _) in pairs]


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
