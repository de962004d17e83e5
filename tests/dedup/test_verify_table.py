"""The table of removals against everything else: what is wrong is said, and equal hashes accuse nobody."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

from pipelines import hashed_names, written_ids
from pipelines.dedup import columns, verify_both, verify_partners, verify_table
from pipelines.dedup.config import DedupConfig
from pipelines.dedup.run import run_dedup
from pipelines.dedup.verify import open_dedup, verify_dedup
from tests.dedup.corpus import doc, make_run
from tests.pipelines.corpus import passages

WEB, BOOKS = "local/web/en", "local/books/en"
Row = dict[str, Any]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deduplication whose removed documents have partners in the run, in one given with --against and in the cache.

    Of each source two tasks; `seen-*` are in the run of --against, `old-*` in the cache, `own-*` copies in the run.
    """
    folder, texts = tmp_path_factory.mktemp("verify"), passages()
    cache, config = folder / "cache", DedupConfig(methods=["exact"])
    earlier = make_run(folder / "earlier", {BOOKS: [doc(f"old-{i}", texts[i]) for i in range(10)]})
    run_dedup(earlier, config=config, output_folder=folder / "earlier_out", cache_dir=cache, workers=0)
    against = make_run(folder / "against", {BOOKS: [doc(f"seen-{i}", texts[i]) for i in range(10, 20)]})
    web = [doc(f"web-{i}", texts[i]) for i in range(40)] + [doc(f"web-again-{i}", texts[i]) for i in range(20, 25)]
    books = [doc(f"own-{i}", f"{texts[i]}\n") for i in range(25, 30)] + [doc(f"alone-{i}", texts[i]) for i in (50, 51)]
    run = make_run(folder / "run", {WEB: web, BOOKS: books}, tasks=2)
    run_dedup(run, config=config, output_folder=folder / "out", against=[against], cache_dir=cache, workers=0)
    return folder


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    """A copy of its output to spoil."""
    return Path(shutil.copytree(finished / "out", tmp_path / "out"))


def problems(out: Path) -> str:
    return "\n".join(verify_dedup(open_dedup(out)))


def rewrite(out: Path, change: Callable[[list[Row]], list[Row]]) -> None:
    path = out / "_run" / "duplicates.parquet"
    table = pq.read_table(path)
    pq.write_table(pa.Table.from_pylist(change(table.to_pylist()), schema=table.schema), path)


def first(rows: list[Row], run: str = "") -> Row:
    return next(row for row in rows if row["kept_run"].startswith(run) and bool(row["kept_run"]) == bool(run))


def with_change(run: str, **change: Any) -> Callable[[list[Row]], list[Row]]:
    """The first row whose partner is in such a run, changed."""

    def changed(rows: list[Row]) -> list[Row]:
        first(rows, run).update(change)
        return rows

    return changed


def test_a_sound_table_has_no_problem_whatever_the_batches(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pq.read_table(out / "_run" / "duplicates.parquet").to_pylist()
    assert {row["kept_run"].partition(":")[0] or "own" for row in rows} >= {"own", "cache"}
    assert any(row["kept_run"].startswith("/") for row in rows)
    for size in (1, 3):
        monkeypatch.setattr(columns, "BATCH", size)
        monkeypatch.setattr(written_ids, "_BATCH", size)
        monkeypatch.setattr(verify_partners, "_BATCH", size)
        assert problems(out) == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (with_change("", kept_id="nobody"), r"was removed for nobody (local/"),
        (with_change("", kept_id="nobody"), "which is not in the files"),
        (with_change("/", kept_id="nobody"), "which is not in /"),
        (with_change("cache:", kept_id="nobody"), "which is not in cache:"),
        (with_change("cache:", kept_source=WEB), "which is not in cache:"),
        (with_change("/", kept_run="/elsewhere"), "which is not in /elsewhere"),
        (with_change("cache:", kept_run="cache:../.."), "holds documents that stand for removed ones, and cannot be"),
        (with_change("", method="simhash"), "documents removed by simhash, the ledger 0"),
        (with_change("", removed_id="alone-50", removed_source=BOOKS), "alone-50: is in duplicates.parquet as removed"),
        (with_change("", removed_row=10**6), "row 1000000, which is no document of local/"),
        (with_change("", removed_row=-1), "row -1, which is no document of local/"),
        (with_change("", removed_file="../x"), "has it in ../x, row"),
        (with_change("", kept_row=10**6), "and the row named for it is no such document"),
        (with_change("/", kept_file=None), "and the row named for it is no such document"),
        (lambda rows: [*rows, rows[3]], "duplicates.parquet: 1 documents are removed twice"),
        (lambda rows: rows[1:], "the ledger"),
        (lambda rows: [{**rows[0], "removed_id": None}, *rows[1:]], "cannot be read (a cell is empty"),
    ],
)
def test_what_is_wrong_is_said(out: Path, change: Callable[[list[Row]], list[Row]], said: str) -> None:
    rewrite(out, change)
    assert said in problems(out)


