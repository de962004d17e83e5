"""`smoltrove verify RUN`: recount every file of a run against its ledger, and look for files that nobody accounts for.

Reads all documents. Gives up: repairing; a damaged task is made again by removing its record and running the same
command.
"""

import hashlib
import json
from array import array
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import xxhash

from pipelines.errors import SourceError, UserError
from pipelines.ledger import TaskRecord
from pipelines.manifest import load_plan, read_manifest
from pipelines.meter import Meter
from pipelines.outcome import records_of
from pipelines.plan import Plan
from pipelines.reader_bytes import ReadFile, read_bytes, split_lines
from pipelines.run_layout import RUN_DIR, RunLayout
from pipelines.store.look import files_of, open_copy
from pipelines.store.store import connect
from pipelines.store.url import local_folder, refuse_store, store_url
from pipelines.written_ids import repeated_ids


def open_run(run_folder: Path, *, stores: bool = False) -> tuple[RunLayout, Plan]:
    """The layout and plan of an existing run, with `stores` also of one in a store, whose state is copied here for the
    life of the process. Raises UserError when the folder holds none."""
    if not stores:
        refuse_store(run_folder, "this command", reads=True)
    if (url := store_url(run_folder)) is not None:
        layout = open_copy(url)
        return layout, load_plan(layout)
    run_folder = local_folder(run_folder)
    if not run_folder.is_dir():
        raise UserError(f"{run_folder}: no such folder; give the output folder of a run")
    probe = RunLayout(output_folder=run_folder.absolute(), logging_dir=Path(), fingerprint="")
    plan = load_plan(probe)
    manifest = read_manifest(probe)
    if manifest is None:
        raise UserError(f"{run_folder}: not a run (there is no {RUN_DIR}/manifest.json); give an output folder")
    layout = RunLayout(
        output_folder=run_folder.absolute(),
        logging_dir=Path(manifest["logging_dir"]),
        fingerprint=manifest["fingerprint"],
        mirror=Path(manifest["mirror"]) if manifest["mirror"] else None,
    )
    return layout, plan


def verify_run(layout: RunLayout, plan: Plan, *, show_progress: bool = False) -> list[str]:
    """Every difference between the ledger and the files, one line each; [] when the run is whole.

    Files of a run in a store are fetched one task at a time, and removed here when they are counted.
    """
    problems: list[str] = []
    records: list[TaskRecord] = []
    for source in plan.sources:
        found = records_of(layout, source)
        records += found
        missing = sorted(set(range(len(source.tasks))) - {record.rank for record in found})
        if missing:
            shown = ", ".join(map(str, missing[:5])) + ("..." if len(missing) > 5 else "")
            problems.append(f"{source.key}: {len(missing)} of {len(source.tasks)} tasks are not done ({shown})")
    with Meter("verifying", sum(r.file.size for r in records if r.file), "bytes", show=show_progress) as meter:
        for source_key, of_source in groupby(records, lambda record: record.source):
            ids, paths = array("Q"), []
            for record in of_source:
                problems += [f"{source_key} task {record.rank}: {problem}" for problem in record.problems()]
                with files_of(layout, record):
                    if record.file is not None:
                        problems += check_file(layout, record, ids)
                        paths.append(record.file.path)
                        meter.advance(record.file.size)
                    problems += _check_dropped(layout, record)
            hashes = np.sort(np.frombuffer(ids, np.uint64)) if ids else np.empty(0, np.uint64)
            problems += repeated_ids(source_key, hashes, layout.where, paths)
    problems += _strangers(layout, plan, records)
    problems += check_ledger_file(layout, records)
    return problems


def _check_dropped(layout: RunLayout, record: TaskRecord) -> Iterator[str]:
    for file in record.dropped_files:
        path = layout.output_folder / file.path
        if not path.is_file():
            yield f"{file.path}: missing"
        elif path.stat().st_size != file.size:
            yield f"{file.path}: {path.stat().st_size} bytes, the ledger says {file.size}"


