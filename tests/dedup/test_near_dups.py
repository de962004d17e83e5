"""The near-duplicate set of the data pack, with its truth: what must be found, what must not be lost, how well."""

import gzip
import json
import re
from collections import defaultdict
from functools import lru_cache
from itertools import combinations
from pathlib import Path

import pytest

from pipelines.dedup.config import DedupConfig, MinhashConfig
from pipelines.dedup.run import run_dedup
from pipelines.dedup.verify import open_dedup, verify_dedup
from tests.data import shared_data
from tests.dedup.corpus import doc, duplicates_of, make_run, near_dups

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sources = defaultdict(list)
    for row in near_dups():
        sources[f"pack/near-dups/{row['source'].replace(' ', '-')}"].append(doc(row["id"], row["text"]))
    return make_run(tmp_path_factory.mktemp("near") / "run", sources, tasks=3)


@pytest.fixture(scope="module")
def survivor_of(run: Path) -> dict[str, str]:
    """For each removed document the one that stays."""
    run_dedup(run, config=DedupConfig(), output_folder=run.parent / "out", workers=2)
    assert verify_dedup(open_dedup(run.parent / "out")) == []
    return {row["removed_id"]: row["kept_id"] for row in duplicates_of(run.parent / "out")}


@lru_cache(maxsize=1)
def shingles() -> dict[str, frozenset[int]]:
    """Sets of lower-cased word 5-grams, as the set's card measures them."""
    found = {}
    for row in near_dups():
        words = re.findall(r"\w+", row["text"].lower())
        found[row["id"]] = frozenset(hash(tuple(words[i : i + 5])) for i in range(max(1, len(words) - 4)))
    return found


def jaccard(a: str, b: str) -> float:
    left, right = shingles()[a], shingles()[b]
    return len(left & right) / len(left | right)


@lru_cache(maxsize=1)
def alike() -> dict[tuple[str, str], float]:
    """The true similarity of every pair of one cluster, and of the pairs of different clusters that are alike."""
    clusters = defaultdict(list)
    for row in near_dups():
        clusters[row["cluster_id"]].append(row["id"])
    pairs = {pair for ids in clusters.values() for pair in combinations(sorted(ids), 2)}
    with gzip.open(shared_data("near-dups") / "truth" / "cross_cluster_pairs.jsonl.gz") as handle:
        for entry in map(json.loads, handle):
            pairs.add((min(entry["id_a"], entry["id_b"]), max(entry["id_a"], entry["id_b"])))
    return {pair: jaccard(*pair) for pair in pairs}


def nearest() -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for pair, similarity in alike().items():
        for name in pair:
            found[name] = max(found[name], similarity)
    return found


def test_every_exact_duplicate_goes(survivor_of: dict[str, str]) -> None:
    same = defaultdict(list)
    for row in near_dups():
        same[row["text_sha1"]].append(row["id"])
    groups = [ids for ids in same.values() if len(ids) > 1]
    assert sum(len(ids) - 1 for ids in groups) == 1919
    assert [ids for ids in groups if sum(name not in survivor_of for name in ids) > 1] == []


def test_no_document_without_a_likeness_is_lost(survivor_of: dict[str, str]) -> None:
    near = nearest()
    alone = [row["id"] for row in near_dups() if row["cluster_size"] == 1 and near[row["id"]] < 0.5]
    assert len(alone) > 400
    assert [name for name in alone if name in survivor_of] == []


def test_recall_and_precision_at_08(survivor_of: dict[str, str]) -> None:
    """As in docs/decisions.md: recall over pairs; precision over removed documents."""

    def root(name: str) -> str:
        return survivor_of.get(name, name)

    pairs = [pair for pair, similarity in alike().items() if similarity >= 0.8]
    together = sum(root(a) == root(b) for a, b in pairs)
    assert together / len(pairs) >= 0.998
    assert sum(a not in survivor_of and b not in survivor_of for a, b in pairs) <= 2, "both of a pair stay"
    near = nearest()
    assert sum(near[name] >= 0.8 for name in survivor_of) / len(survivor_of) >= 0.98
    assert sum(near[name] >= 0.5 for name in survivor_of) == len(survivor_of)


def test_estimated_jaccard_is_near_the_true_one(run: Path, survivor_of: dict[str, str]) -> None:
    rows = [row for row in duplicates_of(run.parent / "out") if row["method"] == "minhash"]
    errors = [abs(row["estimated_jaccard"] - jaccard(row["removed_id"], row["match_id"])) for row in rows]
    # The normalisation differs (numbers), and 112 hashes have a standard error of up to 0.047.
    assert sum(errors) / len(errors) < 0.03


CHECKED = DedupConfig(minhash=MinhashConfig(min_similarity=0.8))


@pytest.fixture(scope="module")
def checked(run: Path) -> dict[str, str]:
    """For each document that goes when pairs are checked, the one that stays."""
    run_dedup(run, config=CHECKED, output_folder=run.parent / "checked", workers=2)
    assert verify_dedup(open_dedup(run.parent / "checked")) == []
    return {row["removed_id"]: row["kept_id"] for row in duplicates_of(run.parent / "checked")}


def test_checked_pairs_reach_a_precision_of_099(checked: dict[str, str], survivor_of: dict[str, str]) -> None:
    """As in docs/decisions.md: precision is 0.99 or more, and hardly any two survivors are alike."""
    direct = [jaccard(removed, kept) >= 0.8 for removed, kept in checked.items()]
    assert sum(direct) / len(direct) >= 0.99
    # The rest is what the normalisation makes more alike, since numbers are one word: short pages, none below a half.
    assert min(jaccard(removed, kept) for removed, kept in checked.items()) >= 0.5
    clusters = defaultdict(list)
    for row in near_dups():
        clusters[checked.get(row["id"], row["id"])].append(row["id"])
    inside = [jaccard(a, b) >= 0.8 for ids in clusters.values() for a, b in combinations(ids, 2)]
    assert sum(inside) / len(inside) >= 0.99
    pairs = [pair for pair, similarity in alike().items() if similarity >= 0.8]
    both = [pair for pair in pairs if not set(pair) & set(checked)]
    assert len(both) / len(pairs) <= 0.001
    assert set(checked) < set(survivor_of), "the check keeps documents, and removes no other ones"


def test_every_exact_duplicate_goes_when_pairs_are_checked_too(checked: dict[str, str]) -> None:
    test_every_exact_duplicate_goes(checked)
    test_no_document_without_a_likeness_is_lost(checked)


@pytest.mark.parametrize("tasks", [1, 8])
def test_checked_survivors_are_the_same_for_any_tasks(tmp_path: Path, checked: dict[str, str], tasks: int) -> None:
    sources = defaultdict(list)
    for row in near_dups():
        sources[f"pack/near-dups/{row['source'].replace(' ', '-')}"].append(doc(row["id"], row["text"]))
    other = make_run(tmp_path / "run", sources, tasks=tasks)
    run_dedup(other, config=CHECKED, output_folder=tmp_path / "out", workers=0)
    assert {row["removed_id"]: row["kept_id"] for row in duplicates_of(tmp_path / "out")} == checked
