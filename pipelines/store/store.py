"""One folder of an object store: objects written whole and compared, listed, read, created once.

By fsspec, so any of its stores will do whose objects appear whole or not at all, as those of S3, Google and Azure do.
Gives up: renaming, which object stores do by copying.
"""

import hashlib
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pipelines.errors import SourceError, UserError
from pipelines.reader_bytes import describe
from pipelines.store.url import store_url

_BLOCK = 1 << 22
_PACKAGES = {
    "s3": "smoltrove[s3]",
    "s3a": "smoltrove[s3]",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "abfs": "adlfs",
    "az": "adlfs",
}


@dataclass(frozen=True, kw_only=True)
class Stored:
    """One object: its size in bytes."""

    size: int


class StoreError(SourceError):
    """The store does not do what it was asked: which object, and why."""


class Store:
    """The objects below `url`; keys are relative to it, with '/'. Made by `connect`, or by `open_store`."""

    def __init__(self, url: str, fs: Any, root: str) -> None:
        self.url, self.fs, self.root = url, fs, root.rstrip("/")

    def _full(self, key: str) -> str:
        return f"{self.root}/{key}"

    def _error(self, what: str, key: str, error: BaseException) -> StoreError:
        return StoreError(f"{self.url}/{key}: cannot be {what}: {describe(error)}")

    def list(self, prefix: str = "") -> dict[str, Stored]:
        """Every object below the folder `prefix`, as the store has it now."""
        self.fs.invalidate_cache()
        try:
            found = self.fs.find(self._full(prefix).rstrip("/"), detail=True)
        except FileNotFoundError:
            return {}
        except Exception as error:  # noqa: BLE001 - every store raises its own kinds
            raise self._error("listed", prefix, error) from None
        start = len(self.root.lstrip("/")) + 1
        return {
            name.lstrip("/")[start:]: Stored(size=int(info["size"]))
            for name, info in found.items()
            if info.get("type", "file") == "file"
        }

    def read(self, key: str) -> bytes | None:
        """An object's bytes, None where there is none."""
        try:
            return bytes(self.fs.cat_file(self._full(key)))
        except FileNotFoundError:
            return None
        except Exception as error:  # noqa: BLE001 - every store raises its own kinds
            raise self._error("read", key, error) from None

    def read_all(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Many small objects, side by side where the store's client can; those that are gone are left out."""
        full = {self._full(key): key for key in keys}
        if not full:
            return {}
        found = self.fs.cat(list(full), on_error="return") if len(full) > 1 else {}
        if len(full) == 1:
            (key,) = full.values()
            return {key: data} if (data := self.read(key)) is not None else {}
        answers: dict[str, bytes] = {}
        for name, data in found.items():
            key = full.get(name) or full["/" + name.lstrip("/")]
            if isinstance(data, FileNotFoundError):
                continue
            if isinstance(data, BaseException):
                raise self._error("read", key, data)
            answers[key] = bytes(data)
        return answers

    def write(self, key: str, data: bytes) -> None:
        """Put a small object, over what is there."""
        try:
            self.fs.pipe_file(self._full(key), data)
        except Exception as error:  # noqa: BLE001 - every store raises its own kinds
            raise self._error("written", key, error) from None

    def create(self, key: str, data: bytes) -> bool:
        """Put a small object unless there is one of that name (S3: If-None-Match); whether this call has put it."""
        try:
            self.fs.pipe_file(self._full(key), data, mode="create")
        except FileExistsError:
            return False
        except Exception as error:  # noqa: BLE001 - every store raises its own kinds
            raise self._error("created", key, error) from None
        return True

    def delete(self, key: str) -> None:
        """Remove an object; one that is gone is gone."""
        try:
            self.fs.rm_file(self._full(key))
        except FileNotFoundError:
            pass
        except Exception as error:  # noqa: BLE001 - every store raises its own kinds
            raise self._error("deleted", key, error) from None

    def put(self, path: Path, key: str, sha256: str) -> None:
        """Upload a file and compare what has arrived: size and MD5 where the store tells it, else all of it, read back.

        Raises StoreError when that is not the file. sha256: of the file, hexadecimal.
        """
        try:
            self.fs.put_file(str(path), self._full(key))
            self.fs.invalidate_cache()
            info = self.fs.info(self._full(key))
            size, etag = int(info["size"]), str(info.get("ETag", "")).strip('"')
            same = size == path.stat().st_size and (etag == _md5(path) if re.fullmatch("[0-9a-f]{32}", etag) else False)
            # Not every tag is an MD5: not that of an object in parts, nor of one encrypted with a key of one's own.
            if not same and size == path.stat().st_size:
                same = self.sha256(key) == sha256
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - every store raises its own kinds
            raise self._error("uploaded", key, error) from None
        if not same:
            raise StoreError(f"{self.url}/{key}: what has arrived is not what was sent; run the same command again")

    def get(self, key: str, path: Path) -> bool:
        """Download an object to a file; whether there was one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.fs.get_file(self._full(key), str(path))
        except FileNotFoundError:
            path.unlink(missing_ok=True)
            return False
        except Exception as error:  # noqa: BLE001 - every store raises its own kinds
            raise self._error("read", key, error) from None
        return True

    def open(self, key: str) -> IO[bytes]:
        """An object to read from, as far as it is asked for. Raises StoreError, also where reading fails later."""
        try:
            handle = self.fs.open(self._full(key), "rb", block_size=_BLOCK)
        except Exception as error:  # noqa: BLE001 - every store raises its own kinds
            raise self._error("read", key, error) from None
        return io.BufferedReader(_Reading(self, key, handle), 1 << 20)

    def sha256(self, key: str) -> str:
        """Of an object's bytes, all of them read."""
        digest = hashlib.sha256()
        with self.fs.open(self._full(key), "rb") as handle:
            while block := handle.read(_BLOCK):
                digest.update(block)
        return digest.hexdigest()


class _Reading(io.RawIOBase):
    """An object that is being read; what its client raises on the way becomes a StoreError."""

    def __init__(self, store: Store, key: str, handle: Any) -> None:
        self._store, self._key, self._handle = store, key, handle

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._handle.read(len(buffer))
        except Exception as error:  # noqa: BLE001 - every store raises its own kinds
            raise self._store._error("read", self._key, error) from None
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._handle.seek(offset, whence))

    def tell(self) -> int:
        return int(self._handle.tell())

    def close(self) -> None:
        if not self.closed:
            self._handle.close()
        super().close()


