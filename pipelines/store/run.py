"""A run whose output folder is in an object store: its state pulled here, its tasks done here, each result put there.

The same plan, workers, ledger and refusals as in a folder; what differs is where a task's files end up and who may work
there. Gives up: Slurm and Ray.
"""

import dataclasses
import hashlib
import secrets
from functools import partial
from pathlib import Path

from rich.console import Console

from pipelines.config import LoadedConfig
from pipelines.errors import SourceError
from pipelines.manifest import check_continues, fingerprint, fingerprint_data, load_plan
from pipelines.plan import Plan
from pipelines.report.write import report_at_the_end
from pipelines.run import RunResult, begin, hire_here, supervise
from pipelines.run_layout import RUN_DIR, RunLayout, make_writable
from pipelines.run_lock import lock_run
from pipelines.signals import StopRequest, note_signals
from pipelines.store.lock import fence, take_lock
from pipelines.store.state import SCRATCH_TOKEN, delete, pull, push
from pipelines.store.store import open_store

SCRATCH = Path("datatrove_scratch")


def run_in_store(
    plan: Plan,
    config: LoadedConfig,
    url: str,
    *,
    scratch_folder: Path,
    logging_dir: Path,
    workers: int = 2,
    mirror: Path | None = None,
    fresh: bool = False,
) -> RunResult:
    """Run what is left of `plan` in the store's folder `url`; `pipelines.run.run_plan` for a store.

    Raises UserError when the store or a folder cannot be used, or the store holds another plan's run or another
    process works there, SourceError when the store or the disk fails while nothing of a task is concerned.
    """
    store = open_store(url)
    scratch = scratch_of(scratch_folder, url)
    data = fingerprint_data(plan)
    layout = RunLayout(
        output_folder=scratch,
        logging_dir=logging_dir.absolute(),
        fingerprint=fingerprint(data),
        mirror=mirror.absolute() if mirror else None,
        store=url,
    )
    make_writable("--scratch-folder", scratch)
    make_writable("--logging-dir", layout.logging_dir)
    stop = StopRequest()
    try:
        with lock_run(layout.run_dir), note_signals(stop), take_lock(store, token_of(layout)) as lock:
            layout = dataclasses.replace(layout, store_lock=lock.number)
            listed = pull(store, layout)
            if fresh and f"{RUN_DIR}/manifest.json" in listed:
                delete(store, layout, listed, (source.source.output_dir for source in load_plan(layout).sources))
            if not check_continues(layout, data):
                begin(layout, plan, config, data, fresh=False)
                push(store, layout)
            if not lock.guarded:
                Console(stderr=True).print(f"warning: {url}: {UNGUARDED}", markup=False, soft_wrap=True)
            result = supervise(plan, layout, partial(hire_here, workers), stop)
            fence(store, lock.number)
            push(store, layout)
            if result.stopped is None:
                report_at_the_end(Path(url), layout.logging_dir / "main.log")
            return result
    except OSError as error:
        raise SourceError(
            f"the run cannot go on: {error}; finished tasks are kept: put that right and run the same command again"
        ) from error


UNGUARDED = "the store has no conditional puts, so nothing keeps two runs that begin at once out of one folder"


def scratch_of(scratch_folder: Path, place: str) -> Path:
    """The folder of this machine for what is under way to `place`, a store's URL or another folder."""
    return (scratch_folder / hashlib.sha256(place.encode()).hexdigest()[:16]).absolute()


def token_of(layout: RunLayout) -> str:
    """What tells this scratch folder from all others; whoever holds its lock knows that an older holder is gone."""
    path = layout.run_dir / SCRATCH_TOKEN
    if not path.is_file():
        path.write_text(secrets.token_hex(16), encoding="ascii")
    return path.read_text(encoding="ascii")
