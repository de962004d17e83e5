"""Every way in which stock deduplication loses text or keeps duplicates without a word: passed, or refused.

One test for each row of the table in docs/decisions.md ("What stock deduplication does silently").
"""

from pathlib import Path
from shutil import copytree, rmtree

import numpy as np
import pytest

from pipelines.dedup import canaries, exact, minhash, simhash, store
from pipelines.dedup.config import DedupConfig, MinhashConfig
from pipelines.dedup.decide import decide
from pipelines.dedup.documents import index_file
from pipelines.dedup.run import run_dedup
from pipelines.dedup.verify import open_dedup, verify_dedup
from pipelines.dedup.work import Work
from pipelines.dedup.writer import write_file
from pipelines.errors import UserError
from tests.dedup.corpus import (
    doc,
    documents_of,
    make_run,
    match_all,
    replace_folder,
    scan_all,
    small_sources,
    stages_by_hand,
)
from tests.pipelines.corpus import passages

MINHASH = DedupConfig(methods=["minhash"])


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """A deduplication of three files, scanned and not yet matched."""
    docs = [doc(f"{i}", f"{text} more") for i, text in enumerate(passages()[:12])]
    again = [doc(f"again-{i}", f"{text} again") for i, text in enumerate(passages()[:12])]
    run = make_run(tmp_path / "run", {"local/x/y": [*docs, *again, *docs[:0]]}, tasks=3)
    made = stages_by_hand(run, tmp_path / "out", MINHASH)
    scan_all(made, "minhash")
    return made


def removed(work: Work) -> int:
    match_all(work, "minhash")
    decide(work, "minhash")
    return int(store.totals(work.folder("minhash.decided"))["removed"])


def test_undisturbed_it_finds_them(work: Work) -> None:
    assert removed(work) >= 11


@pytest.mark.parametrize("tasks", [1, 5, 14, 15])
def test_the_number_of_tasks_of_a_stage_changes_nothing(tmp_path: Path, tasks: int) -> None:
    run = make_run(tmp_path / "run", small_sources(), tasks=2)
    run_dedup(run, config=MINHASH, output_folder=tmp_path / "out", workers=0, tasks=tasks)
    assert verify_dedup(open_dedup(tmp_path / "out")) == []
    assert len(documents_of(tmp_path / "out")) == 163 - 50


def test_another_number_of_tasks_between_two_attempts_is_another_input(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", small_sources(), tasks=2)
    run_dedup(run, config=MINHASH, output_folder=tmp_path / "out", workers=0)
    rmtree(run)
    make_run(run, small_sources(), tasks=3)
    with pytest.raises(UserError, match="other settings"):
        run_dedup(run, config=MINHASH, output_folder=tmp_path / "out", workers=0)


def test_a_file_put_between_two_stages_is_not_read(work: Work) -> None:
    folder = Path(work.plan.runs[0].path) / "local_x" / "y"
    (folder / "000005.jsonl.gz").write_bytes((folder / "00000.jsonl.gz").read_bytes())
    match_all(work, "minhash")
    decide(work, "minhash")
    for index, _ in work.files():
        write_file(work, index)
    left = documents_of(work.layout.output_folder)
    assert len(left) == 24 - store.totals(work.folder("minhash.decided"))["removed"]


def test_decisions_of_another_deduplication_are_never_read(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"local/x/y": [doc(str(i), text) for i, text in enumerate(passages()[:9])]})
    out = tmp_path / "out"
    stale = out / "_run" / "stages" / "0123456789abcdef" / "dedup" / "minhash.decided"
    store.commit(stale, {"removed": np.arange(9, dtype=np.uint64)}, {"removed": 9})
    (out / "_run" / "stages" / "00000.remove").write_bytes(bytes(36))
    run_dedup(run, config=DedupConfig(), output_folder=out, workers=0)
    assert len(documents_of(out)) == 9


def test_altered_decisions_are_refused(work: Work) -> None:
    removed(work)
    path = work.folder("minhash.decided") / "removed"
    numbers = np.fromfile(path, np.uint64)
    numbers[0] += 1
    numbers.tofile(path)
    with pytest.raises(store.WorkFileError, match="is not what was written"):
        write_file(work, 0)


def test_without_clusters_nothing_is_written(work: Work) -> None:
    match_all(work, "minhash")
    with pytest.raises(store.WorkFileError, match="the stage before did not finish"):
        write_file(work, 0)
    assert not list(work.layout.output_folder.glob("*/*/*.gz"))


def test_missing_signatures_of_one_file_are_refused(work: Work) -> None:
    rmtree(work.folder("minhash.scan", 1))
    with pytest.raises(store.WorkFileError, match="the stage before did not finish"):
        removed(work)


def test_truncated_signatures_are_refused(work: Work) -> None:
    path = work.folder("minhash.scan", 1) / minhash.bucket_name(3)
    path.write_bytes(path.read_bytes()[:-68])
    with pytest.raises(store.WorkFileError, match="were written"):
        removed(work)


def test_a_part_that_saw_fewer_records_is_refused(work: Work) -> None:
    match_all(work, "minhash")
    folder = work.folder("minhash.match", 2)
    replace_folder(folder, {"edges": store.load(folder, "edges").copy()}, {"records": 7})
    with pytest.raises(store.WorkFileError, match="the parts have seen"):
        decide(work, "minhash")


