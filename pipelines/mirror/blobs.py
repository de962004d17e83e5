"""Blobs of code sources and mirrors: fetched into one, and read from one that says what it holds.

A blob that its own server does not have is a rejected row in every run, so the mirror writes that down; a blob that the
mirror merely was not given ends the task. Gives up: nothing is deleted; a mirror may hold blobs of many plans.
"""

import threading
from pathlib import Path
from typing import Any

from pipelines.blobs import BlobStore, verified
from pipelines.errors import SourceError
from pipelines.traffic import Traffic

_Found = tuple["bytes | None", "str | None"]


class HeldBlobs(BlobStore):
    """Reads the blobs of a recorded mirror. `lost`: what its record says of blobs that cannot be had, by id."""

    def __init__(self, folder: Path, lost: dict[str, str], *, traffic: Traffic | None = None) -> None:
        super().__init__(folder, traffic=traffic)
        self.lost = lost

    def has(self, blob_id: str) -> bool:
        """Whether there is a file for it."""
        return (Path(self.location) / blob_id).is_file()

    def _fetch(self, blob_id: str) -> _Found:
        content, rule = super()._fetch(blob_id)
        if content is not None:
            return content, None
        if blob_id in self.lost:
            return None, self.lost[blob_id]
        what = "is damaged" if rule == "blob_corrupt" else "is not there"
        raise SourceError(
            f"{self.location}: blob {blob_id} {what}; run `smoltrove mirror` with the same options where there is a "
            "network"
        )


class CheckedBlobs(HeldBlobs):
    """The same for a look at all of them: what is not right is collected in `wrong`, by id."""

    def __init__(self, folder: Path, lost: dict[str, str]) -> None:
        super().__init__(folder, lost)
        self.right: set[str] = set()
        self.wrong: dict[str, str] = {}

    def _fetch(self, blob_id: str) -> _Found:
        try:
            found = super()._fetch(blob_id)
        except SourceError as error:
            self.wrong[blob_id] = str(error)
            return None, "blob_missing"
        if found[0] is not None:
            self.right.add(blob_id)
        return found


class FetchedBlobs(BlobStore):
    """Fetches blobs into a folder; `fetched`, `held` and `lost` (id -> rule) say what became of them."""

    def __init__(self, folder: Path, *, workers: int, traffic: Traffic, **options: Any) -> None:
        super().__init__(cache_dir=folder, workers=workers, traffic=traffic, **options)
        self.folder = folder
        self.fetched: set[str] = set()
        self.held: set[str] = set()
        self.lost: dict[str, str] = {}
        self._counting = threading.Lock()

    def _fetch(self, blob_id: str) -> _Found:
        if (self.folder / blob_id).is_file():
            found = self._from_folder(self.folder, blob_id)
            if found[0] is not None:
                with self._counting:
                    if blob_id not in self.fetched:
                        self.held.add(blob_id)
                return found
        found = self._download(blob_id) if self.remote else self._copied(blob_id)
        with self._counting:
            if found[1] is None:
                self.fetched.add(blob_id)
            else:
                self.lost[blob_id] = found[1]
        return found

    def _copied(self, blob_id: str) -> _Found:
        """From an endpoint that is a folder."""
        found = self._from_folder(Path(self.location), blob_id)
        if found[0] is not None:
            data = (Path(self.location) / blob_id).read_bytes()
            if verified(data, blob_id)[0] is not None:
                self._remember(blob_id, data)
        return found
