"""Which files a source is made of: a Hub repository at a commit, a folder of a mirror, or local files.

`Catalogue.files(source)` answers with a frozen `Listing`; nothing here reads a document. Links are followed, wherever
they lead: nothing is written there. Gives up: datasets that need a loading script, and what is not a dataset.
"""

import copy
import os
import re
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from pipelines.cards import card_configs, read_card
from pipelines.config import SourceConfig
from pipelines.errors import HubUnreachable, UserError, did_you_mean
from pipelines.globs import glob_pattern
from pipelines.side_by_side import side_by_side

if TYPE_CHECKING:
    from pipelines.mirror.record import MirrorRecord

FORMATS = {
    ".parquet": "parquet", ".jsonl": "jsonl", ".json": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".warc": "warc",
}  # fmt: skip
COMPRESSIONS = (".gz", ".zst", ".bz2", ".xz")
_UNFINISHED = (".part", ".tmp", ".incomplete", ".crdownload")
# JSON files of a repository that describe it and hold no rows (the Hub's own list, datasets.data_files).
_METADATA = ("config.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")
# Repositories asked for at a time: the recipe's stages have 9 to 16, and the Hub limits calls per 5 minutes.
LISTED_AT_ONCE = 8
# What files of other splits are called, by the Hub's conventions for repositories without a card.
_OTHER_SPLITS = ("test", "testing", "eval", "evaluation", "validation", "valid", "val", "dev")


class FileInfo(BaseModel):
    """One file: its path inside the source, its size in bytes, and what tells its content from another's.

    `identity` is the Hub's object id, or `mtime:<ns>` for local files.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    size: int
    identity: str

    @property
    def format(self) -> str | None:
        """jsonl, parquet, csv, warc, or None for a file that holds no rows."""
        name = self.path.lower()
        for suffix in COMPRESSIONS:
            name = name.removesuffix(suffix)
        return FORMATS.get(PurePosixPath(name).suffix)


class Listing(BaseModel):
    """The files of one source at one moment. `base` + '/' + path is what fsspec opens."""

    model_config = ConfigDict(frozen=True)

    kind: str
    base: str
    revision: str | None = None
    files: tuple[FileInfo, ...]


class Catalogue:
    """Lists sources, each repository once; may be used by several threads.

    mirror: replaces the Hub; one that `smoltrove mirror` made answers with the Hub's own listings, out of its record.
    config_dir: what `path:` is relative to. frozen: listings by `entry_of`, used instead of asking the Hub; `given` has
    the same of all that the Hub was asked for or that were frozen. pins: the commit to take for (repository, revision).
    """

    def __init__(
        self,
        *,
        mirror: Path | None = None,
        config_dir: Path = Path(),
        frozen: Mapping[str, Listing] | None = None,
        pins: Mapping[tuple[str, str | None], str] | None = None,
    ) -> None:
        self.mirror = mirror
        self.config_dir = config_dir
        self.record: MirrorRecord | None = None
        self.frozen = dict(frozen or {}) if mirror is None else {}
        self.given: dict[str, Listing] = {}
        self._pins = dict(pins or {})
        self._repos: dict[tuple[str, str | None], Future[Repository]] = {}
        self._lock = threading.Lock()
        if mirror is not None:
            if not mirror.is_dir():
                raise UserError(f"--mirror {mirror}: no such folder; give a folder laid out as <org>/<name>/...")
            from pipelines.mirror.record import read_record

            self.record = read_record(mirror)
            self.frozen = dict(self.record.listings) if self.record is not None else {}

    def beside(self, config_dir: Path) -> "Catalogue":
        """The same catalogue for another configuration's `path:` entries; repositories are not asked for again."""
        other = copy.copy(self)
        other.config_dir = config_dir
        return other

    def ask_for(self, sources: Iterable[SourceConfig]) -> None:
        """Open the repositories of these sources, LISTED_AT_ONCE at a time; what is wrong with one, `files` says.

        A Hub that does not answer for one is not asked for those behind it.
        """
        wanted = {
            (source.name, source.revision): source
            for source in sources
            if source.path is None and entry_of(source) not in self.frozen
        }
        unreachable = threading.Event()

        def ask(source: SourceConfig) -> None:
            if not unreachable.is_set() and isinstance(self._repository(source).exception(), HubUnreachable):
                unreachable.set()

        side_by_side([partial(ask, source) for source in wanted.values()], at_once=LISTED_AT_ONCE)

    def files(self, source: SourceConfig) -> Listing:
        """The files of `source`, sorted by path. Raises UserError where there are none, saying what there is."""
        if source.path is not None:
            return _local_listing(source.path, self.config_dir)
        entry = entry_of(source)
        if (listing := self.frozen.get(entry)) is None:
            repo = self.repository(source)
            listed = repo.select(source)
            if not listed:
                raise UserError(f"{source.key}: no data files{repo.hint(source)}")
            listing = Listing(kind=repo.kind, base=repo.base, revision=repo.revision, files=listed)
        if listing.kind == "hub":
            self.given[entry] = listing
        return listing

    def repository(self, source: SourceConfig) -> "Repository":
        """The repository that a source is in. Raises UserError."""
        error = self._repository(source).exception()
        if error is None:
            return self._repository(source).result()
        if isinstance(error, UserError):
            # A new one each time: the first is shared by all sources of the repository.
            raise type(error)(f"{source.key}: {error}" if self.mirror is not None else str(error)) from None
        raise error

    def _repository(self, source: SourceConfig) -> "Future[Repository]":
        """The first to want a repository opens it, the others wait."""
        with self._lock:
            known = self._repos.get((source.name, source.revision))
            future = self._repos[source.name, source.revision] = known or Future()
        if known is None:
            try:
                future.set_result(self._open(source))
            except BaseException as error:
                future.set_exception(error)
                if not isinstance(error, UserError):
                    raise
        return future

    def _open(self, source: SourceConfig) -> "Repository":
        if self.mirror is None:
            from pipelines.hub import hub_repository

            return hub_repository(source.name, self._pins.get((source.name, source.revision), source.revision))
        folder = self.mirror / source.name
        if self.record is not None and source.name in self.record.revisions:
            raise UserError(
                f"the mirror {self.mirror} has {source.name} for other entries (config, split, data_files, revision); "
                "run `smoltrove mirror` for this configuration where there is a network"
            )
        if not folder.is_dir():
            known = [f"{org.name}/{repo.name}" for org in _folders(self.mirror) for repo in _folders(org)]
            raise UserError(f"the mirror {self.mirror} has no folder {source.name}{did_you_mean(source.name, known)}")
        card = folder / "README.md"
        try:
            text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
        except OSError as error:
            raise UserError(f"{card}: cannot be read: {error}") from None
        return Repository(
            name=source.name, kind="mirror", base=str(folder.resolve()), files=_walk(folder), card=read_card(text)
        )


