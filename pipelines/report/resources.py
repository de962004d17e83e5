"""The tables of a report about time and memory.

Gives up: steps within a stage of a deduplication.
"""

from collections import Counter
from collections.abc import Sequence

from pipelines.quantities import show_bytes
from pipelines.report.data import RunReport
from pipelines.report.stages import StageReport
from pipelines.report.tables import Table, percent

SLOWEST_STEPS = 15


def step_name(step: str) -> str:
    """A step as datatrove prints it, without its pictures: "🔻 - FILTER: 🌍 Language ID" is "FILTER: Language ID"."""
    return " ".join("".join(char for char in step if ord(char) < 0x2000).split()).removeprefix("- ")


def steps(report: RunReport) -> Table:
    """Time by step over all sources."""
    seconds, documents = Counter[str](), Counter[str]()
    for source in report.sources:
        for step, spent in source.step_seconds.items():
            seconds[step] += spent  # type: ignore[assignment]
            documents[step] += source.drawn
    whole = sum(seconds.values())
    rows: list[Sequence[str]] = [
        (step_name(step), f"{spent:,.2f}", percent(spent, whole), _microseconds(spent, documents[step]))
        for step, spent in seconds.most_common()
    ]
    note = (
        "Seconds on the clock, summed over tasks, as datatrove counts them for each step; where more workers than "
        "cores run, waiting is in them. Microseconds: per document drawn."
    )
    return Table("Time by step", ("step", "seconds", "share", "us / document"), rows, note=note)


def memory(report: RunReport) -> list[tuple[str, int]]:
    """The parts of the highest peak of a worker in bytes, in the order in which they came; [] where none were told."""
    highest = max(report.sources, key=lambda source: source.peak_memory_bytes, default=None)
    return list(highest.memory_by_step.items()) if highest is not None else []


def memory_by_step(report: RunReport) -> Table:
    """What the highest peak of a worker is made of."""
    parts = memory(report)
    whole = sum(size for _, size in parts)
    rows: list[Sequence[str]] = [(step_name(step), show_bytes(size), percent(size, whole)) for step, size in parts]
    if rows:
        rows.append(("peak", show_bytes(whole), ""))
    note = (
        "What the peak of the worker that held most grew by while each step handled the first documents of its tasks, "
        "in the order in which the steps first did; the parts add up to the peak. What steps share (words, models) "
        "counts for the one that loaded it. Another worker may have done other sources."
    )
    return Table("Peak memory by step", ("step", "added to the peak", "share"), rows, note=note)


def slowest_steps(report: RunReport) -> Table:
    """The steps of single sources that took longest for each document."""
    found = sorted(
        (
            (spent / source.drawn, spent, source.source, step)
            for source in report.sources
            if source.drawn
            for step, spent in source.step_seconds.items()
        ),
        reverse=True,
    )[:SLOWEST_STEPS]
    rows: list[Sequence[str]] = [
        (name, step_name(step), f"{each * 1e6:,.0f}", f"{spent:,.2f}") for each, spent, name, step in found
    ]
    return Table("Slowest steps", ("source", "step", "us / document", "seconds"), rows, numbers_from=2)


def _microseconds(seconds: float, documents: int) -> str:
    return f"{seconds / documents * 1e6:,.1f}" if documents else ""


def throughput(report: RunReport) -> Table:
    """Speed and memory by source."""
    rows: list[Sequence[str]] = []
    for source in report.sources:
        cpu = source.cpu_seconds
        rows.append(
            (
                source.source,
                f"{source.drawn:,}",
                f"{source.seconds:,.1f}",
                f"{cpu:,.1f}",
                f"{source.drawn / cpu:,.0f}" if cpu else "",
                f"{show_bytes(source.text_bytes / cpu)}/s" if cpu else "",
                show_bytes(source.peak_memory_bytes),
            )
        )
    headings = (
        "source", "drawn", "seconds", "CPU seconds", "documents / CPU second", "written text / CPU second",
        "peak memory",
    )  # fmt: skip
    note = (
        "Peak memory is the most that a worker had held by the end of a task of the source; workers go on to other "
        "sources, and keep their models."
    )
    return Table("Throughput and memory", headings, rows, note=note)


def slowest_tasks(report: RunReport) -> Table:
    """The tasks that took longest."""
    rows: list[Sequence[str]] = [
        (
            task.source,
            str(task.rank),
            f"{task.rows:,}",
            f"{task.seconds:,.1f}",
            f"{task.cpu_seconds:,.1f}",
            show_bytes(task.peak_memory_bytes),
        )
        for task in report.slowest_tasks
    ]
    return Table("Slowest tasks", ("source", "task", "rows", "seconds", "CPU seconds", "peak memory"), rows)


def stages(report: RunReport) -> Table:
    """The stages of a deduplication, and their sum."""
    found = report.stages
    whole = sum(stage.cpu_seconds for stage in found)
    rows: list[Sequence[str]] = [
        (
            stage.stage, _pieces(stage), f"{stage.seconds:,.2f}", f"{stage.cpu_seconds:,.2f}",
            percent(stage.cpu_seconds, whole), _peak(stage),
            "" if stage.expected_memory_bytes is None else show_bytes(stage.expected_memory_bytes),
        )
        for stage in found
    ]  # fmt: skip
    if rows:
        highest = max(found, key=lambda stage: stage.peak_memory_bytes)
        rows.append(("all", "", f"{sum(s.seconds for s in found):,.2f}", f"{whole:,.2f}", "", _peak(highest), ""))
    note = (
        "Seconds on the clock and of CPU: sums over pieces, in all attempts but those that were killed. Peak: the most "
        "that a process held while it had a piece of the stage in hand, with all that it had loaded before and the "
        "pages of work files that it had mapped; at most: the system does not tell the stage from earlier ones of the "
        "process. Beforehand: what dedup --explain says of a worker; deciding and finishing come with 0.3 GB for each "
        "million documents with duplicates, other languages than English with their word splitters."
    )
    headings = ("stage", "pieces", "seconds", "CPU seconds", "share", "largest peak", "beforehand")
    return Table("Stages", headings, rows, note=note)


def _pieces(stage: StageReport) -> str:
    return f"{stage.pieces:,}" + (f" ({stage.unmeasured:,} not measured)" if stage.unmeasured else "")


def _peak(stage: StageReport) -> str:
    if not stage.peak_memory_bytes:
        return ""
    return ("" if stage.peak_is_exact else "at most ") + show_bytes(stage.peak_memory_bytes)
