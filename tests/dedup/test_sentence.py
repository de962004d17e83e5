"""Sentence deduplication as a whole: what is cut, for whom, what is left, and that every sentence stays somewhere."""

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.dedup.config import DedupConfig, SentenceConfig
from pipelines.dedup.run import run_dedup
from pipelines.dedup.sentence_rounds import holders
from tests.dedup.corpus import doc, documents_of, duplicates_of, files_of, make_run
from tests.dedup.sentences import (
    BOOKS,
    PLAIN,
    SOURCE,
    WEB,
    config_of,
    cuts_of,
    dedup,
    plain_rule,
    real_sentences,
    text_of,
    totals,
    two_sources,
)


def texts_of(folder: Path) -> dict[str, str]:
    return {name.split()[1]: item["text"] for name, item in documents_of(folder).items()}


def test_a_shared_block_stays_in_the_source_that_comes_first(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", two_sources(), tasks=2)
    result = dedup(run, tmp_path / "out", config_of([BOOKS]))
    left = texts_of(tmp_path / "out")
    block = text_of(range(100, 105))
    # Of books of one length, the smallest id keeps it.
    longest = max((name for name in left if name[0] == "b"), key=lambda n: (len(texts_of(run)[n]), [-ord(n[1])]))
    assert [name for name, text in left.items() if block in text] == [longest]
    cuts = [row for row in cuts_of(tmp_path / "out") if "b" in row["kept_id"]]
    assert {row["kept_id"] for row in cuts} == {longest}
    assert {row["id"] for row in cuts} == set(left) - {longest}
    assert {row["text"].strip() for row in cuts} == {block}
    documents, sentences, chars = totals(result)
    assert (documents, sentences) == (11, sum(row["sentences"] for row in cuts_of(tmp_path / "out")))
    assert chars == sum(len(a) - len(left[name]) for name, a in texts_of(run).items())
    assert {i["metadata"]["cluster_size"] for i in documents_of(tmp_path / "out").values()} == {1}
    assert documents_of(tmp_path / "out")[f"{BOOKS} {longest}"]["metadata"]["cut_sentences"] == 0
    assert documents_of(tmp_path / "out")[f"{WEB} w0"]["metadata"]["cut_sentences"] == 5


@pytest.mark.parametrize("tasks", [3, 8])
def test_tasks_order_and_workers_change_nothing(tmp_path: Path, tasks: int) -> None:
    sources = two_sources()
    dedup(make_run(tmp_path / "one", sources), tmp_path / "one_out")
    dice = random.Random(tasks)
    shuffled = {name: dice.sample(docs, len(docs)) for name, docs in reversed(list(sources.items()))}
    run = make_run(tmp_path / "many", shuffled, tasks=tasks)
    dedup(run, tmp_path / "many_out")
    assert documents_of(tmp_path / "many_out") == documents_of(tmp_path / "one_out")
    run_dedup(run, config=config_of(), output_folder=tmp_path / "workers", workers=2, tasks=5)
    assert files_of(tmp_path / "workers") == files_of(tmp_path / "many_out")

    def table(out: Path) -> list[tuple[str, ...]]:
        return sorted(tuple(map(str, row.values())) for row in cuts_of(out))

    assert table(tmp_path / "workers") == table(tmp_path / "one_out")


NUMBERS = st.lists(st.integers(0, 7), max_size=9)


@given(st.lists(NUMBERS, min_size=1, max_size=6), st.integers(1, 3), st.integers(0, 4), st.integers(1, 3))
@settings(max_examples=120, deadline=None)
def test_who_keeps_what_is_the_plain_rule(
    tmp_path_factory: pytest.TempPathFactory, lists: list[list[int]], span: int, least: int, tasks: int
) -> None:
    folder = tmp_path_factory.mktemp("rule")
    docs = [doc(f"d{i}", text_of(numbers)) for i, numbers in enumerate(lists)]
    run = make_run(folder / "run", {SOURCE: docs}, tasks=tasks)
    dedup(run, folder / "out", config_of(n_sentences=span, min_num_sentences=least))
    order = sorted(range(len(docs)), key=lambda i: (-len(docs[i]["text"]), docs[i]["id"]))
    expected = plain_rule([(f"d{i}", lists[i]) for i in order], span, least)
    assert texts_of(folder / "out") == {name: text_of(rest) for name, rest in expected.items() if rest is not None}
    assert {row["removed_id"] for row in duplicates_of(folder / "out")} == {n for n, r in expected.items() if r is None}


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 2), st.booleans()), max_size=20),
    st.sets(st.integers(0, 4)),
    st.booleans(),
)
def test_holders_are_the_first_that_stay(
    rows: list[tuple[int, int, int, bool]], dead: set[int], only_outside: bool
) -> None:
    outsiders = {number for _, number, _, outside in rows if outside} - dead
    rows = sorted({(g, n not in outsiders, n, s) for g, n, s, _ in rows})
    group = np.array([row[0] for row in rows], np.uint64)
    number = np.array([row[2] for row in rows], np.uint64)
    outside = np.array([not row[1] for row in rows], bool)
    found = holders(group, number, outside, np.array(sorted(dead), np.uint64), only_outside=only_outside)
    for i, (g, not_outside, n, _) in enumerate(rows):
        before = [j for j in range(i) if rows[j][0] == g]
        if only_outside:
            good = [j for j in before if j == min(before) and not rows[j][1]] if not_outside else []
        else:
            good = [j for j in before if rows[j][2] not in dead or rows[j][2] == n]
        if not_outside or not only_outside:
            assert found[i] == (good[0] if good else i) or (found[i] >= i and not good)


