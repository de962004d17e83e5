"""A file is read once for the index and the first method: what is committed is what two readings commit."""

import shutil
from pathlib import Path

import pytest

from pipelines.dedup import documents, store
from pipelines.dedup.config import DedupConfig
from pipelines.dedup.documents import index_file, read_documents, read_rows
from pipelines.dedup.methods import METHODS, method
from pipelines.dedup.work import CANARY_ROWS, Work
from pipelines.errors import SourceError
from tests.dedup.corpus import doc, make_run, stages_by_hand
from tests.pipelines.corpus import passages


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def run_of(tmp_path: Path) -> Path:
    docs = []
    for i, text in enumerate([*passages()[:12], "too short", "", passages()[0]]):
        docs.append(doc(f"d{i}", text))
        # The second has its own text, so it is a document of its own.
        docs += [doc(f"d{i}#epoch2", text, epoch=2), doc(f"d{i}#epoch3", f"{text} more", epoch=3)][: i % 3]
    return make_run(tmp_path / "run", {"local/one": docs, "local/two": docs[::-1]}, tasks=2)


@pytest.mark.parametrize("name", ["exact", "minhash"])
def test_one_reading_commits_what_two_commit(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(tmp_path)
    once = stages_by_hand(run, tmp_path / "once", DedupConfig(methods=[name]))
    twice = stages_by_hand(run, tmp_path / "twice", DedupConfig(methods=[name]))
    for index, _ in once.files():
        index_file(once, index)
    # What finds nothing to hand documents to only makes the table.
    with monkeypatch.context() as patch:
        patch.setattr(documents, "method", lambda _: object())
        for index, _ in twice.files():
            index_file(twice, index)
            assert not store.is_committed(twice.folder(f"{name}.scan", index))
    for index, _ in twice.files():
        method(name).scan(twice, index)
        for stage in ("index", f"{name}.scan"):
            assert files_of(once.folder(stage, index)) == files_of(twice.folder(stage, index))
    # Copies of other epochs were not taken in.
    assert store.totals(once.folder(f"{name}.scan", 0))["records"] < once.plan.files[0].lines + CANARY_ROWS


def test_a_changed_file_leaves_neither_folder(tmp_path: Path) -> None:
    """Law: nothing of a file is committed before all of it was read and is the frozen one."""
    run = run_of(tmp_path)
    work = stages_by_hand(run, tmp_path / "out", DedupConfig(methods=["minhash"]))
    first, second = work.plan.place(work.plan.files[0]), work.plan.place(work.plan.files[1])
    shutil.copy(second, first)
    with pytest.raises(SourceError, match="changed since its run"):
        index_file(work, 0)
    assert not any(store.is_committed(work.folder(stage, 0)) for stage in ("index", "minhash.scan"))


def test_a_scan_that_was_lost_after_the_index_is_made_again(tmp_path: Path) -> None:
    work = stages_by_hand(run_of(tmp_path), tmp_path / "out", DedupConfig(methods=["exact"]))
    index_file(work, 0)
    folder = work.folder("exact.scan", 0)
    found = files_of(folder)
    shutil.rmtree(folder)
    method("exact").scan(work, 0)
    assert files_of(folder) == found


def test_every_method_that_takes_in_documents_has_both_ways() -> None:
    assert [name for name in METHODS if hasattr(method(name), "Scan")] == ["exact", "minhash"]


def rows_of(work: Work, wanted: list[bool]) -> list[tuple[int, str]]:
    return [(row, document["id"]) for row, document in read_rows(work, work.plan.files[0], wanted)]


def test_lines_that_nobody_wants_are_verified_all_the_same(tmp_path: Path) -> None:
    """Law: rows are those of the file, whichever are wanted, and a changed file is refused with none wanted."""
    work = stages_by_hand(run_of(tmp_path), tmp_path / "out")
    file = work.plan.files[0]
    every = list(enumerate(document["id"] for document in read_documents(work, file)))
    assert len(every) == file.lines
    wanted = [row % 3 == 1 for row in range(file.lines)]
    assert rows_of(work, wanted) == every[1::3]
    shutil.copy(work.plan.place(work.plan.files[1]), work.plan.place(file))
    with pytest.raises(SourceError, match="changed since its run"):
        rows_of(work, [False] * file.lines)
