"""The speed benchmark works: it compares what it should, its results have their form, its pages show its results.

Never how fast anything is. Uses the data pack where it is, else the mini hub.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.data import ROOT

BENCHMARKS = ROOT / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import lanes  # noqa: E402 - benchmarks are scripts, not a package
import pipeline  # noqa: E402
import tables  # noqa: E402

PUBLISHED = BENCHMARKS / "results.json"


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Results of a small run without other libraries."""
    output = tmp_path_factory.mktemp("bench") / "results.json"
    command = [sys.executable, str(BENCHMARKS / "bench.py"), "--quick", "--only", "pipeline", "minhash"]
    done = subprocess.run([*command, "--output", str(output)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    results: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    return results


@pytest.mark.slow
def test_a_run_compares_every_document_with_stock_and_finds_no_difference(quick: dict[str, Any]) -> None:
    assert quick["mismatches"] == 0
    assert quick["documents"] == 120  # 60 of each language
    for found in quick["details"]["pipeline"].values():
        assert found["compared"] == found["documents"] == 60


@pytest.mark.slow
def test_results_have_the_form_that_readers_of_the_file_rely_on(quick: dict[str, Any]) -> None:
    assert {name: sorted(found) for name, found in quick["pipeline"].items()} == {
        name: ["first", "second"] for name in ("en", "vi")
    }
    assert set(quick["minhash"]) == {"signatures", "buckets"}
    ratios = [ratio for found in (*quick["pipeline"].values(), quick["minhash"]) for ratio in found.values()]
    assert all(type(ratio) is float and ratio > 0 for ratio in ratios)
    assert quick["machine"]["cores"]
    assert quick["machine"]["cpu"]
    assert quick["quick"] is True
    measured = {row["what"]: row["measured"] for row in quick["gates"]}
    assert measured["pipeline, English, first pass"] == quick["pipeline"]["en"]["first"]
    for found in quick["details"]["pipeline"].values():
        for shares in found["shares"].values():
            assert set(shares) == set(tables.STEPS)
            assert sum(shares.values()) == pytest.approx(1, abs=0.01)


def test_a_document_with_another_fate_is_counted(tmp_path: Path) -> None:
    """Law: whatever differs between two sides, a verdict, a reason, a score or a lost document, is a mismatch."""
    same = {str(i): ["kept", "abc", "en", 0.9] for i in range(5)}
    other = same | {"1": ["spam", "density", "en", 0.9], "2": ["kept", "abc", "en", 0.90001]}
    del other["3"]
    for name, found in {"stock": same, "ours": other}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "dropped.json").write_text(json.dumps(found))
    comparison = object.__new__(pipeline.Comparison)
    comparison.different, comparison.compared, comparison.ours, comparison.sizes = {}, set(), ["ours"], [0, 0]
    piece = pipeline.Piece(path=Path("a.jsonl.gz"), documents=5, text_bytes=1)
    comparison.compare(0, piece, {"stock": tmp_path / "stock", "ours": tmp_path / "ours"})
    assert set(comparison.different) == {"1", "2", "3", "a.jsonl.gz ours"}


def test_a_lane_that_dies_says_why() -> None:
    with pytest.raises(lanes.LaneError, match="no such thing"):
        lanes.Lane("broken", [sys.executable, "-c", "raise SystemExit('no such thing')"])


def test_a_lane_reports_its_own_cpu_time_and_no_print_disturbs_it() -> None:
    work = "print('noise'); sum(range(10**6))"
    script = f"""if True:
        import sys; sys.path.insert(0, {str(BENCHMARKS)!r})
        from lanes import measured, serve
        serve(lambda question: {{"cpu": measured(lambda: exec(question["work"]))[0]}})"""
    with lanes.Lane("ours", [sys.executable, "-c", script]) as lane:
        assert lane.ready["setup_seconds"] > 0
        answers = [lane.ask(work=work) for _ in range(2)]
    assert all(answer["cpu"] > 0 and answer["peak_memory"] > 0 for answer in answers)


def test_pages_show_what_the_results_say() -> None:
    """Law: no figure in the pages' generated parts that is not in results.json."""
    results = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    assert results["mismatches"] == 0
    assert results["quick"] is False
    for path in tables.PAGES:
        page = path.read_text(encoding="utf-8")
        assert "<!-- bench:" in page
        assert tables.filled(page, results) == page, f"run `python benchmarks/tables.py` to renew {path.name}"


def test_gates_judge_in_the_right_direction() -> None:
    """More is better for ratios, less for seconds; exactly the gate holds for a ratio and not for "under 10 s"."""
    english = {"first": {"ratio": 30.0}, "second": {"ratio": 59.9}}
    found = tables.gates({"pipeline": {"en": english}, "startup": {"seconds": 10.0}})
    assert [row["gate_holds"] for row in found] == [True, False, False]
    assert tables.gates({"startup": {"seconds": 4.9}})[0]["aim_reached"] is True
