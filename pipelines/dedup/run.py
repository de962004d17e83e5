"""A deduplication in one command, from frozen inputs to outcome: refuse or continue, lock, stage after stage, account.

Each stage starts from committed folders of the one before, under the fingerprint of inputs and parameters. Gives up:
leaving before the end; pipelines/slurm/dedup_submit.py has jobs for that.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from pydantic import BaseModel

from pipelines.config_problems import first_problem
from pipelines.dedup.cache import check_cache, lock_cache, with_segments
from pipelines.dedup.config import DedupConfig
from pipelines.dedup.freeze import freeze
from pipelines.dedup.inputs import KIND, DedupPlan, plan_fingerprint_data, read_json
from pipelines.dedup.places import check_places
from pipelines.dedup.pool import Stopped
from pipelines.dedup.processes import Notes, Say, processes_here
from pipelines.dedup.stages import Crew, all_stages, clear_unfinished, is_complete, records_of, start
from pipelines.dedup.work import PLAN_FILE, Work, open_work
from pipelines.errors import SourceError, UserError, did_you_mean
from pipelines.ledger import TaskRecord
from pipelines.manifest import check_continues, fingerprint
from pipelines.report.write import report_at_the_end
from pipelines.run_layout import RUN_DIR, RunLayout, make_writable, refuse_file, unusable
from pipelines.run_lock import RUN_LOCK, WORKERS_LOCK, lock_run
from pipelines.signals import StopRequest, note_signals
from pipelines.slurm.submission import refuse_while_live

# Makes the crew of a deduplication out of its work, what it says and what may stop it; nobody works after its block.
HireCrew = Callable[[Work, Notes, StopRequest], AbstractContextManager[Crew]]


class DedupResult(BaseModel):
    """What a deduplication came to. `skipped`: documents that a method could not compare, by method and reason."""

    output_folder: str
    records: list[TaskRecord]
    skipped: dict[str, dict[str, int]]
    stopped: int | None = None

    @property
    def ok(self) -> bool:
        """Whether it is complete."""
        return self.stopped is None


def run_dedup(
    run: Path,
    *,
    config: DedupConfig,
    output_folder: Path,
    against: list[Path] | None = None,
    cache_dir: Path | None = None,
    tasks: int | None = None,
    workers: int = 2,
    fresh: bool = False,
    say: Say = lambda _: None,
    show_progress: bool = False,
    hire: AbstractContextManager[HireCrew] | None = None,
    frozen: DedupPlan | None = None,
    store: str | None = None,
) -> DedupResult:
    """Deduplicate the finished run in `run` into `output_folder`, or continue doing so.

    `workers` 0 does all in this process; `tasks` is the most files that are worked on at a time. `hire` says who works
    if not processes of this machine. None of them changes the documents. frozen: the plan, where runs are not at their
    places; store: the URL that the output is for.

    Raises UserError for inputs that cannot be used or an output folder that holds something else, SourceError when a
    stage fails; what is finished is kept then, and the same call goes on.
    """
    output_folder = output_folder.absolute()
    refuse_file("--output-folder", output_folder)
    check_cache(config, cache_dir)
    check_places([run, *(against or ())], output_folder, cache_dir)
    stop = StopRequest()
    try:
        with ExitStack() as stack:
            if cache_dir is not None:
                stack.enter_context(lock_cache(cache_dir))
            plan = frozen or freeze(run, against=against or [], config=config, cache_dir=cache_dir)
            probe = RunLayout(output_folder=output_folder, logging_dir=Path(), fingerprint="")
            plan = with_segments(plan, cache_dir, probe.run_dir / PLAN_FILE, fresh=fresh)
            for line in _unused_globs(plan):
                say(f"warning: {line}")
            data = plan_fingerprint_data(plan)
            layout = RunLayout(
                output_folder=output_folder,
                logging_dir=output_folder / RUN_DIR / "log",
                fingerprint=fingerprint(data),
                store=store,
            )
            if not fresh:
                _refuse_other(layout)
                check_continues(layout, data)
            refuse_while_live(layout)
            # Before anything is written: it may find that nobody can work.
            here = partial(processes_here, min(workers, tasks or workers))
            crew_of: HireCrew = here if hire is None else stack.enter_context(hire)
            make_writable("--output-folder", output_folder)
            stack.enter_context(lock_run(layout.run_dir))
            stack.enter_context(note_signals(stop))
            refuse_while_live(layout)
            if fresh:
                delete_dedup(layout)
            start(layout, plan, data)
            open_work.cache_clear()
            result = _stages(Work(layout=layout, plan=plan), crew_of, stop, say, show_progress)
            if result.ok:
                report_at_the_end(output_folder, layout.logging_dir / "main.log", where=store)
            return result
    except OSError as error:
        raise SourceError(
            f"the deduplication cannot go on: {error}; finished work is kept: put that right and run the same command "
            "again"
        ) from error


def _unused_globs(plan: DedupPlan) -> list[str]:
    """One line for each glob of the parameters that no source matches, since a slip of the pen decides nothing."""
    sources = {file.source for file in plan.files} | {source.source for source in plan.sources}
    given = {"priority": plan.config.priority}
    if "sentence" in plan.config.methods:
        given["sentence.exclude"] = plan.config.sentence.exclude
    return [
        f"dedup.{key}: no source here matches {glob!r}{did_you_mean(glob, sources)}"
        for key, globs in given.items()
        for glob in globs
        if not any(fnmatchcase(source, glob) for source in sources)
    ]


def _refuse_other(layout: RunLayout) -> None:
    """Raises UserError where the output folder holds a run, or cannot be looked into."""
    try:
        list(layout.output_folder.glob("*"))
    except OSError as error:
        raise unusable("--output-folder", layout.output_folder, error) from None
    manifest = read_json(layout.run_dir / "manifest.json")
    if manifest is not None and "sources" in manifest and manifest.get("kind") != KIND:
        raise UserError(f"{layout.where}: is not the output of a deduplication; choose another --output-folder")


def _stages(work: Work, hire: HireCrew, stop: StopRequest, say: Say, show_progress: bool) -> DedupResult:
    layout = work.layout
    with open(layout.logging_dir / "main.log", "a", encoding="utf-8", buffering=1) as log:
        notes = Notes(log, say, show_progress)
        try:
            if not is_complete(work):
                clear_unfinished(layout)
                with hire(work, notes, stop) as crew:
                    all_stages(work, crew)
        except Stopped:
            notes.note("stopped: finished work is kept; run the same command to go on")
            return DedupResult(output_folder=layout.where, records=[], skipped={}, stopped=stop.signum or 2)
        except SourceError as error:
            # For the log alone; who called shows the error.
            notes.log(f"FAILED: {error}")
            raise
    return result_of(work)


def result_of(work: Work) -> DedupResult:
    """What a complete deduplication has come to, from its records."""
    return DedupResult(output_folder=work.layout.where, records=records_of(work), skipped=skipped_of(work.layout))


def skipped_of(layout: RunLayout) -> dict[str, dict[str, int]]:
    """Documents that each method could not compare, as `state.json` has it."""
    found: dict[str, dict[str, int]] = (read_json(layout.run_dir / "state.json") or {}).get("skipped", {})
    return found


def delete_dedup(layout: RunLayout) -> None:
    """For --fresh: remove the deduplication in this folder; refuses a folder that holds something else.

    Records go first and the manifest last, so that a deletion that is cut short leaves work to do, never documents
    that count as done.
    """
    if not (layout.run_dir / "manifest.json").exists():
        return
    manifest = read_json(layout.run_dir / "manifest.json")
    # A damaged manifest says nothing; then the plan beside it does, which no other run has.
    if manifest is not None and manifest.get("kind") != KIND:
        raise UserError(f"{layout.output_folder}: is not the output of a deduplication; choose another --output-folder")
    try:
        plan = DedupPlan.model_validate_json((layout.run_dir / PLAN_FILE).read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(
            f"{layout.run_dir / PLAN_FILE}: cannot be read ({first_problem(error)}), so what is its own is not "
            f"known; remove {layout.output_folder} yourself, or choose another --output-folder"
        ) from None
    if (layout.run_dir / "stages").is_dir():
        shutil.rmtree(layout.run_dir / "stages")
    for source in plan.sources:
        folder = layout.output_folder / source.output_dir
        for path in folder.glob("[0-9]*.jsonl.*"):
            path.unlink()
        for emptied in (folder, folder.parent):
            if emptied.is_dir() and not any(emptied.iterdir()):
                os.rmdir(emptied)
    for path in sorted(layout.run_dir.iterdir(), key=lambda path: path.name == "manifest.json"):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in (RUN_LOCK, WORKERS_LOCK):
            path.unlink()
