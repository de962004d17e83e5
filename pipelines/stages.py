"""One planned source as datatrove steps: reader, sampler, filters, epochs, writer, ledger.

The steps of a task are made anew from the plan in the process that runs it, so nothing but the plan file travels.
Gives up: pipelines with branches; a source is one chain.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datatrove.pipeline.base import PipelineStep

from filters import FILTERS
from filters.sampling import EpochRepeater, IntervalSampler, lay_out
from pipelines.config import SourceConfig
from pipelines.errors import SourceError
from pipelines.histograms import Measured, measured
from pipelines.ledger import CommitStep
from pipelines.memory import with_borders
from pipelines.plan import Plan, PlannedSource
from pipelines.readers import ReadFile, SourceReader
from pipelines.run_layout import RunLayout
from pipelines.selection import adapter_of
from pipelines.store.publish import Publisher
from pipelines.traffic import Traffic
from pipelines.writers import DocumentWriter


def build_steps(plan: Plan, source: PlannedSource, layout: RunLayout, rank: int) -> list[PipelineStep]:
    """The chain of one task of one source, ready for a datatrove executor.

    Raises SourceError when an input is no longer what the plan froze.
    """
    config = source.source
    work_dir = layout.work_dir(config.output_dir)
    _refuse_changed(source, rank)
    sampler = sampler_of(plan, source, [file.path for file in source.task_files(rank)])
    traffic = Traffic()
    reader = source_reader(
        config,
        tasks=[read_files(source, task, layout, traffic) for task in range(len(source.tasks))],
        default_metadata={"source": source.key, "config": config.folder, "weight": source.weight},
        adapter=adapter_of(config, layout.blobs(source.listing, traffic)),
        rejects_writer=DocumentWriter(work_dir / "reader", family="reader", output=plan.output)
        if plan.keep_dropped
        else None,
        # Texts of code are fetched one by one, those of pages worked out: not where the sampler throws them away.
        wanted=sampler.wants if config.adapter in ("swh", "swh_repo", "html") else None,
    )
    filters: list[PipelineStep] = []
    for spec in source.filters:
        keeper = (
            DocumentWriter(work_dir / spec.name, family=spec.name, output=plan.output) if plan.keep_dropped else None
        )
        filters.append(FILTERS[spec.name](**spec.params, exclusion_writer=keeper))
    repeater = [EpochRepeater()] if source.interval[1] > 1 else []
    writer = DocumentWriter(work_dir / "documents", output=plan.output)
    counts = measured(filters)
    commit = _commit([reader, sampler, *filters, *repeater, writer], source, layout, traffic, counts)
    chain = with_borders([reader, sampler, counts.drawn], filters, [counts.kept, *repeater, writer])
    return [*chain, commit]


def sampler_of(plan: Plan, source: PlannedSource, paths: Sequence[str]) -> IntervalSampler:
    """The sampler for documents of these files of a source."""
    slots = lay_out(source.key, [(file.path, file.size) for file in source.listing.files], plan.seed)
    return IntervalSampler(
        interval=source.interval, slots={path: slots[path] for path in sorted(paths)}, seed=plan.seed
    )


def source_reader(config: SourceConfig, **options: Any) -> SourceReader:
    """The reader of an entry; `options` are SourceReader's own."""
    return SourceReader(
        source=config.key,
        text_field=config.text_field,
        id_field=config.id_field,
        id_scope=config.id_scope,
        metadata_fields=tuple(config.metadata_fields),
        **options,
    )


def _refuse_changed(source: PlannedSource, rank: int) -> None:
    """Local files are frozen by size and time of change; the reader looks at the size alone."""
    if source.listing.kind == "hub":
        return
    for file in source.task_files(rank):
        path = Path(source.listing.base) / file.path
        if not path.is_file() or f"mtime:{path.stat().st_mtime_ns}" != file.identity:
            raise SourceError(
                f"{file.path}: changed since the run was planned; put it back, or start anew with --fresh"
            )


def read_files(source: PlannedSource, task: int, layout: RunLayout, traffic: Traffic) -> list[ReadFile]:
    """The files of a task, as a reader takes them."""
    return [
        ReadFile(
            path=file.path,
            uri=layout.uri(source.source.name, source.listing, file),
            size=file.size,
            format=file.format or "jsonl",
            identity=file.identity,
            traffic=traffic,
        )
        for file in source.task_files(task)
    ]


def _commit(
    steps: Sequence[PipelineStep], source: PlannedSource, layout: RunLayout, traffic: Traffic, counts: Measured
) -> CommitStep:
    output_dir = source.source.output_dir
    return CommitStep(
        steps=steps,
        source=source.key,
        language=source.source.language,
        output_folder=layout.output_folder,
        output_dir=output_dir,
        records_dir=layout.records_dir(output_dir),
        dropped_dir=layout.dropped_dir(output_dir),
        traffic=traffic,
        publish=Publisher(layout.store, layout.store_lock) if layout.store is not None else None,
        measured=counts,
    )


def clear_work(layout: RunLayout, output_dir: str, rank: int) -> None:
    """Remove what a killed attempt at a task left in its work folder."""
    for leftover in Path(layout.work_dir(output_dir)).glob(f"*/{rank:05d}.jsonl.*"):
        leftover.unlink()
