"""When the last task of a plan ends, on so many workers: the run's own order of tasks, simulated.

List scheduling (Graham 1969, SIAM J. Appl. Math. 17:416): a worker that is free takes the next task. On one node the
workers are a pool: each starts once, loads the word splitters of a language when it first meets it, and prefers tasks
whose languages it has (as pipelines/supervisor.py does). On several nodes each task is a job of its own (as with
`--executor slurm`), which starts and loads everything anew. Bandwidth is shared: all bytes take at least so long.
Gives up: tasks that fail and are tried again, queues in front of a cluster, and jobs that wait for one another's disks.
"""

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Job:
    """One task: seconds of its own, what it needs loaded (a language group), and the input bytes that order it."""

    seconds: float
    profile: tuple[str, ...]
    load_seconds: float
    input_bytes: int


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """wall: seconds from the start to the end of the last task, the network's bound included; work_bound: which of
    work, longest task and network alone would take longest; longest: of a single task with all that it loads; busy:
    seconds of all workers together; start: of which starting and loading."""

    wall_seconds: float
    work_bound: str
    longest_seconds: float
    busy_seconds: float
    start_seconds: float
    workers: int
    network_seconds: float = 0.0
    loads: tuple[float, ...] = field(default=(), repr=False)

    @property
    def efficiency(self) -> float:
        """Share of the workers' time that goes into tasks' own work."""
        total = self.workers * self.wall_seconds
        return (self.busy_seconds - self.start_seconds) / total if total else 1.0


def simulate(
    jobs: Sequence[Job],
    *,
    workers: int,
    start_seconds: float,
    pooled: bool,
    network_seconds: float = 0.0,
    lead_seconds: float = 0.0,
    shared_seconds: float = 0.0,
) -> Schedule:
    """The schedule of `jobs` on `workers`.

    Args:
        start_seconds: until a process can take a task. pooled: one process per worker for all its tasks, else one per
            task. network_seconds: all bytes at the shared bandwidth. lead_seconds: before the first worker starts.
        shared_seconds: part of every language group's loading that a pool's worker pays once (packages, the language
            model); at most the least of them.

    Raises ValueError for fewer than one worker. The same jobs give the same schedule.
    """
    if workers < 1:
        raise ValueError("a schedule needs at least one worker")
    if pooled:
        ends, started, longest = _pool(jobs, workers, start_seconds, shared_seconds)
    else:
        ends, started, longest = _each_alone(jobs, workers, start_seconds)
    last = max(ends, default=0.0)
    busy = sum(job.seconds for job in jobs) + started + lead_seconds
    bounds = {"work": (busy - lead_seconds) / workers, "longest task": longest, "network": network_seconds}
    bound = max(bounds, key=lambda name: bounds[name])
    return Schedule(
        wall_seconds=lead_seconds + max(last, network_seconds), work_bound=bound if jobs else "nothing to do",
        longest_seconds=longest, busy_seconds=busy, start_seconds=started + lead_seconds, workers=workers,
        network_seconds=network_seconds, loads=tuple(ends),
    )  # fmt: skip


def _each_alone(jobs: Sequence[Job], workers: int, start: float) -> tuple[list[float], float, float]:
    """In the order given, each with a start of its own. (end of each worker, seconds of starting, longest)."""
    free = [0.0] * min(workers, max(1, len(jobs)))
    started = longest = 0.0
    for job in jobs:
        own = start + job.load_seconds
        heapq.heappush(free, heapq.heappop(free) + own + job.seconds)
        started += own
        longest = max(longest, own + job.seconds)
    return free, started, longest


def _pool(jobs: Sequence[Job], workers: int, start: float, shared: float) -> tuple[list[float], float, float]:
    """Largest input first, languages kept together."""
    order = sorted(range(len(jobs)), key=lambda i: (-jobs[i].input_bytes, i))
    queues: dict[tuple[str, ...], deque[tuple[int, int]]] = {}
    for place, index in enumerate(order):
        queues.setdefault(jobs[index].profile, deque()).append((place, index))
    number = min(workers, len(jobs))  # no more are hired than there is work for
    knows: list[set[tuple[str, ...]]] = [set() for _ in range(number)]
    met: dict[tuple[str, ...], set[int]] = {profile: set() for profile in queues}
    free = [(start, worker) for worker in range(number)]
    ends = [start] * number
    started, longest = start * number, 0.0
    for _ in jobs:
        now, worker = heapq.heappop(free)
        profile = _choose(queues, knows[worker], met, worker)
        _, index = queues[profile].popleft()
        job = jobs[index]
        own = 0.0
        if profile not in knows[worker]:
            own = job.load_seconds - (shared if profile and any(knows[worker]) else 0.0)
            knows[worker].add(profile)
            met[profile].add(worker)
            started += own
        ends[worker] = now + own + job.seconds
        longest = max(longest, start + job.load_seconds + job.seconds)
        heapq.heappush(free, (ends[worker], worker))
        if not queues[profile]:
            del queues[profile]
    return ends, started, longest


def _choose(
    queues: dict[tuple[str, ...], deque[tuple[int, int]]], own: set[tuple[str, ...]],
    met: dict[tuple[str, ...], set[int]], worker: int,
) -> tuple[str, ...]:  # fmt: skip
    """The first in order that this worker knows, else the first that no other one does, else the first."""
    known = [profile for profile in queues if profile in own]
    if not known:
        known = [profile for profile in queues if not met[profile] - {worker}] or list(queues)
    return min(known, key=lambda profile: queues[profile][0])
