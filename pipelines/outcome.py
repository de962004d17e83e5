"""What a run came to: per source totals out of the ledger's records, and whether each source did what was planned.

Gives up: anything that is not in the records; an outcome can be made again at any time from the files of a run.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from pipelines.counts import Counts
from pipelines.ledger import TaskRecord, find_record, ledger_line, write_atomically
from pipelines.native_counts import NativeCounts, added
from pipelines.plan import Plan, PlannedSource
from pipelines.quantities import show_count
from pipelines.run_layout import RunLayout

# Below this many expected documents, none at all may be chance.
FEW_DOCUMENTS = 5
# From this many on, a sample that is empty means that the plan was wrong about the source.
MANY_DOCUMENTS = 50


class SourceOutcome(Counts):
    """One source after a run."""

    source: str
    tasks: int
    budget_tokens: float = 0
    bytes_planned: int = 0
    bytes_needed: int = 0
    native: NativeCounts = Field(default_factory=NativeCounts)
    problems: list[str] = Field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Everything planned was done."""
        return self.tasks_done == self.tasks and not self.problems


def source_outcome(plan: Plan, layout: RunLayout, index: int, failures: Mapping[tuple[int, int], str]) -> SourceOutcome:
    """The outcome of one source, from the records on disk and the failures of this attempt."""
    source = plan.sources[index]
    records = records_of(layout, source)
    outcome = SourceOutcome(
        source=source.key, tasks=len(source.tasks), budget_tokens=source.budget_tokens,
        bytes_planned=source.bytes_to_read, bytes_needed=source.bytes_needed,
        native=added(record.native for record in records),
    )  # fmt: skip
    outcome.take(records)
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
    bad = outcome.num_rejected
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


_TOTALS = (
    "rows", "sampled_out", "repeated", "written", "text_bytes", "requests", "bytes_fetched", "bytes_planned",
    "bytes_needed", "tasks", "tasks_done",
)  # fmt: skip


def totals(outcomes: Sequence[SourceOutcome]) -> dict[str, Any]:
    """Sums over all sources, as they stand in the manifest."""
    return {
        **{name: sum(getattr(outcome, name) for outcome in outcomes) for name in _TOTALS},
        "rejected": sum(outcome.num_rejected for outcome in outcomes),
        "dropped": sum(outcome.num_dropped for outcome in outcomes),
        "tokens_estimated": sum(outcome.tokens for outcome in outcomes),
    }


def summary(outcome: SourceOutcome) -> str:
    """One line for logs."""
    return (
        f"{outcome.source}: {outcome.tasks_done}/{outcome.tasks} tasks, {outcome.drawn:,} drawn, "
        f"{outcome.written:,} written, ~{show_count(outcome.tokens)} tokens"
    )
