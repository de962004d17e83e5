"""What a run came to: per source totals out of the ledger's records, and whether each source did what was planned.

Gives up: anything that is not in the records; an outcome can be made again at any time from the files of a run.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

from pipelines.ledger import TaskRecord, find_record, ledger_line, write_atomically
from pipelines.native_counts import NativeCounts, added
from pipelines.plan import Plan, PlannedSource
from pipelines.quantities import show_count
from pipelines.run_layout import RunLayout

# Below this many expected documents, none at all may be chance.
FEW_DOCUMENTS = 5
# From this many on, a sample that is empty means that the plan was wrong about the source.
MANY_DOCUMENTS = 50


class SourceOutcome(BaseModel):
    """One source after a run. Counts as in TaskRecord, summed over its finished tasks."""

    source: str
    tasks: int
    tasks_done: int = 0
    rows: int = 0
    rejected: dict[str, int] = Field(default_factory=dict)
    sampled_out: int = 0
    not_fetched: int = 0
    dropped: dict[str, int] = Field(default_factory=dict)
    repeated: int = 0
    written: int = 0
    text_bytes: int = 0
    tokens: int = 0
    budget_tokens: float = 0
    requests: int = 0
    bytes_fetched: int = 0
    bytes_planned: int = 0
    bytes_needed: int = 0
    cpu_seconds: float = 0
    native: NativeCounts = Field(default_factory=NativeCounts)
    problems: list[str] = Field(default_factory=list)

    @property
    def drawn(self) -> int:
        """Documents that reached the filters."""
        return self.rows - sum(self.rejected.values()) - self.sampled_out

    @property
    def ok(self) -> bool:
        """Everything planned was done."""
        return self.tasks_done == self.tasks and not self.problems


def source_outcome(plan: Plan, layout: RunLayout, index: int, failures: Mapping[tuple[int, int], str]) -> SourceOutcome:
    """The outcome of one source, from the records on disk and the failures of this attempt."""
    source = plan.sources[index]
    outcome = SourceOutcome(source=source.key, tasks=len(source.tasks), budget_tokens=source.budget_tokens)
    outcome.bytes_planned, outcome.bytes_needed = source.bytes_to_read, source.bytes_needed
    records = records_of(layout, source)
    outcome.native = added(record.native for record in records)
    for record in records:
        outcome.tasks_done += 1
        outcome.rows += record.rows
        outcome.sampled_out += record.sampled_out
        outcome.not_fetched += record.not_fetched
        outcome.repeated += record.repeated
        outcome.written += record.written
        outcome.text_bytes += record.text_bytes
        outcome.tokens += record.tokens
        outcome.requests += record.requests
        outcome.bytes_fetched += record.bytes_fetched
        outcome.cpu_seconds += record.cpu_seconds
        for total, part in ((outcome.rejected, record.rejected), (outcome.dropped, record.dropped)):
            for reason, number in part.items():
                total[reason] = total.get(reason, 0) + number
    reasons: dict[str, list[int]] = {}
    for (i, rank), reason in failures.items():
        if i == index:
            reasons.setdefault(reason, []).append(rank)
    for reason, ranks in reasons.items():
        where = f"task {ranks[0]}" if len(ranks) == 1 else f"{len(ranks)} tasks ({ranks[0]}, {ranks[1]}, ...)"
        outcome.problems.append(f"{where}: {reason}")
    if outcome.tasks_done == outcome.tasks:
        outcome.problems += _disappointments(source, outcome)
    return outcome


def _disappointments(source: PlannedSource, outcome: SourceOutcome) -> list[str]:
    bad = sum(outcome.rejected.values())
    found = []
    looked_at = outcome.rows - outcome.not_fetched
    expects_some = source.expected_documents >= FEW_DOCUMENTS
    if looked_at and bad / looked_at > source.max_bad_ratio:
        worst = max(outcome.rejected, key=lambda reason: outcome.rejected[reason])
        found.append(
            f"{bad:,} of {looked_at:,} rows ({bad / looked_at:.1%}) could not be used, most as {worst}; the "
            f"limit is {source.max_bad_ratio:.1%} (max_bad_ratio); {_likely_cause(worst, source)}"
        )
    elif outcome.written == 0 and outcome.drawn and expects_some:
        worst = max(outcome.dropped, key=lambda reason: outcome.dropped[reason])
        found.append(
            f"none of {outcome.drawn:,} documents was kept, most dropped as {worst} "
            f"({outcome.dropped[worst]:,}); {_likely_cause(worst, source)}"
        )
    elif outcome.rows and not outcome.drawn and source.expected_documents >= MANY_DOCUMENTS:
        found.append(
            f"none of {outcome.rows:,} rows was drawn where about {source.expected_documents:,.0f} documents were "
            f"planned; the source is smaller than its available_tokens ({show_count(source.available_tokens)}) say"
        )
    elif outcome.rows == 0 and (expects_some or len(source.files) == len(source.listing.files)):
        found.append("its files hold no rows; check `data_files` and `split`")
    return found


def _likely_cause(reason: str, source: PlannedSource) -> str:
    if reason in ("reader.missing_text", "reader.not_text", "reader.empty_text"):
        return f"is `text_field: {source.source.text_field}` the right column?"
    if reason.startswith("language."):
        wanted = ", ".join(source.languages) or "any language"
        return f"is the source really {wanted}? its profile lets through nothing else"
    if reason.startswith("gopher"):
        return "does the profile belong to the source's language and kind of text?"
    if reason.startswith("reader.blob"):
        return "are the blobs reachable (mirror, or SMOLTROVE_SWH_ENDPOINT)?"
    return "look at some of them with --keep-dropped"


def records_of(layout: RunLayout, source: PlannedSource) -> list[TaskRecord]:
    """The records of a source's complete tasks, by rank."""
    output_dir = source.source.output_dir
    records = (
        find_record(layout.record(output_dir, rank))
        for rank in range(len(source.tasks))
        if layout.completion(output_dir, rank).is_file()
    )
    return [record for record in records if record is not None]


