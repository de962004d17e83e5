"""`smoltrove doctor CONFIG`: can every source of a configuration be read here and now? A look, not a run.

For each enabled source: its files, access, first rows through the run's own reader, a blob, and what its filters need
on this machine. Every question is given up after a few seconds, every source after a minute. Gives up: finding what is
wrong further down in the files; the ledger of a run does that.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from datatrove.data import Document
from pydantic import BaseModel, Field

from pipelines.blobs import BlobStore
from pipelines.config import SourceConfig, load_config
from pipelines.curriculum import profiles_of
from pipelines.errors import HubUnreachable, SourceError, UserError
from pipelines.executors import without_secrets
from pipelines.hub import GatedRepository
from pipelines.hub_http import at_most
from pipelines.meter import Meter
from pipelines.native_paths import NativePath, native_paths
from pipelines.needs import needs_of
from pipelines.plan import is_non_commercial
from pipelines.reader_bytes import ReadFile, describe
from pipelines.run_layout import BLOBS_DIR
from pipelines.selection import Selected, adapter_of, select_sources
from pipelines.side_by_side import side_by_side
from pipelines.sources import Catalogue, FileInfo, Listing
from pipelines.stages import source_reader
from pipelines.traffic import Traffic

ROWS = 5
AT_ONCE = 8
PATIENCE_SECONDS = 5.0
"""Without progress; a Hub that is not there is noticed after this and one attempt's timeout, the same."""
SOURCE_SECONDS = 60.0
"""In all, for one source: a repository of 28,000 files is listed in about half of it."""
FIRST_FILES = 3
"""Files that are looked into, until one has a row."""
FIRST_REPOSITORIES = 512
"""Rows of a source of repositories that are searched for a file in its language."""


class SourceHealth(BaseModel):
    """One enabled source. `columns`: what the configuration names, and whether the first rows have it; `needs`: what
    its filters do, and whether it is on this machine."""

    source: str
    where: str
    config: str | None
    split: str
    reachable: bool = False
    gated: bool = False
    revision: str | None = None
    files: int = 0
    bytes: int = 0
    columns: dict[str, bool] = Field(default_factory=dict)
    rows: int = 0
    documents: int = 0
    blobs: bool | None = None
    needs: dict[str, bool] = Field(default_factory=dict)
    license: str | None = None
    requests: int = 0
    bytes_fetched: int = 0
    seconds: float = 0.0
    problems: list[str] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)

    @property
    def usable(self) -> bool:
        """Whether a run could read it."""
        return not self.problems


class Health(BaseModel):
    """All of a configuration. `origin`: the Hub or mirror that was asked; `token`: whether there is one;
    `native`: which code judges documents."""

    config: str
    origin: str
    token: bool
    sources: list[SourceHealth]
    disabled: list[tuple[str, str]]
    native: list[NativePath] = Field(default_factory=list)
    seconds: float = 0.0

    @property
    def usable(self) -> bool:
        """Whether a run could read everything."""
        return all(source.usable for source in self.sources)


def diagnose(
    config_path: Path, *, mirror: Path | None = None, datasets: str | None = None, rows: int = ROWS,
    show_progress: bool = False,
) -> Health:  # fmt: skip
    """Look at every enabled source. Raises UserError for wrong input, never for a source that is not usable."""
    from huggingface_hub.constants import ENDPOINT
    from huggingface_hub.utils import get_token

    start = time.monotonic()
    config = load_config(config_path)
    chosen, skipped, _ = select_sources(config, profiles_of(config), datasets, None)
    look = _Look(catalogue=Catalogue(mirror=mirror, config_dir=config.path.parent), mirror=mirror, rows=rows)
    with Meter("looking", len(chosen), "sources", show=show_progress) as meter:
        found = side_by_side(
            [partial(look.at, item) for item in chosen],
            at_once=AT_ONCE,
            seconds=SOURCE_SECONDS,
            order=_repositories_first(chosen),
            done_with=meter.advance,
        )
    # Loading word splitters takes seconds: not for what cannot be read anyway.
    there = [item.profile for health, item in zip(found, chosen, strict=True) if health and health.reachable]
    return Health(
        config=str(config_path),
        origin=str(mirror) if mirror is not None else ENDPOINT,
        token=bool(get_token()),
        sources=[health or _too_slow(item) for health, item in zip(found, chosen, strict=True)],
        disabled=skipped,
        native=native_paths(list({profile.name: profile for profile in there}.values())),
        seconds=round(time.monotonic() - start, 1),
    )


