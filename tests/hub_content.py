"""What a local Hub serves: the files of a repository at a commit, named by their content, and parts of files.

Gives up: history; a commit knows no other.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BLOCK_BYTES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Blob:
    """One file of a commit: where its bytes are, how many, and their git object id.

    `sha256` is there where it was uploaded as a large file; then `oid` is that of its pointer.
    """

    file: Path
    size: int
    oid: str
    sha256: str | None = None

    @property
    def entry(self) -> dict[str, Any]:
        """What a listing says of it beside its path."""
        found: dict[str, Any] = {"type": "file", "oid": self.oid, "size": self.size}
        if self.sha256 is not None:
            pointer_size = len(pointer_of(self.sha256, self.size))
            found["lfs"] = {"oid": self.sha256, "size": self.size, "pointerSize": pointer_size}
        return found


def pointer_of(sha256: str, size: int) -> bytes:
    """The text that git keeps in place of a large file (git-lfs, docs/spec.md)."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


class Commit:
    """The files of a repository at one moment; the sha follows from their paths and contents."""

    def __init__(self, files: Mapping[str, Blob]) -> None:
        self.files = dict(sorted(files.items()))
        listing = "\n".join(f"{blob.oid} {path}" for path, blob in self.files.items())
        self.sha = hashlib.sha1(listing.encode(), usedforsecurity=False).hexdigest()

    def entries(self, folder: str, recursive: bool) -> list[dict[str, Any]]:
        """What the tree endpoint answers for `folder` ('' = all of it); empty where there is no such folder."""
        prefix = f"{folder}/" if folder else ""
        found: dict[str, dict[str, Any]] = {}
        for path, blob in self.files.items():
            if not path.startswith(prefix) and path != folder:
                continue
            parts = path.split("/")
            for depth in range(1, len(parts)):
                parent = "/".join(parts[:depth])
                if parent.startswith(prefix):
                    oid = hashlib.sha1(f"{self.sha} {parent}".encode(), usedforsecurity=False).hexdigest()
                    found[parent] = {"type": "directory", "oid": oid, "size": 0, "path": parent}
            found[path] = {**blob.entry, "path": path}
        return [found[path] for path in sorted(found) if recursive or "/" not in path.removeprefix(prefix)]


def rotated(commit: Commit) -> Commit:
    """The same paths, each with the content of the next file of its kind; a lone file comes a second time."""
    files = dict(commit.files)
    for suffix in {Path(path).suffix for path in files}:
        paths = [path for path in files if path.endswith(suffix) and path != "README.md"]
        for path, other in zip(paths, paths[1:] + paths[:1], strict=True):
            files[path] = commit.files[other]
        if len(paths) == 1:
            files[f"moved-{paths[0].replace('/', '-')}"] = commit.files[paths[0]]
    return Commit(files)


def repository_info(name: str, commit: Commit, gated: bool, expand: Sequence[str] = ()) -> dict[str, Any]:
    """What the info endpoint answers: all of it, or the id and the fields of `expand`."""
    everything = {
        "id": name, "author": name.split("/")[0], "sha": commit.sha, "private": False, "disabled": False,
        "gated": "auto" if gated else False, "downloads": 0, "likes": 0, "tags": [],
        "siblings": [{"rfilename": path} for path in commit.files],
    }  # fmt: skip
    return {key: value for key, value in everything.items() if not expand or key == "id" or key in expand}


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """[start, end) of a Range header; None = answer with everything; start >= end = not satisfiable (RFC 9110, 14)."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", (header or "").replace(" ", ""))
    if not match or match.groups() == ("", ""):
        return None  # absent, several ranges, or nonsense: all of these may be ignored
    first, last = match.groups()
    if not first:
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None
    return int(first), min(size, int(last) + 1 if last else size)


def blocks_of(path: Path, start: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as handle:
        handle.seek(start)
        while start < end and (block := handle.read(min(BLOCK_BYTES, end - start))):
            start += len(block)
            yield block


def blob_of(path: Path) -> Blob:
    """The file as git names it."""
    size = path.stat().st_size
    digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    for block in blocks_of(path, 0, size):
        digest.update(block)
    return Blob(file=path, size=size, oid=digest.hexdigest())


def commit_of(folder: Path) -> Commit:
    """Everything in `folder` as one commit."""
    paths = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return Commit({path.relative_to(folder).as_posix(): blob_of(path) for path in paths})
