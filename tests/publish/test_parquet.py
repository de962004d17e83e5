"""Documents survive Parquet, whatever metadata they have; the same documents are the same bytes each time."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import SourceError
from pipelines.publish import parquet

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
KEYS = TEXT | st.sampled_from(
    ["source", "language", "language_score", "epoch", "cluster_size", "metadata", "text", "id"]
)
DOCUMENTS = st.lists(
    st.fixed_dictionaries({"text": TEXT, "id": TEXT, "metadata": st.dictionaries(KEYS, VALUES, max_size=6)}), max_size=8
)


def same(left: Any, right: Any) -> bool:
    """Equal in value and type: 1, 1.0 and True are three things."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


@given(DOCUMENTS)
@settings(max_examples=60, deadline=None)
def test_any_metadata_comes_back_with_its_types(documents: list[dict[str, Any]]) -> None:
    """Also where a field has the name of a column and another type than it."""
    table = parquet.table_of(documents)
    assert table.schema.equals(parquet.SCHEMA)
    found = [parquet.document_of(row) for row in table.to_pylist()]
    assert [list(document) for document in found] == [["text", "id", "metadata"]] * len(documents)
    assert same(found, [{key: document[key] for key in ("text", "id", "metadata")} for document in documents])


def test_columns_repeat_the_metadata_where_its_type_is_theirs() -> None:
    rows = parquet.table_of(
        [
            {
                "id": "1",
                "text": "a",
                "metadata": {"source": "x/y/z", "language": "vi", "language_score": 0.5, "epoch": 2},
            },
            {"id": "2", "text": "b", "metadata": {"language": ["vi"], "language_score": 1, "epoch": True}},
            {"id": "3", "text": "c", "metadata": {"cluster_size": 2**63, "epoch": -(2**63)}},
        ]
    ).to_pylist()
    shown = [(row["source"], row["language"], row["language_score"], row["epoch"], row["cluster_size"]) for row in rows]
    assert shown == [("x/y/z", "vi", 0.5, 2, None), (None,) * 5, (None, None, None, -(2**63), None)]


def documents(number: int, length: int) -> list[dict[str, Any]]:
    return [{"id": str(i), "text": f"{i} " + "ă" * length, "metadata": {"n": i}} for i in range(number)]


def test_row_groups_close_with_the_document_that_fills_them(tmp_path: Path) -> None:
    """Counted in bytes of UTF-8; one document larger than a group is a group."""
    sizes = [t.num_rows for t in parquet.row_groups(documents(10, 500), max_bytes=3_000)]
    assert sizes == [3, 3, 3, 1]
    assert [t.num_rows for t in parquet.row_groups(documents(2, 500), max_bytes=10)] == [1, 1]
    assert list(parquet.row_groups([])) == []


def test_the_same_documents_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        parquet.write_parquet(tmp_path / name, documents(200, 300))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def digest(*tables: pa.Table) -> str:
    found = parquet.Digest()
    for table in tables:
        found.add(table)
    return found.value


def test_a_digest_is_of_the_values_and_not_of_their_chunks() -> None:
    """Chunks and offsets change nothing; a moved border between two texts, a null, a digit and an order do."""
    rows = documents(20, 5)
    whole = parquet.table_of(rows)
    chunked = pa.concat_tables([parquet.table_of(rows[:7]), whole.slice(7, 6), parquet.table_of(rows)[13:]])
    assert digest(chunked) == digest(whole)
    changed = [
        [
            {**rows[0], "text": rows[0]["text"][:-1]},
            {**rows[1], "text": rows[0]["text"][-1] + rows[1]["text"]},
            *rows[2:],
        ],
        [{**rows[0], "metadata": {"n": 0, "epoch": 0}}, *rows[1:]],
        [{**rows[0], "metadata": {"n": 0, "language": ""}}, *rows[1:]],
        [rows[1], rows[0], *rows[2:]],
        rows[:-1],
    ]
    found = [digest(parquet.table_of(other)) for other in changed]
    assert len({digest(whole), *found}) == len(changed) + 1
    assert digest(parquet.table_of([])) == digest(parquet.table_of([]))


def test_the_settings_are_in_the_file(tmp_path: Path) -> None:
    parquet.write_parquet(tmp_path / "a", documents(20, 30))
    column = pq.ParquetFile(tmp_path / "a").metadata.row_group(0).column(1)
    assert (column.path_in_schema, column.compression) == ("text", "ZSTD")
    assert column.has_offset_index


def test_a_file_that_reads_back_differently_is_refused_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a fault of memory, disk or library: one document less than was written."""
    real = parquet.read_digest

    def short(path: Path) -> parquet.Digest:
        parquet_file = tmp_path / "shorter"
        pq.write_table(pq.read_table(path).slice(1), parquet_file)
        return real(parquet_file)

    monkeypatch.setattr(parquet, "read_digest", short)
    with pytest.raises(SourceError, match="is not what was written"):
        parquet.write_parquet(tmp_path / "a", documents(5, 10))
    assert not (tmp_path / "a").exists()
