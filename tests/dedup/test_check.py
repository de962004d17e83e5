"""`min_similarity`: nobody goes for a document that is less similar, and no two that stay are more, for any tasks."""

import random
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from datatrove.utils.text import ngrams
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.dedup import check, minhash, store
from pipelines.dedup.canaries import CanaryError
from pipelines.dedup.check import leaders, shared
from pipelines.dedup.config import DedupConfig, MinhashConfig
from pipelines.dedup.decide import decide
from pipelines.dedup.run import run_dedup
from pipelines.dedup.survivors import best_first, survivors
from pipelines.dedup.verify import open_dedup, verify_dedup
from pipelines.dedup.work import Work
from tests.dedup.corpus import (
    Doc,
    doc,
    documents_of,
    duplicates_of,
    make_run,
    match_all,
    replace_folder,
    scan_all,
    stages_by_hand,
)
from tests.pipelines.corpus import passages

SOURCE = "local/drift/en"
PLACES = ("removed_file", "removed_row", "kept_file", "kept_row")


def config(min_similarity: float | None, **options: object) -> DedupConfig:
    minhash_config = MinhashConfig(min_similarity=min_similarity, num_buckets=40, hashes_per_bucket=3)
    return DedupConfig(methods=["minhash"], minhash=minhash_config, **options)  # type: ignore[arg-type]


def drifting() -> list[Doc]:
    """Three pages in twelve versions; each version has one sentence less at the front and one more at the end."""
    docs = []
    for page in range(3):
        text = passages()[page * 40 : page * 40 + 32]
        docs += [doc(f"{page}-{version:02d}", "\n".join(text[version : version + 20])) for version in range(12)]
    return docs


def similarity(a: str, b: str) -> float:
    stock = minhash.stock_config(MinhashConfig())
    left, right = (set(ngrams(minhash.words_of(text, "en", stock), 5)) for text in (a, b))
    return len(left & right) / len(left | right)


def dedup(run: Path, out: Path, min_similarity: float | None = 0.8, **options: object) -> dict[str, Doc]:
    run_dedup(run, config=config(min_similarity), output_folder=out, workers=0, **options)  # type: ignore[arg-type]
    assert verify_dedup(open_dedup(out)) == []
    return documents_of(out)


def test_a_chain_of_versions_keeps_one_for_each_that_is_too_different(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {SOURCE: drifting()}, tasks=3)
    texts = {item["id"]: item["text"] for item in documents_of(run).values()}
    chained = dedup(run, tmp_path / "chained", None)
    kept = dedup(run, tmp_path / "checked")
    assert len(chained) == 3, "without the check each page is one cluster"
    assert 3 < len(kept) < 36
    rows = duplicates_of(tmp_path / "checked")
    assert len(rows) + len(kept) == 36
    assert all(similarity(texts[row["removed_id"]], texts[row["kept_id"]]) >= 0.8 for row in rows)
    # The buckets find pairs from about 0.3 on here, so nothing at 0.8 is missed.
    alike = [pair for pair in combinations(kept.values(), 2) if similarity(*(item["text"] for item in pair)) >= 0.8]
    assert alike == []
    assert min(similarity(texts[row["removed_id"]], texts[row["kept_id"]])
               for row in duplicates_of(tmp_path / "chained")) < 0.8  # fmt: skip


@pytest.mark.parametrize("tasks", [3, 8])
def test_survivors_and_partners_do_not_depend_on_tasks_or_order(tmp_path: Path, tasks: int) -> None:
    docs = drifting()
    make_run(tmp_path / "one", {SOURCE: docs})
    make_run(tmp_path / "many", {SOURCE: random.Random(tasks).sample(docs, len(docs))}, tasks=tasks)
    one = dedup(tmp_path / "one", tmp_path / "one_out")
    many = dedup(tmp_path / "many", tmp_path / "many_out")
    assert set(one) == set(many)
    # But for where a document lies in its source, which is the plan's.
    one_rows, many_rows = (
        {tuple(v for k, v in row.items() if k not in PLACES) for row in duplicates_of(tmp_path / n)}
        for n in ("one_out", "many_out")
    )
    assert one_rows == many_rows


def test_documents_of_another_run_all_stay_and_repeats_of_theirs_too(tmp_path: Path) -> None:
    docs = drifting()
    first = make_run(tmp_path / "first", {SOURCE: docs[:12]})
    again = doc("0-05#epoch2", docs[5]["text"], epoch=2)
    second = make_run(tmp_path / "second", {SOURCE: [again, *(doc(f"copy-{d['id']}", d["text"]) for d in docs[:24])]})
    kept = dedup(second, tmp_path / "out", against=[first])
    assert f"{SOURCE} 0-05#epoch2" in kept
    assert not [name for name in kept if "copy-0" in name]
    assert [name for name in kept if "copy-1" in name]
    copies = [row for row in duplicates_of(tmp_path / "out") if row["removed_id"].startswith("copy-0")]
    assert {row["kept_run"] for row in copies} == {str(first)}


