"""`--executor slurm` for a deduplication: one array of jobs, which share its work (pipelines/slurm/crew.py).

Everything is submitted at once. After filters, the array waits for the job that ends them, however that ends; its own
jobs look at what is there. Gives up: `--dedup-cache` after filters, which no command offers.
"""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from pipelines.dedup.cache import check_cache, lend_cache, lock_cache, with_segments
from pipelines.dedup.config import DedupConfig
from pipelines.dedup.inputs import KIND, InputRun, plan_fingerprint_data, read_json
from pipelines.dedup.places import check_places
from pipelines.dedup.run import delete_dedup
from pipelines.dedup.stages import clear_unfinished, is_complete, start
from pipelines.dedup.work import PLAN_FILE, Work
from pipelines.errors import UserError
from pipelines.ledger import write_atomically
from pipelines.manifest import check_continues, fingerprint
from pipelines.run_layout import RunLayout
from pipelines.run_lock import lock_run
from pipelines.slurm.client import SlurmSilent, cancel, jobs_named, submit
from pipelines.slurm.config import DEDUP_JOBS, ClusterConfig, check_path
from pipelines.slurm.dedup_launch import DedupLaunch, new_launch, plan_of, probe, record_launch
from pipelines.slurm.limits import DEFAULT_ARRAY_SIZE, array_size, check_limits
from pipelines.slurm.node_check import InputHere, check_on_a_node
from pipelines.slurm.script import dedup_script
from pipelines.slurm.submission import (
    SETTLED,
    Array,
    Submission,
    log_dir,
    new_submission,
    record,
    refuse_while_live,
    submission_dir,
)
from pipelines.slurm.submit import SCRIPTS_DIR, check_venv, wait_until_idle

SCRIPT = "dedup.sbatch"


@dataclass(frozen=True, kw_only=True)
class DedupOrder:
    """A deduplication that is to be submitted: `run` into `output_folder`, with at most `max_jobs` jobs."""

    run: Path
    config: DedupConfig
    output_folder: Path
    cluster: ClusterConfig
    against: tuple[Path, ...] = ()
    cache_dir: Path | None = None
    max_jobs: int | None = None
    fresh: bool = False

    def check(self) -> None:
        """Before anything of it, or of the filters before it, is submitted. Raises UserError."""
        for option, path in (("RUN", self.run.absolute()), ("--output-folder", self.output_folder.absolute())):
            try:
                check_path(str(path))
            except ValueError as error:
                raise UserError(f"{option}: {error}") from None
        check_places([self.run, *self.against], self.output_folder, self.cache_dir)
        check_cache(self.config, self.cache_dir)
        check_venv(self.cluster)
        refuse_while_live(probe(self.output_folder))
        self._refuse_other()

    def _refuse_other(self) -> None:
        """What jobs would refuse hours later, as far as it can be seen before the filters have run."""
        if self.fresh:
            return
        manifest = read_json(probe(self.output_folder).run_dir / "manifest.json")
        if manifest is None:
            return
        if manifest.get("kind") != KIND:
            raise UserError(
                f"{self.output_folder}: is not the output of a deduplication; choose another --output-folder"
            )
        if manifest.get("config") != self.config.model_dump(mode="json"):
            raise UserError(
                f"{self.output_folder}: holds a deduplication with other parameters; go back to those, start anew with "
                "--fresh, or choose another --output-folder"
            )

    def refuse_other_run(self, run_fingerprint: str) -> None:
        """Raises UserError when the folder holds the deduplication of another run than the one to come."""
        manifest = read_json(probe(self.output_folder).run_dir / "manifest.json")
        if manifest is None or self.fresh:
            return
        read = [InputRun.model_validate(run) for run in manifest.get("runs", ())]
        if [run.fingerprint for run in read if not run.against] != [run_fingerprint]:
            raise UserError(
                f"{self.output_folder}: holds the deduplication of another run; start anew with --fresh, or choose "
                "another --output-folder"
            )