def show_diagnosis(config_path: Path, *, as_json: bool = False, **options: Any) -> int:
    """Print the diagnosis; 0 when every enabled source is usable."""
    health = diagnose(config_path, show_progress=True, **options)
    if as_json:
        data = health.model_dump(mode="json")
        for source, shown in zip(health.sources, data["sources"], strict=True):
            shown["usable"] = source.usable
        print(json.dumps({"usable": health.usable, **data}, ensure_ascii=False, indent=1))
    else:
        from pipelines.doctor_table import print_health

        print_health(health)
    return 0 if health.usable else 1


def _start(item: Selected) -> SourceHealth:
    source = item.source
    return SourceHealth(
        source=source.key, where=item.where, config=source.config, split=source.split, license=source.license
    )


def _too_slow(item: Selected) -> SourceHealth:
    health = _start(item)
    health.problems.append(f"no result within {SOURCE_SECONDS:g} s; look at it alone with --datasets {health.source}")
    return health


def _repositories_first(chosen: Sequence[Selected]) -> list[int]:
    """One source of each repository before the others, so that threads do not wait for the same listing."""
    seen: Counter[str] = Counter()
    turns = []
    for item in chosen:
        turns.append(seen[item.source.name])
        seen[item.source.name] += 1
    return sorted(range(len(chosen)), key=lambda i: (turns[i] > 0, i))


