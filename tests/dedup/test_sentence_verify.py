"""What must be noticed: cuts that are not in the table, texts that stay nowhere, work files lost or altered."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.dedup import sentence, sentence_rounds, sentence_sums, sentence_verify, store
from pipelines.dedup.canaries import CanaryError
from pipelines.dedup.config import DedupConfig
from pipelines.dedup.run import run_dedup
from pipelines.dedup.verify import open_dedup, verify_dedup
from pipelines.errors import SourceError
from pipelines.ledger import TaskRecord
from tests.dedup.corpus import doc, documents_of, duplicates_of, files_of, make_run
from tests.dedup.sentences import (
    BOOKS,
    WEB,
    config_of,
    cuts_of,
    dedup,
    text_of,
    totals,
    two_sources,
)


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A finished deduplication with cuts and removals."""
    sources = two_sources()
    sources[WEB].append(doc("gone", text_of([100, 101, 102, 103, 300, 380])))
    run = make_run(tmp_path / "run", sources, tasks=2)
    dedup(run, tmp_path / "out", config_of([BOOKS], min_num_sentences=3))
    assert any(row["removed"] for row in cuts_of(tmp_path / "out"))
    return tmp_path / "out"


def problems(out: Path) -> str:
    return "\n".join(verify_dedup(open_dedup(out)))


def rewrite(out: Path, change: object) -> None:
    path = out / "_run" / "sentence_cuts.parquet"
    table = pq.read_table(path)
    rows = change(table.to_pylist())  # type: ignore[operator]
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)


def test_verify_sees_a_cut_that_is_not_in_the_table(finished: Path) -> None:
    rewrite(finished, lambda rows: [row for row in rows if row["id"] != "w3"])
    text = problems(finished)
    assert "w3: the text that was written is not the text that was read without its pieces" in text
    assert "documents, the ledger" in text


def test_verify_sees_a_piece_whose_text_stays_nowhere(finished: Path) -> None:
    rewrite(finished, lambda rows: [{**row, "kept_id": "b5" if row["kept_id"] != "b5" else "b4"} for row in rows])
    assert "sentences were cut and do not stand in the document that they were cut for" in problems(finished)


def test_verify_sees_a_piece_that_is_another_text(finished: Path) -> None:
    rewrite(finished, lambda rows: [{**row, "text": row["text"] + "!"} for row in rows[:1]] + rows[1:])
    assert "is not the text that was read there" in problems(finished)


def test_verify_sees_a_removal_without_cause(finished: Path) -> None:
    def lessen(rows: list[dict[str, object]]) -> list[dict[str, object]]:
        return [row for row in rows if row["id"] != "gone"]

    rewrite(finished, lessen)
    assert "gone: was removed by sentence, and nothing is cut from it" in problems(finished)


