"""The truth of the near-duplicate set: which pairs are alike, and how much.

Jaccard similarity of the sets of lower-cased word 5-grams, as the set's card measures it, of all pairs inside a
cluster and of the pairs across clusters that the card lists. Gives up: pairs across clusters that its search missed.
"""

import gzip
import json
import re
from collections import defaultdict
from itertools import combinations
from pathlib import Path
from typing import Any

THRESHOLD = 0.8


class Truth:
    """`pairs` at `THRESHOLD` or more, by place in the set; `near`: for each document those it is in a pair with."""

    def __init__(self, data: Path, rows: list[dict[str, Any]]) -> None:
        self._grams = [_n_grams(row["text"]) for row in rows]
        places = {row["id"]: i for i, row in enumerate(rows)}
        clusters = defaultdict(list)
        for i, row in enumerate(rows):
            clusters[row["cluster_id"]].append(i)
        asked = {pair for members in clusters.values() for pair in combinations(members, 2)}
        with gzip.open(data / "near-dups" / "truth" / "cross_cluster_pairs.jsonl.gz") as handle:
            for entry in map(json.loads, handle):
                a, b = sorted((places[entry["id_a"]], places[entry["id_b"]]))
                asked.add((a, b))
        self.pairs = sorted(pair for pair in asked if self.similarity(*pair) >= THRESHOLD)
        self.near: dict[int, list[int]] = defaultdict(list)
        for a, b in self.pairs:
            self.near[a].append(b)
            self.near[b].append(a)

    def similarity(self, a: int, b: int) -> float:
        """Jaccard similarity of two documents by place."""
        left, right = self._grams[a], self._grams[b]
        return len(left & right) / len(left | right)


def _n_grams(text: str) -> frozenset[int]:
    words = re.findall(r"\w+", text.lower())
    return frozenset(hash(tuple(words[i : i + 5])) for i in range(max(1, len(words) - 4)))


def f1(precision: float, recall: float) -> float:
    """Harmonic mean."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
