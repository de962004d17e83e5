"""The estimate for people: a table of all sources, the totals, and one line for each thing to look at.

Gives up: narrow terminals; the width is fixed.
"""

import io

from rich.console import Console
from rich.table import Table

from pipelines.dedup.cost import show_seconds
from pipelines.estimate.dedup import DedupPrediction
from pipelines.estimate.predict import Prediction, Range, SourcePrediction
from pipelines.estimate.rates import HIGH, LOW, REPLICATES
from pipelines.plan import Plan
from pipelines.quantities import show_bytes, show_count

WIDTH = 200
# The plan allows for another share than the filters keep, by more than the range and this.
OFF_YIELD = 0.1


def estimate_text(plan: Plan, prediction: Prediction, dedup: DedupPrediction | None) -> str:
    """The whole estimate as plain text."""
    buffer = io.StringIO()
    console = Console(file=buffer, width=WIDTH, highlight=False, color_system=None)
    console.print(_table(prediction))
    console.print("\n".join(_totals(plan, prediction)), soft_wrap=True, markup=False)
    console.print("\n".join(_dedup(dedup)), soft_wrap=True, markup=False)
    if lines := _remarks(prediction):
        console.print("\n".join(["", *lines]), soft_wrap=True, markup=False)
    return buffer.getvalue()


def _table(prediction: Prediction) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("source", no_wrap=True)
    for heading in (
        "sampled", "ms/doc", "ms/MB", "kept", "CPU", "tasks", "longest", "tokens", "of budget", "documents",
        "fetched", "written", "memory",
    ):  # fmt: skip
        table.add_column(heading, justify="right", no_wrap=True)
    for source in prediction.sources:
        table.add_row(*_row(source))
    return table


def _row(source: SourcePrediction) -> list[str]:
    share = source.tokens[0] / source.budget_tokens if source.budget_tokens else 0.0
    return [
        source.source,
        f"{source.sampled_documents:,}",
        f"{source.milliseconds_per_document[0]:.3g}",
        f"{source.milliseconds_per_megabyte[0]:.3g}",
        _percent(source.token_yield),
        _seconds(source.cpu_seconds),
        f"{source.tasks:,}",
        show_seconds(source.longest_task_seconds[0]),
        show_count(source.tokens[0]),
        f"{share:.0%}",
        show_count(source.documents[0]),
        show_bytes(source.fetched_bytes[0]),
        show_bytes(source.written_bytes[0]),
        show_bytes(source.worker_bytes),
    ]


def _totals(plan: Plan, prediction: Prediction) -> list[str]:
    cluster, schedule = prediction.cluster, prediction.schedules[0]
    workers = f"{cluster.nodes} node{'s' if cluster.nodes > 1 else ''} x {cluster.cores_per_node} cores"
    how = "one pool of workers" if cluster.pooled else "each task a job of its own"
    wall = _seconds(prediction.wall_seconds)
    lines = [
        "",
        f"CPU: {_seconds(prediction.cpu_seconds)}, starting processes and loading models included "
        f"({show_seconds(schedule.start_seconds)})",
        f"Wall time on {workers} ({how}): {wall}, efficiency {schedule.efficiency:.0%}; "
        + _why(prediction),
        f"Reading: {_range(prediction.fetched_bytes, show_bytes)}"
        + (f", {show_seconds(schedule.network_seconds)} at {show_bytes(cluster.bandwidth)}/s"
           if cluster.bandwidth else "; give --bandwidth to see how long the network takes"),
        f"Writing: {_range(prediction.written_bytes, show_bytes)}, "
        f"{_range(prediction.documents, show_count)} documents, "
        f"about {_range(prediction.tokens, show_count)} tokens of {show_count(plan.planned_tokens)} planned",
        "Memory: "
        + (f"up to {show_bytes(prediction.pool_worker_bytes)} a worker that meets every language, " if cluster.pooled
           else "")
        + f"{show_bytes(max((s.worker_bytes for s in prediction.sources), default=0))} for the largest source alone",
        f"Ranges: {LOW:g}th to {HIGH:g}th percentile over {REPLICATES} resamples of the sample's files and documents; "
        "not in them: rows further down that are not like the first, and machines that are not like this one",
    ]  # fmt: skip
    return lines


