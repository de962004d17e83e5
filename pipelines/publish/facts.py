"""What a finished run is, as plain data: where its documents come from, what was done to them, how many are left.

Taken from manifest, plan and ledger of a filter run or a deduplication, and through it of the run that it read. Kept
beside an export, so that its card can be made where the run is not. Gives up: anything that those files do not say.
"""

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pipelines.counts import Counts
from pipelines.dedup.freeze import finished_run
from pipelines.dedup.inputs import KIND, InputRun, beside, read_json
from pipelines.dedup.work import PLAN_FILE
from pipelines.ledger import TaskRecord
from pipelines.run_layout import RUN_DIR

_LANGUAGE = re.compile(r"[a-z]{2,3}|code")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Step(_Frozen):
    """One thing that was done to a source: `what` is filter or dedup. Counts are rows or documents."""

    what: str
    rows: int
    rejected: int = 0
    sampled_out: int = 0
    dropped: dict[str, int] = Field(default_factory=dict)
    repeated: int = 0
    written: int = 0
    cut_sentences: int = 0


class SourceFacts(_Frozen):
    """One source of a run. `steps` from the first to the last; `text_bytes` is UTF-8, `tokens` estimated from it."""

    source: str
    output_dir: str
    license: str | None
    gated: bool
    revision: str | None
    hub_name: str | None
    origin: str | None  # hub, mirror or local; None where the plan is gone
    category: str | None
    languages: tuple[str, ...]
    profile: str | None
    filters: tuple[dict[str, Any], ...]
    epochs: float
    share: float
    steps: tuple[Step, ...]
    documents: int
    text_bytes: int
    tokens: int

    @property
    def config_name(self) -> str:
        """Its configuration on the Hub, where a slash cannot be."""
        return self.output_dir.replace("/", "--")


class Facts(_Frozen):
    """A run. `dedup`: parameters of each deduplication; `complete_history`: False where a run before is gone."""

    fingerprint: str
    stage: int | str | None
    description: str
    config: str | None
    target_tokens: float | None
    seed: int | None
    versions: dict[str, str]
    dedup: tuple[dict[str, Any], ...] = ()
    complete_history: bool = True
    sources: tuple[SourceFacts, ...]

    @property
    def written(self) -> tuple[SourceFacts, ...]:
        """Sources that have documents."""
        return tuple(source for source in self.sources if source.documents)

    @property
    def num_documents(self) -> int:
        """Documents of all sources."""
        return sum(source.documents for source in self.sources)


def facts_of(run: Path) -> tuple[Facts, list[TaskRecord]]:
    """The facts of a finished run and the records of its tasks, in order. Raises UserError for any other folder."""
    manifest, records, _ = finished_run(run)
    chain = _history(run, manifest, records)
    first = chain[0][0]
    plan = read_json(chain[0][2] / RUN_DIR / "plan.json") or {}
    planned = {_key(item["source"]): item for item in plan.get("sources", ())}
    sources = []
    for item in manifest["sources"]:
        key = item["source"]
        own = [record for record in records if record.source == key]
        steps = [_step(step_manifest, key, step_records) for step_manifest, step_records, _ in chain]
        sources.append(_source(item, planned.get(key, {}), own, tuple(steps)))
    return Facts(
        fingerprint=manifest["fingerprint"],
        stage=first.get("stage"),
        description=plan.get("description", ""),
        config=Path(first["config"]).name if isinstance(first.get("config"), str) else None,
        target_tokens=first.get("target_tokens"),
        seed=first.get("seed"),
        versions=manifest.get("versions", {}),
        dedup=tuple(item["config"] for item, _, _ in chain if item.get("kind") == KIND),
        complete_history=first.get("kind") != KIND,
        sources=tuple(sources),
    ), records


def _history(
    run: Path, manifest: dict[str, Any], records: list[TaskRecord]
) -> list[tuple[dict[str, Any], list[TaskRecord], Path]]:
    """The run and those that it was made from, the first one first, as far as they are still there."""
    chain = [(manifest, records, run)]
    while manifest.get("kind") == KIND:
        plan = read_json(run / RUN_DIR / PLAN_FILE) or {}
        before = next(iter(plan.get("runs", ())), None)
        fetched = beside(InputRun.model_validate(before), run) if before else None
        run = fetched or (Path(before["path"]) if before else run / RUN_DIR / "gone")
        found = read_json(run / RUN_DIR / "manifest.json")
        if before is None or found is None or found.get("fingerprint") != before["fingerprint"]:
            break
        manifest, records, _ = finished_run(run)
        chain.insert(0, (manifest, records, run))
    return chain


def _key(entry: dict[str, Any]) -> str:
    return f"{entry['name']}/{entry.get('label') or entry.get('config') or 'default'}"


def _step(manifest: dict[str, Any], key: str, records: list[TaskRecord]) -> Step:
    counts = Counts()
    counts.take(record for record in records if record.source == key)
    return Step(
        what="dedup" if manifest.get("kind") == KIND else "filter",
        rows=counts.rows,
        rejected=counts.num_rejected,
        sampled_out=counts.sampled_out,
        dropped=dict(sorted(counts.dropped.items())),
        repeated=counts.repeated,
        written=counts.written,
        cut_sentences=counts.cut_sentences,
    )


def _source(
    item: dict[str, Any], planned: dict[str, Any], own: list[TaskRecord], steps: tuple[Step, ...]
) -> SourceFacts:
    entry = planned.get("source", {})
    language = entry.get("language") or item.get("language") or ""
    language = "code" if language.startswith("code:") else language
    asked = next((spec["params"].get("languages", ()) for spec in planned.get("filters", ())
                  if spec["name"] == "language"), ())  # fmt: skip
    interval = item.get("interval", (0.0, 0.0))
    counts = Counts()
    counts.take(own)
    return SourceFacts(
        source=item["source"],
        output_dir=own[0].output_dir,
        license=item.get("license"),
        gated=bool(entry.get("gated")),
        revision=item.get("revision"),
        hub_name=entry.get("name") if planned.get("listing", {}).get("kind") == "hub" else None,
        origin=planned.get("listing", {}).get("kind"),
        category=entry.get("category"),
        languages=tuple(sorted({code for code in (language, *asked) if _LANGUAGE.fullmatch(code)})),
        profile=entry.get("profile"),
        filters=tuple(planned.get("filters", ())),
        epochs=interval[1] - interval[0],
        share=item.get("share", 0.0),
        steps=steps,
        documents=counts.written,
        text_bytes=counts.text_bytes,
        tokens=counts.tokens,
    )
