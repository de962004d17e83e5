"""A deduplication as a whole: what goes, what stays, for whom, and that nothing is lost on the way."""

import json
import random
from pathlib import Path

import pytest

from pipelines.dedup.config import DedupConfig, MinhashConfig
from pipelines.dedup.run import DedupResult, run_dedup
from pipelines.dedup.verify import open_dedup, verify_dedup
from pipelines.errors import SourceError, UserError
from tests.dedup.corpus import Doc, doc, documents_of, duplicates_of, files_of, make_run, small_sources
from tests.pipelines.corpus import passages

WEB, BOOKS = "local/web/en", "local/books/en"


def dedup(run: Path, out: Path, **options: object) -> DedupResult:
    config = options.pop("config", None) or DedupConfig(priority=[BOOKS])
    result = run_dedup(run, config=config, output_folder=out, workers=0, **options)  # type: ignore[arg-type]
    assert verify_dedup(open_dedup(out)) == []
    return result


def kept(out: Path) -> set[str]:
    return set(documents_of(out))


def test_what_goes_and_what_stays(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", small_sources(), tasks=3)
    result = dedup(run, tmp_path / "out")
    before, after = documents_of(run), documents_of(tmp_path / "out")
    expected = set(before)
    expected -= {f"{WEB} plain-{i}" for i in range(20)} | {f"{WEB} spaced-{i}" for i in range(20)}  # books come first
    expected -= {f"{WEB} near-{i}-short" for i in range(10)} | {f"{WEB} short-a"}  # the longer one of two stays
    assert set(after) == expected
    for name, item in after.items():
        assert item["text"] == before[name]["text"]
        size = item["metadata"].pop("cluster_size")
        assert item["metadata"] == before[name]["metadata"]
        assert size == (3 if "copied" in name else 2 if "long" in name or name.endswith("short-b") else 1), name
    # Documents too short for an n-gram were left to `exact`, and that is said.
    assert result.skipped["minhash"] == {"short": 2, "unsplittable": 0}
    rows = sum(record.rows for record in result.records)
    assert rows == len(before) == sum(record.num_dropped + record.written for record in result.records)


def test_every_removal_is_in_the_table_with_its_partner(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", small_sources())
    dedup(run, tmp_path / "out")
    rows = {f"{row['removed_source']} {row['removed_id']}": row for row in duplicates_of(tmp_path / "out")}
    assert set(rows) == set(documents_of(run)) - kept(tmp_path / "out")
    near, exact = rows[f"{WEB} near-3-short"], rows[f"{WEB} spaced-7"]
    assert (near["method"], near["kept_id"], near["kept_source"]) == ("minhash", "near-3-long", BOOKS)
    estimates = [row["estimated_jaccard"] for row in rows.values() if row["method"] == "minhash"]
    assert 0.85 < min(estimates) < 1
    assert (exact["method"], exact["kept_id"], exact["estimated_jaccard"]) == ("exact", "copied-7", 1.0)
    assert (exact["cluster_size"], near["cluster_size"]) == (3, 2)
    assert {row["kept_run"] for row in rows.values()} == {""}


@pytest.mark.parametrize("tasks", [3, 8])
def test_survivors_do_not_depend_on_tasks_or_order(tmp_path: Path, tasks: int) -> None:
    sources = small_sources()
    make_run(tmp_path / "one", sources)
    dice = random.Random(tasks)
    shuffled = {name: dice.sample(docs, len(docs)) for name, docs in reversed(sources.items())}
    make_run(tmp_path / "many", shuffled, tasks=tasks)
    one = dedup(tmp_path / "one", tmp_path / "one_out")
    many = dedup(tmp_path / "many", tmp_path / "many_out")
    assert kept(tmp_path / "one_out") == kept(tmp_path / "many_out")
    assert one.skipped == many.skipped

    def table(out: Path) -> set[tuple[object, ...]]:
        """Rows but for the files and rows where texts stand, which are other ones."""
        places = ("removed_file", "removed_row", "kept_file", "kept_row")
        return {tuple(value for name, value in row.items() if name not in places) for row in duplicates_of(out)}

    assert table(tmp_path / "one_out") == table(tmp_path / "many_out")


def test_two_workers_write_the_same_bytes(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", small_sources(), tasks=3)
    dedup(run, tmp_path / "one")
    run_dedup(run, config=DedupConfig(priority=[BOOKS]), output_folder=tmp_path / "two", workers=2, tasks=5)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_priority_comes_before_length_and_id(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", small_sources())
    dedup(run, tmp_path / "out", config=DedupConfig(priority=["*/web/*"]))
    left = kept(tmp_path / "out")
    assert {f"{WEB} near-{i}-short" for i in range(10)} <= left
    assert not any("copied" in name or "-long" in name for name in left)


def test_methods_run_in_the_order_given(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", small_sources())
    dedup(run, tmp_path / "out", config=DedupConfig(methods=["minhash", "exact"], priority=[BOOKS]))
    methods = {row["removed_id"]: row["method"] for row in duplicates_of(tmp_path / "out")}
    assert methods["spaced-3"] == "minhash"
    assert methods["short-a"] == "exact"


def epochs_of(name: str, text: str, number: int) -> list[Doc]:
    """A document as a run writes it when it is due several times."""
    later = [doc(f"{name}#epoch{n}", text, epoch=n) for n in range(2, number + 1)]
    return [doc(name, text), *later]


def test_a_document_and_its_epochs_are_one(tmp_path: Path) -> None:
    text, other = passages()[:2]
    sources = {
        WEB: [*epochs_of("twice", text, 2), *epochs_of("thrice", other, 3), doc("my#epoch2", passages()[2])],
        BOOKS: [doc("copy", other)],
    }
    run = make_run(tmp_path / "run", sources)
    dedup(run, tmp_path / "out")
    # "twice" stays with its copy; "thrice" goes with all three lines, for one document of books.
    assert kept(tmp_path / "out") == {f"{WEB} twice", f"{WEB} twice#epoch2", f"{WEB} my#epoch2", f"{BOOKS} copy"}
    rows = duplicates_of(tmp_path / "out")
    assert [row["removed_id"] for row in rows] == ["thrice", "thrice#epoch2", "thrice#epoch3"]
    assert {row["cluster_size"] for row in rows} == {2}
    assert documents_of(tmp_path / "out")[f"{WEB} twice#epoch2"]["metadata"]["cluster_size"] == 1


def test_against_counts_other_runs_as_kept_and_leaves_them_alone(tmp_path: Path) -> None:
    texts = passages()
    first = make_run(tmp_path / "first", {WEB: [doc("old", texts[0]), *epochs_of("again", texts[1], 1)]})
    again = doc("again#epoch2", texts[1], epoch=2)
    sources = {
        WEB: [again, doc("same", texts[0]), doc("new", texts[2])],
        BOOKS: [doc("a", texts[0]), doc("b", texts[1])],
    }
    second = make_run(tmp_path / "second", sources)
    before = files_of_run(first)
    dedup(second, tmp_path / "out", against=[first])
    # A later epoch of a document that the other run has is a repeat that was asked for, not a duplicate.
    assert kept(tmp_path / "out") == {f"{WEB} again#epoch2", f"{WEB} new"}
    rows = duplicates_of(tmp_path / "out")
    assert {(row["removed_id"], row["kept_id"]) for row in rows} == {("same", "old"), ("a", "old"), ("b", "again")}
    assert {row["kept_run"] for row in rows} == {str(first)}
    assert files_of_run(first) == before


def files_of_run(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_output_can_be_an_input(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", small_sources())
    dedup(run, tmp_path / "out")
    dedup(tmp_path / "out", tmp_path / "twice")
    assert kept(tmp_path / "twice") == kept(tmp_path / "out")
    other = make_run(tmp_path / "other", {BOOKS: [doc("a", "Quite another text"), *small_sources()[WEB][:3]]})
    dedup(other, tmp_path / "new", against=[tmp_path / "twice"])
    assert kept(tmp_path / "new") == {f"{BOOKS} a"}, "the other three are in the run that was deduplicated twice"


def test_the_cache_remembers_earlier_runs_and_never_the_run_itself(tmp_path: Path) -> None:
    texts, cache = passages(), tmp_path / "cache"
    first = make_run(tmp_path / "first", {WEB: [doc("a", texts[0]), doc("b", texts[1])]})
    second = make_run(tmp_path / "second", {BOOKS: [doc("c", texts[1] + " "), doc("d", texts[2])]})
    third = make_run(tmp_path / "third", {BOOKS: [doc("e", texts[2]), doc("f", texts[3])]})
    dedup(first, tmp_path / "1", cache_dir=cache)
    dedup(second, tmp_path / "2", cache_dir=cache)
    dedup(third, tmp_path / "3", cache_dir=cache)
    assert kept(tmp_path / "1") == {f"{WEB} a", f"{WEB} b"}
    assert kept(tmp_path / "2") == {f"{BOOKS} d"}
    assert kept(tmp_path / "3") == {f"{BOOKS} f"}
    assert [(row["removed_id"], row["kept_id"]) for row in duplicates_of(tmp_path / "2")] == [("c", "b")]
    # Again, when later runs have added theirs: each sees what it saw at first, and nobody drops himself.
    for run, out in ((first, "1"), (second, "2")):
        before = files_of(tmp_path / out)
        dedup(run, tmp_path / out, cache_dir=cache)
        assert files_of(tmp_path / out) == before
    dedup(first, tmp_path / "1", cache_dir=cache, fresh=True)
    assert kept(tmp_path / "1") == {f"{WEB} a", f"{WEB} b"}, "what others dropped for it is not in the cache"


def test_vietnamese_tones_tell_words_apart_unless_asked_otherwise(tmp_path: Path) -> None:
    toned = "Mạ tôi trồng lúa má và mả ở quê nhà đã lâu năm rồi mà vẫn chưa thấy mưa về trên cánh đồng ấy"
    other = "Má tôi trồng lùa mà và mã ở quê nhá đa lâu nam rồi mả vẫn chưa thầy mua về trên canh đồng ây"
    docs = [doc("toned", toned, language="vi"), doc("other", other, language="vi")]
    run = make_run(tmp_path / "run", {"local/news/vi": docs}, language="vi")
    dedup(run, tmp_path / "keeping")
    assert len(kept(tmp_path / "keeping")) == 2
    dedup(run, tmp_path / "stripping", config=DedupConfig(minhash=MinhashConfig(keep_marks=False)))
    assert len(kept(tmp_path / "stripping")) == 1


def test_other_parameters_are_refused_until_fresh(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", small_sources())
    dedup(run, tmp_path / "out")
    other = DedupConfig(minhash=MinhashConfig(num_buckets=7), priority=[BOOKS])
    with pytest.raises(UserError, match=r"config.minhash.num_buckets: 14 -> 7"):
        dedup(run, tmp_path / "out", config=other)
    dedup(run, tmp_path / "out", config=other, fresh=True)
    assert open_dedup(tmp_path / "out").plan.config == other


def test_a_run_without_documents_is_refused_and_empty_tasks_are_not(tmp_path: Path) -> None:
    run = make_run(tmp_path / "none", {WEB: []})
    with pytest.raises(UserError, match="no document"):
        dedup(run, tmp_path / "out")
    run = make_run(tmp_path / "one", {WEB: [doc("a", passages()[0])], BOOKS: []}, tasks=4)
    assert [record.written for record in dedup(run, tmp_path / "out").records] == [1, 0, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("state", ["started", "incomplete"])
def test_an_unfinished_run_is_refused(tmp_path: Path, state: str) -> None:
    run = make_run(tmp_path / "run", small_sources())
    path = run / "_run" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "state": state}))
    with pytest.raises(UserError, match="not complete"):
        dedup(run, tmp_path / "out")


def test_a_missing_task_in_the_ledger_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", small_sources(), tasks=3)
    path = run / "_run" / "ledger.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(UserError, match="5 tasks, 6 were planned"):
        dedup(run, tmp_path / "out")


def test_an_altered_input_fails_and_leaves_no_document(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", small_sources())
    path = next(run.glob("*/*/*.gz"))
    other = make_run(tmp_path / "other", {WEB: [doc("x", "y")]})
    path.write_bytes(next(other.glob("*/*/*.gz")).read_bytes())
    with pytest.raises(SourceError, match="changed since its run was finished"):
        dedup(run, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*/*/*.gz"))


def test_verify_sees_what_is_wrong(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", small_sources())
    dedup(run, tmp_path / "out")
    work = open_dedup(tmp_path / "out")
    (tmp_path / "out" / "stranger.txt").write_text("?")
    path = tmp_path / "out" / "local_books" / "en" / "00000.jsonl.gz"
    path.unlink()
    text = "\n".join(verify_dedup(work))
    assert "stranger.txt: extra" in text
    assert "local_books/en/00000.jsonl.gz: missing" in text
    assert "spaced-3: was removed for copied-3 (local/books/en), which is not in the files" in text


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", small_sources())
    with pytest.raises(UserError, match="is a run that is read"):
        dedup(run, run)
    other = make_run(tmp_path / "other", {WEB: [doc("x", "y")]})
    with pytest.raises(UserError, match="is not the output of a deduplication"):
        dedup(run, other)
    with pytest.raises(UserError, match="not the output of a deduplication"):
        dedup(run, other, fresh=True)
