"""What `--executor slurm` does on the command line: scripts only, submit, or submit and wait for the outcome.

Exit status as for a local run; without `--wait` 0 means submitted. Gives up: watching; `smoltrove status` looks.
"""

import json
from pathlib import Path

from rich.console import Console

from pipelines.commands import print_outcome
from pipelines.config import LoadedConfig
from pipelines.errors import SourceError
from pipelines.plan import Plan
from pipelines.slurm.options import ClusterOptions
from pipelines.slurm.queue import print_submission
from pipelines.slurm.submit import outcome_of, submit_plan, wait_until_idle, write_scripts_only


def execute_slurm(
    plan: Plan, config: LoadedConfig, options: ClusterOptions, *, output_folder: Path, logging_dir: Path,
    mirror: Path | None, fresh: bool, as_json: bool,
) -> int:  # fmt: skip
    """Submit what is left of a plan. Returns the exit status; raises UserError when nothing could be submitted."""
    cluster = options.merged(config.stage.cluster)
    console = Console(stderr=True, highlight=False)
    if options.script_only:
        folder = write_scripts_only(
            plan, config, cluster, output_folder=output_folder, logging_dir=logging_dir, mirror=mirror, fresh=fresh
        )
        if folder is None:
            print(f"{output_folder}: nothing is left to do")
        else:
            print(f"{folder}: " + ", ".join(sorted(path.name for path in folder.glob("*.sbatch"))))
        return 0
    try:
        layout, submission = submit_plan(
            plan, config, cluster, output_folder=output_folder, logging_dir=logging_dir, mirror=mirror, fresh=fresh,
            wait=options.wait, say=lambda line: console.print(line, markup=False, soft_wrap=True),
        )  # fmt: skip
    except OSError as error:
        raise SourceError(
            f"nothing more is submitted: {error}; put that right and run the same command again"
        ) from error
    if submission is not None and not options.wait:
        if as_json:
            print(submission.model_dump_json(indent=1))
        else:
            print_submission(layout, plan, submission)
        return 0
    if submission is not None:
        console.print(f"waiting for {len(submission.tasks)} tasks; Ctrl-C leaves the jobs alone", markup=False)
        try:
            wait_until_idle(layout)
        except KeyboardInterrupt:
            print(f"the jobs go on; to end them: smoltrove cancel {output_folder}")
            return 130
    result = outcome_of(plan, layout)
    if as_json:
        print(json.dumps({"ok": result.ok, **result.model_dump()}, ensure_ascii=False, indent=1))
    else:
        done_before = plan.num_tasks - (len(submission.tasks) if submission is not None else 0)
        print_outcome(plan, result.outcomes, output_folder, done_before)
    return 0 if result.ok else 1
