"""What `--executor slurm` does on the command line: scripts only, submit, or submit and wait for the outcome.

Exit status as for a local run; without `--wait` 0 means submitted. Gives up: watching; `smoltrove status` looks.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from pipelines.commands import print_outcome
from pipelines.config import LoadedConfig
from pipelines.dedup.config import DedupConfig
from pipelines.errors import SourceError
from pipelines.plan import Plan
from pipelines.run import RunResult
from pipelines.run_layout import RunLayout
from pipelines.slurm.options import ClusterOptions
from pipelines.slurm.queue import print_submission
from pipelines.slurm.submission import Submission
from pipelines.slurm.submit import outcome_of, submit_plan, wait_until_idle, write_scripts_only

if TYPE_CHECKING:
    from pipelines.slurm.dedup_command import Follow


def execute_slurm(
    plan: Plan, config: LoadedConfig, options: ClusterOptions, *, output_folder: Path, logging_dir: Path,
    mirror: Path | None, fresh: bool, as_json: bool, dedup: DedupConfig | None = None,
) -> int:  # fmt: skip
    """Submit what is left of a plan, and the deduplication after it where `dedup` says how.

    Returns the exit status; raises UserError when nothing could be submitted.
    """
    cluster = options.merged(config.stage.cluster)
    console = Console(stderr=True, highlight=False)
    follow: Follow | None = None
    if dedup is not None:
        # Its jobs import word splitters and numpy; runs without one need not.
        from pipelines.slurm.dedup_command import Follow as FollowNow

        follow = FollowNow(plan, dedup, cluster, output_folder, fresh=fresh, wait=options.wait)
    if options.script_only:
        folder = write_scripts_only(
            plan, config, cluster, output_folder=output_folder, logging_dir=logging_dir, mirror=mirror, fresh=fresh
        )
        if folder is None:
            print(f"{output_folder}: nothing is left to do")
        else:
            print(f"{folder}: " + ", ".join(sorted(path.name for path in folder.glob("*.sbatch"))))
        if follow is not None:
            print(follow.write_script())
        return 0
    try:
        layout, submitted = submit_plan(
            plan, config, cluster, output_folder=output_folder, logging_dir=logging_dir, mirror=mirror, fresh=fresh,
            wait=options.wait, say=lambda line: console.print(line, markup=False, soft_wrap=True),
        )  # fmt: skip
    except OSError as error:
        raise SourceError(
            f"nothing more is submitted: {error}; put that right and run the same command again"
        ) from error
    if isinstance(submitted, RunResult):
        result = submitted
    else:
        if follow is not None:
            follow.submit_after(layout, submitted)
        if not options.wait:
            _print_submitted(layout, plan, submitted, follow, as_json=as_json)
            return 0
        console.print(f"waiting for {len(submitted.tasks)} tasks; Ctrl-C leaves the jobs alone", markup=False)
        try:
            wait_until_idle(layout)
        except KeyboardInterrupt:
            print(f"the jobs go on; to end them: smoltrove cancel {output_folder}")
            return 130
        result = outcome_of(plan, layout, submitted)
    if as_json and follow is not None and result.ok:
        return follow.finish(options, as_json=True, before=result.model_dump())
    if as_json:
        print(json.dumps({"ok": result.ok, **result.model_dump()}, ensure_ascii=False, indent=1))
    else:
        print_outcome(plan, result.outcomes, output_folder, result.num_done_before)
    if follow is not None and result.ok:
        return follow.finish(options, as_json=as_json)
    if follow is not None:
        console.print("not deduplicated: the run is not complete", markup=False)
    return 0 if result.ok else 1


def _print_submitted(
    layout: RunLayout, plan: Plan, submission: Submission, follow: "Follow | None", *, as_json: bool
) -> None:
    if as_json:
        data = submission.model_dump(mode="json")
        print(json.dumps(data if follow is None else {**data, "dedup": follow.as_data()}, indent=1))
        return
    print_submission(layout, plan, submission)
    if follow is not None:
        follow.show()
