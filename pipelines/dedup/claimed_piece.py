"""One piece of a deduplication under a claim, in this process: what a Slurm job and a Ray worker both do.

Gives up: who starts the process, and what it is told; that differs.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from pipelines.claim import Claim
from pipelines.dedup.pool import run_job
from pipelines.dedup.work import Job, Work
from pipelines.errors import SourceError, UserError


def claims_of(stage: str) -> str:
    """Where the claims on the pieces of a stage are; see pipelines.claim.claims_dir."""
    return f"dedup/{stage}"


def to_the_log(text: str) -> None:
    """What this process prints is its log."""
    print(text, flush=True)


def work_on_piece(
    work: Work, stage: str, job: Job, number: int, claim: Claim, say: Callable[[str], None] = to_the_log
) -> str | None:
    """Do a piece that this process has claimed, and end the claim. Returns why it failed, None when it is done.

    Its work files are its own, and it looks at its claim before it puts anything where another may have put the same.
    """
    started = time.perf_counter()
    attempt = replace(work.layout, attempt=f"{number:05d}.{claim.number}")
    try:
        run_job(replace(work, layout=attempt, fence=claim.require), stage, job, number)
    except (SourceError, UserError) as error:
        reason = str(error)
        claim.end("failed" if claim.is_newest else "overtaken", reason)
        say(f"FAILED {stage} {number}: {reason}")
        return reason
    claim.end("done")
    say(f"done {stage} {number} in {time.perf_counter() - started:.1f} s")
    return None


def pieces_failed(stage: str, what: str, failures: Mapping[int, str]) -> SourceError:
    """The error of a stage of which some pieces (`what`, in the plural) have failed, and all others are there."""
    number, reason = min(failures.items())
    return SourceError(
        f"{stage}: {len(failures)} of the {what} failed ({number}: {reason}); finished work is kept: put that right "
        "and run the same command again"
    )
