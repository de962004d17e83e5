"""The body of `smoltrove mirror`: configuration to plan to files to a printed table.

Gives up: planning for a run in an output folder; a mirror is of a configuration and its options.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.table import Table

from pipelines.commands import build_plan
from pipelines.config import load_config
from pipelines.errors import UserError
from pipelines.mirror.progress import Progress
from pipelines.mirror.record import MirrorRecord, lock_mirror, read_record
from pipelines.mirror.run import MirrorResult, check_mirror, fetch_mirror
from pipelines.quantities import show_bytes
from pipelines.sources import Catalogue
from pipelines.store.url import local_folder, refuse_store

INTERRUPTED = 130


def execute_mirror(
    config_path: Path,
    folder: Path,
    *,
    target_tokens: str | None = None,
    max_datasets: int | None = None,
    datasets: str | None = None,
    after: Sequence[str] | None = None,
    at_once: int = 8,
    verify: bool = False,
    fresh: bool = False,
    as_json: bool = False,
) -> int:
    """Fetch, or with `verify` check. Returns the exit status. Raises UserError for wrong input."""
    refuse_store(folder, "`smoltrove mirror`")
    folder = local_folder(folder)
    config = load_config(config_path)
    if verify and fresh:
        raise UserError("--fresh: fetches, --verify does not; give one of them")
    lock = None
    if verify:
        catalogue = Catalogue(mirror=folder, config_dir=config.path.parent)
        if (record := catalogue.record) is None:
            raise UserError(f"{folder}: not made by `smoltrove mirror`, so nothing says what should be in it")
    else:
        lock, record = _open(folder, fresh=fresh)
        catalogue = Catalogue(config_dir=config.path.parent, frozen=record.listings, pins=record.pins)
    progress = Progress("checked" if verify else "fetched")
    try:
        plan = build_plan(
            config, output_folder=None, target_tokens=target_tokens, max_datasets=max_datasets, datasets=datasets,
            after=after, catalogue=catalogue,
        )  # fmt: skip
        for line in plan.warnings:
            progress.say(f"warning: {line}")
        work = check_mirror if verify else fetch_mirror
        result = work(plan, record, at_once=at_once, progress=progress)
    except KeyboardInterrupt:
        progress.close()
        progress.say("stopped: what is here stays; run the same command to go on")
        return INTERRUPTED
    finally:
        progress.close()
        if lock is not None:
            lock.close()
    if as_json:
        print(json.dumps({"ok": result.ok, **result.model_dump()}, ensure_ascii=False, indent=1))
    else:
        print_result(result, verify=verify)
    return 0 if result.ok else 1


def _open(folder: Path, *, fresh: bool) -> tuple[IO[str], MirrorRecord]:
    """The folder's lock, and its record or a new one; with `fresh` a new one, so that the Hub is asked again."""
    try:
        lock = lock_mirror(folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot be used as a folder ({error.strerror}); choose another") from None
    return lock, (None if fresh else read_record(folder)) or MirrorRecord(folder)


def print_result(result: MirrorResult, *, verify: bool) -> None:
    """The table at the end, and what is not here or not right."""
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("source", no_wrap=True)
    for heading in ("commit", "files", "size", "blobs", "lost blobs"):
        table.add_column(heading, justify="right", no_wrap=True)
    for source in result.sources:
        blobs = (f"{source.blobs:,}", f"{source.blobs_lost:,}") if source.blobs else ("", "")
        table.add_row(
            source.source, (source.revision or "")[:12], f"{source.files_held}/{source.files}",
            show_bytes(source.bytes), *blobs,
        )  # fmt: skip
    console = Console(width=180, highlight=False)
    console.print(table)
    for line in result.skipped:
        console.print(f"note: {line}", markup=False, soft_wrap=True)
    if verify:
        console.print(f"checked in {result.seconds:g} s", markup=False)
    else:
        console.print(
            f"fetched {result.files_fetched:,} files and {result.blobs_fetched:,} blobs: "
            f"{show_bytes(result.bytes_fetched)} in {result.requests:,} requests, {result.seconds:g} s; "
            f"use it with --mirror {result.folder}",
            markup=False,
            soft_wrap=True,
        )
    wrong = [source for source in result.sources if source.problems]
    if result.ok:
        return
    console.print(f"\nNOT complete: {len(wrong)} of {len(result.sources)} sources", markup=False)
    for source in wrong:
        for problem in source.problems:
            console.print(f"  {source.source}: {problem}", markup=False, soft_wrap=True)
    for problem in result.damaged:
        console.print(f"  {problem}", markup=False, soft_wrap=True)
    console.print("run the same command" + (" without --verify" if verify else "") + " to get the rest", markup=False)
