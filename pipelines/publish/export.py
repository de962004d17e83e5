"""`smoltrove export RUN`: the documents of a finished run as Parquet, one file for each file of the run.

    <output>/<org>_<name>/<label>/00000.parquet      documents, nothing else
    <output>/_export/export.json, files/...          what it is, one record a file

A file is written under another name, read back, and renamed; its record follows. So the same command goes on after a
kill, and a file with a record is whole. Gives up: exporting a part of a run, and files of another size than the run's.
"""

import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from pipelines.errors import SourceError, UserError
from pipelines.ledger import sync_folder, write_atomically
from pipelines.meter import Meter
from pipelines.publish.facts import Facts, facts_of
from pipelines.publish.parquet import ROW_GROUP_BYTES, SCHEMA, ZSTD_LEVEL, write_parquet
from pipelines.publish.pool import Stopped, results
from pipelines.reader_bytes import ReadFile, read_bytes, split_lines
from pipelines.run_layout import refuse_file
from pipelines.run_lock import RUN_LOCK, WORKERS_LOCK, lock_run
from pipelines.signals import StopRequest, note_signals
from pipelines.verify import sha256_of

EXPORT_DIR = "_export"
MANIFEST = "export.json"


class ExportJob(BaseModel):
    """One file of the run and what becomes of it; `path` is relative to the export, the other paths are absolute."""

    model_config = ConfigDict(frozen=True)

    source_path: str
    source_name: str
    source_sha256: str
    lines: int
    text_bytes: int
    path: str
    output_folder: str


class ExportedFile(BaseModel):
    """A file of an export. `digest` is over its documents, `arrow_bytes` their size in memory as Arrow."""

    model_config = ConfigDict(frozen=True)

    path: str
    rows: int
    text_bytes: int
    arrow_bytes: int
    size: int
    sha256: str
    digest: str
    source_sha256: str


class ExportResult(BaseModel):
    """What an export came to."""

    output_folder: str
    files: list[ExportedFile]
    num_done_before: int = 0
    stopped: int | None = None

    @property
    def ok(self) -> bool:
        """Whether it is complete."""
        return self.stopped is None


def default_output(run: Path) -> Path:
    """`<run>_parquet`, beside the run."""
    return run.with_name(f"{run.absolute().name}_parquet")


def export_run(
    run: Path, *, output_folder: Path | None = None, workers: int = 2, show_progress: bool = False
) -> ExportResult:
    """Export the finished run in `run`, or continue doing so.

    Raises UserError for a run that is not finished or a folder that holds something else, SourceError where a file is
    not what the ledger says; what is finished is kept then.
    """
    facts, records = facts_of(run)
    output = (output_folder or default_output(run)).absolute()
    if output.resolve() == run.resolve():
        raise UserError(f"--output-folder {output}: is the run itself; choose another")
    refuse_file("--output", output)
    jobs = [
        ExportJob(
            source_path=str(run.absolute() / record.file.path), source_name=record.file.path,
            source_sha256=record.file.sha256, lines=record.written, text_bytes=record.text_bytes,
            path=f"{record.output_dir}/{record.rank:05d}.parquet", output_folder=str(output),
        )
        for record in records
        if record.file is not None
    ]  # fmt: skip
    if not jobs:
        raise UserError(f"{run}: the run has written no document; there is nothing to export")
    stop = StopRequest()
    try:
        with ExitStack() as stack:
            _refuse_others(output, facts, {job.path for job in jobs})
            stack.enter_context(lock_run(output / EXPORT_DIR))
            stack.enter_context(note_signals(stop))
            _write_manifest(output, facts, "started", [])
            done = {job.path: found for job in jobs if (found := _finished(output, job)) is not None}
            left = [job for job in jobs if job.path not in done]
            before = len(done)
            with Meter("exporting", sum(job.text_bytes for job in left), "bytes", show=show_progress) as meter:
                for found in results(_export_file, left, workers=workers, stop=stop):
                    done[found.path] = found
                    meter.advance(found.text_bytes)
            files = [done[job.path] for job in jobs]
            if (rows := sum(file.rows for file in files)) != facts.num_documents:
                raise SourceError(f"{output}: {rows:,} documents, the ledger has {facts.num_documents:,}; verify {run}")
            _write_manifest(output, facts, "complete", files)
    except Stopped:
        return ExportResult(output_folder=str(output), files=[], stopped=stop.signum or 2)
    except OSError as error:
        raise SourceError(
            f"the export cannot go on: {error}; finished files are kept: put that right and run the same command again"
        ) from error
    return ExportResult(output_folder=str(output), files=files, num_done_before=before)


def settings() -> dict[str, Any]:
    """What decides the bytes of a file beside its documents."""
    return {
        "format": "parquet",
        "columns": {field.name: str(field.type) for field in SCHEMA},
        "row_group_bytes": ROW_GROUP_BYTES,
        "compression": f"zstd:{ZSTD_LEVEL}",
        "pyarrow": pa.__version__,
    }


