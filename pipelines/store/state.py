"""The state of a run in a store and its copy on this machine: pulled before, pushed at the start and the end.

A task counts where its record is in the store and every file that the record names is there with its size. The copy is
thrown away and pulled anew each time, so no machine remembers what another has changed. Gives up: keeping finished
documents on this machine.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from pipelines.errors import UserError
from pipelines.ledger import TaskRecord, write_atomically
from pipelines.run_layout import RUN_DIR, RunLayout
from pipelines.run_lock import RUN_LOCK, WORKERS_LOCK
from pipelines.store.lock import LOCKS
from pipelines.store.store import Store, Stored

# In the order in which they are put: who sees a manifest finds everything that it speaks of.
FILES = (
    "plan.json", "plan.txt", "config.yaml", "dedup.json", "fingerprint.json", "ledger.jsonl", "state.json",
    "manifest.json",
)  # fmt: skip
SCRATCH_TOKEN = "scratch_token"
_KEPT = (RUN_LOCK, WORKERS_LOCK, SCRATCH_TOKEN)


def pull(store: Store, layout: RunLayout) -> dict[str, Stored]:
    """Make the copy below `layout.output_folder` what the store has; everything that the store lists.

    Raises UserError for a folder of the store that holds objects, but no run.
    """
    clear(layout)
    listed = store.list()
    names = [f"{RUN_DIR}/{name}" for name in FILES if f"{RUN_DIR}/{name}" in listed]
    if f"{RUN_DIR}/manifest.json" not in listed:
        foreign = sorted(key for key in listed if not key.startswith(f"{RUN_DIR}/"))
        if foreign:
            raise UserError(
                f"{store.url}: holds objects that are no run's ({', '.join(foreign[:5])}); choose another "
                "--output-folder"
            )
        return listed
    records = [key for key in listed if _is_record(key)]
    for key, data in store.read_all([*names, *records]).items():
        if not _is_record(key):
            _write(layout.output_folder / key, data)
        elif _counts(data, listed):
            _write(layout.output_folder / key, data)
            # datatrove's marker of the same task: a record is put last, so it says the same.
            marker = key.replace("/records/", "/datatrove/", 1).removesuffix(".json")
            folder, _, rank = marker.rpartition("/")
            _write(layout.output_folder / folder / "completions" / rank, b"")
    return listed


def push(store: Store, layout: RunLayout) -> None:
    """Put the files that describe the run."""
    for name in FILES:
        path = layout.run_dir / name
        if path.is_file():
            store.write(f"{RUN_DIR}/{name}", path.read_bytes())


def clear(layout: RunLayout) -> None:
    """Empty the copy, but for the locks of this machine."""
    for path in layout.output_folder.iterdir() if layout.output_folder.is_dir() else ():
        if path.name != RUN_DIR:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in layout.run_dir.iterdir() if layout.run_dir.is_dir() else ():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in _KEPT:
            path.unlink()


def delete(store: Store, layout: RunLayout, listed: dict[str, Stored], output_dirs: Iterable[str]) -> None:
    """For --fresh: remove the run that was pulled, its documents included; in the order of `manifest.delete_run`.

    output_dirs: the folders of its sources.
    """
    folders = tuple(f"{output_dir}/" for output_dir in output_dirs)
    run = [key for key in listed if key.startswith(f"{RUN_DIR}/") and not key.startswith(f"{LOCKS}/")]
    manifest = f"{RUN_DIR}/manifest.json"
    stages = [key for key in run if key.startswith(f"{RUN_DIR}/stages/")]
    rest = sorted(set(run) - set(stages) - {manifest})
    for key in [*stages, *(key for key in listed if key.startswith(folders)), *rest, manifest]:
        store.delete(key)
    clear(layout)


def _is_record(key: str) -> bool:
    parts = key.split("/")
    return parts[:2] == [RUN_DIR, "stages"] and parts[3:4] == ["records"] and key.endswith(".json")


def _counts(data: bytes, listed: dict[str, Stored]) -> bool:
    try:
        record = TaskRecord.model_validate_json(data)
    except ValidationError:
        return False
    files = [*([record.file] if record.file else []), *record.dropped_files]
    return all(file.path in listed and listed[file.path].size == file.size for file in files)


def _write(path: Path, data: bytes) -> None:
    if data:
        write_atomically(path, data.decode("utf-8", "replace"))
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
