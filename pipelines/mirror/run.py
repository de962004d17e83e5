"""The work of `smoltrove mirror`: fetch the planned files and blobs, or look whether they are here and right.

What is done is on record at once, so a download that was killed goes on where it was. A file or blob that cannot be
had does not stop the others. Gives up: deleting what another plan needed.
"""

import dataclasses
import shutil
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from pydantic import BaseModel, Field

from pipelines.adapters import SwhAdapter
from pipelines.blobs import BlobStore
from pipelines.errors import SourceError, UserError
from pipelines.estimates import bytes_per_token
from pipelines.executors import without_secrets
from pipelines.mirror.blobs import CheckedBlobs, FetchedBlobs
from pipelines.mirror.fetch import PART, Sums, fetch
from pipelines.mirror.progress import Progress
from pipelines.mirror.record import HeldFile, MirrorRecord
from pipelines.plan import GZIP_RATIO, Plan, PlannedSource
from pipelines.quantities import show_bytes
from pipelines.reader_bytes import ReadFile, describe
from pipelines.run_layout import BLOBS_DIR
from pipelines.selection import adapter_of
from pipelines.side_by_side import side_by_side
from pipelines.sources import FileInfo, entry_of
from pipelines.stages import sampler_of, source_reader
from pipelines.traffic import Traffic

# Rows of an index whose blobs are asked for together: 64, as a run has it, would leave connections idle in a sample.
_BATCH_ROWS = 1024
_MOST_NAMED = 5


class MirroredSource(BaseModel):
    """What is here of one planned source. Sizes in bytes; a blob that several sources want counts for the first."""

    source: str
    revision: str | None
    files: int
    files_held: int = 0
    bytes: int
    blobs: int = 0
    blobs_lost: int = 0
    problems: list[str] = Field(default_factory=list)


