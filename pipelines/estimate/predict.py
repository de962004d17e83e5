"""From plan and samples to what a run takes on a cluster: CPU, wall time, bytes, memory, tasks that miss a limit.

Every figure has a range, which says how sure the sample is (rates.py), not how sure the model is; the guide says by how
much real runs differed. Gives up: sources that could not be sampled; they are named, and nothing is made up for them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipelines.estimate.cluster import Cluster
from pipelines.estimate.rates import Rates, rates_of, span
from pipelines.estimate.sample import SourceSample
from pipelines.estimate.schedule import Job, Schedule, simulate
from pipelines.estimate.tasks import Amounts, SourceTasks, amounts, tasks_of
from pipelines.estimates import bytes_per_token
from pipelines.plan import Plan, PlannedSource, largest_task_first

Range = tuple[float, float, float]
"""The value, and the 5th and 95th percentile of its replicates."""


@dataclass(frozen=True, kw_only=True)
class SourcePrediction:
    """One source. Times in seconds, sizes in bytes; `late`: tasks over the time limit, and at the slow end of the
    range; `tasks_that_fit`: for how many tasks the longest would fit, None where no number does."""

    source: str
    sampled_rows: int
    sampled_documents: int
    tasks: int
    cpu_seconds: Range
    documents: Range
    drawn: Range
    token_yield: Range
    tokens: Range
    written_bytes: Range
    budget_tokens: float
    bytes_to_read: int
    fetched_bytes: Range
    milliseconds_per_document: Range
    milliseconds_per_megabyte: Range
    setup_seconds: float
    longest_task_seconds: tuple[float, float]
    late: tuple[int, int]
    tasks_that_fit: int | None
    worker_bytes: int
    expected_yield: float


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The whole plan. `wall`: schedules at the sample's own rates, and at the fast and the slow end of the range."""

    sources: tuple[SourcePrediction, ...]
    problems: tuple[tuple[str, str], ...]
    cluster: Cluster
    start_seconds: float
    cpu_seconds: Range
    tokens: Range
    documents: Range
    written_bytes: Range
    fetched_bytes: Range
    schedules: tuple[Schedule, Schedule, Schedule]
    pool_worker_bytes: int
    jobs: tuple[Job, ...] = field(default=(), repr=False)
    by_task: Mapping[str, Amounts] = field(default_factory=dict, repr=False)

    @property
    def wall_seconds(self) -> Range:
        """Until the last task ends."""
        value, low, high = (schedule.wall_seconds for schedule in self.schedules)
        return value, low, high

    @property
    def late(self) -> int:
        """Tasks that would miss the time limit."""
        return sum(source.late[0] for source in self.sources)

    @property
    def too_large(self) -> list[str]:
        """Sources whose workers need more memory than a core has."""
        limit = self.cluster.memory_per_core
        return [s.source for s in self.sources if limit is not None and s.worker_bytes > limit]

    @property
    def ok(self) -> bool:
        """Everything was sampled, and every task fits."""
        return not (self.problems or self.late or self.too_large)


@dataclass(frozen=True, kw_only=True)
class _Measured:
    source: PlannedSource
    sample: SourceSample
    rates: Rates
    tasks: SourceTasks
    whole: Amounts


