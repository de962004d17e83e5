"""A deduplication from frozen inputs to outcome: refuse or continue, lock, stage after stage, account.

Stages: index (a table of all documents), then for each method scan, match and decide, then write. Each stage starts
from committed folders of the one before, under the fingerprint of inputs and parameters. Gives up: stages of one
deduplication on several machines.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipelines.dedup import check, store
from pipelines.dedup.cache import add_segment, collect, family_dir, list_segments, lock_cache, segment_name
from pipelines.dedup.config import DedupConfig
from pipelines.dedup.decide import decide
from pipelines.dedup.documents import index_file
from pipelines.dedup.inputs import KIND, DedupPlan, freeze, plan_fingerprint_data, read_json
from pipelines.dedup.methods import method
from pipelines.dedup.near_misses import FILE as NEAR_MISSES
from pipelines.dedup.near_misses import write_near_misses
from pipelines.dedup.pool import Pool, Stopped, run_job
from pipelines.dedup.report import FILE, write_duplicates
from pipelines.dedup.sentence_report import CUTS_FILE, SENTENCE, write_cuts
from pipelines.dedup.work import PLAN_FILE, Work, open_work
from pipelines.dedup.writer import is_written, write_empty_records, write_file
from pipelines.errors import SourceError, UserError
from pipelines.ledger import TaskRecord, find_record, ledger_line, write_atomically
from pipelines.manifest import check_continues, deciding_versions, fingerprint
from pipelines.report.write import report_at_the_end
from pipelines.run_layout import RUN_DIR, RunLayout
from pipelines.run_lock import RUN_LOCK, WORKERS_LOCK, lock_run
from pipelines.signals import StopRequest, note_signals

Say = Callable[[str], None]


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


def default_output(run: Path) -> Path:
    """`<run>_dedup`, beside the run."""
    return run.with_name(f"{run.absolute().name}_dedup")


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
) -> DedupResult:
    """Deduplicate the finished run in `run` into `output_folder`, or continue doing so.

    `workers` 0 does all in this process; `tasks` is the most files that are worked on at a time. Neither changes the
    documents.

    Raises UserError for inputs that cannot be used or an output folder that holds something else, SourceError when a
    stage fails; what is finished is kept then, and the same call goes on.
    """
    output_folder = output_folder.absolute()
    if cache_dir is not None and "exact" not in config.methods:
        raise UserError("--dedup-cache: keeps hashes of the method exact, which is not among the methods; add it")
    for folder in (run, *(against or ())):
        if folder.resolve() == output_folder.resolve():
            raise UserError(f"--output-folder {output_folder}: is a run that is read; choose another")
    stop = StopRequest()
    try:
        with ExitStack() as stack:
            if cache_dir is not None:
                stack.enter_context(lock_cache(cache_dir))
            plan = freeze(run, against=against or [], config=config, cache_dir=cache_dir)
            probe = RunLayout(output_folder=output_folder, logging_dir=Path(), fingerprint="")
            if cache_dir is not None:
                plan = plan.model_copy(update={"segments": _segments(probe, plan, cache_dir, fresh)})
            data = plan_fingerprint_data(plan)
            layout = RunLayout(
                output_folder=output_folder,
                logging_dir=output_folder / RUN_DIR / "log",
                fingerprint=fingerprint(data),
            )
            if not fresh:
                check_continues(layout, data)
            stack.enter_context(lock_run(layout.run_dir))
            stack.enter_context(note_signals(stop))
            if fresh:
                delete_dedup(layout)
            if not check_continues(layout, data):
                write_atomically(layout.run_dir / "fingerprint.json", json.dumps(data, sort_keys=True, indent=1))
                _write_manifest(layout, plan, "started", [])
            # Folders may have moved since the last attempt; the fingerprint says that their content has not.
            write_atomically(layout.run_dir / PLAN_FILE, plan.model_dump_json())
            open_work.cache_clear()
            layout.logging_dir.mkdir(parents=True, exist_ok=True)
            result = _stages(Work(layout=layout, plan=plan), tasks, workers, stop, say)
            if result.ok:
                report_at_the_end(output_folder, layout.logging_dir / "main.log")
            return result
    except OSError as error:
        raise SourceError(
            f"the deduplication cannot go on: {error}; finished work is kept: put that right and run the same command "
            "again"
        ) from error


def _segments(probe: RunLayout, plan: DedupPlan, cache_dir: Path, fresh: bool) -> tuple[str, ...]:
    """Those that an earlier attempt has started with, else those that are there now."""
    if not fresh and (earlier := read_json(probe.run_dir / PLAN_FILE)) is not None:
        return tuple(earlier.get("segments", ()))
    return list_segments(cache_dir, plan.config.exact, plan.runs[0].fingerprint)


def _stages(work: Work, tasks: int | None, workers: int, stop: StopRequest, say: Say) -> DedupResult:
    layout = work.layout
    with open(layout.logging_dir / "main.log", "a", encoding="utf-8", buffering=1) as log:

        def note(text: str) -> None:
            log.write(f"{datetime.now().isoformat(timespec='seconds')} {text}\n")
            say(text)

        workers = min(workers, tasks or workers)
        pool = Pool(work, workers=workers, stop=stop, log_path=layout.logging_dir / "workers.log")
        try:
            if not _is_complete(work):
                _all_stages(work, pool, note, log.write)
        except Stopped:
            note("stopped: finished work is kept; run the same command to go on")
            return DedupResult(
                output_folder=str(layout.output_folder), records=[], skipped={}, stopped=stop.signum or 2
            )
        except SourceError as error:
            # For the log alone; who called shows the error.
            log.write(f"{datetime.now().isoformat(timespec='seconds')} FAILED: {error}\n")
            raise
        finally:
            pool.close()
    return DedupResult(output_folder=str(layout.output_folder), records=records_of(work), skipped=skipped_of(layout))


def _all_stages(work: Work, pool: Pool, note: Say, log: Callable[[str], object]) -> None:
    layout = work.layout
    store.clear_unfinished(layout.stage_dir / "dedup")
    shutil.rmtree(layout.stage_dir / "work", ignore_errors=True)
    every = [i for i, _ in work.files()]

    def stage(name: str, job: Callable[[Work, int], None], numbers: Iterable[int], what: str) -> None:
        left = [number for number in numbers if not store.is_committed(work.folder(name, number))]
        if left:
            note(f"{name}: {len(left)} {what}")
            pool.run(job, left, lambda number: _noted(log, name, number))

    stage("index", index_file, every, "files")
    for name in work.methods:
        module = method(name)
        stage(f"{name}.scan", module.scan, every, "files")
        stage(f"{name}.match", module.match, range(module.num_parts(work)), "parts")
        if hasattr(module, "settle"):
            module.settle(work, stage)
        if check.is_wanted(work.plan.config, name):
            stage(check.STAGE, check.scan_candidates, every, "files")
        if not store.is_committed(work.folder(f"{name}.decided")):
            run_job(work, _decide_job(name), 0)
        totals = store.totals(work.folder(f"{name}.decided"))
        said = totals.get("said") or f"{totals['removed']:,} documents removed, {totals['clusters']:,} clusters"
        note(f"{name}: {said}")
    left = [i for i in work.own_files() if not is_written(work, i)]
    note(f"write: {len(left)} files")
    pool.run(write_file, left, lambda number: _noted(log, "write", number))
    write_empty_records(work)
    rows = write_duplicates(work, layout.run_dir / FILE)
    if SENTENCE in work.methods:
        write_cuts(work, layout.run_dir / CUTS_FILE)
    write_near_misses(work, layout.run_dir / NEAR_MISSES)
    records = records_of(work)
    if rows != (dropped := sum(record.num_dropped for record in records)):
        raise SourceError(f"{FILE}: {rows:,} removed documents, the ledger has {dropped:,}")
    write_atomically(layout.run_dir / "ledger.jsonl", "".join(ledger_line(record) for record in records))
    skipped = {name: _skipped(work, name) for name in work.methods}
    if work.plan.cache_dir is not None:
        stage("cache", collect, work.own_files(), "files")
        place = add_segment(work, layout.fingerprint)
        note(f"cache: {place.name} added")
    write_atomically(
        layout.run_dir / "state.json",
        json.dumps({"state": "complete", "skipped": skipped, "methods": list(work.methods)}, indent=1) + "\n",
    )
    _write_manifest(layout, work.plan, "complete", records)
    # Everything else can be made again from the inputs, and costs a kilobyte a document.
    shutil.rmtree(layout.stage_dir / "dedup", ignore_errors=True)
    shutil.rmtree(layout.stage_dir / "work", ignore_errors=True)


def _decide_job(name: str) -> Callable[[Work, int], None]:
    def decide_method(work: Work, _: int) -> None:
        decide(work, name)

    return decide_method


def _noted(log: Callable[[str], object], name: str, number: int) -> None:
    log(f"{datetime.now().isoformat(timespec='seconds')} done {name} {number}\n")


def _skipped(work: Work, name: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for index in work.own_files():
        for key, number in store.totals(work.folder(f"{name}.scan", index)).items():
            if key.startswith("skipped_"):
                reason = key.removeprefix("skipped_")
                found[reason] = found.get(reason, 0) + number
    return found


def skipped_of(layout: RunLayout) -> dict[str, dict[str, int]]:
    """Documents that each method could not compare, as `state.json` has it."""
    found: dict[str, dict[str, int]] = (read_json(layout.run_dir / "state.json") or {}).get("skipped", {})
    return found


def records_of(work: Work) -> list[TaskRecord]:
    """The records of all tasks, in the order of the run that was read. Raises SourceError where one is missing."""
    records = []
    for source in work.plan.sources:
        for rank in range(source.tasks):
            record = find_record(work.layout.record(source.output_dir, rank))
            if record is None:
                raise SourceError(f"{source.source} task {rank}: has no record; run the same command again")
            records.append(record)
    return records


def _is_complete(work: Work) -> bool:
    manifest = read_json(work.layout.run_dir / "manifest.json") or {}
    if manifest.get("state") != "complete" or not (work.layout.run_dir / FILE).is_file():
        return False
    if not all(is_written(work, i) for i in work.own_files()):
        return False
    if work.plan.cache_dir is None:
        return True
    family = family_dir(Path(work.plan.cache_dir), work.plan.config.exact)
    return (family / segment_name(work.plan.runs[0].fingerprint, work.layout.fingerprint)).is_dir()


def _write_manifest(layout: RunLayout, plan: DedupPlan, state: str, records: list[TaskRecord]) -> None:
    """The same form as a filter run's, so that its readers (another deduplication too) find what they look for."""
    manifest: dict[str, Any] = {
        "kind": KIND,
        "fingerprint": layout.fingerprint,
        "state": state,
        "runs": [run.model_dump() for run in plan.runs],
        "config": plan.config.model_dump(mode="json"),
        "output": plan.output.model_dump(),
        "cache": plan.cache_dir,
        "logging_dir": str(layout.logging_dir),
        "mirror": None,
        "versions": deciding_versions(),
        "written_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "sources": [
            {**source.description, "source": source.source, "tasks": source.tasks, "language": source.language}
            for source in plan.sources
        ],
        "totals": {
            "rows": sum(record.rows for record in records),
            "dropped": sum(record.num_dropped for record in records),
            "written": sum(record.written for record in records),
            "text_bytes": sum(record.text_bytes for record in records),
            "tokens_estimated": sum(record.tokens for record in records),
        },
    }
    write_atomically(layout.run_dir / "manifest.json", json.dumps(manifest, ensure_ascii=False, indent=1) + "\n")


def delete_dedup(layout: RunLayout) -> None:
    """For --fresh: remove the deduplication in this folder; refuses a folder that holds something else.

    Records go first and the manifest last, so that a deletion that is cut short leaves work to do, never documents
    that count as done.
    """
    manifest = read_json(layout.run_dir / "manifest.json")
    if manifest is None:
        return
    if manifest.get("kind") != KIND:
        raise UserError(f"{layout.output_folder}: is not the output of a deduplication; choose another --output-folder")
    if (layout.run_dir / "stages").is_dir():
        shutil.rmtree(layout.run_dir / "stages")
    plan = DedupPlan.model_validate_json((layout.run_dir / PLAN_FILE).read_bytes())
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