@dataclass(kw_only=True)
class _Look:
    """What the threads share: the catalogue, and whether the Hub answers at all."""

    catalogue: Catalogue
    mirror: Path | None
    rows: int
    listed: bool = False  # something was: the Hub is there
    silent: str | None = None  # why it is not
    lock: threading.Lock = field(default_factory=threading.Lock)
    pages: threading.Lock = field(default_factory=threading.Lock)  # a process extracts one source's pages at a time

    def at(self, item: Selected) -> SourceHealth:
        """The whole look at one source; says whatever goes wrong."""
        start, health, traffic = time.monotonic(), _start(item), Traffic()
        if is_non_commercial(item.source.license):
            health.notes.append(f"licence {item.source.license}: not for commercial use")
        try:
            with at_most(PATIENCE_SECONDS):
                listing = self._list(item.source, health)
                if listing is not None:
                    with self.pages if item.source.adapter == "html" else nullcontext():
                        self._read(item.source, listing, health, traffic)
        except (UserError, SourceError) as error:
            health.problems.append(str(error).removeprefix(f"{health.source}: "))
        except Exception as error:  # noqa: BLE001 - a look at one source must not end the look at the others
            health.problems.append(describe(error))
        needs = needs_of(item.profile)
        health.needs = {name: sentence is None for name, sentence in needs.items()}
        missing = dict.fromkeys(sentence for sentence in needs.values() if sentence)
        health.problems += [f"profile {item.profile.name}: {sentence}" for sentence in missing]
        health.problems = [without_secrets(problem) for problem in health.problems]
        health.notes = [without_secrets(note) for note in health.notes]
        health.requests, health.bytes_fetched = traffic.requests, traffic.num_bytes
        health.seconds = round(time.monotonic() - start, 2)
        return health

    def _list(self, source: SourceConfig, health: SourceHealth) -> Listing | None:
        if self.silent is not None and not self.listed and source.path is None:
            health.problems.append(self.silent)
            return None
        try:
            repository = self.catalogue.repository(source) if source.path is None else None
        except HubUnreachable as error:
            with self.lock:
                if not self.listed:
                    self.silent = self.silent or str(error).replace(f" for {source.name}", "", 1)
            health.problems.append(self.silent or str(error))
            return None
        except GatedRepository:
            health.reachable = health.gated = True
            raise
        health.reachable = self.listed = True
        health.gated = source.gated if repository is None or repository.kind != "hub" else repository.gated
        listing = self.catalogue.files(source)
        health.revision, health.files = listing.revision, len(listing.files)
        health.bytes = sum(file.size for file in listing.files)
        return listing

    def _read(self, source: SourceConfig, listing: Listing, health: SourceHealth, traffic: Traffic) -> None:
        """The first rows of the first file that has any."""
        blobs = self._blobs(listing, traffic) if source.adapter in ("swh", "swh_repo") else None
        for file in listing.files[:FIRST_FILES]:
            documents, rejected = self._rows(source, listing, file, health, traffic, blobs, most_blobs=1)
            missing = blobs is not None and any(rule.startswith("blob_") for rule in rejected)
            if missing and not documents and blobs is not None:
                # One may be missing at Software Heritage, too; all of them are somewhere else.
                documents, again = self._rows(source, listing, file, health, traffic, blobs, most_blobs=self.rows)
                tried = len(documents) + sum(again.values())
                if not documents:
                    health.blobs = False
                    where = "--mirror" if listing.kind == "mirror" else "SMOLTROVE_SWH_ENDPOINT"
                    raise SourceError(f"none of its first {tried} blobs is in {blobs.shown}; check {where}")
                health.notes.append(f"{sum(again.values())} of its first {tried} blobs are missing")
            if documents:
                health.documents, health.blobs = len(documents), True if blobs else None
                self._columns(source, documents, health)
                return
            if rejected:
                worst = rejected.most_common(1)[0][0]
                raise SourceError(
                    f"{file.path}: none of its first {health.rows} rows can be used, most as reader.{worst}; "
                    + ("check `adapter_options`" if source.adapter else f"check `text_field: {source.text_field}`")
                )
        if source.adapter == "swh_repo" and health.rows:
            health.notes.append(f"no file in its language in the first {health.rows} rows; no blob was tried")
        else:
            raise SourceError("its first files hold no rows; check `data_files` and `split`")

    def _rows(
        self, source: SourceConfig, listing: Listing, file: FileInfo, health: SourceHealth, traffic: Traffic,
        blobs: BlobStore | None, *, most_blobs: int,
    ) -> tuple[list[Document], Counter[str]]:  # fmt: skip
        """(documents, rejected rows by rule) of the first rows of a file."""
        seen: set[str] = set()

        def wanted(_: str, ident: str) -> bool:
            if len(seen) < most_blobs:
                seen.add(ident)
            return ident in seen

        read = ReadFile(
            path=file.path, uri=f"{listing.base}/{file.path}", size=file.size, format=file.format or "jsonl",
            identity=file.identity, traffic=traffic, peek=True,
        )  # fmt: skip
        reader = source_reader(
            source, tasks=[[read]], adapter=adapter_of(source, blobs), wanted=wanted if blobs else None,
            # About blobs there is more to say than the reader does.
            min_rows=FIRST_REPOSITORIES + 1 if blobs else self.rows,
            max_rows=self._most_rows(source, read),
        )  # fmt: skip
        documents = list(_first(reader.run(None, 0, 1), most_blobs if blobs else self.rows))
        counts = {label: int(metric.total) for label, metric in reader.stats.stats.items()}
        health.rows = counts.get("rows", 0)
        rejected = {label.removeprefix("rejected_"): n for label, n in counts.items() if label.startswith("rejected_")}
        return documents, Counter(rejected)

    def _most_rows(self, source: SourceConfig, file: ReadFile) -> int:
        if source.adapter == "swh_repo":
            return FIRST_REPOSITORIES
        # A page of a crawl comes as up to three records (request, response, metadata), after one about the file.
        return 3 * self.rows + 1 if file.format == "warc" else self.rows

    def _columns(self, source: SourceConfig, documents: Sequence[Document], health: SourceHealth) -> None:
        adapter = adapter_of(source)
        needed = (source.text_field,) if adapter is None else adapter.required_columns
        health.columns = dict.fromkeys((*needed, *([source.id_field] if source.id_field else ())), True)
        taken = ("source", "config", "weight", "source_file")  # the reader carries such a column under another name
        for name in source.metadata_fields:
            shown = f"row_{name}" if name in taken else name
            health.columns[name] = any(document.metadata.get(shown) is not None for document in documents)
            if not health.columns[name]:
                health.notes.append(f"metadata_fields: {name!r} is missing or empty in its first rows")

    def _blobs(self, listing: Listing, traffic: Traffic) -> BlobStore:
        place = self.mirror / BLOBS_DIR if self.mirror is not None and listing.kind == "mirror" else None
        return BlobStore(place, attempts=2, timeout=PATIENCE_SECONDS, max_wait=PATIENCE_SECONDS, traffic=traffic)


def _first(documents: Any, number: int) -> Iterator[Document]:
    """The first documents; then the reader is closed, and with it the connection."""
    try:
        for count, document in enumerate(documents, start=1):
            yield document
            if count >= number:
                return
    finally:
        documents.close()
