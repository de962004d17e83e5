"""The figures of scaling are put together right.

Never how fast anything is. Gives up: measuring; that takes minutes (`python benchmarks/scaling.py`).
"""

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scaling import makespan

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
