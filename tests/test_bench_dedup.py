"""The benchmarks of deduplication work: every stage runs, both sides decide the same, pages show what was measured.

Never how fast or how small anything is. Uses the mini hub, so that it runs everywhere.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import dedup_memory, dedup_speed, dedup_speed_table
from benchmarks.corpus import documents_of
from benchmarks.dedup_corpus import make_run
from benchmarks.dedup_memory_stages import CHAINS, FINISH, said
from pipelines.dedup.freeze import freeze
from pipelines.dedup.work import Work
from pipelines.run_layout import RunLayout
from tests.data import ROOT

RESULTS = ROOT / "benchmarks" / "results"
EDIT = "This sentence is not in the other one. Nor is this one here."


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 16 pages and an edited copy of every second one, in two files."""
    pages = [(row["id"], row["text"]) for row in documents_of("en", 16, Path("no such folder"))]
    copies = [(f"{name}-copy", f"{text}\n{EDIT}") for name, text in pages[::2]]
    assert len(copies) == 8
    return make_run(iter(pages + copies), tmp_path_factory.mktemp("bench") / "made", "pages", files=2)


@pytest.mark.slow
def test_minhash_keeps_as_many_documents_as_stock_in_every_stage(run: Path, tmp_path: Path) -> None:
    found = dedup_speed.minhash(run, tmp_path, "en")
    assert found["kept"] == {"stock": 16, "ours": 16}
    rows = {row["stage"]: row for row in found["rows"]}
    with_stock = {name for name, row in rows.items() if row["stock_us"] is not None}
    assert with_stock == {"signatures", "  of it the permutation", "buckets", "cluster", "filter"}
    assert set(rows) - with_stock == {"exact: scan"}
    assert all(row["us"] > 0 for row in rows.values())


@pytest.mark.slow
def test_stock_finds_the_same_pairs_in_the_signatures_that_ours_wrote(run: Path, tmp_path: Path) -> None:
    found = dedup_speed.corpus(run, tmp_path, "en")
    assert found["kept"] == {"stock": 16, "ours": 16}
    assert [row["stage"] for row in found["rows"]] == ["buckets", "cluster"]


@pytest.mark.slow
def test_sentences_are_taken_through_every_stage_of_both_sides(run: Path, tmp_path: Path) -> None:
    """A page and its copy have their sentences in common, so one of the two goes on both sides."""
    found = dedup_speed.sentence(run, tmp_path, "en")
    assert found["kept"] == {"stock": 16, "ours": 16}
    rows = {row["stage"]: row for row in found["rows"]}
    assert list(rows) == ["index", "signatures", "find", "filter", "  of it the rounds", "  of it writing"]
    parts = rows["  of it the rounds"]["us"] + rows["  of it writing"]["us"]
    assert rows["filter"]["us"] == pytest.approx(parts, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CHAINS))
def test_the_stages_whose_memory_is_measured_are_a_whole_deduplication(name: str, run: Path, tmp_path: Path) -> None:
    """Their last one is `verify`, which leaves the program when anything is not accounted for."""
    chain = CHAINS[name]
    plan = freeze(run, against=[], config=chain.config("index"))
    layout = RunLayout(output_folder=tmp_path / "out", logging_dir=tmp_path / "log", fingerprint="f" * 64)
    assert list(chain.stages)[-2:] == [FINISH, "verify"]
    notes = []
    for stage in chain.stages:
        work = Work(layout=layout, plan=plan.model_copy(update={"config": chain.config(stage)}))
        chain.warm_up()
        for job in chain.jobs(work, stage):
            job()
        notes.append(said(work, stage))
    assert notes[-1] == "8 removed, 16 written"


def test_bytes_are_for_a_document_of_what_a_stage_holds() -> None:
    """A file is an eighth of the corpus, a part is what it says; what the first document finds there does not count."""

    def stage(grows_with: str, parts: int) -> dict[str, Any]:
        sizes = [{"documents": 800, "peak": 1_000, "parts": 1}, {"documents": 1_600, "peak": 9_000, "parts": parts}]
        return {"grows_with": grows_with, "sizes": sizes}

    assert dedup_memory.bytes_per_document(stage("corpus", 1)) == 10
    assert dedup_memory.bytes_per_document(stage("file", 1)) == 80
    assert dedup_memory.bytes_per_document(stage("part", 1)) == 10


def test_a_stage_that_is_slower_than_stock_is_named() -> None:
    rows = [
        {"stage": "index", "stock_us": None, "us": 2.0},
        {"stage": "exact: scan", "stock_us": None, "us": 50.0},
        {"stage": "signatures", "stock_us": 900.0, "us": 10.0},
        {"stage": "  of it the permutation", "stock_us": 30.0, "us": 1.0},
        {"stage": "cluster", "stock_us": 1.0, "us": 1.5},
    ]
    found = {"en": {"methods": {"minhash": {"rows": rows}}}}
    assert dedup_speed_table.slower(found) == ["English, minhash, cluster: 1.5 us against 1.0"]
    assert dedup_speed_table.whole(rows) == {"stage": "**all**", "stock_us": 901.0, "us": 13.5}


@pytest.mark.parametrize(
    ("name", "page"), [("dedup_speed", dedup_speed_table.as_markdown), ("dedup_memory", dedup_memory.as_markdown)]
)
def test_pages_show_what_the_results_say(name: str, page: Any) -> None:
    """Law: no figure on the page that is not in the JSON file beside it."""
    results = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    assert (RESULTS / f"{name}.md").read_text(encoding="utf-8") == page(results)
