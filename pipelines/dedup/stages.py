"""The stages of a deduplication in their order: index, then for each method scan, match and decide, then write, finish.

A stage is a list of pieces that do not need each other; a piece is there as a whole or not at all. Who works on them is
a `Crew`: processes of one command (processes.py), actors on Ray (pipelines/ray/crew.py), or jobs on Slurm
(pipelines/slurm/crew.py), each of which walks through all stages and finds most of the work done. What is done to a
piece is a function of a module, so that it has a name on another node. Gives up: two stages at a time.
"""

import json
import shutil
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from pipelines.dedup import check, store
from pipelines.dedup.cache import add_segment, collect, family_dir, segment_name
from pipelines.dedup.decide import decide
from pipelines.dedup.documents import index_file
from pipelines.dedup.inputs import KIND, DedupPlan, read_json
from pipelines.dedup.methods import method
from pipelines.dedup.near_misses import FILE as NEAR_MISSES
from pipelines.dedup.near_misses import write_near_misses
from pipelines.dedup.report import FILE, write_duplicates
from pipelines.dedup.sentence_report import CUTS_FILE, SENTENCE, write_cuts
from pipelines.dedup.spent import stages_so_far
from pipelines.dedup.work import PLAN_FILE, Job, Work
from pipelines.dedup.writer import is_written, write_empty_records, write_file
from pipelines.errors import SourceError
from pipelines.ledger import TaskRecord, find_record, ledger_line, write_atomically
from pipelines.manifest import check_continues, deciding_versions
from pipelines.run_layout import RunLayout

WRITE, FINISH = "write", "finish"


class Crew(Protocol):
    """Who does the pieces of a stage; both methods return when all of them are done, and raise when that cannot be."""

    def each(self, name: str, job: Job, numbers: Iterable[int], what: str, done: Callable[[int], bool]) -> None:
        """Do `job` for every number for which `done` does not hold; `what` is what a number stands for, in words."""

    def once(self, name: str, job: Job, number: int, done: Callable[[], bool]) -> None:
        """Do what cannot be cut into pieces."""

    def note(self, text: str) -> None:
        """Say what has come out."""


def start(layout: RunLayout, plan: DedupPlan, data: dict[str, Any]) -> None:
    """Write down what this deduplication is, before its first stage; again for each attempt.

    Folders may have moved since the last one; the fingerprint says that their content has not.
    """
    goes_on = check_continues(layout, data)
    write_atomically(layout.run_dir / PLAN_FILE, plan.model_dump_json())
    if not goes_on:
        write_atomically(layout.run_dir / "fingerprint.json", json.dumps(data, sort_keys=True, indent=1))
        _write_manifest(layout, plan, "started", [])
    layout.logging_dir.mkdir(parents=True, exist_ok=True)


def all_stages(work: Work, crew: Crew) -> None:
    """Whatever is left of a deduplication that has started, to its end."""
    every = [i for i, _ in work.files()]
    stage(work, crew, "index", index_file, every, "files")
    for place, name in enumerate(work.methods):
        module = method(name)
        stage(work, crew, f"{name}.scan", module.scan, every, "files")
        if hasattr(module, "prepare"):
            module.prepare(work, crew)
        stage(work, crew, f"{name}.match", module.match, range(module.num_parts(work)), "parts")
        if hasattr(module, "settle"):
            module.settle(work, crew)
        if check.is_wanted(work.plan.config, name):
            stage(work, crew, check.STAGE, check.scan_candidates, every, "files")
        decided = work.folder(f"{name}.decided")
        crew.once(decided.name, decide_method, place, partial(store.is_committed, decided))
        totals = store.totals(decided)
        said = totals.get("said") or f"{totals['removed']:,} documents removed, {totals['clusters']:,} clusters"
        crew.note(f"{name}: {said}")
    crew.each(WRITE, write_file, work.own_files(), "files", lambda index: is_written(work, index))
    if work.plan.cache_dir is not None:
        stage(work, crew, "cache", collect, work.own_files(), "files")
    crew.once(FINISH, finish, 0, lambda: is_complete(work))