def predict(
    plan: Plan,
    samples: Mapping[str, SourceSample],
    cluster: Cluster,
    *,
    start_seconds: float,
    lead_seconds: float = 0.0,
) -> Prediction:
    """What `plan` takes on `cluster`.

    start_seconds: CPU of starting one worker process. lead_seconds: CPU of the command before it starts any.

    Sources whose sample has no documents are in `problems`, and left out of every sum.
    """
    problems = tuple((key, sample.problem) for key, sample in samples.items() if sample.problem is not None)
    measured = [_measure(source, samples[source.key], plan.seed) for source in plan.sources
                if samples[source.key].documents]  # fmt: skip
    cpu = _total([item.whole.cpu_seconds for item in measured])
    places = [0, *_ends_of(cpu)]
    schedules, all_jobs = [], []
    # A pool orders its tasks itself.
    order = range(len(measured)) if cluster.pooled else largest_task_first([item.source for item in measured])
    queue = [measured[index] for index in order]
    for place in places:
        jobs = _jobs(queue, place)
        all_jobs.append(jobs)
        fetched = sum(float(_take(item.whole.fetched_bytes, place)) for item in measured)
        network = fetched / cluster.bandwidth if cluster.bandwidth else 0.0
        schedules.append(
            simulate(
                jobs,
                workers=cluster.cores,
                start_seconds=start_seconds,
                pooled=cluster.pooled,
                network_seconds=network,
                lead_seconds=lead_seconds,
                shared_seconds=min((job.load_seconds for job in jobs if job.profile), default=0.0),
            )
        )
    start = start_seconds if not cluster.pooled else 0.0
    return Prediction(
        sources=tuple(_of_source(item, cluster, start) for item in measured),
        problems=problems,
        cluster=cluster,
        start_seconds=start_seconds,
        cpu_seconds=_with_starts(span(cpu), schedules),
        tokens=span(_total([_tokens(item) for item in measured])),
        documents=span(_total([item.whole.documents for item in measured])),
        written_bytes=span(_total([item.whole.written_bytes for item in measured])),
        fetched_bytes=span(_total([item.whole.fetched_bytes for item in measured])),
        schedules=(schedules[0], schedules[1], schedules[2]),
        pool_worker_bytes=_pool_bytes(measured),
        jobs=tuple(all_jobs[0]),
        by_task={item.source.key: amounts(item.tasks, item.rates.at(0), item.sample, whole=False) for item in measured},
    )


def _measure(source: PlannedSource, sample: SourceSample, seed: int) -> _Measured:
    rates, tasks = rates_of(sample, seed=seed), tasks_of(source, seed)
    return _Measured(
        source=source, sample=sample, rates=rates, tasks=tasks, whole=amounts(tasks, rates, sample, whole=True)
    )


def _take(values: np.ndarray, place: int) -> float:
    """The replicate's value; what no replicate changes stands once for all."""
    return values[place] if len(values) > 1 else values[0]


def _total(parts: Sequence[np.ndarray]) -> np.ndarray:
    total = np.zeros(1)
    for part in parts:
        total = total + part
    return total


def _ends_of(cpu: np.ndarray) -> tuple[int, int]:
    """The replicates whose CPU time is nearest to the ends of its range."""
    _, low, high = span(cpu)
    if len(cpu) < 2:
        return 0, 0
    return 1 + int(np.abs(cpu[1:] - low).argmin()), 1 + int(np.abs(cpu[1:] - high).argmin())


def _with_starts(cpu: Range, schedules: Sequence[Schedule]) -> Range:
    """CPU of the tasks and of everything that is started and loaded for them."""
    value, low, high = (own + schedule.start_seconds for own, schedule in zip(cpu, schedules, strict=True))
    return value, low, high


def _profile(source: PlannedSource) -> tuple[str, ...]:
    """What a worker loads for it, as pipelines/supervisor.py groups tasks."""
    return source.languages if source.filters else ()


def _jobs(measured: Sequence[_Measured], place: int) -> list[Job]:
    jobs = []
    for item in measured:
        each = amounts(item.tasks, item.rates.at(place), item.sample, whole=False)
        seconds = each.cpu_seconds + each.wait_seconds
        profile = _profile(item.source)
        jobs += [
            Job(seconds=float(own), profile=profile, load_seconds=item.sample.setup_seconds, input_bytes=int(read))
            for own, read in zip(seconds, item.tasks.read, strict=True)
        ]
    return jobs


def _tokens(item: _Measured) -> np.ndarray:
    return item.whole.text_bytes / bytes_per_token(item.source.source.language)