def test_a_removed_document_holds_nothing_for_others(tmp_path: Path) -> None:
    # Stock cuts "shared" out of c for b, and removes b, which has too little left: then nobody has it.
    a = doc("a", text_of([*range(0, 12)]))
    b = doc("b", text_of([*range(0, 6), 50, 51, 52]))
    c = doc("c", text_of([60, 61, 62, 63, 50, 51, 52]))
    run = make_run(tmp_path / "run", {SOURCE: [a, b, c]})
    dedup(run, tmp_path / "out", config_of(min_num_sentences=4, priority=None))
    left = texts_of(tmp_path / "out")
    assert set(left) == {"a", "c"}
    assert left["c"] == c["text"]
    [row] = duplicates_of(tmp_path / "out")
    assert (row["removed_id"], row["kept_id"], row["method"]) == ("b", "a", "sentence")
    assert row["estimated_jaccard"] is None
    assert [(row["id"], row["removed"]) for row in cuts_of(tmp_path / "out")] == [("b", True)]


def test_a_document_that_repeats_only_itself_is_cut_and_never_removed(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {SOURCE: [doc("a", text_of([1, 2, 3] * 6)), doc("b", text_of(range(10, 20)))]})
    dedup(run, tmp_path / "out", config_of(min_num_sentences=5, min_doc_words=100))
    assert texts_of(tmp_path / "out") == {"a": text_of([1, 2, 3]), "b": text_of(range(10, 20))}
    assert {row["kept_id"] for row in cuts_of(tmp_path / "out")} == {"a"}


def test_a_kept_copy_that_is_cut_itself_is_followed_to_where_the_text_stays(tmp_path: Path) -> None:
    # c has (3, 4, 5) of b, of whose three sentences the first goes for a: so c's first stays in a, the others in b.
    docs = [
        doc("a", text_of([1, 2, 3, *range(20, 40)])),
        doc("b", text_of([1, 2, 3, 4, 5, *range(40, 50)])),
        doc("c", text_of([60, 3, 4, 5, 61])),
    ]
    run = make_run(tmp_path / "run", {SOURCE: docs}, tasks=3)
    dedup(run, tmp_path / "out")
    rows = [(row["id"], row["kept_id"], row["sentences"]) for row in cuts_of(tmp_path / "out")]
    assert rows == [("b", "a", 3), ("c", "a", 1), ("c", "b", 2)]


