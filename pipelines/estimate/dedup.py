"""What the deduplication of a predicted run takes: its own formulas, on files that are not written yet.

Memory and disk are `smoltrove dedup --explain`'s (pipelines/dedup/explain.py); CPU time is its sample
(pipelines/dedup/cost.py) on the documents that the estimate has written. Gives up: jobs on several nodes, which share
the stages; the wall time is that of one node.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.dedup.config import DedupConfig
from pipelines.dedup.cost import START_SECONDS, expected_cost
from pipelines.dedup.explain import disk_bytes, worker_bytes
from pipelines.dedup.inputs import DedupPlan, InputFile, InputRun, InputSource
from pipelines.errors import UserError
from pipelines.estimate.predict import Prediction
from pipelines.estimate.sample import SourceSample
from pipelines.plan import Plan

# What only one process does, at the end of a method (pipelines/dedup/cost.py).
_SERIAL = ("decide", "report")


@dataclass(frozen=True, kw_only=True)
class DedupPrediction:
    """Of all documents of the run. wall_seconds: with all cores of one node; problem: why there are no times."""

    methods: tuple[str, ...]
    documents: int
    text_bytes: int
    disk_bytes: int
    worker_bytes: int
    cpu_seconds: float | None = None
    serial_seconds: float | None = None
    wall_seconds: float | None = None
    problem: str | None = None


def predict_dedup(
    plan: Plan, prediction: Prediction, samples: Mapping[str, SourceSample], config: DedupConfig
) -> DedupPrediction | None:
    """None for a run that would write nothing."""
    frozen = _as_written(plan, prediction, samples, config)
    if not frozen.files:
        return None
    found = DedupPrediction(
        methods=tuple(config.methods),
        documents=frozen.num_documents,
        text_bytes=sum(file.text_bytes for file in frozen.files),
        disk_bytes=disk_bytes(frozen),
        worker_bytes=worker_bytes(frozen),
    )
    try:
        seconds = expected_cost(frozen, prediction.cluster.cores_per_node).cpu_seconds
    except UserError as error:
        return replace(found, problem=str(error))
    serial = sum(value for stage, value in seconds.items() if stage.rpartition(".")[2] in _SERIAL)
    total = sum(seconds.values())
    at_once = max(1, min(prediction.cluster.cores_per_node, len(frozen.files)))
    wall = START_SECONDS + (total - serial) / at_once + serial
    return replace(found, cpu_seconds=total, serial_seconds=serial, wall_seconds=wall)


def _as_written(
    plan: Plan, prediction: Prediction, samples: Mapping[str, SourceSample], config: DedupConfig
) -> DedupPlan:
    """The plan of a deduplication as if the run were finished; every file of a source is its sample, to read from."""
    files = []
    for source in plan.sources:
        each, sample = prediction.by_task.get(source.key), samples[source.key]
        if each is None or sample.written_path is None:
            continue
        for rank, (lines, text, size) in enumerate(
            zip(each.documents, each.text_bytes, each.written_bytes, strict=True)
        ):
            if lines >= 0.5:
                files.append(
                    InputFile(
                        run=0,
                        source=source.key,
                        output_dir=source.source.output_dir,
                        rank=rank,
                        path=str(Path(sample.written_path).absolute()),
                        size=round(size),
                        sha256="",
                        lines=round(lines),
                        text_bytes=round(text),
                        language=source.source.language,
                    )
                )
    run = InputRun(path="/", fingerprint="", against=False)
    sources = tuple(
        InputSource(
            source=source.key, output_dir=source.source.output_dir, language=source.source.language,
            tasks=len(source.tasks), description={},
        )
        for source in plan.sources
    )  # fmt: skip
    return DedupPlan(runs=(run,), sources=sources, files=tuple(files), config=config, output=plan.output)


def dedup_data(dedup: DedupPrediction | None) -> dict[str, Any] | None:
    """For machines."""
    return None if dedup is None else asdict(dedup)