def write_ledger(plan: Plan, layout: RunLayout) -> None:
    """`_run/ledger.jsonl`: every task's record, in the plan's order."""
    lines = [ledger_line(record) for source in plan.sources for record in records_of(layout, source)]
    write_atomically(layout.run_dir / "ledger.jsonl", "".join(lines))


def totals(outcomes: list[SourceOutcome]) -> dict[str, Any]:
    """Sums over all sources, as they stand in the manifest."""
    return {
        "rows": sum(o.rows for o in outcomes),
        "rejected": sum(sum(o.rejected.values()) for o in outcomes),
        "sampled_out": sum(o.sampled_out for o in outcomes),
        "dropped": sum(sum(o.dropped.values()) for o in outcomes),
        "repeated": sum(o.repeated for o in outcomes),
        "written": sum(o.written for o in outcomes),
        "text_bytes": sum(o.text_bytes for o in outcomes),
        "tokens_estimated": sum(o.tokens for o in outcomes),
        "requests": sum(o.requests for o in outcomes),
        "bytes_fetched": sum(o.bytes_fetched for o in outcomes),
        "bytes_planned": sum(o.bytes_planned for o in outcomes),
        "bytes_needed": sum(o.bytes_needed for o in outcomes),
        "tasks": sum(o.tasks for o in outcomes),
        "tasks_done": sum(o.tasks_done for o in outcomes),
    }


def summary(outcome: SourceOutcome) -> str:
    """One line for logs."""
    return (
        f"{outcome.source}: {outcome.tasks_done}/{outcome.tasks} tasks, {outcome.drawn:,} drawn, "
        f"{outcome.written:,} written, ~{show_count(outcome.tokens)} tokens"
    )
