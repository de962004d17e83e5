"""Which folders a deduplication may use: none that gets into the way of a run, and none outside of its output folder.

Gives up: two commands that begin in the same moment, one inside the folder of the other.
"""

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from pipelines.errors import UserError
from pipelines.ledger import TaskRecord
from pipelines.run_layout import RUN_DIR
from pipelines.store.url import store_url


def check_places(runs: Sequence[Path], output_folder: Path, cache_dir: Path | None) -> None:
    """Raises UserError where output or cache would lie in a run's folder, or a run that is read in the output's.

    `verify` of the outer one would find files that are not its own, and `--fresh` of it would delete them.
    """
    output = output_folder.resolve()
    for folder in runs:
        if store_url(folder) is not None:
            continue
        read = folder.resolve()
        if read == output:
            raise UserError(f"--output-folder {output_folder}: is a run that is read; choose another")
        if read.is_relative_to(output):
            raise UserError(f"--output-folder {output_folder}: the run {folder} lies in it; choose another")
        if output.is_relative_to(read):
            raise UserError(f"--output-folder {output_folder}: lies in the run {folder}; choose another")
    if (outer := _run_around(output.parent)) is not None:
        raise UserError(f"--output-folder {output_folder}: lies in the run {outer}; choose another")
    if cache_dir is None:
        return
    cache = cache_dir.resolve()
    outer = output if cache.is_relative_to(output) else _run_around(cache)
    if outer is not None:
        raise UserError(
            f"--dedup-cache {cache_dir}: lies in {outer}, which is for documents only; choose a folder beside it"
        )


def _run_around(folder: Path) -> Path | None:
    return next((p for p in (folder, *folder.parents) if os.path.isfile(p / RUN_DIR / "manifest.json")), None)


def check_record(folder: Path, record: TaskRecord) -> None:
    """Raises UserError where a ledger names another place than a run gives a task: what it says is read and written."""
    name, _, label = record.source.rpartition("/")
    expected = f"{name.replace('/', '_')}/{label}"
    parts = PurePosixPath(expected).parts
    ok = record.output_dir == expected == "/".join(parts) and len(parts) == 2 and not {"..", RUN_DIR} & {*parts}
    if ok and record.file is not None:
        start = f"{expected}/{record.rank:05d}.jsonl"
        ok = record.file.path.startswith(start) and "/" not in record.file.path[len(start) :]
    if not ok or "\0" in expected:
        raise UserError(
            f"{folder}: the ledger names a place that is not where task {record.rank} of {record.source!r} writes; "
            "verify the run"
        )