def entry_of(source: SourceConfig) -> str:
    """What of an entry decides its files, as a key: entries with the same key are the same files."""
    fields = {"name", "config", "split", "data_files", "path", "revision"}
    return source.model_dump_json(include=fields)


class Repository:
    """All files of one dataset repository and what its card says about configurations."""

    def __init__(
        self,
        *,
        name: str,
        kind: str,
        base: str,
        files: tuple[FileInfo, ...],
        card: dict[str, Any],
        revision: str | None = None,
        gated: bool = False,
    ) -> None:
        self.name, self.kind, self.base, self.files, self.revision = name, kind, base, files, revision
        self.gated = gated
        self.configs, self.default = card_configs(card)

    def select(self, source: SourceConfig) -> tuple[FileInfo, ...]:
        """Files by the entry's own globs, else the card's for its config and split, else the Hub's default patterns."""
        rows = [file for file in self.files if file.format and PurePosixPath(file.path).name not in _METADATA]
        if source.data_files is not None:
            return _matching(rows, source.data_files)
        wanted = self._config(source)
        if wanted is not None:
            splits = self.configs[wanted]
            if source.split not in splits:
                raise UserError(
                    f"{source.key}: split {source.split!r} is not in the card of {self.name} "
                    f"(it has {', '.join(sorted(splits))}){did_you_mean(source.split, splits)}"
                )
            return _matching(rows, splits[source.split])
        folder = f"{source.config}/" if source.config else ""
        if found := _of_split(rows, folder, source.split):
            return found
        if source.split != "train":
            return ()
        # Files that no name assigns to a split are for training, but never those of another split.
        others = {file for split in _OTHER_SPLITS for file in _of_split(rows, folder, split)}
        return tuple(file for file in _matching(rows, [f"{folder}**"]) if file not in others)

    def _config(self, source: SourceConfig) -> str | None:
        """The card's configuration that the entry means; None where the card names none."""
        if not self.configs:
            return None
        wanted = source.config or self.default
        if wanted is None:
            raise UserError(
                f"{source.key}: the card of {self.name} has several configurations; set `config` to one of "
                f"{', '.join(sorted(self.configs)[:8])}, or `data_files`"
            )
        if wanted not in self.configs:
            raise UserError(
                f"{source.key}: configuration {wanted!r} is not in the card of {self.name} "
                f"(it has {', '.join(sorted(self.configs)[:8])}){did_you_mean(wanted, self.configs)}"
            )
        return wanted

    def hint(self, source: SourceConfig) -> str:
        """What to say when nothing was selected: the folders that exist, and the nearest."""
        patterns = ", ".join(source.data_files or [f"config {source.config or 'default'}, split {source.split}"])
        files = [file.path for file in self.files if file.format]
        folders = sorted({str(PurePosixPath(path).parent) for path in files})
        asked = (source.data_files or [source.config or ""])[0]
        fixed = re.split(r"[*?\[]", asked)[0]
        near = did_you_mean(asked, files) if fixed == asked else did_you_mean(fixed.rstrip("/"), folders)
        return f" match {patterns}; the folders are {', '.join(folders[:8]) or 'empty'}{near}"