def _why(prediction: Prediction) -> str:
    schedule = prediction.schedules[0]
    if schedule.work_bound == "network":
        return "the network is the bound"
    if schedule.work_bound == "longest task":
        return f"the longest task, {show_seconds(schedule.longest_seconds)}, is the bound: more cores do not help"
    return f"the longest task takes {show_seconds(schedule.longest_seconds)}"


def _dedup(dedup: DedupPrediction | None) -> list[str]:
    if dedup is None:
        return ["Deduplication: nothing would be written"]
    what = f"Deduplication ({', '.join(dedup.methods)}, on one node): "
    if dedup.cpu_seconds is None or dedup.serial_seconds is None or dedup.wall_seconds is None:
        time = f"time unknown ({dedup.problem})"
    else:
        time = (
            f"{show_seconds(dedup.cpu_seconds)} of CPU, {show_seconds(dedup.wall_seconds)} of wall time "
            f"({show_seconds(dedup.serial_seconds)} in one process)"
        )
    return [
        f"{what}{time}, {show_bytes(dedup.worker_bytes)} a worker, up to {show_bytes(dedup.disk_bytes)} of work files"
    ]


def _remarks(prediction: Prediction) -> list[str]:
    lines = []
    for source in prediction.sources:
        _, low, high = source.token_yield
        planned = source.expected_yield
        if not high * (1 + OFF_YIELD) >= planned >= low * (1 - OFF_YIELD):
            lines.append(
                f"note: {source.source}: the filters keep {_percent(source.token_yield)} of the sample's text, the "
                f"plan allows for {planned:.0%}; "
                + (f"set expected_yield: {source.token_yield[0]:.2g}" if source.token_yield[0] >= 0.005
                   else "nothing would be written; does the profile belong to the source?")
            )  # fmt: skip
        if source.late[0]:
            limit = show_seconds(prediction.cluster.time_limit or 0)
            fits = f"give --tasks {source.tasks_that_fit}" if source.tasks_that_fit else "one file alone takes longer"
            lines.append(
                f"LATE: {source.source}: {source.late[0]:,} of {source.tasks:,} tasks would take longer than {limit} "
                f"(the longest {show_seconds(source.longest_task_seconds[0])}); {fits}"
            )
        elif source.late[1]:
            lines.append(
                f"note: {source.source}: {source.late[1]:,} of {source.tasks:,} tasks are late at the slow end of "
                "the range"
            )
    limit_bytes = prediction.cluster.memory_per_core
    for source in prediction.sources:
        if limit_bytes is not None and source.worker_bytes > limit_bytes:
            lines.append(
                f"MEMORY: {source.source}: a worker takes {show_bytes(source.worker_bytes)}, a core has "
                f"{show_bytes(limit_bytes)}"
            )
    begun = {source.source for source in prediction.sources}
    lines += [
        f"NOT measured: {key}: {problem}" + ("; what came before is in the figures" if key in begun else "")
        for key, problem in prediction.problems
    ]
    return lines


def _percent(values: Range) -> str:
    value, low, high = values
    return f"{value:.0%}" if round(low, 2) == round(high, 2) else f"{value:.0%} ({100 * low:.0f}-{100 * high:.0f})"


def _seconds(values: Range) -> str:
    value, low, high = (show_seconds(part) for part in values)
    return value if low == high else f"{value} ({low} to {high})"


def _range(values: Range, show: object) -> str:
    assert callable(show)
    value, low, high = (show(part) for part in values)
    return value if low == high else f"{value} ({low} to {high})"