def test_a_partner_that_stands_in_the_row_of_a_removed_document_is_noticed(out: Path) -> None:
    def exchange(rows: list[Row]) -> list[Row]:
        own = [row for row in rows if not row["kept_run"]]
        one = next(row for row in own for other in own if row["kept_source"] == other["removed_source"])
        other = next(row for row in own if row["removed_source"] == one["kept_source"])
        one["kept_file"], one["kept_row"] = other["removed_file"], other["removed_row"]
        return rows

    rewrite(out, exchange)
    assert "and the row named for it is of a removed document" in problems(out)


def test_sums_are_those_of_each_task(out: Path) -> None:
    """Law: a removal that is moved to the other task of its source is noticed, though the source's sum stays."""

    def move(rows: list[Row]) -> list[Row]:
        row = next(row for row in rows if row["removed_source"] == WEB and row["removed_file"].endswith("0.jsonl.gz"))
        row["removed_file"], row["removed_row"] = row["removed_file"].replace("00000.", "00001."), 20
        return rows

    rewrite(out, move)
    text = problems(out)
    assert "local/web/en task 0: duplicates.parquet has" in text
    assert "local/web/en task 1: duplicates.parquet has" in text
    assert "local/web/en: duplicates.parquet has" not in text


def test_a_table_of_an_earlier_version_is_verified_without_places(out: Path) -> None:
    path = out / "_run" / "duplicates.parquet"
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["removed_file", "removed_row", "kept_file", "kept_row"]), path)
    assert problems(out) == ""
    pq.write_table(table.drop_columns(["kept_id"]), path)
    assert "cannot be read (it has no column kept_id)" in problems(out)


def test_problems_of_one_kind_are_counted_beyond_the_first(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_partners, "MOST", 2)
    monkeypatch.setattr(verify_table, "MOST", 2)
    rewrite(out, lambda rows: [{**row, "kept_id": "nobody", "removed_row": -1} for row in rows])
    text = problems(out)
    number = pq.read_metadata(out / "_run" / "duplicates.parquet").num_rows
    own = text.count("which is not in the files")
    assert (own, text.count("which is no document of")) == (2, 2)
    assert f"{number - 2:,} more rows of duplicates.parquet name places that are not of the run" in text
    assert "more rows of duplicates.parquet have a partner that is not in its run" in text


def test_written_twice_is_noticed(finished: Path, tmp_path: Path) -> None:
    """Law: an id that stands in two files of a source is said, by its number."""
    texts = passages()
    run = make_run(tmp_path / "run", {WEB: [doc("same", texts[0]), doc("same", texts[1])]}, tasks=2)
    run_dedup(run, config=DedupConfig(methods=["exact"]), output_folder=tmp_path / "out", workers=0)
    assert problems(tmp_path / "out") == f"{WEB}: 1 ids occur more than once"