def test_equal_hashes_accuse_nobody_of_a_removal_without_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: a document that another method has removed has no piece, and is not taken for one with the same hash."""
    sources = two_sources()
    sources[WEB] += [doc("gone", text_of([100, 101, 102, 103, 300, 380])), doc("again", sources[BOOKS][0]["text"])]
    config = config_of([BOOKS], min_num_sentences=3).model_copy(update={"methods": ["exact", "sentence"]})
    dedup(make_run(tmp_path / "run", sources, tasks=2), tmp_path / "out", config)
    assert {row["method"] for row in duplicates_of(tmp_path / "out")} == {"exact", "sentence"}
    monkeypatch.setattr(sentence_verify, "identity", lambda source, name: 7)
    assert problems(tmp_path / "out") == ""
    rewrite(tmp_path / "out", lambda rows: [row for row in rows if row["id"] != "gone"])
    text = problems(tmp_path / "out")
    assert "gone: was removed by sentence, and nothing is cut from it" in text
    assert "again" not in text


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 40)), st.lists(st.integers(0, 40)), st.integers(1, 50))
def test_sums_of_ranges_are_those_of_sets(cut: list[int], stays: list[int], buffered: int) -> None:
    """Law: what is lost, and of which rows, whatever goes to the files when."""
    cut_numbers, stay_numbers = (np.array(part, np.uint64) * np.uint64(0x9E3779B97F4A7C15) for part in (cut, stays))
    with pytest.MonkeyPatch.context() as patch, sentence_sums.SentenceSums() as sums:
        patch.setattr(sentence_sums, "_BUFFERED", buffered)
        for row, number in enumerate(cut_numbers):
            sums.cut(np.array([number, number]), row)
            sums.stays(stay_numbers[row : row + 1])
        sums.stays(stay_numbers[len(cut) :])
        lost = [row for row, value in enumerate(cut) if value not in stays]
        number, rows = sums.lost()
    assert (number, rows.tolist()) == (2 * len(lost), lost)


def test_verify_sees_a_removal_of_which_enough_is_left(finished: Path) -> None:
    path = finished / "_run" / "dedup.json"
    path.write_text(path.read_text().replace('"min_num_sentences":3', '"min_num_sentences":1'))
    assert "gone: was removed, and enough is left of it" in problems(finished)


def test_verify_sees_a_missing_or_damaged_table(finished: Path) -> None:
    path = finished / "_run" / "sentence_cuts.parquet"
    path.write_bytes(path.read_bytes()[:-7])
    assert "sentence_cuts.parquet: cannot be read" in problems(finished)
    path.unlink()
    assert "sentence_cuts.parquet: cannot be read" in problems(finished)


def test_a_method_that_finds_no_span_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter(np.random.default_rng(0).integers(0, 1 << 62, 10**4).tolist())
    monkeypatch.setattr(sentence, "windows", lambda sentences, config: [(next(numbers), 1, 0)])
    run = make_run(tmp_path / "run", two_sources(), tasks=2)
    with pytest.raises(CanaryError, match="0 of 4 canaries"):
        dedup(run, tmp_path / "out")


def test_a_method_that_finds_everything_alike_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentence, "windows", lambda sentences, config: [(7, 7, 0)])
    run = make_run(tmp_path / "run", two_sources(), tasks=2)
    with pytest.raises(CanaryError, match="taken for a canary"):
        dedup(run, tmp_path / "out")


@pytest.mark.parametrize("options", [{"n_sentences": 1}, {"n_sentences": 20}, {"split_sentences": False}])
def test_canaries_are_found_whatever_the_parameters_and_never_written(
    tmp_path: Path, options: dict[str, object]
) -> None:
    run = make_run(tmp_path / "run", two_sources(), tasks=3)
    dedup(run, tmp_path / "out", config_of(**options))
    assert set(documents_of(tmp_path / "out")) <= set(documents_of(run))


def test_a_stage_that_saw_fewer_windows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = store.commit

    def fewer(folder: Path, arrays: dict[str, np.ndarray], found: dict[str, int]) -> None:
        good(folder, arrays, {**found, "records": 3} if folder.parent.name == "sentence.match" else found)

    monkeypatch.setattr(store, "commit", fewer)
    run = make_run(tmp_path / "run", two_sources(), tasks=2)
    with pytest.raises(store.WorkFileError, match="the parts have seen 3 records"):
        dedup(run, tmp_path / "out")


def test_many_parts_are_as_good_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "run", two_sources(), tasks=3)
    dedup(run, tmp_path / "one")
    monkeypatch.setattr(sentence, "PART_RECORDS", 10)
    dedup(run, tmp_path / "many")
    assert files_of(tmp_path / "many") == files_of(tmp_path / "one")
    assert cuts_of(tmp_path / "many") == cuts_of(tmp_path / "one")


def test_an_altered_work_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = sentence_rounds.piece_file

    def alter(work: object, job: int) -> None:
        good(work, job)  # type: ignore[arg-type]
        path = work.folder("sentence.piece", job) / "end"  # type: ignore[attr-defined]
        if path.stat().st_size:
            ends = np.fromfile(path, np.uint64)
            (ends + np.uint64(1)).tofile(path)

    monkeypatch.setattr(sentence_rounds, "piece_file", alter)
    run = make_run(tmp_path / "run", two_sources())
    with pytest.raises(SourceError, match="is not what was written"):
        dedup(run, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*/*/*.gz"))


def test_the_ledger_of_other_methods_cuts_nothing(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", two_sources())
    result = run_dedup(run, config=DedupConfig(methods=["exact"]), output_folder=tmp_path / "out", workers=0)
    assert totals(result) == (0, 0, 0)
    assert TaskRecord.model_fields["cut_chars"].default == 0
    assert not (tmp_path / "out" / "_run" / "sentence_cuts.parquet").exists()
    assert "cut_sentences" not in next(iter(documents_of(tmp_path / "out").values()))["metadata"]
