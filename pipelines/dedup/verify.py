"""`smoltrove verify` on the output of a deduplication: nothing lost, nothing without a partner.

For each source read = removed by each method + written, against the files of the run that was read, the files written
and `duplicates.parquet`; every removed id has a partner that is written, or is in a run (or cache) that was given.
Reads all documents; holds 8 bytes for each that was written (what the table takes: verify_table.py). Gives up:
looking at the texts again; that is what running the method anew does. (Where texts were cut they are looked at:
sentence_verify.py.)
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.dedup.inputs import KIND, DedupPlan, beside, read_json
from pipelines.dedup.languages_verify import tally_of, verify_languages
from pipelines.dedup.sentence_verify import verify_cuts
from pipelines.dedup.stages import records_of
from pipelines.dedup.verify_table import verify_table
from pipelines.dedup.verify_written import Written
from pipelines.dedup.work import PLAN_FILE, Work
from pipelines.dedup.writer import FAMILY
from pipelines.errors import SourceError, UserError
from pipelines.histograms import Tally
from pipelines.ledger import TaskRecord
from pipelines.meter import Meter
from pipelines.run_layout import RUN_DIR, RunLayout
from pipelines.signals import StopRequest
from pipelines.store.files import fetch_files, stored_tables
from pipelines.store.look import files_of, open_copy, stored_manifest
from pipelines.store.store import connect
from pipelines.store.url import store_url
from pipelines.verify import check_file, check_ledger_file, names_in, print_verdict


def is_dedup(run_folder: Path) -> bool:
    """Whether a folder, also one of a store, is the output of a deduplication."""
    if (url := store_url(run_folder)) is not None:
        return stored_manifest(url).get("kind") == KIND
    return (read_json(run_folder / RUN_DIR / "manifest.json") or {}).get("kind") == KIND


def open_dedup(run_folder: Path, *, tables: bool = True) -> Work:
    """The work of an existing deduplication; of one in a store its state is copied here for the life of the process,
    with `tables` its tables too. Raises UserError for a damaged one."""
    url = store_url(run_folder)
    copy = open_copy(url) if url is not None else None
    if url is not None and copy is not None and tables:
        store = connect(url)
        fetch_files(store, stored_tables(store), copy.output_folder, StopRequest())
    folder = copy.output_folder if copy is not None else run_folder.absolute()
    run_dir = folder / RUN_DIR
    manifest = read_json(run_dir / "manifest.json") or {}
    try:
        plan = DedupPlan.model_validate_json((run_dir / PLAN_FILE).read_bytes())
        places = [beside(run, folder) for run in plan.runs]
        runs = [
            run.model_copy(update={"here": str(place) if place is not None else None})
            for run, place in zip(plan.runs, places, strict=True)
        ]
        plan = plan.model_copy(update={"runs": tuple(runs)})
        layout = RunLayout(
            output_folder=folder, logging_dir=Path(manifest["logging_dir"]) if url is not None else run_dir / "log",
            fingerprint=manifest["fingerprint"], store=url,
        )  # fmt: skip
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{run_dir}: is damaged ({str(error).splitlines()[0]}); deduplicate anew with --fresh"
        ) from None
    return Work(layout=layout, plan=plan)


def verify_dedup(work: Work, *, show_progress: bool = False) -> list[str]:
    """Every difference, one line each; [] when all is accounted for."""
    manifest = read_json(work.layout.run_dir / "manifest.json") or {}
    if manifest.get("state") != "complete":
        return ["the deduplication is not complete; run the same command again"]
    try:
        records = records_of(work)
    except SourceError as error:
        return [str(error)]
    problems = [f"{r.source} task {r.rank}: {problem}" for r in records for problem in r.problems()]
    problems += _rows(work, records)
    written = Written(work, records)
    tallies: dict[tuple[str, int], Tally] = {}
    with Meter("verifying", sum(r.file.size for r in records if r.file), "bytes", show=show_progress) as meter:
        for record in records:
            tally = tally_of(work, record)
            if record.file is not None:
                seen = None if tally is None else partial(_count, tally)
                with files_of(work.layout, record):
                    found = check_file(work.layout, record, written.ids[record.source], seen)
                problems += found
                # Of a damaged file that much is said already.
                tally = None if found else tally
                meter.advance(record.file.size)
            if tally is not None:
                tallies[record.source, record.rank] = tally
    written.sort()
    problems += written.problems()
    problems += _strangers(work, records)
    problems += check_ledger_file(work.layout, records)
    problems += verify_table(work, records, written)
    del written  # 8 bytes for each document, which what follows has other use for
    problems += verify_languages(work, records, tallies)
    problems += verify_cuts(work, records)
    return problems


def _count(tally: Tally, document: dict[str, Any]) -> None:
    tally.add(document["metadata"], len(document["text"]))


def _rows(work: Work, records: list[TaskRecord]) -> Iterator[str]:
    """What was read is what the run that was read has written."""
    lines = {(f.source, f.rank): f.lines for f in work.plan.files if not work.plan.is_against(f)}
    for record in records:
        if record.rows != (expected := lines.get((record.source, record.rank), 0)):
            yield f"{record.source} task {record.rank}: {record.rows:,} documents read, the run has {expected:,}"


def _strangers(work: Work, records: list[TaskRecord]) -> Iterator[str]:
    known = {record.file.path for record in records if record.file is not None}
    for name in names_in(work.layout):
        if not name.startswith(f"{RUN_DIR}/") and name not in known:
            yield f"{name}: extra: not in the ledger of this run"


def show_dedup_verification(run_folder: Path, *, as_json: bool) -> int:
    """Print what `verify_dedup` found; 0 when nothing."""
    work = open_dedup(run_folder)
    shown = work.layout.store or str(run_folder)
    problems = verify_dedup(work, show_progress=not as_json)
    if not problems and not as_json:
        records = records_of(work)
        by_method = ", ".join(
            f"{sum(r.dropped.get(f'{FAMILY}.{name}', 0) for r in records):,} by {name}" for name in work.methods
        )
        print(
            f"{shown}: verified: {len(records)} tasks\n{sum(r.rows for r in records):,} documents read = "
            f"{sum(r.num_dropped for r in records):,} removed ({by_method}) + {sum(r.written for r in records):,} "
            "written; every removed document has a surviving partner"
        )
        if "sentence" in work.methods:
            print(
                f"{sum(r.cut_sentences for r in records):,} sentences ({sum(r.cut_chars for r in records):,} "
                f"characters) cut from {sum(r.cut_documents for r in records):,} of them; each text is what was read "
                "without them, and each stands in the document that it was cut for"
            )
    return print_verdict(shown, problems, as_json=as_json)