def _of_split(files: Iterable[FileInfo], folder: str, split: str) -> tuple[FileInfo, ...]:
    """Files whose name or folder says that they belong to a split: `test/...`, `data/test-00000.parquet`."""
    files = list(files)
    for pattern in (
        f"{folder}{split}/**",
        f"{folder}{split}[-_.]*",
        f"{folder}**/{split}[-_.]*",
        f"{folder}**/{split}/**",
    ):
        if found := _matching(files, [pattern]):
            return found
    return ()


def _matching(files: Iterable[FileInfo], patterns: Iterable[str]) -> tuple[FileInfo, ...]:
    regexes = [glob_pattern(pattern) for pattern in patterns]
    exact = set(patterns)
    chosen = (file for file in files if file.path in exact or any(regex.match(file.path) for regex in regexes))
    return tuple(sorted(chosen, key=lambda file: file.path))


def _folders(path: Path) -> list[Path]:
    return sorted(child for child in path.iterdir() if child.is_dir() and not child.name.startswith("."))


def _walk(folder: Path, depth: int | None = None) -> tuple[FileInfo, ...]:
    """All files below a folder (`depth` levels of it), sorted; hidden ones and unfinished downloads are left out.

    Links are followed, a folder that is reached twice is listed once. UserError for a folder that cannot be listed, a
    link that leads nowhere, and a name that is not UTF-8: leaving those out would make a smaller dataset of it.
    """
    found: list[FileInfo] = []
    seen: set[str] = set()

    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename}: cannot be listed: {error.strerror}") from None

    for current, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        relative = Path(current).relative_to(folder)
        real = os.path.realpath(current)
        if real in seen or (depth is not None and len(relative.parts) >= depth):
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if not name.startswith(".") and not name.endswith(_UNFINISHED):
                found += _file_or_nothing(Path(current, name), (relative / name).as_posix())
    return tuple(sorted(found, key=lambda file: file.path))


def _file_or_nothing(path: Path, relative: str) -> list[FileInfo]:
    try:
        relative.encode()
        if path.is_file():
            return [_local_file(path, relative)]
        if path.is_symlink() and not path.exists() and FileInfo(path=relative, size=0, identity="").format:
            raise UserError(f"{path}: is a link to nothing ({os.readlink(path)}); get the file or remove the link")
        return []
    except UnicodeEncodeError:
        raise UserError(f"{os.fsencode(path)!r}: the file's name is not UTF-8; rename it") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def _local_file(path: Path, relative: str) -> FileInfo:
    stat = path.stat()
    return FileInfo(path=relative, size=stat.st_size, identity=f"mtime:{stat.st_mtime_ns}")


def _local_listing(path: str, config_dir: Path) -> Listing:
    try:
        start = Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(f"path {path}: {error}") from None
    start = start if start.is_absolute() else config_dir / start
    if start.is_dir():
        base, files = start, _walk(start)
    elif start.is_file():
        base, files = start.parent, tuple(_file_or_nothing(start, start.name))
    else:
        base, pattern = _split_glob(start)
        if not pattern or not base.is_dir():
            near = did_you_mean(start.name, os.listdir(start.parent)) if start.parent.is_dir() else ""
            raise UserError(
                f"path {path}: no such file or folder ({start}); it is relative to the configuration file{near}"
            )
        files = _matching(_walk(base, None if "**" in pattern else pattern.count("/") + 1), [pattern])
    files = tuple(file for file in files if file.format)
    if not files:
        known = ", ".join(FORMATS)
        raise UserError(f"path {path}: no data files in {start}; files end in {known}, compressed or not")
    return Listing(kind="local", base=str(base.resolve()), files=files)


def _split_glob(path: Path) -> tuple[Path, str]:
    """The folder in front of the first part with a wildcard that is not a name that exists, and the rest as a glob."""
    base = Path()
    for i, part in enumerate(path.parts):
        if any(c in part for c in "*?[") and not (base / part).exists():
            return base, "/".join(path.parts[i:])
        base /= part
    return base, ""
