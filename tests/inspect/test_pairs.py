"""Duplicates: every pair once with its own texts, differences where they are, hostile texts as text, bounded work."""

import itertools
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.inspect.corpus import Corpus, open_corpus
from pipelines.inspect.differences import RUN, differences
from pipelines.inspect.lines import rows_of
from pipelines.inspect.pairs import Pairs
from pipelines.inspect.visible import visible
from pipelines.inspect.web import Browser, make_server, pairs_of
from tests.browser import PHONE, open_page
from tests.inspect.conftest import HOSTILE, ONLY
from tests.inspect.test_documents import row_of, write
from tests.inspect.test_web import links
from tests.pipelines.processes import Run

words = st.lists(st.sampled_from(["a", "b", "c", "ä", "<", "日", "\u202e"]), max_size=25).map(" ".join)


@pytest.fixture(scope="module")
def pairs(inspected: Run) -> Pairs:
    """The run's duplicates."""
    return Pairs(inspected.folder / "out_dedup")


@settings(deadline=None)
@given(words, words)
def test_differences_are_what_the_other_text_has_not(left: str, right: str) -> None:
    """Law: spans are sorted, inside their text and apart; the same texts have none; turned round, they are the same."""
    ours, theirs = differences(left, right)
    assert differences(right, left) == (theirs, ours)
    assert differences(left, left) == ([], [])
    for text, spans in ((left, ours), (right, theirs)):
        assert spans == sorted(spans)
        assert all(0 <= start < end <= len(text) for start, end in spans)
        assert all(one[1] < two[0] for one, two in itertools.pairwise(spans))


def test_a_changed_word_is_marked_alone() -> None:
    text = "one two three four five six seven"
    assert differences(text, text.replace("four", "4"))[0] == [(14, 18)]
    assert differences("今天天气很好我们去", "今天天气不好我们去")[0] == [(4, 5)]
    assert differences("a b", "a b c d e") == ([], [(4, 9)])
    moved = "x1 x2 x3 x4\n\ny1 y2 y3 y4"
    assert differences(moved, "\n\n".join(reversed(moved.split("\n\n")))) == ([], [])
    assert RUN == 3


def test_hostile_texts_are_compared_in_linear_time() -> None:
    """Law: what an alignment would take hours for (one word, again and again) is compared at once."""
    left, right = differences("a " * 100_000, "a " * 99_000 + "b " * 1000)
    assert (left, len(right)) == ([], 1)


