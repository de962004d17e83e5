"""Parts of a bucket: together they are all of it, equal values stay together, none is much larger than the others."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.dedup import minhash, simhash
from pipelines.dedup.config import DedupConfig
from pipelines.dedup.methods import method
from pipelines.dedup.ranges import Column, even_bounds, rows_of_part
from pipelines.dedup.store import totals
from tests.dedup.corpus import doc, make_run, match_all, scan_all, stages_by_hand
from tests.pipelines.corpus import passages


def column(values: np.ndarray) -> Column:
    return len(values), lambda places: values[places]


def parts(files: list[np.ndarray], splits: int) -> list[list[int]]:
    bounds = even_bounds([column(values) for values in files], splits)
    assert len(bounds) == splits - 1
    return [
        [
            int(value)
            for values in files
            for value in values[rows_of_part(len(values), lambda row, v=values: int(v[row]), bounds, split)]  # type: ignore[misc]
        ]
        for split in range(splits)
    ]


@given(
    st.lists(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 5), max_size=30), min_size=1, max_size=6),
    st.integers(2, 9),
)
@settings(max_examples=200, deadline=None)
def test_every_record_is_in_one_part_and_equal_ones_are_together(given_files: list[list[int]], splits: int) -> None:
    files = [np.sort(np.array(values, np.uint64)) for values in given_files]
    found = parts(files, splits)
    assert sorted(value for part in found for value in part) == sorted(value for file in given_files for value in file)
    where = [set(part) for part in found]
    for i, one in enumerate(where):
        assert all(not one & other for other in where[i + 1 :])


@pytest.mark.parametrize("num_files", [1, 40, 700])
def test_parts_are_about_equal_where_values_are_crowded_at_one_end(num_files: int) -> None:
    # The least of 500 even values, as of a document of 500 n-grams: half of them below 1/720 of the range.
    dice = np.random.default_rng(num_files)
    files = [np.sort((dice.beta(1, 500, 60_000 // num_files) * 2**61).astype(np.uint64)) for _ in range(num_files)]
    sizes = [len(part) for part in parts(files, 20)]
    assert max(sizes) < 1.3 * sum(sizes) / 20
    assert min(sizes) > 0.7 * sum(sizes) / 20


@pytest.mark.parametrize("name", ["minhash", "simhash"])
def test_no_part_of_real_documents_is_much_larger_than_it_should_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    texts = passages()[:1200]
    run = make_run(tmp_path / "run", {"local/web/en": [doc(str(i), text) for i, text in enumerate(texts)]}, tasks=3)
    config = DedupConfig(methods=["minhash"]) if name == "minhash" else DedupConfig(methods=["simhash"])
    work = stages_by_hand(run, tmp_path / "out", config)
    scan_all(work, name)
    module = minhash if name == "minhash" else simhash
    monkeypatch.setattr(module, "PART_RECORDS", 150)
    match_all(work, name)
    folders = [work.folder(f"{name}.match", part) for part in range(method(name).num_parts(work))]
    assert len(folders) >= 8 * {"minhash": 14, "simhash": 4}[name]
    assert max(totals(folder)["records"] for folder in folders) < 2 * 150
    assert sum(totals(folder)["records"] for folder in folders) == method(name).num_records(work)
