"""A sample is what a run would read, keep and write of the same rows; what it cannot measure, it says."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from pipelines.compression import OutputConfig
from pipelines.estimate.files import look_into
from pipelines.estimate.sample import MOST_FILES, SourceSample, choose_files, sample_source
from pipelines.plan import Plan
from pipelines.reader_bytes import ReadFile
from pipelines.sources import FileInfo
from tests.data import MINI_HUB
from tests.pipelines.estimate.samples import entry, planned

STAGE = {"max_epochs": 1, "target_tokens": "1B"}


def rows_of(number: int, *, short_every: int = 3) -> list[dict[str, str]]:
    """Rows of which every third is too short for the profile `short`."""
    text = "A question of some length, and an answer that is longer than the question was. "
    return [{"id": str(i), "text": "." if i % short_every == 0 else f"{i} {text * (1 + i % 5)}"} for i in range(number)]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """JSON lines, compressed as the name says, or Parquet with a column that nobody needs."""
    if path.suffix == ".parquet":
        table = pa.Table.from_pylist([{**row, "embeddings": [float(len(row["text"]) + i) for i in range(64)]}
                                      for row in rows])  # fmt: skip
        pq.write_table(table, path)
        return
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    pack = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}.get(path.suffix, bytes)
    path.write_bytes(pack(data))


def read_file(path: Path) -> ReadFile:
    format_ = "parquet" if path.suffix == ".parquet" else "jsonl"
    return ReadFile(path=path.name, uri=str(path), size=path.stat().st_size, format=format_, peek=True)


def sampled(plan: Plan, folder: Path, *, rows: int = 1000, **options: Any) -> SourceSample:
    return sample_source(
        plan.sources[0], rows=rows, seed=0, output=OutputConfig().resolved(), work_dir=folder / "work", **options
    )


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.parquet"])
def test_files_say_how_many_rows_they_have(name: str, tmp_path: Path) -> None:
    """Rows for each byte of the file, exactly where a block or a footer has all of it, whatever the compression."""
    write_rows(tmp_path / name, rows_of(500))
    file = read_file(tmp_path / name)
    facts = look_into(file, ["text", "id"])
    assert file.size is not None
    assert facts.rows_per_byte is not None
    assert facts.rows_per_byte * file.size == pytest.approx(500)


def test_columns_that_nobody_needs_are_not_counted_as_fetched(tmp_path: Path) -> None:
    """FineWeb2-HQ's files are mostly embeddings, which no run reads."""
    write_rows(tmp_path / "a.parquet", rows_of(2000))
    file = read_file(tmp_path / "a.parquet")
    few, all_of_them = (look_into(file, columns).fetched_share for columns in (["text"], ["text", "id", "embeddings"]))
    assert 0 < few < all_of_them <= 1


def test_large_files_are_estimated_from_their_first_block(tmp_path: Path) -> None:
    """Of a file of many blocks only the first is read, and lines of the same kind are counted to within 2 %."""
    dice = random.Random(0)
    rows = [{"id": str(i), "text": " ".join(str(dice.random()) for _ in range(8))} for i in range(12_000)]
    for name in ("a.jsonl", "a.jsonl.gz"):
        write_rows(tmp_path / name, rows)
        file = read_file(tmp_path / name)
        assert file.size is not None
        assert file.size > 1 << 19
        assert look_into(file, []).rows_per_byte == pytest.approx(12_000 / file.size, rel=0.02)