@pytest.fixture
def few_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes of three bits: nearly every document has one that another has as well."""
    real = xxhash.xxh3_64_intdigest

    def short(data: bytes | str) -> int:
        return real(data) & 7

    monkeypatch.setattr(xxhash, "xxh3_64_intdigest", short)


@pytest.mark.usefixtures("few_hashes")
def test_equal_hashes_accuse_nobody(out: Path) -> None:
    """Law: no problem is said of a sound deduplication even if all hashes collide; ids decide."""
    assert problems(out) == ""


@pytest.mark.usefixtures("few_hashes")
def test_what_is_wrong_among_equal_hashes_is_said(out: Path) -> None:
    """Law: among collisions the real ones are found, and counted right."""
    rewrite(out, lambda rows: [*rows, rows[3], {**rows[0], "removed_id": "alone-50", "removed_source": BOOKS}])
    text = problems(out)
    assert "duplicates.parquet: 1 documents are removed twice" in text
    assert text.count("in the files as well") == 1
    assert "alone-50: is in duplicates.parquet as removed and in the files as well" in text


def test_distinct_values_are_those_of_a_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashed_names, "_COMPACT", 50)
    dice = np.random.default_rng(0)
    parts = [dice.integers(0, 300, size, np.uint64) for size in (0, 40, 200, 1, 90)]
    distinct = hashed_names.Distinct()
    for part in parts:
        distinct.add(part)
    assert distinct.sorted().tolist() == sorted({value for part in parts for value in part.tolist()})
    assert hashed_names.is_in(distinct.sorted(), parts[2]).all()
    assert not hashed_names.is_in(distinct.sorted(), np.array([300, 2**64 - 1], np.uint64)).any()
    assert hashed_names.places_in(np.empty(0, np.uint64), parts[1]).tolist() == [-1] * 40


def test_rows_of_a_table_are_those_asked_for(tmp_path: Path) -> None:
    """Law: whatever row groups and batches, row n is row n."""
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"n": list(range(100))}), path, row_group_size=7)
    asked = [99, 0, 6, 7, 41, 42, 43, 41]
    for batch in (1, 3, 1000):
        found = list(columns.rows_at(path, asked, batch))
        assert found == [(n, {"n": n}) for n in sorted(set(asked))]
    assert list(columns.rows_at(path, [])) == []


def test_ids_given_twice_hide_no_document_that_is_removed_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: an id of two documents may go once and stay once, however many there are; one too many is still named."""
    monkeypatch.setattr(verify_both, "SUSPECTS", 2)
    texts = passages()
    docs = [doc(f"two-{i}", texts[i]) for i in range(6)] + [doc(f"two-{i}", texts[10 + i]) for i in range(6)]
    docs += [doc(f"copy-{i}", f"{texts[i]}  ") for i in range(6)] + [doc("alone", texts[30])]
    run = make_run(tmp_path / "run", {WEB: docs})
    run_dedup(run, config=DedupConfig(methods=["exact"]), output_folder=tmp_path / "out", workers=0)
    out = tmp_path / "out"
    removed = {row["removed_id"] for row in pq.read_table(out / "_run" / "duplicates.parquet").to_pylist()}
    assert {f"two-{i}" for i in range(6)} == removed
    assert problems(out) == ""
    rewrite(out, lambda rows: [*rows[:-1], {**rows[-1], "removed_id": "alone"}])
    assert problems(out) == f"{WEB}: alone: is in duplicates.parquet as removed and in the files as well"


def test_what_was_read_of_a_table_is_given_back(tmp_path: Path) -> None:
    """Law: reading on does not hold on to the row groups before; arrow's own count of its memory says so."""
    path, dice = tmp_path / "t.parquet", np.random.default_rng(0)
    with pq.ParquetWriter(path, pa.schema([("id", pa.string())])) as writer:
        for _ in range(20):
            writer.write_table(pa.table({"id": [dice.bytes(16).hex() for _ in range(10_000)]}))
    before = pa.total_allocated_bytes()
    held, seen = [], 0
    with pq.ParquetFile(path) as file:
        for batch in columns.batches(file, ["id"]):
            seen += batch.num_rows
            held.append(pa.total_allocated_bytes() - before)
    assert seen == 200_000
    assert max(held) < path.stat().st_size // 2, "four row groups of 20 would be a fifth"
