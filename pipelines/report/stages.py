"""What the stages of a deduplication took, beside what `dedup --explain` says of their memory beforehand.

Gives up: CPU seconds beforehand, for which `--explain` runs a sample, and what a cache adds, which may be gone by now.
"""

from pipelines.dedup.explain import stage_bytes
from pipelines.dedup.spent import StageSpent, stages_of
from pipelines.dedup.work import Work


class StageReport(StageSpent):
    """One stage; `expected_memory_bytes` is what `--explain` says of one worker, None where it says nothing."""

    expected_memory_bytes: int | None = None


def stage_reports(work: Work) -> list[StageReport]:
    """The stages that have begun, in their order."""
    expected = stage_bytes(work.plan)
    return [
        StageReport(**found.model_dump(), expected_memory_bytes=expected.get(found.stage))
        for found in stages_of(work.layout)
    ]
