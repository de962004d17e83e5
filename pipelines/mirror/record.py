"""What a mirror made by `smoltrove mirror` says about itself: the Hub's own listings, and which files are here whole.

    <mirror>/_mirror/manifest.json    listings by entry, each at a commit: what a run from here plans with
    <mirror>/_mirror/files.jsonl      one line for each file that is here: size, the Hub's object id, sha256
    <mirror>/_mirror/SHA256SUMS       the same for `sha256sum -c`
    <mirror>/_mirror/lost_blobs.json  blobs that their own server does not have, and why

With the whole listings in it a run plans exactly what it would over the Hub, though only planned files are here. Gives
up: two commits of one repository in one mirror; they would want the same paths.
"""

import fcntl
import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import IO, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.errors import UserError
from pipelines.ledger import sync_folder, write_atomically
from pipelines.sources import FileInfo, Listing

RECORD_DIR = "_mirror"
VERSION = 1


class HeldFile(BaseModel):
    """One file that is here whole. `path`: org/name/path; `size` in bytes; `identity`: the Hub's object id."""

    model_config = ConfigDict(frozen=True)

    path: str
    size: int
    identity: str
    sha256: str


class MirrorRecord:
    """The record of one mirror, in memory and on disk. `read_record` finds one; a new one is empty until `save`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.listings: dict[str, Listing] = {}
        self.held: dict[str, HeldFile] = {}
        self.lost: dict[str, str] = {}

    @property
    def revisions(self) -> dict[str, str]:
        """The commit of each repository."""
        return {_asked(entry)[0]: str(listing.revision) for entry, listing in self.listings.items()}

    @property
    def pins(self) -> dict[tuple[str, str | None], str]:
        """The commit that (repository, revision as the configuration has it) stands for in this mirror."""
        return {_asked(entry): str(listing.revision) for entry, listing in self.listings.items()}

    def place(self, name: str, file: FileInfo) -> Path:
        """Where a file of a repository is, or will be."""
        return self.folder / name / file.path

    def holds(self, name: str, file: FileInfo) -> bool:
        """Whether this very content is here, by the record, and has its size on disk."""
        held = self.held.get(f"{name}/{file.path}")
        if held is None or (held.size, held.identity) != (file.size, file.identity):
            return False
        try:
            return self.place(name, file).stat().st_size == file.size
        except OSError:
            return False

    def add_listings(self, listings: Mapping[str, Listing]) -> None:
        """Take these in. Raises UserError for a second commit of a repository and for a path that is not inside it."""
        known = self.revisions
        for entry, listing in listings.items():
            name, revision = _asked(entry)[0], str(listing.revision)
            if known.setdefault(name, revision) != revision:
                raise UserError(
                    f"{self.folder}: holds {name} at commit {known[name][:12]}, asked for is {revision[:12]}; choose "
                    "another folder, or --fresh for the new commits of everything"
                )
            for file in listing.files:
                _refuse_outside(name, file.path)
            self.listings[entry] = listing

    def save(self) -> None:
        """Write everything, sorted; each file whole or not at all."""
        folder = self.folder / RECORD_DIR
        held = [self.held[path] for path in sorted(self.held)]
        write_atomically(folder / "files.jsonl", "".join(f"{file.model_dump_json()}\n" for file in held))
        write_atomically(folder / "SHA256SUMS", "".join(f"{file.sha256}  {file.path}\n" for file in held))
        write_atomically(folder / "lost_blobs.json", json.dumps(self.lost, indent=0, sort_keys=True) + "\n")
        manifest = {
            "version": VERSION,
            "written_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "revisions": self.revisions,
            "listings": {entry: listing.model_dump() for entry, listing in sorted(self.listings.items())},
        }
        write_atomically(folder / "manifest.json", json.dumps(manifest, ensure_ascii=False) + "\n")

    def journal(self) -> "Journal":
        """Where files that become whole are written down one by one."""
        return Journal(self)


class Journal:
    """Appends to `files.jsonl`, so that a killed download forgets nothing it had finished. One writer, any threads
    take turns by their caller."""

    def __init__(self, record: MirrorRecord) -> None:
        self.record = record
        path = record.folder / RECORD_DIR / "files.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle: IO[str] = open(path, "a", encoding="utf-8")  # noqa: SIM115 - closed by close()

    def add(self, file: HeldFile) -> None:
        self.record.held[file.path] = file
        self._handle.write(file.model_dump_json() + "\n")
        self._handle.flush()

    def close(self) -> None:
        self._handle.close()


def read_record(folder: Path) -> MirrorRecord | None:
    """The record of a mirror, None for a folder that was not made by `smoltrove mirror`. Raises UserError."""
    where = folder / RECORD_DIR
    path = where / "manifest.json"
    if not path.is_file():
        return None
    record = MirrorRecord(folder)
    try:
        manifest = json.loads(path.read_bytes())
        if manifest["version"] != VERSION:
            raise ValueError(f"version {manifest['version']}, known is {VERSION}")
        listings: dict[str, Any] = manifest["listings"]
        record.listings = {entry: Listing.model_validate(listing) for entry, listing in listings.items()}
        for entry in record.listings:
            _asked(entry)
        record.held = _read_held(where / "files.jsonl")
        record.lost = read_lost(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: not the record of a mirror ({str(error).splitlines()[0]}); run `smoltrove mirror` with --fresh"
        ) from None
    return record


def read_lost(folder: Path) -> dict[str, str]:
    """Blobs that their server does not have, with the rule that rejects their rows. Raises UserError."""
    path = folder / RECORD_DIR / "lost_blobs.json"
    try:
        return {str(blob): str(rule) for blob, rule in json.loads(path.read_bytes()).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); run `smoltrove mirror` again") from None


def _read_held(path: Path) -> dict[str, HeldFile]:
    """By path; a later line stands for an earlier one. A last line that a kill cut short is no file."""
    held: dict[str, HeldFile] = {}
    lines = path.read_bytes().split(b"\n") if path.is_file() else []
    for i, line in enumerate(lines):
        if not line:
            continue
        try:
            file = HeldFile.model_validate_json(line)
        except ValidationError:
            if i == len(lines) - 1:
                break
            continue  # two halves of lines, after a cut and another start: the file is looked at again
        held[file.path] = file
    return held


def lock_mirror(folder: Path) -> IO[str]:
    """Hold the folder for this process. Raises UserError where another one downloads into it."""
    where = folder / RECORD_DIR
    where.mkdir(parents=True, exist_ok=True)
    handle = open(where / "lock", "a", encoding="utf-8")  # noqa: SIM115 - held for the process's life
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        raise UserError(f"{folder}: another `smoltrove mirror` works in it; wait for it") from None
    except OSError:
        pass  # a file system without locks: files are still written whole, by rename
    sync_folder(where)
    return handle


def not_held(record: MirrorRecord | None, name: str, files: Iterable[FileInfo]) -> list[str]:
    """Paths of those files of a repository that a mirror does not have."""
    return [file.path for file in files if record is None or not record.holds(name, file)]


def _asked(entry: str) -> tuple[str, str | None]:
    fields = json.loads(entry)
    return str(fields["name"]), fields["revision"]


def _refuse_outside(name: str, path: str) -> None:
    """A listing comes from a server: none of its paths may lead out of the repository's folder."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or not path.isprintable():
        raise UserError(f"{name}: the Hub lists a file {path!r}, which is no path inside a folder; not mirrored")
