"""A look at a run in a store: its plan, a copy of its state, the files of one task at a time.

Gives up: writing anything there.
"""

import atexit
import dataclasses
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.errors import UserError
from pipelines.ledger import TaskRecord
from pipelines.manifest import read_manifest
from pipelines.plan import Plan
from pipelines.run_layout import RUN_DIR, RunLayout
from pipelines.store.state import pull
from pipelines.store.store import connect, open_store


def stored_plan(url: str) -> Plan | None:
    """The plan of the run in a store, None where there is none that can be read."""
    data = open_store(url).read(f"{RUN_DIR}/plan.json")
    try:
        return Plan.model_validate_json(data) if data is not None else None
    except ValueError:
        return None


def stored_manifest(url: str) -> dict[str, Any]:
    """The manifest of the run in a store, {} where there is none that can be read."""
    try:
        found = json.loads(open_store(url).read(f"{RUN_DIR}/manifest.json") or b"null")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def open_copy(url: str) -> RunLayout:
    """`open_stored_run` into a folder that lives as long as this process."""
    folder = tempfile.TemporaryDirectory(prefix="smoltrove-")
    atexit.register(folder.cleanup)
    return open_stored_run(url, Path(folder.name))


def open_stored_run(url: str, folder: Path) -> RunLayout:
    """The layout of the run in a store, its state copied to `folder`. Raises UserError where there is none."""
    layout = RunLayout(output_folder=folder, logging_dir=Path(), fingerprint="", store=url)
    pull(open_store(url), layout)
    manifest = read_manifest(layout)
    if manifest is None:
        raise UserError(f"{url}: not a run (there is no {RUN_DIR}/manifest.json); give an output folder")
    return dataclasses.replace(
        layout,
        fingerprint=manifest["fingerprint"],
        logging_dir=Path(manifest["logging_dir"]),
        mirror=Path(manifest["mirror"]) if manifest["mirror"] else None,
    )


@contextmanager
def files_of(layout: RunLayout, record: TaskRecord) -> Iterator[None]:
    """Inside, the files of a task are in the output folder; those of a store are fetched, and removed afterwards."""
    if layout.store is None:
        yield
        return
    store = connect(layout.store)
    files = [*([record.file] if record.file else []), *record.dropped_files]
    for file in files:
        store.get(file.path, layout.output_folder / file.path)
    try:
        yield
    finally:
        for file in files:
            (layout.output_folder / file.path).unlink(missing_ok=True)
