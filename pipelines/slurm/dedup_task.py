"""What a job of a deduplication runs: `python -m pipelines.slurm.dedup_task RUN_dedup SUBMISSION`.

It looks at the run that is read before it does anything: not whether Slurm calls the jobs before it successful, but
whether manifest and ledger are complete and the files have the recorded sizes (their sha256 is compared when they are
read). Otherwise it ends with a line that says so, and has written nothing. Exit status 0: the deduplication is
complete. Gives up: a piece in parts; one that is stopped begins anew.
"""

import faulthandler
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from pipelines.claim import claims_dir
from pipelines.dedup.claimed_piece import claims_of
from pipelines.dedup.inputs import DedupPlan
from pipelines.dedup.stages import FINISH, all_stages, is_complete, start
from pipelines.dedup.work import PLAN_FILE, Job, Work
from pipelines.errors import SourceError, UserError
from pipelines.executors import SafeLog, without_secrets
from pipelines.manifest import check_continues, deciding_versions, read_manifest
from pipelines.run_lock import share_workers_lock
from pipelines.slurm.crew import AllDone, Jobs
from pipelines.slurm.dedup_launch import DedupLaunch, open_plan, probe, read_launch
from pipelines.slurm.stop_signals import STOPPED, StopSignals, back_into_the_queue
from pipelines.slurm.submission import SETTLED, read_submission, submission_dir

START = "start"


def main(arguments: list[str]) -> int:
    """Take part in a deduplication until it is complete. Returns the exit status."""
    sys.stdout, sys.stderr = SafeLog(sys.stdout), SafeLog(sys.stderr)
    faulthandler.enable(file=2)
    signals = StopSignals()
    output_folder, name = arguments
    try:
        return take_part(Path(output_folder), name, signals)
    except (SourceError, UserError) as error:
        print(f"error: {without_secrets(str(error))}", file=sys.stderr, flush=True)
        return 2 if isinstance(error, UserError) else 1


def take_part(output_folder: Path, name: str, signals: StopSignals) -> int:
    """Do what is to do until nothing is left; raises SourceError or UserError when that cannot be."""
    launch = read_launch(probe(output_folder), name)
    _refuse_other_packages(launch)
    plan, data, layout = open_plan(launch, output_folder)
    if launch.fingerprint not in (None, layout.fingerprint):
        raise UserError(f"{launch.run}: is another run than the one that this job was submitted for")
    check_continues(layout, data)
    _refuse_changed_files(plan)
    work = Work(layout=layout, plan=plan)
    array, element = os.environ["SLURM_ARRAY_JOB_ID"], int(os.environ["SLURM_ARRAY_TASK_ID"])
    num_jobs = read_submission(layout, name).arrays[0].count
    crew = Jobs(work, submission=name, job=f"{array}_{element}", place=element, num_jobs=num_jobs)
    _answer_signals(signals, crew, os.environ["SLURM_JOB_ID"])
    held = share_workers_lock(layout)
    try:
        if not is_complete(work):
            crew.once(START, _begin(data), 0, lambda: _has_started(work))
            all_stages(work, crew)
    except AllDone:
        pass
    except (SourceError, OSError) as error:
        # Who finishes removes the work files, under whoever still looks at them.
        if not is_complete(work):
            if isinstance(error, SourceError):
                raise
            raise SourceError(f"the deduplication cannot go on: {error}; run the same command again") from error
    held.close()
    (submission_dir(layout, name) / SETTLED).touch()
    if FINISH in crew.did:
        shutil.rmtree(claims_dir(layout, claims_of(FINISH)).parent, ignore_errors=True)
    print(f"{layout.output_folder}: complete; CPU time of this job: {time.process_time():.1f} s", flush=True)
    return 0


def _refuse_other_packages(launch: DedupLaunch) -> None:
    known, here = launch.versions, deciding_versions()
    differing = [f"{name} {known.get(name)} -> {here[name]}" for name in here if known.get(name) != here[name]]
    if differing:
        raise UserError(
            f"{sys.prefix}: this node has other packages than the one that submitted ({'; '.join(differing[:5])}); "
            "give --venv"
        )


def _refuse_changed_files(plan: DedupPlan) -> None:
    for file in plan.files:
        path = plan.place(file)
        size = path.stat().st_size if path.is_file() else None
        if size != file.size:
            found = "is missing" if size is None else f"has {size:,} bytes, the ledger says {file.size:,}"
            raise SourceError(f"{path}: {found}; verify the run (`smoltrove verify {plan.runs[file.run].path}`)")


def _begin(data: dict[str, Any]) -> Job:
    def begin(work: Work, _: int) -> None:
        start(work.layout, work.plan, data)

    return begin


def _has_started(work: Work) -> bool:
    manifest = read_manifest(work.layout)
    if manifest is None or manifest["fingerprint"] != work.layout.fingerprint:
        return False
    path = work.layout.run_dir / PLAN_FILE
    return path.is_file() and path.read_text(encoding="utf-8") == work.plan.model_dump_json()


def _answer_signals(signals: StopSignals, crew: Jobs, job_id: str) -> None:
    def requeue() -> NoReturn:
        # As often as it comes: each time costs the piece in hand one of its attempts.
        if crew.claim is not None:
            crew.claim.end("requeued", "stopped before the time limit of its job; raise --time")
        back_into_the_queue(job_id)

    def stop() -> NoReturn:
        if crew.claim is not None:
            crew.claim.end("stopped", STOPPED)
        os._exit(143)

    signals.answer(requeue, stop)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