@pytest.fixture
def work(tmp_path: Path) -> Work:
    run = make_run(tmp_path / "run", {SOURCE: drifting()}, tasks=3)
    made = stages_by_hand(run, tmp_path / "out", config(0.8))
    scan_all(made, "minhash")
    match_all(made, "minhash")
    return made


def test_without_the_n_grams_nothing_is_decided(work: Work) -> None:
    check.scan_candidates(work, 0)
    check.scan_candidates(work, 1)
    with pytest.raises(store.WorkFileError, match="the stage before did not finish"):
        decide(work, "minhash")


def test_n_grams_of_another_document_are_noticed(work: Work) -> None:
    for index in range(3):
        check.scan_candidates(work, index)
    folder = work.folder(check.STAGE, 1)
    arrays = {name: np.asarray(store.load(folder, name)).copy() for name in ("row", "end", "shingles")}
    replace_folder(folder, {**arrays, "row": arrays["row"] + 1}, store.totals(folder))
    with pytest.raises((store.WorkFileError, CanaryError)):
        decide(work, "minhash")


@pytest.mark.parametrize(
    "parameters",
    [
        MinhashConfig(),
        MinhashConfig(precision=32, n_grams=2),
        MinhashConfig(hash="sha1", norm_numbers=False),
        MinhashConfig(hash="sha1", precision=32, keep_marks=False),
    ],
)
def test_n_grams_are_the_same_without_the_native_core(parameters: MinhashConfig) -> None:
    signer = minhash.Signer(minhash.stock_config(parameters))
    stock = minhash.Signer(minhash.stock_config(parameters))
    stock.fast = None
    for text in [*passages()[:40], "Le café du 3 mars était fermé, élève !", "a b c d e a b c d e", "too short"]:
        assert np.array_equal(check.shingles_of(text, "en", signer), check.shingles_of(text, "en", stock))


SETS = st.lists(st.sets(st.integers(0, 12), min_size=1), min_size=1, max_size=12)


@given(SETS, st.integers(0, 3), st.sampled_from([0.1, 0.5, 0.8, 1.0]), st.sampled_from([1, 20, 10**6]))
@settings(max_examples=300, deadline=None)
def test_leaders_are_similar_enough_and_do_not_go_themselves(
    given_sets: list[set[int]], num_fixed: int, least: float, block: int
) -> None:
    arrays = [np.array(sorted(one), np.uint64) for one in given_sets]
    fixed = np.arange(len(arrays)) < num_fixed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check, "BLOCK", block)
        chosen = leaders(np.arange(len(arrays)), fixed, arrays.__getitem__, least).tolist()

    def jaccard(i: int, j: int) -> float:
        return len(given_sets[i] & given_sets[j]) / len(given_sets[i] | given_sets[j])

    stay = [i for i, leader in enumerate(chosen) if leader == i]
    assert set(stay) >= set(np.flatnonzero(fixed).tolist())
    for i, leader in enumerate(chosen):
        assert leader in stay
        assert leader <= i
        assert leader == i or jaccard(i, leader) >= least
    for i, j in combinations(stay, 2):
        assert fixed[j] or jaccard(i, j) < least


@given(SETS, st.sets(st.integers(0, 12), min_size=1))
@settings(max_examples=100, deadline=None)
def test_shared_counts_what_sets_have_in_common(given_sets: list[set[int]], pivot: set[int]) -> None:
    arrays = [np.array(sorted(one), np.uint64) for one in given_sets]
    assert shared(np.array(sorted(pivot), np.uint64), arrays).tolist() == [len(pivot & one) for one in given_sets]


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.integers(0, 1), st.integers(0, 2)), max_size=20))
@settings(max_examples=200, deadline=None)
def test_the_best_document_is_the_one_that_would_survive(documents: list[tuple[int, bool, int, int]]) -> None:
    cluster, outside, rank, length = (np.array([d[i] for d in documents], np.int64) for i in range(4))
    given_columns = (outside.astype(bool), rank, length, lambda places: [(f"{i:03d}",) for i in places.tolist()])
    order = best_first(cluster, *given_columns)
    winners = survivors(cluster, *given_columns)
    assert sorted(order.tolist()) == list(range(len(documents)))
    seen: set[int] = set()
    for place in order.tolist():
        if (label := int(cluster[place])) not in seen:
            assert winners[place] == place
        seen.add(label)
    keys = [(cluster[i], not outside[i], rank[i], -length[i], i) for i in order.tolist()]
    assert keys == sorted(keys)