def open_at(folder: str | Path, key: str) -> IO[bytes]:
    """A file of a folder, or an object of the store whose URL `folder` is, to read from."""
    if (url := store_url(Path(folder))) is not None:
        return connect(url).open(key)
    return open(Path(folder) / key, "rb")


def connect(url: str) -> Store:
    """The store of a URL, without asking it anything. Raises UserError where its package is missing."""
    from fsspec.core import url_to_fs

    protocol = url.partition(":")[0]
    try:
        fs, root = url_to_fs(url, use_listings_cache=False) if protocol in ("s3", "s3a") else url_to_fs(url)
    except ImportError:
        package = _PACKAGES.get(protocol)
        what = f"pip install '{package}'" if package else "the fsspec package for it, see fsspec's documentation"
        raise UserError(f"{url}: needs a package that is not installed: {what}") from None
    except ValueError as error:
        raise UserError(f"{url}: {str(error).splitlines()[0]}; give a folder, or a store that fsspec knows") from None
    return Store(url, fs, root)


def open_store(url: str) -> Store:
    """The store of a URL. Raises UserError where its package is missing, or it does not answer, or not to us."""
    store = connect(url)
    fs, root = store.fs, store.root
    try:
        fs.ls(root, detail=False)
    except FileNotFoundError:
        bucket = root.strip("/").split("/")[0]
        try:
            there = fs.exists(bucket)
        except Exception as error:  # noqa: BLE001 - every store raises its own kinds
            raise _unusable(url, error) from None
        if not there:
            raise UserError(f"{url}: there is no {bucket}, or it is not yours; make the bucket first") from None
    except Exception as error:  # noqa: BLE001 - every store raises its own kinds
        raise _unusable(url, error) from None
    return store


def _unusable(url: str, error: BaseException) -> UserError:
    return UserError(
        f"{url}: cannot be used: {describe(error)}; check the credentials in the environment (AWS_ACCESS_KEY_ID, "
        "AWS_SECRET_ACCESS_KEY), AWS_ENDPOINT_URL and the network"
    )


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as handle:
        while block := handle.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
