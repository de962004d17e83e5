"""`smoltrove fetch`: a finished run of a store brought to a folder, where every command takes it.

    <folder>/_run/fetching.json   which run, until all of it is there
    <folder>/_run/fetching/       its state while documents are on their way; moved to `_run`, the manifest last

Killed at any moment, the same command goes on; on a folder that has the run it puts right what is damaged. Gives up:
runs that are not finished.
"""

import json
import os
import shutil
from pathlib import Path

from pydantic import BaseModel

from pipelines.dedup.freeze import finished_run
from pipelines.dedup.inputs import read_json
from pipelines.errors import SourceError, UserError
from pipelines.ledger import sync_folder, write_atomically
from pipelines.quantities import show_bytes
from pipelines.run_layout import RUN_DIR
from pipelines.run_lock import RUN_LOCK, WORKERS_LOCK, lock_run
from pipelines.signals import StopRequest, note_signals
from pipelines.store.files import Halted, bytes_left, check_room, fetch_files, files_of_records, stored_tables
from pipelines.store.look import open_stored_run
from pipelines.store.state import FILES
from pipelines.store.store import Store, open_store
from pipelines.store.url import local_folder, refuse_store, store_url

_MARKER, _UNDER_WAY = "fetching.json", "fetching"


class Fetched(BaseModel):
    """What it came to. `files` and `bytes`: of the run; `fetched`: files that were not here before."""

    url: str
    folder: str
    files: int
    bytes: int
    fetched: int = 0
    stopped: int | None = None


def fetch_run(source: Path, folder: Path, *, show_progress: bool = False) -> Fetched:
    """Bring the finished run at the URL `source` to `folder`, or go on doing so.

    Raises UserError for a run that is not finished, a folder that holds something else or too small a disk, SourceError
    where a file is not the one of the run's ledger, or the disk fails.
    """
    url = store_url(source)
    if url is None:
        raise UserError(f"{source}: is no store's URL; give one, such as s3://bucket/stage1")
    refuse_store(folder, "the second argument of `smoltrove fetch`")
    folder = local_folder(folder).absolute()
    store, stop = open_store(url), StopRequest()
    try:
        with lock_run(folder / RUN_DIR), note_signals(stop):
            under_way = folder / RUN_DIR / _UNDER_WAY
            layout = open_stored_run(url, under_way)
            _refuse_other(folder, url, layout.fingerprint)
            try:
                _, records, _ = finished_run(under_way)
            except UserError as error:
                raise UserError(str(error).replace(str(under_way), url)) from None
            files = [*files_of_records(records), *stored_tables(store)]
            check_room(folder, bytes_left(files, folder), "what is left to fetch")
            write_atomically(
                folder / RUN_DIR / _MARKER, json.dumps({"url": url, "fingerprint": layout.fingerprint}) + "\n"
            )
            found = Fetched(url=url, folder=str(folder), files=len(files), bytes=sum(file.size for file in files))
            try:
                found.fetched = fetch_files(store, files, folder, stop, show=show_progress)
            except Halted:
                found.stopped = stop.signum
                return found
            _get_descriptions(store, under_way)
            _settle(folder, under_way)
            return found
    except OSError as error:
        raise SourceError(f"{folder}: {error}; put that right and run the same command again") from error


def _refuse_other(folder: Path, url: str, fingerprint: str) -> None:
    """The folder is new, or holds this run or a part of it."""
    for name in ("manifest.json", _MARKER):
        there = read_json(folder / RUN_DIR / name)
        if there is not None:
            if there.get("fingerprint") != fingerprint:
                raise UserError(f"{folder}: holds another run than {url}; choose another folder")
            return
    locks = (RUN_LOCK, WORKERS_LOCK, _UNDER_WAY)
    foreign = [path.name for path in folder.iterdir() if path.name != RUN_DIR]
    foreign += [f"{RUN_DIR}/{path.name}" for path in (folder / RUN_DIR).iterdir() if path.name not in locks]
    if foreign:
        raise UserError(f"{folder}: holds files that are no run's ({', '.join(sorted(foreign)[:5])}); choose another")


def _get_descriptions(store: Store, under_way: Path) -> None:
    """The report, and what else describes the run for people."""
    for key in store.list(RUN_DIR):
        name = key.removeprefix(f"{RUN_DIR}/")
        if "/" not in name and name not in FILES and not name.endswith(".parquet"):
            store.get(key, under_way / key)


def _settle(folder: Path, under_way: Path) -> None:
    """Move the state to its place; from the first move to the last one the folder is no run."""
    run_dir, came = folder / RUN_DIR, under_way / RUN_DIR
    (run_dir / "manifest.json").unlink(missing_ok=True)
    shutil.rmtree(run_dir / "stages", ignore_errors=True)
    for path in sorted(came.iterdir(), key=lambda path: path.name == "manifest.json"):
        if path.name == "manifest.json":
            sync_folder(run_dir)
        os.replace(path, run_dir / path.name)
    sync_folder(run_dir)
    (run_dir / _MARKER).unlink(missing_ok=True)
    shutil.rmtree(under_way)


def show_fetch(source: Path, folder: Path, *, as_json: bool) -> int:
    """Fetch and say what came of it; 128 + the signal when stopped."""
    found = fetch_run(source, folder, show_progress=not as_json)
    if as_json:
        print(json.dumps({"ok": found.stopped is None, **found.model_dump()}, indent=1))
    elif found.stopped is None:
        before = f" ({found.files - found.fetched} were here before)" if found.fetched < found.files else ""
        print(
            f"{found.folder}: {found.files} files, {show_bytes(found.bytes)}, each what {found.url} has written{before}"
        )
    else:
        print("stopped: what has come stays; run the same command to go on")
    return 0 if found.stopped is None else 128 + found.stopped
