"""One task of a run under a claim, in this process: what a Slurm job and a Ray worker both do.

Gives up: who starts the process, and what it is told; that differs.
"""

import json
import sys

from pipelines.claim import Claim, Fence
from pipelines.errors import SourceError, UserError
from pipelines.executors import without_secrets
from pipelines.manifest import deciding_versions
from pipelines.plan import Plan
from pipelines.reader_bytes import describe
from pipelines.run_layout import RunLayout
from pipelines.task_queue import Task, is_complete


def refuse_other_packages(layout: RunLayout, advice: str) -> None:
    """Raises UserError, with `advice`, on a node whose packages would make other documents than the plan's."""
    planned = json.loads((layout.run_dir / "fingerprint.json").read_bytes())["versions"]
    here = deciding_versions()
    differing = [f"{name} {planned[name]} -> {here[name]}" for name in here if planned.get(name) != here[name]]
    if differing:
        raise UserError(
            f"{sys.prefix}: this node has other packages than the run was planned with ({'; '.join(differing[:5])}); "
            f"{advice}"
        )


def work_on(plan: Plan, layout: RunLayout, task: Task, claim: Claim) -> tuple[str, str]:
    """Do a task that this process has claimed, and end the claim; never raises for what a task can do wrong.

    Returns ("done", ""), ("done before", "") when another one had completed it, or ("failed", why).
    """
    from pipelines.worker import run_task

    source, rank = plan.sources[task[0]], task[1]
    output_dir = source.source.output_dir
    if is_complete(plan, layout, task):
        claim.end("done")
        return "done before", ""
    layout.completion(output_dir, rank).unlink(missing_ok=True)
    print(f"start {source.key} task {rank}, claim {claim.number}", flush=True)
    own = RunLayout(
        output_folder=layout.output_folder, logging_dir=layout.logging_dir, fingerprint=layout.fingerprint,
        mirror=layout.mirror, attempt=f"{rank:05d}.{claim.number}",
    )  # fmt: skip
    try:
        run_task(plan, *task, own, before_commit=[Fence(claim)])
    except Exception as error:  # noqa: BLE001 - any failure of a task is reported and ends that task only
        reason = str(error) if isinstance(error, (SourceError, UserError)) else describe(error)
        reason = without_secrets(reason)
        claim.end("failed", reason)
        return "failed", reason
    claim.end("done")
    return "done", ""
