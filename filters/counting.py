"""The loop of a filter step: datatrove's `BaseFilter.run` with its statistics, at a third of its cost.

datatrove updates a statistic through three calls and a running variance, also where it only adds one. Here ones are
added, and the two statistics that vary (length, time) take the same sums in the same order, so every figure is
datatrove's. Gives up: filters that work in batches or count in their own way; they run datatrove's own loop.
"""

from contextlib import nullcontext
from time import perf_counter
from typing import Any

from datatrove.data import DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters.base_filter import BaseFilter, get_filter_result
from datatrove.utils.stats import MetricStats, Stats, TimingStats


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
    """Put before a datatrove filter in the bases of a class: `class XFilter(CountedFilter, DatatroveFilter)`."""

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """The documents that `filter` keeps."""
        batches = self.batch_size > 1 or type(self).filter_batch is not BaseFilter.filter_batch
        if batches or not has_plain_statistics(self):
            yield from super().run(data, rank, world_size)
            return
        times, statistics = self.stats.time_stats, self.stats.stats
        with self.exclusion_writer if self.exclusion_writer else nullcontext():
            for document in data:
                started = perf_counter()
                try:
                    verdict = self.filter(document)
                finally:
                    add_time(times, perf_counter() - started)
                add_one(statistics, "total")
                kept, reason = (True, None) if verdict is True else get_filter_result(verdict)
                if kept:
                    add_one(statistics, "forwarded")
                    add_length(statistics, document)
                    yield document
                    continue
                add_one(statistics, "dropped")
                if reason:
                    add_one(statistics, f"dropped_{reason}")
                if self.exclusion_writer:
                    if reason:
                        document.metadata["filter_reason"] = reason
                    self.exclusion_writer.write(document, rank)