def submit_dedup(
    order: DedupOrder, *, run_fingerprint: str = "", after: str | None = None, files: int = 0, wait: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[RunLayout, Submission | None]:  # fmt: skip
    """Submit what is left; None when the deduplication is complete.

    `after`: the job of the filters' account; the run is not finished then, and has `files` files at most; a node was
    looked at before the filters. `say` is told what is waited for. Raises UserError when the run, the folders, the
    cluster, a node or sbatch refuse; no job of it is in the queue then.
    """
    if wait:
        wait_until_idle(probe(order.output_folder))
    order.check()
    check_limits(order.cluster)
    size = array_size(order.cluster)
    with ExitStack() as stack:
        if order.cache_dir is not None:
            stack.enter_context(lock_cache(order.cache_dir))
        layout, launch, work, data = _prepared(order, after)
        stack.enter_context(lock_run(layout.run_dir))
        refuse_while_live(layout)
        if work is not None and (order.fresh or not is_complete(work)):
            check_on_a_node(layout, _firsts_of(work), order.cluster, say=say)
        if order.fresh:
            delete_dedup(layout)
        if work is not None:
            start(layout, work.plan, data)
            if is_complete(work):
                return layout, None
            files = len(work.own_files())
        for folder in (layout.run_dir / "stages").glob("*"):
            clear_unfinished(probe(order.output_folder, folder.name))
        name_of = probe(order.output_folder, run_fingerprint or (work.plan.runs[0].fingerprint if work else ""))
        submission = _submission(order, name_of, size, files, launch)
        folder = submission_dir(layout, submission.name)
        log_dir(layout, submission.name).mkdir(parents=True, exist_ok=True)
        write_atomically(folder / SCRIPT, dedup_script(layout, order.cluster, submission, submission.arrays[0]))
        record_launch(layout, submission.name, launch)
        if order.cache_dir is not None:
            lend_cache(order.cache_dir, layout.output_folder)
        record(layout, submission)
        try:
            job_id = submit(folder / SCRIPT, *([f"--dependency=afterany:{after}"] if after else []))
        except UserError:
            with suppress(SlurmSilent):
                cancel([job for job in jobs_named(submission.job_names) if job.live])
                (folder / SETTLED).touch()
            raise
        array = submission.arrays[0].model_copy(update={"job_id": job_id})
        submission = submission.model_copy(update={"arrays": (array,)})
        record(layout, submission)
    return layout, submission


def _firsts_of(work: Work) -> list[InputHere]:
    """The first file of every source."""
    found: dict[tuple[int, str], InputHere] = {}
    for file in work.plan.files:
        here: InputHere = {"source": file.source, "path": str(work.plan.place(file)), "size": file.size}
        found.setdefault((file.run, file.source), here)
    return list(found.values())


def write_dedup_script(order: DedupOrder, *, run_fingerprint: str = "", files: int | None = None) -> Path:
    """Write the script that `submit_dedup` would submit, to read; returns it. `files` None: the run is finished."""
    order.check()
    try:
        size = array_size(order.cluster)
    except SlurmSilent:
        size = order.cluster.max_array_size or DEFAULT_ARRAY_SIZE
    layout, launch, work, _ = _prepared(order, None if files is None else "")
    if work is not None:
        files = len(work.own_files())
    submission = _submission(order, probe(order.output_folder, run_fingerprint), size, files or 0, launch)
    path = layout.run_dir / SCRIPTS_DIR / SCRIPT
    write_atomically(path, dedup_script(layout, order.cluster, submission, submission.arrays[0]))
    return path


def _prepared(order: DedupOrder, after: str | None) -> tuple[RunLayout, DedupLaunch, Work | None, dict[str, object]]:
    """Where it works and what its jobs are told; the work itself where the run is finished (`after` None)."""
    launch = new_launch(order.run, config=order.config, against=order.against, cache_dir=order.cache_dir, after=after)
    work: Work | None = None
    data: dict[str, object] = {}
    if after is not None:
        layout = probe(order.output_folder)
    else:
        plan, _ = plan_of(launch)
        plan_file = probe(order.output_folder).run_dir / PLAN_FILE
        plan = with_segments(plan, order.cache_dir, plan_file, fresh=order.fresh)
        data = plan_fingerprint_data(plan)
        layout = probe(order.output_folder, fingerprint(data))
        launch = launch.model_copy(update={"fingerprint": layout.fingerprint, "segments": plan.segments})
        work = Work(layout=layout, plan=plan)
        if not order.fresh:
            check_continues(layout, data)
    try:
        layout.logging_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--output-folder {order.output_folder}: cannot be used as a folder ({error.strerror}); choose another"
        ) from None
    return layout, launch, work, data


def _submission(order: DedupOrder, name_of: RunLayout, size: int, files: int, launch: DedupLaunch) -> Submission:
    """`files`: of the run; more jobs than files would find nothing to do in most stages."""
    most = [order.cluster.dedup_jobs or DEDUP_JOBS, files or 1, size]
    count = min([*most, order.max_jobs] if order.max_jobs else most)
    found = new_submission(name_of, ())
    return found.model_copy(
        update={
            "fingerprint": launch.fingerprint or "",
            "arrays": (Array(script=SCRIPT, first=0, count=count),),
        }
    )
