"""SimHash: the package's fingerprints, an index that misses no pair, and short texts that differ in a letter."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st
from simhash import Simhash

from pipelines.dedup.clusters import clusters
from pipelines.dedup.config import DedupConfig, SimhashConfig
from pipelines.dedup.explain import explain_text, explanation
from pipelines.dedup.run import run_dedup
from pipelines.dedup.simhash import MissedPairs, _Wide, band_keys, distance, fingerprint, near_pairs
from pipelines.dedup.verify import open_dedup, verify_dedup
from tests.dedup.corpus import doc, documents_of, duplicates_of, make_run
from tests.pipelines.corpus import passages


def test_distance_is_the_number_of_different_bits() -> None:
    values = np.random.default_rng(0).integers(0, 1 << 63, (2, 500), np.uint64)
    expected = [Simhash(int(a)).distance(Simhash(int(b))) for a, b in values.T]
    assert distance(values[0], values[1]).tolist() == expected


def test_a_text_that_repeats_one_piece_has_a_fingerprint() -> None:
    # The package with numpy 2: "Python integer 295 out of bounds for uint8" where a piece stands so often.
    once, often = fingerprint("-----abcd----"), fingerprint("abcd " + "x" * 400)
    assert once == fingerprint("abcd")
    assert often == fingerprint("x" * 1000), "the piece that stands 397 times outweighs the others"
    text = "one two three " + "x" * 200
    assert _Wide(text).value == Simhash(text).value


def test_an_empty_part_has_no_pair() -> None:
    empty = np.empty(0, np.uint64)
    missed = MissedPairs(SimhashConfig())
    assert near_pairs(empty, empty, 0, SimhashConfig(), missed).shape == (0, 2)
    assert [array.shape for array in missed.nearest()] == [(0, 2), (0,)]


@given(
    st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(0, 5), st.sets(st.integers(0, 63), max_size=5)), max_size=20),
    st.integers(0, 10),
)
@settings(max_examples=200, deadline=None)
def test_the_bands_miss_no_pair_and_invent_none(
    seeds: list[int], changes: list[tuple[int, set[int]]], most: int
) -> None:
    values = [*seeds, *(seeds[i % len(seeds)] ^ sum(1 << bit for bit in bits) for i, bits in changes)]
    config = SimhashConfig(max_distance=most)
    array, numbers = np.array(values, np.uint64), np.arange(len(values), dtype=np.uint64)
    missed = MissedPairs(config)
    found, roots = clusters(near_pairs(array, numbers, band, config, missed) for band in range(most + 1))
    label = dict(zip(found.tolist(), roots.tolist(), strict=True))
    near = [
        (i, j)
        for i in range(len(values))
        for j in range(i + 1, len(values))
        if (values[i] ^ values[j]).bit_count() <= most
    ]
    expected, expected_roots = clusters([np.array(near, np.uint64).reshape(-1, 2)])
    assert label == dict(zip(expected.tolist(), expected_roots.tolist(), strict=True))
    almost, bits = missed.nearest()
    for (i, j), different in zip(almost.tolist(), bits.tolist(), strict=True):
        assert most < (values[i] ^ values[j]).bit_count() == different <= min(2 * most, most + 3)
    assert sorted(bits.tolist()) == bits.tolist()
    # Copies are joined before pairs are looked at: fingerprints say which pairs there must be.
    shares = {
        frozenset((a, b))
        for a in values
        for b in values
        if most < (a ^ b).bit_count() <= min(2 * most, most + 3)
        and any(band_keys(np.array([a ^ b], np.uint64), band, config)[0] == 0 for band in range(most + 1))
    }
    assert {frozenset((values[i], values[j])) for i, j in almost.tolist()} == shares


def test_short_texts_that_differ_in_little_go(tmp_path: Path) -> None:
    texts = [text[:300] for text in passages()[:60]]
    changed = [text[:150] + text[150:].replace("the", "teh", 1) for text in texts]
    docs = [doc(f"a{i:02d}", text) for i, text in enumerate(texts)]
    docs += [doc(f"b{i:02d}", text) for i, text in enumerate(changed)]
    docs += [doc("long", " ".join(passages()[60:80])), doc("tiny", "!!!"), doc("tiny-too", "???")]
    run = make_run(tmp_path / "run", {"local/x/y": docs}, tasks=3)
    config = DedupConfig(methods=["exact", "simhash"])
    result = run_dedup(run, config=config, output_folder=tmp_path / "out", workers=0)
    assert verify_dedup(open_dedup(tmp_path / "out")) == []
    assert result.skipped["simhash"] == {"short": 2, "long": 1}
    rows = [row for row in duplicates_of(tmp_path / "out") if row["method"] == "simhash"]
    assert len(rows) > 10
    assert {(row["kept_id"][1:], row["estimated_jaccard"]) for row in rows} == {
        (row["removed_id"][1:], None) for row in rows
    }
    near = {i for i in range(60) if (fingerprint(texts[i]) ^ fingerprint(changed[i])).bit_count() <= 3}
    left = {name.split()[-1] for name in documents_of(tmp_path / "out")}
    assert {i for i in range(60) if not {f"a{i:02d}", f"b{i:02d}"} <= left} == near
    assert {"long", "tiny", "tiny-too"} <= left
    # Near misses: both still there, a few bits too far apart, the nearest first.
    missed = pq.read_table(tmp_path / "out" / "_run" / "near_misses.parquet").to_pylist()
    by_name = {document["id"]: document["text"] for document in docs}
    bits = [row["different_bits"] for row in missed]
    assert len(missed) > 3
    assert bits == sorted(bits)
    for row in missed:
        names = row["left_id"], row["right_id"]
        assert set(names) <= left
        assert (
            3 < (fingerprint(by_name[names[0]]) ^ fingerprint(by_name[names[1]])).bit_count() == row["different_bits"]
        )
        assert row["estimated_jaccard"] is None
    data = explanation(run, config=config, against=[], output_folder=tmp_path / "out")
    assert sum(data["near_misses_by_tenths"]["simhash"]) == len(missed)
    assert f"{bits[0]} bits differ" in explain_text(data)
