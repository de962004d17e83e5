"""The loop of a filter step: datatrove's `BaseFilter.run` with its statistics, at a fraction of its cost.

datatrove updates a statistic through three calls and a running variance, also where it only adds one. Here ones are
added, and the two statistics that vary (length, time) take the same sums in the same order, so every figure is
datatrove's. The native core counts documents that are kept (native/python_loop.cpp). Gives up: statistics of the very
moment while a step runs (they are up to 256 documents behind, and complete at its end), and filters that work in
batches or count in their own way; they run datatrove's own loop.
"""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from time import perf_counter
from typing import Any

from datatrove.data import DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters.base_filter import BaseFilter, get_filter_result
from datatrove.utils.stats import MetricStats, Stats, TimingStats

from filters import native


def add_one(statistics: dict[str, MetricStats], label: str) -> None:
    """`stat_update(label)`: of ones alone, mean and extremes stay 1 and the variance 0."""
    metric = statistics[label]
    if metric.mean == 1 and metric.n:
        metric.total += 1
        metric.n += 1
    else:
        metric.update(1)


def add(metric: MetricStats, value: float) -> None:
    """`MetricStats.update(value)`; the order of the operations decides the last digit of the variance."""
    metric.total += value
    metric.n = n = metric.n + 1
    if value < metric.min:
        metric.min = value
    if value > metric.max:
        metric.max = value
    delta = value - metric.mean
    metric.mean = mean = metric.mean + delta / n
    if n > 1:
        metric._running_variance += delta * (value - mean)


# What the native core reads without asking Python; another one, put in its place, is asked.
_CLOCK = perf_counter

_State = tuple[float, int, float, float, float, float]


def _state(metric: MetricStats) -> _State:
    """A statistic as the native core keeps it: total, count, least, greatest, mean, running variance."""
    return metric.total, metric.n, metric.min, metric.max, metric.mean, metric._running_variance


def _put(metric: MetricStats, state: _State) -> None:
    metric.total, metric.n, metric.min, metric.max, metric.mean, metric._running_variance = state


def add_time(times: TimingStats, seconds: float) -> None:
    """`TimingStats.update(seconds)`."""
    add(times, seconds)
    if times.n_tasks == 1:
        times.global_mean = times.global_min = times.global_max = times.total


def add_length(statistics: dict[str, MetricStats], document: Any) -> None:
    """`PipelineStep.update_doc_stats`."""
    metric = statistics["doc_len"]
    metric.unit = "doc"
    add(metric, len(document.text))
    if tokens := document.metadata.get("token_count"):
        statistics["doc_len_tokens"].update(tokens, "doc")


def has_plain_statistics(step: PipelineStep) -> bool:
    """Whether a step counts as datatrove's own classes do, so that the functions here may count for it."""
    kind = type(step)
    return (
        type(step.stats) is Stats
        and kind.stat_update is PipelineStep.stat_update
        and kind.update_doc_stats is PipelineStep.update_doc_stats
        and kind.track_time is PipelineStep.track_time
    )


class CountedFilter(BaseFilter):
    """Put before a datatrove filter in the bases of a class: `class XFilter(CountedFilter, DatatroveFilter)`.

    `when_dropped` is called with each document that is dropped and the rule that dropped it.
    """

    when_dropped: Callable[[Any, str | None], None] | None = None

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """The documents that `filter` keeps."""
        batches = self.batch_size > 1 or type(self).filter_batch is not BaseFilter.filter_batch
        if batches or not has_plain_statistics(self):
            yield from super().run(data, rank, world_size)
            return
        with self.exclusion_writer if self.exclusion_writer else nullcontext():
            core = native.load()
            if core is None:
                yield from self._kept(data, rank)
                return
            clock = None if perf_counter is _CLOCK else perf_counter
            seconds = _state(self.stats.time_stats)
            chars = _state(self.stats.stats["doc_len"]) if "doc_len" in self.stats.stats else _state(MetricStats())
            loop = core.Loop(
                data, self.filter, partial(self._decide, rank), self._settle, self._measure, seconds, chars, clock
            )
            try:
                yield from loop
            finally:
                loop.settle()

    def _kept(self, data: DocumentsPipeline, rank: int) -> DocumentsPipeline:
        """The loop without the native core."""
        times, statistics = self.stats.time_stats, self.stats.stats
        for document in data:
            started = perf_counter()
            try:
                verdict = self.filter(document)
            finally:
                add_time(times, perf_counter() - started)
            add_one(statistics, "total")
            if verdict is True or self._decide(rank, document, verdict):
                add_one(statistics, "forwarded")
                add_length(statistics, document)
                yield document

    def _decide(self, rank: int, document: Any, verdict: Any) -> bool:
        """Whether a verdict keeps a document; one that is not kept is counted and goes to the exclusion writer."""
        statistics = self.stats.stats
        kept, reason = get_filter_result(verdict)
        if kept:
            return True
        add_one(statistics, "dropped")
        if reason:
            add_one(statistics, f"dropped_{reason}")
        if self.when_dropped is not None:
            self.when_dropped(document, reason)
        if self.exclusion_writer:
            if reason:
                document.metadata["filter_reason"] = reason
            self.exclusion_writer.write(document, rank)
        return False

    def _settle(self, total: int, forwarded: int, seconds: _State, chars: _State) -> None:
        """Takes what the native core has counted: documents since its last call, and two statistics as they are."""
        statistics, times = self.stats.stats, self.stats.time_stats
        for label, count in (("total", total), ("forwarded", forwarded)):
            if count:
                add_one(statistics, label)
                statistics[label].total += count - 1
                statistics[label].n += count - 1
        _put(times, seconds)
        if times.n_tasks == 1:
            times.global_mean = times.global_min = times.global_max = times.total
        if forwarded:
            lengths = statistics["doc_len"]
            lengths.unit = "doc"
            _put(lengths, chars)
            if lengths.n:
                lengths.total, lengths.min, lengths.max = map(int, (lengths.total, lengths.min, lengths.max))

    def _measure(self, document: Any) -> _State:
        add_length(self.stats.stats, document)
        return _state(self.stats.stats["doc_len"])
