"""What `--executor slurm` does for a deduplication: the script only, submit, or submit and wait for the outcome.

Exit status as for a local one; without `--wait` 0 means submitted. Gives up: watching; `smoltrove status` looks.
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from pipelines.dedup.command import outcome, print_result
from pipelines.dedup.config import DedupConfig
from pipelines.dedup.run import result_of
from pipelines.dedup.stages import is_complete
from pipelines.dedup.verify import open_dedup
from pipelines.errors import UserError
from pipelines.manifest import fingerprint, fingerprint_data
from pipelines.plan import Plan
from pipelines.run_layout import RunLayout
from pipelines.slurm.client import SlurmSilent
from pipelines.slurm.config import ClusterConfig
from pipelines.slurm.dedup_launch import default_output, probe
from pipelines.slurm.dedup_status import dedup_view
from pipelines.slurm.dedup_submit import DedupOrder, submit_dedup, write_dedup_script
from pipelines.slurm.options import ClusterOptions
from pipelines.slurm.queue import cancel_run
from pipelines.slurm.submission import Submission, log_dir
from pipelines.slurm.submit import wait_until_idle


def execute_dedup_slurm(
    order: DedupOrder, options: ClusterOptions, *, as_json: bool, before: dict[str, Any] | None = None
) -> int:
    """Submit the deduplication of a finished run. Returns the exit status; raises UserError when nothing is submitted.

    `before`: what the filters came to, for one JSON text about both.
    """
    if options.script_only:
        print(write_dedup_script(order))
        return 0
    console = Console(stderr=True, highlight=False)
    layout, submission = submit_dedup(
        order, wait=options.wait, say=lambda line: console.print(line, markup=False, soft_wrap=True)
    )
    if submission is None:
        return show_outcome(order, as_json=as_json, before=before)
    if not options.wait:
        if as_json:
            data = submission.model_dump(mode="json")
            print(json.dumps(data if before is None else {"ok": True, **before, "dedup": data}, indent=1))
        else:
            print_dedup_submission(order, layout, submission, after=None)
        return 0
    status = wait_for(layout, submission)
    return show_outcome(order, as_json=as_json, before=before) if status is None else status


def wait_for(layout: RunLayout, submission: Submission) -> int | None:
    """Until no job is left; the exit status when Ctrl-C came before."""
    console = Console(stderr=True, highlight=False)
    console.print(
        f"waiting for {submission.arrays[0].count} jobs of the deduplication; Ctrl-C leaves them alone", markup=False
    )
    try:
        wait_until_idle(layout)
    except KeyboardInterrupt:
        print(f"the jobs go on; to end them: smoltrove cancel {layout.output_folder}")
        return 130
    return None


def show_outcome(order: DedupOrder, *, as_json: bool, before: dict[str, Any] | None = None) -> int:
    """Print what has become of a deduplication; 0 when it is complete. `before`: what the filters came to."""
    folder = order.output_folder.absolute()
    work = open_dedup(folder) if (folder / "_run" / "manifest.json").is_file() else None
    if work is None or not is_complete(work):
        view = dedup_view(folder)
        if as_json:
            print(json.dumps({**(before or {}), "ok": False, "dedup": view.model_dump()}, ensure_ascii=False, indent=1))
        else:
            view.print()
        return 1
    result = result_of(work)
    if as_json:
        found = outcome(result, order.config)
        data = {"ok": True, **found} if before is None else {"ok": True, **before, "dedup": found}
        print(json.dumps(data, ensure_ascii=False, indent=1))
    else:
        print_result(result, order.config)
    return 0


def print_dedup_submission(order: DedupOrder, layout: RunLayout, submission: Submission, *, after: str | None) -> None:
    """Which jobs deduplicate, when they begin, where they print, and what to type next."""
    console = Console(highlight=False)
    array, out = submission.arrays[0], layout.output_folder
    which = f"{array.job_id}_[0-{array.count - 1}]" if array.count > 1 else f"{array.job_id}_[0]"
    begin = f", begins when {after} has ended" if after else ""
    for line in (
        f"deduplication ({', '.join(order.config.methods)}) into {out} submitted to Slurm as {which}{begin}",
        f"logs of its jobs: {log_dir(layout, submission.name)}/<job>_<index>.out",
        f"progress: smoltrove status {out}",
        f"to end it: smoltrove cancel {out}",
    ):
        console.print(line, markup=False, soft_wrap=True)


class Follow:
    """The deduplication that follows filters on Slurm, into its usual folder."""

    def __init__(
        self, plan: Plan, config: DedupConfig, cluster: ClusterConfig, run: Path, *, fresh: bool, wait: bool
    ) -> None:
        """Raises UserError when it could not be submitted, before the filters are."""
        self.order = DedupOrder(run=run, config=config, output_folder=default_output(run), cluster=cluster, fresh=fresh)
        self.plan, self.run_fingerprint = plan, fingerprint(fingerprint_data(plan))
        self.submitted: tuple[RunLayout, Submission] | None = None
        self.after: str | None = None
        if wait:
            wait_until_idle(probe(self.order.output_folder))
        self.order.check()
        self.order.refuse_other_run(self.run_fingerprint)

    def write_script(self) -> Path:
        """Only the script."""
        return write_dedup_script(self.order, run_fingerprint=self.run_fingerprint, files=self.plan.num_tasks)

    def submit_after(self, layout: RunLayout, filters: Submission) -> None:
        """Submit it behind the filters' account. All or nothing: a refusal takes the filters' jobs with it."""
        self.after = filters.finish_id
        try:
            found, submission = submit_dedup(
                self.order, run_fingerprint=self.run_fingerprint, after=self.after, files=self.plan.num_tasks
            )
        except UserError:
            with suppress(SlurmSilent):
                cancel_run(layout)
            raise
        assert submission is not None
        self.submitted = found, submission

    def as_data(self) -> dict[str, Any]:
        """The submission as plain data."""
        return self.submitted[1].model_dump(mode="json") if self.submitted else {}

    def show(self) -> None:
        """The submission in words."""
        if self.submitted:
            print_dedup_submission(self.order, *self.submitted, after=self.after)

    def finish(self, options: ClusterOptions, *, as_json: bool, before: dict[str, Any] | None = None) -> int:
        """After complete filters: wait for what was submitted with them, or submit it now."""
        if self.submitted is None:
            return execute_dedup_slurm(self.order, options, as_json=as_json, before=before)
        status = wait_for(*self.submitted)
        return show_outcome(self.order, as_json=as_json, before=before) if status is None else status