def _refuse_others(output: Path, facts: Facts, expected: set[str]) -> None:
    """Raises UserError where the folder holds another export, or files that are no export's."""
    manifest = read_export(output)
    present = [path.relative_to(output).as_posix() for path in sorted(output.rglob("*")) if path.is_file()]
    if manifest is None:
        if foreign := [name for name in present if not name.startswith(f"{EXPORT_DIR}/")]:
            raise UserError(
                f"{output}: holds files that are no export's ({', '.join(foreign[:5])}); choose another --output-folder"
            )
        return
    asked = {"fingerprint": facts.fingerprint, **settings()}
    found = {"fingerprint": manifest.get("facts", {}).get("fingerprint"), **manifest.get("settings", {})}
    if other := [name for name in asked if found.get(name) != asked[name]]:
        what = "another run's export" if "fingerprint" in other else "an export with other settings"
        raise UserError(
            f"{output}: holds {what} ({', '.join(f'{name}: {found.get(name)} -> {asked[name]}' for name in other)}); "
            "remove that folder, or choose another --output-folder"
        )
    if foreign := [name for name in present if not name.startswith(f"{EXPORT_DIR}/") and name not in expected]:
        raise UserError(f"{output}: holds files that are not of this export ({', '.join(foreign[:5])}); move them out")


def read_export(folder: Path) -> dict[str, Any] | None:
    """The manifest of the export in a folder; None where there is none. Raises UserError for a damaged one."""
    path = folder / EXPORT_DIR / MANIFEST
    if not path.is_file():
        return None
    try:
        data = json.loads(path.read_bytes())
        data["state"], data["facts"]["fingerprint"], data["files"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path}: is damaged; remove {folder} and export again") from None
    return data if isinstance(data, dict) else None


def _write_manifest(output: Path, facts: Facts, state: str, files: list[ExportedFile]) -> None:
    data = {
        "state": state,
        "settings": settings(),
        "files": [file.model_dump() for file in files],
        "facts": facts.model_dump(mode="json"),
    }
    write_atomically(output / EXPORT_DIR / MANIFEST, json.dumps(data, ensure_ascii=False, indent=1) + "\n")


def _record_path(output: Path, path: str) -> Path:
    return output / EXPORT_DIR / "files" / f"{path}.json"


def _finished(output: Path, job: ExportJob) -> ExportedFile | None:
    """What an earlier attempt has made of a file of the run, if that is still there, byte for byte."""
    try:
        found = ExportedFile.model_validate_json(_record_path(output, job.path).read_bytes())
        whole = found.source_sha256 == job.source_sha256 and sha256_of(output / job.path) == found.sha256
    except (OSError, ValueError):
        return None
    return found if whole else None


def _export_file(job: ExportJob) -> ExportedFile:
    """One file of the run as Parquet, in its place, with its record. Raises SourceError for one not the ledger's."""
    source, output = Path(job.source_path), Path(job.output_folder)
    place = output / job.path
    scratch = output / EXPORT_DIR / "work" / job.path
    scratch.parent.mkdir(parents=True, exist_ok=True)
    if not source.is_file():
        raise SourceError(f"{job.source_name}: missing; verify the run")
    if sha256_of(source) != job.source_sha256:
        raise SourceError(f"{job.source_name}: altered: its sha256 is not the ledger's; verify the run")
    lines = split_lines(read_bytes(ReadFile(path=job.source_name, uri=str(source))))
    written = write_parquet(scratch, (orjson.loads(line) for line in lines))
    if (written.rows, written.text_bytes) != (job.lines, job.text_bytes):
        scratch.unlink()
        raise SourceError(
            f"{job.source_name}: {written.rows:,} documents with {written.text_bytes:,} bytes of text, the ledger says "
            f"{job.lines:,} with {job.text_bytes:,}; verify the run"
        )
    record = ExportedFile(
        path=job.path, rows=written.rows, text_bytes=written.text_bytes, arrow_bytes=written.arrow_bytes,
        size=scratch.stat().st_size, sha256=sha256_of(scratch), digest=written.value, source_sha256=job.source_sha256,
    )  # fmt: skip
    place.parent.mkdir(parents=True, exist_ok=True)
    os.replace(scratch, place)
    sync_folder(place.parent)
    write_atomically(_record_path(output, job.path), record.model_dump_json(indent=1))
    return record


def open_export(folder: Path) -> tuple[Facts, list[ExportedFile]]:
    """Facts and files of a complete export. Raises UserError for an unfinished one."""
    manifest = read_export(folder)
    if manifest is None:
        raise UserError(f"{folder}: not an export (there is no {EXPORT_DIR}/{MANIFEST})")
    if manifest["state"] != "complete":
        raise UserError(f"{folder}: the export is not complete; run the same `smoltrove export` again")
    try:
        files = [ExportedFile.model_validate(item) for item in manifest["files"]]
        return Facts.model_validate(manifest["facts"]), files
    except ValueError as error:
        raise UserError(f"{folder}/{EXPORT_DIR}/{MANIFEST}: is damaged ({str(error).splitlines()[0]})") from None


def verify_export(folder: Path, *, show_progress: bool = False) -> list[str]:
    """Every difference between an export's files and its record, one line each; [] when it is whole.

    What the documents are was compared when they were written; the sha256 says that they still are.
    """
    _, files = open_export(folder)
    problems = []
    with Meter("verifying", sum(file.size for file in files), "bytes", show=show_progress) as meter:
        for file in files:
            path = folder / file.path
            if not path.is_file():
                problems.append(f"{file.path}: missing; the export has {file.rows:,} documents in it")
            elif sha256_of(path) != file.sha256:
                problems.append(f"{file.path}: altered: its sha256 is not the export's")
            meter.advance(file.size)
    known = {file.path for file in files}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not name.startswith(f"{EXPORT_DIR}/") and name not in known:
            problems.append(f"{name}: extra: not in this export")
    left = [p for p in (folder / EXPORT_DIR).iterdir() if p.name not in (MANIFEST, "files", "work", "push", RUN_LOCK,
                                                                         WORKERS_LOCK)]  # fmt: skip
    problems += [f"{EXPORT_DIR}/{path.name}: extra: not of an export" for path in left]
    return problems