def sha256_of(path: Path) -> str:
    """The sha256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def check_file(
    layout: RunLayout, record: TaskRecord, ids: "array[int]", seen: Callable[[dict[str, Any]], None] | None = None
) -> list[str]:
    """What is wrong with the file of a task; appends hashes of ids. `seen` is called with each document."""
    assert record.file is not None
    name = record.file.path
    path = layout.output_folder / name
    if not path.is_file():
        return [f"{name}: missing; the ledger says {record.written:,} documents"]
    digest = sha256_of(path)
    problems = []
    if digest != record.file.sha256:
        problems.append(f"{name}: altered: its sha256 is not the ledger's ({path.stat().st_size:,} bytes)")
    lines = text_bytes = bad = 0
    try:
        for line in split_lines(read_bytes(ReadFile(path=name, uri=str(path)))):
            lines += 1
            try:
                document = orjson.loads(line)
                text_bytes += len(document["text"].encode())
                ids.append(xxhash.xxh3_64_intdigest(document["id"].encode()))
                if seen is not None:
                    seen(document)
            except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
                bad += 1
    except (OSError, SourceError) as error:
        problems.append(f"{name}: truncated or damaged after {lines:,} lines ({str(error).removeprefix(f'{name}: ')})")
        return problems
    if lines != record.written:
        problems.append(f"{name}: {lines:,} documents, the ledger says {record.written:,}")
    if bad:
        problems.append(f"{name}: {bad:,} lines are not documents with text and id")
    if not bad and text_bytes != record.text_bytes:
        problems.append(f"{name}: {text_bytes:,} bytes of text, the ledger says {record.text_bytes:,}")
    return problems


def _strangers(layout: RunLayout, plan: Plan, records: list[TaskRecord]) -> Iterator[str]:
    """Files in the output folder that the ledger does not know."""
    known = {record.file.path for record in records if record.file is not None}
    known |= {file.path for record in records for file in record.dropped_files}
    dropped, stages = f"{RUN_DIR}/dropped/", f"{RUN_DIR}/stages/"
    # Folders too: what was begun has left no file yet.
    stale = (
        set()
        if layout.store is not None
        else {path.name for path in (layout.run_dir / "stages").glob("*") if path.is_dir()}
    )
    for name in names_in(layout):
        if name.startswith(stages):
            stale.add(name.split("/")[2])
        elif name not in known and (not name.startswith(f"{RUN_DIR}/") or name.startswith(dropped)):
            yield f"{name}: extra: not in the ledger of this run"
    for folder in sorted(stale - {layout.stage_dir.name}):
        yield f"{stages}{folder}: stale: work of another plan"


def names_in(layout: RunLayout) -> list[str]:
    """Everything in the output folder, relative to it."""
    if layout.store is not None:
        return sorted(connect(layout.store).list())
    found = sorted(layout.output_folder.rglob("*"))
    return [path.relative_to(layout.output_folder).as_posix() for path in found if not path.is_dir()]


def check_ledger_file(layout: RunLayout, records: list[TaskRecord]) -> list[str]:
    path = layout.run_dir / "ledger.jsonl"
    if not path.is_file():
        return ["_run/ledger.jsonl: missing; it is written when a run ends: run the same command again"]
    try:
        stored = [TaskRecord.model_validate(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    except ValueError as error:
        return [f"_run/ledger.jsonl: damaged ({str(error).splitlines()[0]}); run the same command again"]
    return (
        [] if stored == records else ["_run/ledger.jsonl: differs from the tasks' own records; run the command again"]
    )


def print_verdict(run_folder: Path | str, problems: list[str], *, as_json: bool) -> int:
    """Print what a verification found, for people or machines; what holds is the caller's to say. 1 when anything."""
    if as_json:
        print(json.dumps({"run": str(run_folder), "ok": not problems, "problems": problems}, indent=1))
    elif problems:
        print("\n".join([*problems, f"{run_folder}: NOT verified, {len(problems)} problems"]))
    return 1 if problems else 0


def show_verification(run_folder: Path, *, as_json: bool) -> int:
    """Print what `verify_run` found; 0 when nothing."""
    layout, plan = open_run(run_folder, stores=True)
    shown = layout.store or str(run_folder)
    problems = verify_run(layout, plan, show_progress=not as_json)
    if not problems and not as_json:
        records = [record for source in plan.sources for record in records_of(layout, source)]
        rows, written = sum(r.rows for r in records), sum(r.written for r in records)
        print(
            f"{shown}: verified: {len(records)} tasks\n{rows:,} rows = "
            f"{sum(r.num_rejected for r in records):,} rejected + {sum(r.sampled_out for r in records):,} sampled out "
            f"+ {sum(r.num_dropped for r in records):,} dropped + {written - sum(r.repeated for r in records):,} kept; "
            f"{written:,} documents in the files"
        )
    return print_verdict(shown, problems, as_json=as_json)