class MirrorResult(BaseModel):
    """All sources; `ok` when everything planned is here. `files_fetched`, `blobs_fetched`: by this call."""

    folder: str
    sources: list[MirroredSource]
    skipped: list[str] = Field(default_factory=list)
    damaged: list[str] = Field(default_factory=list)
    files_fetched: int = 0
    blobs_fetched: int = 0
    requests: int = 0
    bytes_fetched: int = 0
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether a run finds everything here, as far as was looked."""
        return not self.damaged and not any(source.problems for source in self.sources)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Wanted:
    name: str
    uri: str
    file: FileInfo

    @property
    def path(self) -> str:
        return f"{self.name}/{self.file.path}"


def fetch_mirror(plan: Plan, record: MirrorRecord, *, at_once: int, progress: Progress) -> MirrorResult:
    """Everything that `plan` reads, into `record.folder`. Raises UserError before anything is fetched, where two
    commits of a repository are wanted or the disk is too small."""
    started, traffic = time.monotonic(), Traffic()
    hub = [source for source in plan.sources if source.listing.kind == "hub"]
    record.add_listings({entry_of(source.source): source.listing for source in hub} | plan.earlier)
    wanted = _wanted(hub)
    todo = [item for item in wanted if not record.holds(item.name, item.file)]
    _refuse_full_disk(record, todo, hub)
    record.save()
    failures = _fetch_all(record, todo, at_once, traffic, progress)
    result = MirrorResult(folder=str(record.folder), sources=[], skipped=_skipped(plan))
    result.files_fetched = len(todo) - len(failures)
    store = FetchedBlobs(record.folder / BLOBS_DIR, workers=at_once, traffic=traffic)
    if any(map(_is_code, hub)):
        store.folder.mkdir(parents=True, exist_ok=True)
        progress.say(f"blobs of {sum(map(_is_code, hub))} sources of code")
    for source in hub:
        outcome = _outcome(source, record, failures)
        if _is_code(source):
            before = _seen(store)
            outcome.problems += _read_index(plan, source, record, store)
            outcome.blobs = len(_seen(store) - before)
            outcome.blobs_lost = len(store.lost.keys() - before)
        result.sources.append(outcome)
    for blob in store.fetched | store.held:
        record.lost.pop(blob, None)
    record.lost |= store.lost
    record.save()
    result.blobs_fetched = len(store.fetched)
    result.requests, result.bytes_fetched = traffic.requests, traffic.num_bytes
    result.seconds = round(time.monotonic() - started, 1)
    return result


def check_mirror(plan: Plan, record: MirrorRecord, *, at_once: int, progress: Progress) -> MirrorResult:
    """Every file on record and every blob that `plan` wants, hashed; asks nobody. What is damaged is taken off the
    record where that can be written, so that the next `fetch_mirror` gets it again."""
    started = time.monotonic()
    hub = [source for source in plan.sources if source.listing.kind == "hub"]
    held = [record.held[path] for path in sorted(record.held)]
    progress.start(len(held), sum(file.size for file in held))
    verdicts = side_by_side([partial(_damage, record, file, progress) for file in held], at_once=at_once)
    damaged = {file.path: verdict for file, verdict in zip(held, verdicts, strict=True) if verdict}
    for path in damaged:
        del record.held[path]
    result = MirrorResult(folder=str(record.folder), sources=[], skipped=_skipped(plan))
    result.damaged = [f"{path}: {verdict}" for path, verdict in damaged.items()]
    store = CheckedBlobs(record.folder / BLOBS_DIR, record.lost)
    for source in hub:
        outcome = _outcome(source, record, damaged)
        if _is_code(source):
            wrong, right = set(store.wrong), set(store.right)
            outcome.problems += _read_index(plan, source, record, store)
            new = sorted(store.wrong.keys() - wrong)
            outcome.blobs = len(store.right - right)
            if new:
                outcome.problems.append(f"{len(new)} blobs are missing or damaged: {', '.join(new[:_MOST_NAMED])}")
        result.sources.append(outcome)
    if damaged:
        try:
            record.save()
        except OSError as error:
            result.damaged.append(f"_mirror: the damage cannot be put on record: {describe(error)}")
    result.seconds = round(time.monotonic() - started, 1)
    return result


def _wanted(sources: Sequence[PlannedSource]) -> list[_Wanted]:
    """Each planned file once; sources of one repository may share files."""
    found: dict[str, _Wanted] = {}
    for source in sources:
        for file in source.files:
            item = _Wanted(name=source.source.name, uri=f"{source.listing.base}/{file.path}", file=file)
            found.setdefault(item.path, item)
    return list(found.values())


def _is_code(source: PlannedSource) -> bool:
    return source.source.adapter in ("swh", "swh_repo")


def _skipped(plan: Plan) -> list[str]:
    return [f"{source.key}: local files, not mirrored" for source in plan.sources if source.listing.kind != "hub"]


def _refuse_full_disk(record: MirrorRecord, todo: Sequence[_Wanted], sources: Sequence[PlannedSource]) -> None:
    """Raises UserError where what is to come does not fit: files by their sizes, blobs by the tokens they become."""
    needed = 0.0
    for item in todo:
        place = record.place(item.name, item.file)
        part = place.with_name(place.name + PART)
        needed += max(0, item.file.size - (part.stat().st_size if part.is_file() else 0))
    files = needed
    for source in sources:
        if _is_code(source):
            text = source.budget_tokens / source.expected_yield * bytes_per_token(source.source.language)
            needed += text * GZIP_RATIO
    here = record.folder / BLOBS_DIR
    blobs = needed - files
    if blobs and here.is_dir():
        blobs = max(0.0, blobs - sum(path.stat().st_size for path in here.iterdir()))
    free = shutil.disk_usage(record.folder).free
    if files + blobs > free:
        about = f" and about {show_bytes(blobs)} of blobs" if blobs else ""
        raise UserError(
            f"{record.folder}: {show_bytes(files)} of files{about} are to come, {show_bytes(free)} are free; choose "
            "another folder, or plan less with --target-tokens or --datasets"
        )


def _fetch_all(
    record: MirrorRecord, todo: Sequence[_Wanted], at_once: int, traffic: Traffic, progress: Progress
) -> dict[str, str]:
    """Fetch these, so many at a time; why not, by path, for those that did not come."""
    failures: dict[str, str] = {}
    lock = threading.Lock()
    journal = record.journal()
    progress.start(len(todo), sum(item.file.size for item in todo))

    def get(item: _Wanted) -> None:
        place = record.place(item.name, item.file)
        held: HeldFile | None = None
        try:
            held = fetch(item.name, item.uri, item.file, place, traffic=traffic, progress=progress.bytes)
        except SourceError as error:
            problem = str(error)
        except (OSError, ValueError) as error:
            problem = f"{item.file.path}: {describe(error)}"
        with lock:
            if held is not None:
                journal.add(held)
            else:
                failures[item.path] = without_secrets(problem)
        progress.file()

    try:
        side_by_side([partial(get, item) for item in todo], at_once=at_once)
    finally:
        with lock:
            journal.close()
    return failures


def _outcome(source: PlannedSource, record: MirrorRecord, failures: dict[str, str]) -> MirroredSource:
    name = source.source.name
    outcome = MirroredSource(
        source=source.key, revision=source.listing.revision, files=len(source.files), bytes=source.bytes_to_read
    )
    missing = [file for file in source.files if not record.holds(name, file)]
    outcome.files_held = len(source.files) - len(missing)
    for file in missing[:_MOST_NAMED]:
        outcome.problems.append(failures.get(f"{name}/{file.path}", f"{file.path}: not in the mirror"))
    if len(missing) > _MOST_NAMED:
        outcome.problems.append(f"... and {len(missing) - _MOST_NAMED} more files")
    return outcome


def _damage(record: MirrorRecord, held: HeldFile, progress: Progress) -> str | None:
    """What is wrong with a file on record, None for nothing."""
    file = FileInfo(path=held.path, size=held.size, identity=held.identity)
    try:
        sums = Sums(file).read(record.folder / held.path, progress.bytes)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    finally:
        progress.file()
    if sums.num_bytes != held.size:
        return f"has {sums.num_bytes:,} bytes, not {held.size:,}"
    return None if sums.right and sums.sha256 == held.sha256 else "its bytes are not those that the Hub lists"


def _seen(store: FetchedBlobs) -> set[str]:
    return store.fetched | store.held | store.lost.keys()


def _read_index(plan: Plan, source: PlannedSource, record: MirrorRecord, store: BlobStore) -> list[str]:
    """Read the rows of a source of code as its run will, so that `store` is asked for each blob of the sample."""
    adapter: Any = adapter_of(source.source, store)
    if isinstance(adapter, SwhAdapter):
        adapter = dataclasses.replace(adapter, batch_rows=_BATCH_ROWS)
    for file in source.files:
        if not record.holds(source.source.name, file):
            continue  # it is a problem already
        read = ReadFile(
            path=file.path, uri=str(record.place(source.source.name, file)), size=file.size,
            format=file.format or "jsonl", identity=file.identity,
        )  # fmt: skip
        sampler = sampler_of(plan, source, [file.path])
        reader = source_reader(source.source, tasks=[[read]], adapter=adapter, wanted=sampler.wants)
        try:
            for _ in reader.run(None, 0, 1):
                pass
        except SourceError as error:
            return [without_secrets(str(error))]
        except OSError as error:
            return [f"{file.path}: {describe(error)}"]
    return []