def test_against_cuts_for_other_runs_and_leaves_them_alone(tmp_path: Path) -> None:
    first = make_run(tmp_path / "first", {WEB: [doc("old", text_of(range(5)))]})
    later = doc("old#epoch2", text_of(range(5)), epoch=2)
    second = make_run(
        tmp_path / "second",
        {WEB: [later], BOOKS: [doc("new", text_of([9, 0, 1, 2, 8])), doc("x", text_of([20, 21, 22, 23])),
                               doc("y", text_of([30, 20, 21, 22, 31, 32]))]},
    )  # fmt: skip
    before = {str(path): path.read_bytes() for path in sorted(first.rglob("*.gz"))}
    dedup(second, tmp_path / "out", against=[first])
    left = texts_of(tmp_path / "out")
    # A later epoch of a document that the other run has is a repeat that was asked for.
    assert left["old#epoch2"] == text_of(range(5))
    assert left["new"] == text_of([9, 8])
    assert left["x"] == text_of([23])
    rows = {row["id"]: (row["kept_id"], row["kept_run"]) for row in cuts_of(tmp_path / "out")}
    assert rows == {"new": ("old", str(first)), "x": ("y", "")}
    assert {str(path): path.read_bytes() for path in sorted(first.rglob("*.gz"))} == before
    dedup(second, tmp_path / "only", config_of(only_dedup_in_index=True), against=[first])
    assert {row["id"] for row in cuts_of(tmp_path / "only")} == {"new"}


def test_epochs_of_a_document_are_cut_alike(tmp_path: Path) -> None:
    text = text_of([1, 2, 3, 50, 51])
    docs = [doc("a", text), doc("a#epoch2", text, epoch=2), doc("b", text_of(range(10)))]
    run = make_run(tmp_path / "run", {SOURCE: docs})
    result = dedup(run, tmp_path / "out")
    left = texts_of(tmp_path / "out")
    assert left["a"] == left["a#epoch2"] == text_of([50, 51])
    assert [row["id"] for row in cuts_of(tmp_path / "out")] == ["a", "a#epoch2"]
    assert totals(result)[:2] == (2, 6)
    gone = dedup(run, tmp_path / "gone", config_of(min_num_sentences=3))
    assert [row["removed_id"] for row in duplicates_of(tmp_path / "gone")] == ["a", "a#epoch2"]
    assert totals(gone) == (0, 0, 0)


def test_an_epoch_mark_on_another_text_is_another_document(tmp_path: Path) -> None:
    docs = [doc("a", text_of([1, 2, 3, 4])), doc("a#epoch2", text_of([9, 1, 2, 3, 8, 7]), epoch=2)]
    run = make_run(tmp_path / "run", {SOURCE: docs})
    dedup(run, tmp_path / "out")
    assert texts_of(tmp_path / "out") == {"a": text_of([4]), "a#epoch2": docs[1]["text"]}


def test_short_spans_stay_when_asked(tmp_path: Path) -> None:
    docs = [doc("a", text_of([*range(10), *range(60, 75)])), doc("b", text_of([50, 1, 2, 3, 51, 3, 4, 5, 6, 7, 8, 52]))]
    run = make_run(tmp_path / "run", {SOURCE: docs})
    short, long = text_of([1, 2, 3]), text_of([3, 4, 5, 6, 7, 8])
    assert len(short.split()) < 60 < len(long.split())
    dedup(run, tmp_path / "out", config_of(priority=None, min_words_to_remove_span=60))
    left = texts_of(tmp_path / "out")
    assert left == {"a": docs[0]["text"], "b": text_of([50, 1, 2, 3, 51, 52])}


def test_lines_instead_of_sentences(tmp_path: Path) -> None:
    lines = ["Home", "About us", "Contact", "Legal"]
    docs = [doc(f"d{i}", "\r\n".join([f"Own line {i}", *lines, "x" * i, ""])) for i in range(3)]
    run = make_run(tmp_path / "run", {SOURCE: docs})
    dedup(run, tmp_path / "out", config_of(split_sentences=False, norm_numbers=False))
    assert texts_of(tmp_path / "out") == {
        "d0": "Own line 0\r\n\r\n", "d1": "Own line 1\r\nx\r\n", "d2": docs[2]["text"],
    }  # fmt: skip


def test_other_methods_run_before_it(tmp_path: Path) -> None:
    same = text_of(range(8))
    docs = [doc("a", same), doc("b", same), doc("c", text_of([50, 1, 2, 3, 51]))]
    run = make_run(tmp_path / "run", {SOURCE: docs}, tasks=2)
    config = DedupConfig(methods=["exact", "minhash", "sentence"], sentence=PLAIN)
    result = dedup(run, tmp_path / "out", config)
    assert texts_of(tmp_path / "out") == {"a": same, "c": text_of([50, 51])}
    assert documents_of(tmp_path / "out")[f"{SOURCE} a"]["metadata"]["cluster_size"] == 2
    assert [record.dropped for record in result.records] == [{"dedup.exact": 1}, {}]