def stage(work: Work, crew: Crew, name: str, job: Job, numbers: Iterable[int], what: str) -> None:
    """A stage whose pieces are folders of the work store."""
    crew.each(name, job, numbers, what, lambda number: store.is_committed(work.folder(name, number)))


def decide_method(work: Work, place: int) -> None:
    """Who survives, by the method in this place."""
    decide(work, work.methods[place])


def finish(work: Work, _: int) -> None:
    """The account of a deduplication whose files are all written; with it the deduplication is complete."""
    layout = work.layout
    write_empty_records(work)
    rows = write_duplicates(work, layout.run_dir / FILE)
    if SENTENCE in work.methods:
        write_cuts(work, layout.run_dir / CUTS_FILE)
    write_near_misses(work, layout.run_dir / NEAR_MISSES)
    work.fence()
    records = records_of(work)
    if rows != (dropped := sum(record.num_dropped for record in records)):
        raise SourceError(f"{FILE}: {rows:,} removed documents, the ledger has {dropped:,}")
    write_atomically(layout.run_dir / "ledger.jsonl", "".join(ledger_line(record) for record in records))
    skipped = {name: _skipped(work, name) for name in work.methods}
    if work.plan.cache_dir is not None:
        add_segment(work, layout.fingerprint)
    stages = [found.model_dump() for found in stages_so_far(layout)]
    write_atomically(
        layout.run_dir / "state.json",
        json.dumps({"state": "complete", "skipped": skipped, "methods": list(work.methods), "stages": stages}, indent=1)
        + "\n",
    )
    _write_manifest(layout, work.plan, "complete", records)
    # Everything else can be made again from the inputs, and costs a kilobyte a document.
    clear_work(layout)


def clear_work(layout: RunLayout) -> None:
    """Remove the work files of a deduplication on which nobody works any more."""
    shutil.rmtree(layout.stage_dir / "dedup", ignore_errors=True)
    shutil.rmtree(layout.stage_dir / "work", ignore_errors=True)


def clear_unfinished(layout: RunLayout) -> None:
    """Remove what killed attempts have left, while nobody works."""
    store.clear_unfinished(layout.stage_dir / "dedup")
    shutil.rmtree(layout.stage_dir / "work", ignore_errors=True)


def is_complete(work: Work) -> bool:
    """Whether the deduplication is complete and its files are there."""
    manifest = read_json(work.layout.run_dir / "manifest.json") or {}
    if manifest.get("state") != "complete" or not (work.layout.run_dir / FILE).is_file():
        return False
    if not all(is_written(work, i) for i in work.own_files()) or not has_segment(work):
        return False
    try:
        account = "".join(ledger_line(record) for record in records_of(work))
        return (work.layout.run_dir / "ledger.jsonl").read_bytes() == account.encode()
    except (OSError, SourceError):
        return False


def has_segment(work: Work) -> bool:
    """Whether the cache, where there is one, has the documents of this run."""
    if work.plan.cache_dir is None:
        return True
    family = family_dir(Path(work.plan.cache_dir), work.plan.config.exact)
    return (family / segment_name(work.plan.runs[0].fingerprint, work.layout.fingerprint)).is_dir()


def _skipped(work: Work, name: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for index in work.own_files():
        for key, number in store.totals(work.folder(f"{name}.scan", index)).items():
            if key.startswith("skipped_"):
                reason = key.removeprefix("skipped_")
                found[reason] = found.get(reason, 0) + number
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


def _write_manifest(layout: RunLayout, plan: DedupPlan, state: str, records: list[TaskRecord]) -> None:
    """The same form as a filter run's, so that its readers (another deduplication too) find what they look for."""
    manifest: dict[str, Any] = {
        "kind": KIND,
        "fingerprint": layout.fingerprint,
        "state": state,
        "runs": [run.model_dump(exclude={"here"}) for run in plan.runs],
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