def test_edges_that_were_lost_are_noticed_by_the_canaries(work: Work) -> None:
    match_all(work, "minhash")
    for part in range(14):
        folder = work.folder("minhash.match", part)
        edges = np.asarray(store.load(folder, "edges")).reshape(-1, 2)
        of_file_1 = (edges >= work.offsets[1]) & (edges < work.offsets[2])
        replace_folder(folder, {"edges": edges[~of_file_1.any(axis=1)]}, store.totals(folder))
    with pytest.raises(canaries.CanaryError, match="0 of 3 canaries"):
        decide(work, "minhash")


@pytest.mark.parametrize("name", ["exact", "minhash", "simhash"])
def test_a_method_that_finds_everything_alike_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(exact, "key", lambda text, config: 7)
    monkeypatch.setattr(simhash, "fingerprint", lambda text: 7)
    monkeypatch.setattr(minhash.Signer, "sign", lambda self, *_: (9, np.zeros(112, np.uint64)))
    run = make_run(tmp_path / "run", small_sources(), tasks=2)
    with pytest.raises(canaries.CanaryError, match="taken for a canary"):
        run_dedup(run, config=DedupConfig(methods=[name]), output_folder=tmp_path / "out", workers=0)
    assert not list((tmp_path / "out").glob("*/*/*.gz"))


@pytest.mark.parametrize("name", ["exact", "minhash", "simhash"])
def test_a_method_that_finds_nothing_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    numbers = iter(np.random.default_rng(0).integers(0, 1 << 62, 10**4).tolist())
    monkeypatch.setattr(simhash, "fingerprint", lambda text: next(numbers))
    monkeypatch.setattr(exact, "key", lambda text, config: next(numbers))
    monkeypatch.setattr(minhash.Signer, "sign", lambda self, *_: (9, np.full(112, next(numbers), np.uint64)))
    run = make_run(tmp_path / "run", small_sources(), tasks=2)
    with pytest.raises(canaries.CanaryError, match="0 of 4 canaries"):
        run_dedup(run, config=DedupConfig(methods=[name]), output_folder=tmp_path / "out", workers=0)


@pytest.mark.parametrize(
    "config",
    [
        MinhashConfig(num_buckets=1, hashes_per_bucket=100),
        MinhashConfig(n_grams=30, min_words=200),
        MinhashConfig(precision=32, n_grams=1, min_words=1),
    ],
)
def test_canaries_are_found_whatever_the_parameters(tmp_path: Path, config: MinhashConfig) -> None:
    run = make_run(tmp_path / "run", small_sources(), tasks=4)
    made = stages_by_hand(run, tmp_path / "out", DedupConfig(methods=["minhash"], minhash=config))
    scan_all(made, "minhash")
    removed(made)


def test_canaries_are_never_written(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", small_sources(), tasks=2)
    run_dedup(run, config=DedupConfig(), output_folder=tmp_path / "out", workers=0)
    assert set(documents_of(tmp_path / "out")) < set(documents_of(run))


def test_texts_under_five_words_are_compared_exactly(tmp_path: Path) -> None:
    docs = [doc("a", "one two three"), doc("b", "one  two three"), doc("c", "one two four"), doc("d", "")]
    run = make_run(tmp_path / "run", {"local/x/y": docs})
    result = run_dedup(run, config=DedupConfig(), output_folder=tmp_path / "out", workers=0)
    assert set(documents_of(tmp_path / "out")) == {"local/x/y b", "local/x/y c", "local/x/y d"}
    assert result.skipped["minhash"]["short"] == 3


def test_a_text_that_cannot_be_split_is_kept_and_counted(tmp_path: Path) -> None:
    docs = [doc("a", "x" * 60_000), doc("b", passages()[0])]
    run = make_run(tmp_path / "run", {"local/x/y": docs})
    result = run_dedup(run, config=DedupConfig(), output_folder=tmp_path / "out", workers=0)
    assert len(documents_of(tmp_path / "out")) == 2
    assert result.skipped["minhash"]["unsplittable"] == 1


def test_work_files_of_another_file_do_not_pass(work: Work, tmp_path: Path) -> None:
    # What a stage with another list of files would leave behind: the same names, other documents.
    other = stages_by_hand(
        make_run(tmp_path / "other", {"local/x/y": [doc(str(i), t) for i, t in enumerate(passages()[40:49])]}, tasks=3),
        tmp_path / "other_out",
        MINHASH,
    )
    index_file(other, 0)
    minhash.scan(other, 0)
    rmtree(work.folder("minhash.scan", 0))
    copytree(other.folder("minhash.scan", 0), work.folder("minhash.scan", 0))
    with pytest.raises(canaries.CanaryError):
        removed(work)


@pytest.mark.parametrize("name", ["sentences", "suffix"])
def test_methods_that_are_not_there_are_not_pretended(name: str) -> None:
    from pipelines.dedup.command import with_methods

    with pytest.raises(
        UserError, match=f"--dedup-method {name}: no such method; known: exact, minhash, simhash, sentence"
    ):
        with_methods(DedupConfig(), f"exact,{name}")
