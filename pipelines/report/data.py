"""Everything that a report says about a run, out of its plan, records and files: `collect(run)` -> `RunReport`.

`report.json` is this, as it is; HTML and Markdown only show it. Counts are sums over the records of the ledger. Works
for runs and for deduplications, finished or not. Gives up: what happened inside a task that did not finish.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from pipelines.counts import Counts
from pipelines.dedup.inputs import default_output
from pipelines.dedup.run import records_of as dedup_records
from pipelines.dedup.verify import is_dedup, open_dedup
from pipelines.dedup.work import Work
from pipelines.errors import SourceError, UserError
from pipelines.histograms import ByLanguage, Histograms, summed, summed_drops
from pipelines.ledger import TaskRecord
from pipelines.manifest import read_manifest
from pipelines.outcome import records_of
from pipelines.plan import Plan, PlannedSource
from pipelines.report.duplicates import Duplicates, read_duplicates
from pipelines.report.limits import score_limits
from pipelines.report.sample import SignalSample, per_source, sample_source
from pipelines.report.signals import QUALITY, REPETITION
from pipelines.report.stages import StageReport, stage_reports
from pipelines.run_layout import RUN_DIR, RunLayout
from pipelines.verify import open_run

# At the end of a run the signals are measured only if it took so much: loading the word splitters of 15 languages and
# measuring takes 33 s on the data pack (docs/decisions.md), a tenth of this.
SAMPLE_AFTER_CPU_SECONDS = 330.0
REPORT_VERSION = 1


class SourceReport(Counts):
    """One source. Shares are of the tokens.

    `told_apart`: a language filter has looked at its documents. `memory_by_step` says what the highest of its tasks'
    peaks was made of. `asked_share` is by the configuration's weights, `planned_share` what the plan could give where a
    source is short.
    """

    source: str
    category: str = ""
    language: str | None = None
    languages: list[str] = Field(default_factory=list)
    profile: str = ""
    told_apart: bool = False
    license: str | None = None
    revision: str | None = None
    kind: str = ""
    filters: list[str] = Field(default_factory=list)
    weight: float = 0
    asked_share: float = 0
    planned_share: float | None = None
    planned_tokens: float | None = None
    got_share: float = 0
    epochs: float | None = None
    tasks: int = 0
    seconds: float = 0
    peak_memory_bytes: int = 0
    memory_by_step: dict[str, int] = Field(default_factory=dict)
    step_seconds: dict[str, float] = Field(default_factory=dict)
    histograms: Histograms | None = None
    dropped_by_language: ByLanguage | None = None
    score_limits: dict[str, float] = Field(default_factory=dict)
    signals: SignalSample | None = None
    problems: list[str] = Field(default_factory=list)

    def take(self, records: Iterable[TaskRecord]) -> None:
        """Sum the records of finished tasks."""
        records = list(records)
        super().take(records)
        steps = Counter[str]()
        for record in records:
            steps.update(record.step_seconds)
        self.step_seconds = {step: round(seconds, 3) for step, seconds in steps.items()}
        self.seconds = sum(record.seconds for record in records)
        if records:
            highest = max(records, key=lambda record: record.peak_memory_bytes)
            self.peak_memory_bytes, self.memory_by_step = highest.peak_memory_bytes, highest.memory_by_step
            self.histograms = summed(record.histograms for record in records)
            self.dropped_by_language = summed_drops(record.dropped_by_language for record in records)


class TaskReport(BaseModel):
    """One of the slowest tasks."""

    source: str
    rank: int
    rows: int
    seconds: float
    cpu_seconds: float
    peak_memory_bytes: int


class RunReport(BaseModel):
    """A run, or with `kind: dedup` a deduplication. Shares are 0 to 1, sizes in bytes, times in seconds.

    `stages`: of a deduplication, whose `totals` have their CPU seconds and their largest peak.
    """

    report_version: int = REPORT_VERSION
    kind: str = "run"
    run: str
    state: str
    written_at: str
    reported_at: str
    fingerprint: str
    stage: int | str | None = None
    description: str = ""
    config: str = ""
    target_tokens: float | None = None
    planned_tokens: float | None = None
    seed: int | None = None
    output: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    assets: dict[str, str] = Field(default_factory=dict)
    totals: dict[str, float] = Field(default_factory=dict)
    sources: list[SourceReport]
    left_out: list[tuple[str, str]] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    slowest_tasks: list[TaskReport] = Field(default_factory=list)
    stages: list[StageReport] = Field(default_factory=list)
    signals_measured: bool = False
    duplicates: Duplicates | None = None


_SUMMED = (
    "tasks", "tasks_done", "rows", "sampled_out", "drawn", "kept", "repeated", "written", "text_bytes", "tokens",
    "requests", "bytes_fetched", "cpu_seconds",
)  # fmt: skip


def collect(run: Path, *, measure: bool | None = None) -> RunReport:
    """The report of a run or deduplication.

    `measure`: whether to measure signals on a sample; None where the run took long enough. Raises UserError where there
    is no run.
    """
    if is_dedup(run):
        return _of_dedup(run)
    layout, plan = open_run(run, stores=True)
    manifest = read_manifest(layout) or {}
    records = [records_of(layout, source) for source in plan.sources]
    problems = _problems(layout)
    sources = [
        _of_source(source, found, problems.get(source.key, []))
        for source, found in zip(plan.sources, records, strict=True)
    ]
    report = RunReport(
        run=layout.where,
        **_facts(manifest, layout),
        stage=plan.stage,
        description=plan.description,
        config=plan.config_path,
        target_tokens=plan.target_tokens,
        planned_tokens=plan.planned_tokens,
        seed=plan.seed,
        sources=sources,
        left_out=list(plan.skipped),
        notes=list(plan.notes),
        warnings=list(plan.warnings),
    )
    _finish(report, [record for found in records for record in found])
    if report.totals["tasks_done"] < report.totals["tasks"]:
        report.state = "incomplete"
    if measure or (measure is None and report.totals["cpu_seconds"] >= SAMPLE_AFTER_CPU_SECONDS):
        _measure(report, layout, plan, records)
    other = default_output(Path(layout.where))
    if is_dedup(other):
        work = open_dedup(other)
        if work.plan.runs[0].fingerprint == report.fingerprint:
            report.duplicates = read_duplicates(work, _dedup_records(work))
    return report


def _of_source(source: PlannedSource, records: Sequence[TaskRecord], problems: list[str]) -> SourceReport:
    config = source.source
    report = SourceReport(
        source=source.key,
        category=config.category,
        language=config.language,
        languages=list(source.languages),
        profile=config.profile,
        license=config.license,
        revision=source.listing.revision,
        kind=source.listing.kind,
        filters=[spec.name for spec in source.filters],
        told_apart=any(spec.name == "language" for spec in source.filters),
        weight=source.weight,
        planned_tokens=source.budget_tokens,
        epochs=source.epochs,
        tasks=len(source.tasks),
        score_limits=score_limits(source.filters),
        problems=problems,
    )
    report.take(records)
    return report


def _of_dedup(run: Path) -> RunReport:
    work = open_dedup(run)
    manifest = read_manifest(work.layout) or {}
    records = _dedup_records(work)
    sources = []
    for source in work.plan.sources:
        facts = source.description
        report = SourceReport(
            source=source.source,
            language=source.language,
            languages=list(source.languages or ()),
            told_apart=source.told_apart,
            license=facts.get("license"),
            revision=facts.get("revision"),
            weight=facts.get("weight") or 0,
            tasks=source.tasks,
            filters=list(work.methods),
        )
        report.take([record for record in records if record.source == source.source])
        sources.append(report)
    found = RunReport(kind="dedup", run=work.layout.where, **_facts(manifest, work.layout), sources=sources)
    _finish(found, records)
    found.stages = stage_reports(work)
    if found.stages:
        found.totals["cpu_seconds"] = sum(stage.cpu_seconds for stage in found.stages)
        found.totals["peak_memory_bytes"] = max(stage.peak_memory_bytes for stage in found.stages)
    found.duplicates = read_duplicates(work, records)
    return found


def _dedup_records(work: Work) -> list[TaskRecord]:
    """The records of a deduplication; [] while it is not complete."""
    try:
        return dedup_records(work)
    except SourceError:
        return []


def _facts(manifest: dict[str, Any], layout: RunLayout) -> dict[str, Any]:
    try:
        assets = json.loads((layout.run_dir / "fingerprint.json").read_bytes()).get("assets", {})
    except (OSError, ValueError):
        assets = {}
    return {
        "state": manifest.get("state", ""),
        "written_at": manifest.get("written_at", ""),
        "reported_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "fingerprint": layout.fingerprint,
        "output": manifest.get("output", {}),
        "versions": manifest.get("versions", {}),
        "assets": assets,
    }


def _finish(report: RunReport, records: list[TaskRecord]) -> None:
    """Totals, shares and the slowest tasks."""
    report.totals = {name: sum(getattr(source, name) for source in report.sources) for name in _SUMMED}
    report.totals["rejected"] = sum(source.num_rejected for source in report.sources)
    report.totals["dropped"] = sum(source.num_dropped for source in report.sources)
    report.totals["peak_memory_bytes"] = max((source.peak_memory_bytes for source in report.sources), default=0)
    planned = sum(source.planned_tokens or 0 for source in report.sources)
    weights = sum(source.weight for source in report.sources)
    for source in report.sources:
        source.asked_share = source.weight / weights if weights else 0.0
        source.planned_share = (source.planned_tokens or 0) / planned if planned else None
        source.got_share = source.tokens / report.totals["tokens"] if report.totals["tokens"] else 0.0
    slowest = sorted(records, key=lambda record: (-record.seconds, record.source, record.rank))[:10]
    report.slowest_tasks = [
        TaskReport(**{name: getattr(record, name) for name in TaskReport.model_fields}) for record in slowest
    ]


def _measure(report: RunReport, layout: RunLayout, plan: Plan, records: list[list[TaskRecord]]) -> None:
    judged = sum(any(spec.name in (QUALITY, REPETITION) for spec in source.filters) for source in plan.sources)
    number = per_source(judged)
    for found, source, mine in zip(report.sources, plan.sources, records, strict=True):
        found.signals = sample_source(layout.where, mine, source.filters, number, keep_dropped=plan.keep_dropped)
    report.signals_measured = True


def _problems(layout: RunLayout) -> dict[str, list[str]]:
    """What went wrong with each source, as the run's last attempt has noted it."""
    path = layout.run_dir / "state.json"
    try:
        data = json.loads(path.read_bytes()) if path.is_file() else {"sources": []}
        return {source["source"]: list(source["problems"]) for source in data["sources"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is damaged ({error}); run the same command again, it writes {RUN_DIR} anew") from None