def test_a_document_that_others_were_removed_for_can_lose_its_place(tmp_path: Path) -> None:
    # b goes for c (exact), c goes for a (too little left): the partner in the end is a.
    docs = [doc("a", text_of(range(9))), doc("b", text_of([50, 1, 2, 3])), doc("c", text_of([50, 1, 2, 3]) + " ")]
    run = make_run(tmp_path / "run", {SOURCE: docs})
    dedup(
        run, tmp_path / "out",
        DedupConfig(methods=["exact", "sentence"], sentence=SentenceConfig(min_doc_words=30, min_num_sentences=2)),
    )  # fmt: skip
    rows = {
        row["removed_id"]: (row["method"], row["kept_id"], row["match_id"]) for row in duplicates_of(tmp_path / "out")
    }
    assert rows == {"b": ("exact", "a", "c"), "c": ("sentence", "a", "a")}


def test_documents_of_several_languages_each_with_its_splitter(tmp_path: Path) -> None:
    chinese = ["今天天气很好。", "我们去公园散步吧！", "你觉得怎么样？", "他明天会来吗？"]
    vietnamese = ["Sáng nay trời mưa.", "Chúng tôi ở nhà đọc sách.", "Chiều nay sẽ đi chợ.", "Mai trời sẽ nắng."]
    unknown = ["Wan olsem.", "Tu olsem.", "Tri olsem.", "Foa olsem."]
    docs = []
    for language, lines in (("zh", chinese), ("vi", vietnamese), ("xyz_Latn", unknown)):
        glue = "" if language == "zh" else " "
        docs += [doc(f"{language}-1", glue.join(lines), language=language)]
        docs += [doc(f"{language}-2", glue.join(["1 2 3!", *lines[:3]]), language=language)]
    run = make_run(tmp_path / "run", {SOURCE: docs}, language="en")
    said: list[str] = []
    dedup(run, tmp_path / "out", say=said.append)
    left = texts_of(tmp_path / "out")
    assert {name: text for name, text in left.items() if name.endswith("2")} == {
        "zh-2": "1 2 3!", "vi-2": "1 2 3!", "xyz_Latn-2": "1 2 3!",
    }  # fmt: skip
    assert any("2 documents split at punctuation alone" in line for line in said)


def test_too_few_sentences_are_counted(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {SOURCE: [doc("a", text_of([1, 2])), doc("b", ""), doc("c", text_of(range(4)))]})
    assert dedup(run, tmp_path / "out").skipped == {"sentence": {"short": 2, "excluded": 0}}


def test_excluded_sources_are_neither_cut_nor_compared(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", two_sources(), tasks=2)
    result = dedup(run, tmp_path / "out", config_of(exclude=["*/books/*"]))
    assert result.skipped["sentence"]["excluded"] == 6
    before = documents_of(run)
    for name, item in documents_of(tmp_path / "out").items():
        assert item["text"] == before[name]["text"] or name.startswith(WEB)
    assert {row["source"] for row in cuts_of(tmp_path / "out")} == {
        row["kept_source"] for row in cuts_of(tmp_path / "out")
    }


def test_very_many_lines_and_very_long_texts(tmp_path: Path) -> None:
    # Stock stores line numbers in 16 bits: OverflowError, or with NumPy 1 another line.
    lines = "".join(f"line {'ab'[i % 2] * (i % 37 + 1)} {'cd'[i % 2] * (i // 37 % 90 + 1)}\n" for i in range(70_000))
    tail = text_of(range(5), "\n")
    docs = [doc("long", lines + tail), doc("short", text_of([30, 1, 2, 3, 31], "\n"))]
    run = make_run(tmp_path / "run", {SOURCE: docs})
    for name, split in (("lines", False), ("sentences", True)):
        dedup(run, tmp_path / name, config_of(split_sentences=split, norm_numbers=False))
        assert texts_of(tmp_path / name)["short"].split("\n")[0] == real_sentences()[30]
        row = next(row for row in cuts_of(tmp_path / name) if row["id"] == "short")
        assert (row["kept_id"], row["sentences"]) == ("long", 3)