def test_a_sample_of_everything_counts_what_a_run_counts(tmp_path: Path) -> None:
    """Rows, rejected rows, kept documents and their bytes: those of the reader, the filters and the writer."""
    rows = rows_of(90)
    write_rows(tmp_path / "a1.jsonl", rows[:60])
    (tmp_path / "a2.jsonl").write_text("not json\n" + "".join(json.dumps(row) + "\n" for row in rows[60:]))
    plan = planned(tmp_path, entry("a", 1.0, id_field="id", profile="short"), stage=STAGE)
    sample = sampled(plan, tmp_path, rows=1000)
    assert sample.problem is None
    assert (sample.rows, sum(file.rejected for file in sample.files), len(sample.documents)) == (91, 1, 90)
    assert sample.kept == sum(len(row["text"]) > 1 for row in rows)
    kept = sum(len(row["text"]) for row in rows if len(row["text"]) > 1)
    assert sum(document.kept_bytes for document in sample.documents) == kept
    assert sample.written_path is not None
    lines = gzip.decompress(Path(sample.written_path).read_bytes()).splitlines()
    assert (len(lines), Path(sample.written_path).stat().st_size) == (sample.kept, sample.written_bytes)
    assert all(document.work_seconds >= 0 and document.read_seconds >= 0 for document in sample.documents)


def test_no_more_rows_are_read_than_asked_for(tmp_path: Path) -> None:
    """The rows are spread over the files, and the same seed chooses the same ones."""
    for i in range(6):
        write_rows(tmp_path / f"a{i}.jsonl", rows_of(400))
    plan = planned(tmp_path, entry("a", 1.0, id_field="id", id_scope="file"), stage=STAGE)
    sample = sampled(plan, tmp_path, rows=600)
    assert (len(sample.files), sample.rows, len(sample.documents)) == (3, 600, 600)
    again = sampled(plan, tmp_path / "again", rows=600)
    assert [file.path for file in again.files] == [file.path for file in sample.files]


def test_files_are_chosen_by_size_and_seed_not_by_order() -> None:
    """Large files are likelier; the order of the listing does not matter; another seed chooses others."""
    files = tuple(FileInfo(path=f"{i}.jsonl", size=10 if i % 2 else 1000, identity="") for i in range(400))
    chosen = choose_files(files, MOST_FILES, 0)
    assert chosen == choose_files(files[::-1], MOST_FILES, 0)
    assert chosen != choose_files(files, MOST_FILES, 1)
    large = sum(file.size == 1000 for seed in range(50) for file in choose_files(files, 4, seed))
    assert large > 0.9 * 200


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "a.jsonl: its first rows are none; check `data_files` and `split`"),
        ('{"id": "1", "text": ""}\n' * 20, "none of the first 20 rows can be used; `smoltrove doctor` says why"),
    ],
    ids=["empty", "no text"],
)
def test_a_source_without_documents_says_why(content: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(content)
    plan = planned(tmp_path, entry("a", 1.0, available_tokens="1M"), stage=STAGE)
    sample = sampled(plan, tmp_path)
    assert (sample.problem, sample.documents) == (problem, ())


def test_a_file_that_cannot_be_read_is_a_problem_of_its_source(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(b"\x1f\x8bnot gzip at all")
    plan = planned(tmp_path, {**entry("a", 1.0, available_tokens="1M"), "path": "a.jsonl.gz"}, stage=STAGE)
    sample = sampled(plan, tmp_path)
    assert sample.problem is not None
    assert sample.problem.startswith("a.jsonl.gz: not gzip data")


def test_code_is_sampled_through_its_blobs() -> None:
    """A source whose rows name blobs is measured with its texts, and rows that nobody wants have their own price."""
    import tempfile

    from pipelines.config import load_config
    from pipelines.curriculum import profiles_of
    from pipelines.plan import make_plan
    from pipelines.sources import Catalogue
    from tests.data import ROOT

    config = load_config(ROOT / "configs" / "smollm3_weighted_config.yaml")
    plan = make_plan(config, profiles_of(config), catalogue=Catalogue(mirror=MINI_HUB), datasets="*ids/Python")
    with tempfile.TemporaryDirectory() as name:
        sample = sampled(plan, Path(name), mirror=MINI_HUB)
    assert sample.problem is None
    assert sample.lazy
    assert len(sample.documents) >= 5
    assert 0 < sample.index_seconds < sum(document.read_seconds for document in sample.documents)
    assert sample.blob_bytes == sample.wait_seconds == 0  # blobs of a mirror come from the disk