def test_rows_of_a_file_are_its_documents(tmp_path: Path) -> None:
    """Law: the rows that are asked for, whatever their order; not one byte beyond the last, or beyond the bound."""
    path = tmp_path / "x.jsonl.gz"
    write(path, [row_of(f"text {i}", str(i)) for i in range(50)])
    found, num_bytes = rows_of(path, [40, 3])
    assert {row: line.id for row, line in found.items()} == {3: "3", 40: "40"}
    assert rows_of(path, [3])[1] < num_bytes
    assert rows_of(path, [99])[0] == {}
    assert rows_of(path, [])[1] == 0
    found, read = rows_of(path, [3, 40], max_bytes=num_bytes // 2)
    assert set(found) == {3}
    assert read < num_bytes


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_pages_hold_every_pair_once(pairs: Pairs, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Law: all pages after one another are the table, with both texts of each pair, whatever the batches."""
    monkeypatch.setattr("pipelines.inspect.pairs._BATCH", 3)
    start: int | None = 0
    seen = []
    while start is not None:
        page = pairs.page(start, size)
        seen += page.pairs
        start = page.next
    table = pq.read_table(pairs.path).to_pylist()
    assert [pair.row for pair in seen] == table
    assert [pair.number for pair in seen] == list(range(len(table)))
    for pair in seen:
        assert pair.removed is not None
        assert pair.kept is not None
        assert (pair.removed.id, pair.kept.id) == (pair.row["removed_id"], pair.row["kept_id"])
        if pair.row["method"] == "exact" and pair.row["match_id"] == pair.row["kept_id"]:
            assert pair.removed.text == pair.kept.text


def test_pages_are_of_a_source_and_a_method(pairs: Pairs) -> None:
    table = pq.read_table(pairs.path).to_pylist()
    for source, method in (("t/en/default", ""), ("", "minhash"), ("t/twins/default", "exact"), ("t/en", "")):
        expected = [
            row
            for row in table
            if source in ("", row["removed_source"], row["kept_source"]) and method in ("", row["method"])
        ]
        assert [pair.row for pair in pairs.page(0, 1000, source=source, method=method).pairs] == expected
        assert bool(expected) == (source != "t/en")
    page = pairs.page(0, 1000, source="nothing", most=3)
    assert (page.pairs, page.looked, page.next) == ([], 3, 3)


def test_reading_for_a_list_is_bounded(pairs: Pairs) -> None:
    """Law: beyond the bound texts are left out and said to be; the page of one pair has them."""
    page = pairs.page(0, 1000, max_bytes=1)
    assert any(pair.unread for pair in page.pairs)
    number = next(pair.number for pair in page.pairs if pair.unread)
    alone = pairs.page(number, 1).pairs[0]
    assert alone.removed is not None
    assert alone.kept is not None


def test_only_files_of_the_plan_are_opened(pairs: Pairs) -> None:
    """Law: a table that names another file, or a row with another id, shows no text."""
    row = pq.read_table(pairs.path).to_pylist()[0]
    for change in ({"removed_file": "../../../etc/passwd"}, {"removed_file": None}, {"removed_id": "another"}):
        pair = pairs._with_texts([(0, {**row, **change})])[0]
        assert pair.removed is None
        assert pair.kept is not None


@pytest.fixture(scope="module")
def address(corpus: Corpus) -> Iterator[str]:
    """Where the run is served, its deduplication beside it."""
    with make_server(corpus) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_more_leads_through_all_pairs(corpus: Corpus, pairs: Pairs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: following `more pairs` shows each pair once; each has a page of its own; wrong addresses are said."""
    monkeypatch.setattr("pipelines.inspect.web.PAIRS", 4)
    browser, seen = Browser(corpus, pairs_of(corpus)), []
    query: dict[str, str] | None = {}
    while query is not None:
        status, html = browser.get("/duplicates", query)
        assert status == 200
        seen += [int(q["n"]) for path, q in links(html) if path == "/pair"]
        more = re.findall(r'<a (href="[^"]*")>more pairs<', html)
        query = next(links(more[0]))[1] if more else None
    assert seen == list(range(len(pairs)))
    assert browser.get("/pair", {"n": "0"})[0] == 200
    assert browser.get("/pair", {"n": str(len(pairs))})[0] == 404
    assert browser.get("/pair", {"n": "-1"})[0] == 400
    assert Browser(corpus).get("/duplicates", {})[0] == 404
    alone = replace(corpus, folder=corpus.folder / "elsewhere")
    assert pairs_of(alone) is None
    assert pairs_of(replace(alone, is_dedup=True)) is None, "a deduplication that has not come to its table"


def test_a_deduplication_shows_its_pairs(inspected: Run) -> None:
    corpus = open_corpus(inspected.folder / "out_dedup")
    status, html = Browser(corpus, pairs_of(corpus)).get("/duplicates", {"method": "minhash"})
    assert status == 200
    assert "estimated similarity" in html


def test_hostile_duplicates_are_text_in_chromium(address: str) -> None:
    """Law: both texts stand there as they are, what differs is marked, nothing runs and nothing is asked for."""
    with open_page(f"{address}/duplicates?source=t/twins/default", width=PHONE, dark=True) as view:
        shown = view.page.eval_on_selector_all("pre", "all => all.map(e => e.textContent)")
        for text in HOSTILE.values():
            assert shown.count(visible(text)) == 2
        ids = view.page.eval_on_selector_all("section h2", "all => all.map(e => e.textContent)")
        assert any("<img src=x onerror=alert(0)>" in name for name in ids)
        marked = view.page.eval_on_selector_all("mark", "all => all.map(e => e.textContent)")
        assert sorted(marked) == sorted(visible(text) for text in ONLY)
        assert view.page.title().startswith("duplicates: ")
        assert view.page.eval_on_selector_all("script, img, pre :not(mark), article style", "all => all.length") == 0
        assert view.overflow() == 0
        view.page.click("article h2 a >> nth=0")
        assert view.page.locator("section pre").count() == 2
        assert view.errors == []
        assert view.outside == []
