"""The figures of scaling: they are put together right, and the guide has those that were published.

Never how fast anything is. Gives up: measuring; that takes minutes (`python benchmarks/scaling.py`).
"""

import json

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scaling import RESULTS, makespan, overhead_line, table
from tests.data import ROOT

TASKS = st.lists(st.floats(min_value=0, max_value=1e4), min_size=1, max_size=40)


@given(TASKS, st.integers(min_value=1, max_value=8))
def test_no_schedule_beats_its_bounds(tasks: list[float], workers: int) -> None:
    """Graham 1966: between max(longest, sum / workers) and sum / workers + longest."""
    end = makespan(tasks, workers)
    rest = 1e-9 * sum(tasks)
    assert max(max(tasks), sum(tasks) / workers) - rest <= end <= sum(tasks) / workers + max(tasks) + rest


@given(TASKS)
def test_one_worker_does_one_after_the_other(tasks: list[float]) -> None:
    assert abs(makespan(tasks, 1) - sum(tasks)) <= 1e-9 * sum(tasks)


def test_the_guide_has_the_published_figures() -> None:
    """Its table and its line of costs are those that the benchmark prints for benchmarks/results/scaling.json."""
    found = json.loads((RESULTS / "scaling.json").read_text(encoding="utf-8"))
    guide = (ROOT / "DATATROVE_GUIDE.md").read_text(encoding="utf-8")
    assert table(found) in guide, f"put this table into the guide:\n{table(found)}"
    assert overhead_line(found) in guide
    for part in ("local", "slurm"):
        speed = found[part]["documents_per_second"]
        assert abs(found[part]["efficiency"]["wall"] - speed["2"] / speed["1"] / 2) < 0.01
