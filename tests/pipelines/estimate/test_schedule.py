"""The simulated schedule obeys the laws of list scheduling (Graham 1969), whatever the tasks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.estimate.schedule import Job, simulate

PROFILES = ((), ("en",), ("vi",), ("fr", "de"))
LOADS = {(): 0.0, ("en",): 1.0, ("vi",): 2.5, ("fr", "de"): 4.0}
# Eighths of a second: sums of them are exact.
EIGHTHS = st.integers(0, 4000).map(lambda n: n / 8)
JOBS = st.lists(
    st.builds(
        lambda seconds, profile, size: Job(
            seconds=seconds, profile=profile, load_seconds=LOADS[profile], input_bytes=size
        ),
        EIGHTHS, st.sampled_from(PROFILES), st.integers(0, 1000),
    ),
    min_size=1, max_size=40,
)  # fmt: skip
WORKERS = st.integers(1, 12)


@given(JOBS, WORKERS, st.booleans(), EIGHTHS)
def test_work_is_conserved(jobs: list[Job], workers: int, pooled: bool, start: float) -> None:
    """All workers together are busy for what the tasks take, and for every start and load, once each."""
    schedule = simulate(jobs, workers=workers, start_seconds=start, pooled=pooled)
    work = sum(job.seconds for job in jobs)
    assert schedule.busy_seconds == work + schedule.start_seconds
    # No worker waits while there is work: what the workers' ends add up to is what they were busy with.
    assert sum(schedule.loads) == schedule.busy_seconds
    each = sum(start + job.load_seconds for job in jobs)
    if pooled:
        profiles = {job.profile for job in jobs}
        least = start * min(workers, len(jobs)) + sum(LOADS[profile] for profile in profiles)
        assert least <= schedule.start_seconds <= each
    else:
        assert schedule.start_seconds == each


@given(JOBS, WORKERS, st.booleans(), EIGHTHS, EIGHTHS, st.sampled_from([0.0, 0.5, 1.0]))
def test_bounds_of_list_scheduling(
    jobs: list[Job], workers: int, pooled: bool, start: float, network: float, shared: float
) -> None:
    """max(total / workers, longest, network) <= wall <= max(network, total / workers + longest)."""
    schedule = simulate(
        jobs, workers=workers, start_seconds=start, pooled=pooled, network_seconds=network, shared_seconds=shared
    )
    share = schedule.busy_seconds / workers
    assert schedule.wall_seconds >= max(share, schedule.longest_seconds, network) - 1e-9
    assert schedule.wall_seconds <= max(network, share + schedule.longest_seconds) + 1e-9
    assert 0 <= schedule.efficiency <= 1


@given(JOBS, WORKERS, EIGHTHS)
def test_more_cores_are_never_slower_where_each_task_is_a_job(jobs: list[Job], workers: int, start: float) -> None:
    """Independent jobs in one order: another machine cannot make the end later."""
    fewer, more = (simulate(jobs, workers=n, start_seconds=start, pooled=False) for n in (workers, workers + 1))
    assert more.wall_seconds <= fewer.wall_seconds


@given(JOBS, WORKERS, WORKERS, EIGHTHS)
def test_more_workers_of_a_pool_stay_within_grahams_bound(jobs: list[Job], m: int, n: int, start: float) -> None:
    """A pool may load more with more workers; it stays below its own even share and the longest task."""
    fewer, more = sorted((m, n))
    a, b = (simulate(jobs, workers=k, start_seconds=start, pooled=True) for k in (fewer, more))
    extra = max(0.0, b.start_seconds - a.start_seconds)
    assert b.wall_seconds <= (a.busy_seconds + extra) / more + b.longest_seconds + 1e-9


@given(JOBS, WORKERS, st.booleans())
def test_the_same_jobs_have_the_same_schedule(jobs: list[Job], workers: int, pooled: bool) -> None:
    assert simulate(jobs, workers=workers, start_seconds=1.0, pooled=pooled) == simulate(
        jobs, workers=workers, start_seconds=1.0, pooled=pooled
    )


def test_a_pool_loads_a_language_where_it_has_been_loaded() -> None:
    """Two languages, two workers: each worker keeps to one, so each language is loaded once."""
    jobs = [Job(seconds=10, profile=(name,), load_seconds=3, input_bytes=5) for name in "ab" * 6]
    pool = simulate(jobs, workers=2, start_seconds=1, pooled=True)
    assert (pool.start_seconds, pool.wall_seconds) == (8, 64)
    alone = simulate(jobs, workers=2, start_seconds=1, pooled=False)
    assert (alone.start_seconds, alone.wall_seconds) == (48, 84)


def test_what_languages_share_is_loaded_once_by_a_worker() -> None:
    """One worker, three languages of 3 s each, 2 of them the same packages; code needs none of it."""
    jobs = [Job(seconds=1, profile=p, load_seconds=3, input_bytes=9) for p in (("en",), ("vi",), ("fr",))]
    jobs.append(Job(seconds=1, profile=(), load_seconds=0, input_bytes=1))
    pool = simulate(jobs, workers=1, start_seconds=0, pooled=True, shared_seconds=2)
    assert (pool.start_seconds, pool.wall_seconds) == (5, 9)
    alone = simulate(jobs, workers=1, start_seconds=0, pooled=False, shared_seconds=2)
    assert (alone.start_seconds, alone.wall_seconds) == (9, 13)


def test_what_bounds_the_wall_time() -> None:
    """Named: the network, the longest task, or the work."""
    job = Job(seconds=10, profile=(), load_seconds=0, input_bytes=1)
    assert simulate([job] * 20, workers=2, start_seconds=0, pooled=True).work_bound == "work"
    assert simulate([job] * 2, workers=8, start_seconds=0, pooled=True).work_bound == "longest task"
    assert simulate([job], workers=1, start_seconds=0, pooled=True, network_seconds=50).work_bound == "network"
    empty = simulate([], workers=3, start_seconds=1, pooled=True)
    assert (empty.wall_seconds, empty.work_bound, empty.efficiency) == (0, "nothing to do", 1)


def test_a_schedule_without_workers_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one worker"):
        simulate([], workers=0, start_seconds=0, pooled=True)