def _of_source(item: _Measured, cluster: Cluster, start: float) -> SourcePrediction:
    slow = _ends_of(item.whole.cpu_seconds)[1]
    own = start + item.sample.setup_seconds
    by_task = [
        (each.cpu_seconds + each.wait_seconds + own)
        for each in (amounts(item.tasks, item.rates.at(place), item.sample, whole=False) for place in (0, slow))
    ]
    limit = cluster.time_limit
    late = tuple(int((seconds > limit).sum()) if limit is not None else 0 for seconds in by_task)
    per_document = item.rates.read_seconds + item.rates.work_seconds
    return SourcePrediction(
        source=item.source.key,
        sampled_rows=item.sample.rows,
        sampled_documents=len(item.sample.documents),
        tasks=len(item.source.tasks),
        cpu_seconds=span(item.whole.cpu_seconds),
        documents=span(item.whole.documents),
        drawn=span(item.whole.drawn),
        token_yield=span(item.rates.token_yield),
        tokens=span(_tokens(item)),
        written_bytes=span(item.whole.written_bytes),
        budget_tokens=item.source.budget_tokens,
        bytes_to_read=item.source.bytes_to_read,
        fetched_bytes=span(item.whole.fetched_bytes),
        milliseconds_per_document=span(per_document * 1e3),
        milliseconds_per_megabyte=span(per_document * 1e3 / (item.rates.text_bytes / 1e6)),
        setup_seconds=item.sample.setup_seconds,
        longest_task_seconds=(float(by_task[0].max()), float(by_task[1].max())),
        late=(late[0], late[1]),
        tasks_that_fit=_tasks_that_fit(item, float(by_task[0].sum()), own, limit) if late[0] else None,
        worker_bytes=item.sample.peak_bytes,
        expected_yield=item.source.expected_yield,
    )


def _tasks_that_fit(item: _Measured, total: float, own: float, limit: float | None) -> int | None:
    """Tasks among which the files would fit the limit if they were dealt evenly; None where one file alone is over."""
    if limit is None or limit <= own:
        return None
    work = total - own * len(item.tasks.read)
    largest = max(file.size for file in item.source.files) / max(1.0, item.tasks.read.sum()) * work
    if own + largest > limit:
        return None
    # A task ends up with at most its even share and one more file.
    room = limit - own - largest
    number = int(np.ceil(work / room)) if room > 0 else len(item.source.files)
    return min(len(item.source.files), max(number, len(item.tasks.read) + 1))


def _pool_bytes(measured: Sequence[_Measured]) -> int:
    """A worker of a pool that meets every language: what each adds to the smallest."""
    peaks: dict[tuple[str, ...], int] = {}
    for item in measured:
        profile = _profile(item.source)
        peaks[profile] = max(peaks.get(profile, 0), item.sample.peak_bytes)
    least = min(peaks.values(), default=0)
    return least + sum(peak - least for peak in peaks.values())


def as_data(prediction: Prediction) -> dict[str, Any]:
    """For machines: every figure, ranges as {value, low, high}."""
    from dataclasses import asdict

    def named(values: Range) -> dict[str, float]:
        return dict(zip(("value", "low", "high"), values, strict=True))

    ranged = {"cpu_seconds", "tokens", "documents", "written_bytes", "fetched_bytes"}
    schedule = prediction.schedules[0]
    return {
        **{name: named(getattr(prediction, name)) for name in sorted(ranged)},
        "wall_seconds": named(prediction.wall_seconds),
        "efficiency": schedule.efficiency,
        "bound": schedule.work_bound,
        "longest_task_seconds": schedule.longest_seconds,
        "network_seconds": schedule.network_seconds,
        "start_seconds": prediction.start_seconds,
        "pool_worker_bytes": prediction.pool_worker_bytes,
        "cluster": asdict(prediction.cluster),
        "late": prediction.late,
        "too_large": prediction.too_large,
        "ok": prediction.ok,
        "problems": dict(prediction.problems),
        "sources": [
            {
                name: named(value) if isinstance(value, tuple) and len(value) == 3 else value
                for name, value in asdict(source).items()
            }
            for source in prediction.sources
        ],
    }
