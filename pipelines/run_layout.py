"""Where everything of a run lives: documents beside `_run/`, logs in a folder of their own.

    <output>/<org>_<name>/<config>/00000.jsonl.gz          documents, nothing else
    <output>/_run/manifest.json, plan.json, plan.txt, config.yaml, ledger.jsonl, state.json, report.{html,md,json}
    <output>/_run/dropped/<org>_<name>/<config>/<filter>/  with --keep-dropped
    <output>/_run/stages/<fingerprint>/...                 work files, records and completion markers
    <logs>/main.log, <logs>/<org>_<name>/<config>/task_00000.log

Gives up: output and logs in one folder.
"""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipelines.blobs import BlobStore
from pipelines.errors import UserError
from pipelines.mirror.blobs import HeldBlobs
from pipelines.mirror.record import read_lost
from pipelines.sources import FileInfo, Listing
from pipelines.traffic import Traffic

RUN_DIR = "_run"
BLOBS_DIR = "softwareheritage/content"


@dataclass(frozen=True, kw_only=True)
class RunLayout:
    """Paths of one run; `fingerprint` separates the work of different plans, `attempt` that of attempts at a task.

    Local runs need no `attempt`: their supervisor sees a worker's end before it gives its task away.
    store: the URL where finished tasks go, with the number of this run's lock there; `output_folder` then is a copy of
    the run's state on this machine, and holds documents only while they are written.
    """

    output_folder: Path
    logging_dir: Path
    fingerprint: str
    mirror: Path | None = None
    attempt: str = ""
    store: str | None = None
    store_lock: int = 0

    @property
    def where(self) -> str:
        """What a person calls the place of the run."""
        return self.store or str(self.output_folder)

    @cached_property
    def run_dir(self) -> Path:
        """Everything that is not documents."""
        return self.output_folder / RUN_DIR

    @cached_property
    def stage_dir(self) -> Path:
        """Work of this plan, and of no other."""
        return self.run_dir / "stages" / self.fingerprint[:16]

    def work_dir(self, output_dir: str) -> Path:
        """Files that are being written; never read by anything else."""
        return self.stage_dir / "work" / output_dir / self.attempt

    def records_dir(self, output_dir: str) -> Path:
        """One ledger record per finished task."""
        return self.stage_dir / "records" / output_dir

    def datatrove_dir(self, output_dir: str) -> Path:
        """datatrove's own completions and statistics."""
        return self.stage_dir / "datatrove" / output_dir

    def dropped_dir(self, output_dir: str) -> Path:
        """Dropped and rejected documents with their reasons."""
        return self.run_dir / "dropped" / output_dir

    def log_dir(self, output_dir: str) -> Path:
        """One log per task of a source."""
        return self.logging_dir / output_dir

    def completion(self, output_dir: str, rank: int) -> Path:
        """datatrove's completion marker of a task."""
        return self.datatrove_dir(output_dir) / "completions" / f"{rank:05d}"

    def record(self, output_dir: str, rank: int) -> Path:
        """The ledger record of a task."""
        return self.records_dir(output_dir) / f"{rank:05d}.json"

    def uri(self, name: str, listing: Listing, file: FileInfo) -> str:
        """What is opened for a file of the repository `name`."""
        return file_uri(name, listing, file, self.mirror)

    def blobs(self, listing: Listing, traffic: Traffic | None = None) -> BlobStore:
        """Where the files of code sources come from: the mirror that the source is read from, or Software Heritage."""
        return blob_store(listing, self.mirror, traffic=traffic)


def file_uri(name: str, listing: Listing, file: FileInfo, mirror: Path | None) -> str:
    """What is opened for a file of the repository `name`; a mirror may hold files that were listed on the Hub."""
    if listing.kind == "hub" and mirror is not None:
        return str(mirror / name / file.path)
    return f"{listing.base}/{file.path}"


def blob_store(listing: Listing, mirror: Path | None, *, traffic: Traffic | None = None, **options: Any) -> BlobStore:
    """Where blobs come from; `options` are BlobStore's, for what is asked over a network."""
    if listing.kind == "local" or mirror is None:
        return BlobStore(traffic=traffic, **options)
    if listing.kind == "hub":
        return HeldBlobs(mirror / BLOBS_DIR, read_lost(mirror), traffic=traffic)
    return BlobStore(mirror / BLOBS_DIR, traffic=traffic, **options)


def refuse_file(option: str, folder: Path) -> None:
    """Raises UserError where the folder of an option is a file, or would lie below one; makes nothing."""
    place = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    if place.exists() and not place.is_dir():
        raise UserError(f"{option} {folder}: cannot be used as a folder ({place} is a file); choose another")


def make_writable(option: str, folder: Path) -> None:
    """Make the folder of an option. Raises UserError where that or writing into it is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(option, folder, error) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{option} {folder}: may not be written to; choose another folder or change its permissions")


def unusable(option: str, folder: Path, error: OSError) -> UserError:
    """What to say of a folder of an option that the system refuses."""
    return UserError(f"{option} {folder}: cannot be used as a folder ({error.strerror or error}); choose another")
