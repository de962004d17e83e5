"""`--dedup-cache DIR`: hashes of the documents that earlier runs have written, so that a later run can drop them.

A run adds one segment when it is complete: a folder of sorted arrays, renamed into place, never changed. A run reads
the segments that were there when it started, and never its own. 60 bytes a document plus its id. Gives up: two runs at
once with one cache; the second is refused, since neither would see the other's documents. Jobs of a cluster hold no
lock; `user.json` names their deduplication, and is looked at as long as one of them lives.
"""

import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

import numpy as np

from pipelines.dedup import store
from pipelines.dedup.config import DedupConfig, ExactConfig
from pipelines.dedup.inputs import DedupPlan, InputRun, read_json
from pipelines.dedup.work import Work
from pipelines.errors import UserError
from pipelines.ledger import sync_folder, write_atomically
from pipelines.run_layout import RunLayout
from pipelines.slurm.submission import refuse_while_live

_SEGMENT = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}")
_LOCK = "cache.lock"
_USER = "user.json"


@dataclass(frozen=True)
class CachedFile:
    """Documents of one file of an earlier run: a folder of arrays in the order of their hashes."""

    folder: Path
    segment: str
    source: str
    documents: int


def family_dir(cache_dir: Path, config: ExactConfig) -> Path:
    """Hashes can only be compared under one normalisation; each has a folder of its own."""
    return cache_dir / f"exact-{hashlib.sha256(config.model_dump_json().encode()).hexdigest()[:12]}"


def check_cache(config: DedupConfig, cache_dir: Path | None) -> None:
    """Raises UserError for a cache that no method looks at, and for one that is no folder."""
    if cache_dir is not None and "exact" not in config.methods:
        raise UserError("--dedup-cache: keeps hashes of the method exact, which is not among the methods; add it")
    if cache_dir is not None and cache_dir.exists() and not cache_dir.is_dir():
        raise UserError(f"--dedup-cache {cache_dir}: is no folder; name one, it need not be there yet")


def lock_cache(cache_dir: Path) -> IO[str]:
    """Hold the cache for this process.

    Raises UserError when another run holds it, by its jobs too, or it cannot be written.
    """
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        handle = open(cache_dir / _LOCK, "a+", encoding="utf-8")  # noqa: SIM115 - held for the run's life
    except OSError as error:
        raise UserError(f"--dedup-cache {cache_dir}: cannot be used as a folder ({error.strerror})") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        raise UserError(f"--dedup-cache {cache_dir}: another run is using it; wait for it") from None
    user = (read_json(cache_dir / _USER) or {}).get("output_folder")
    if isinstance(user, str):
        refuse_while_live(RunLayout(output_folder=Path(user), logging_dir=Path(user), fingerprint=""))
    return handle


def lend_cache(cache_dir: Path, output_folder: Path) -> None:
    """Note that jobs of the deduplication into `output_folder` use the cache from now on; under its lock."""
    write_atomically(cache_dir / _USER, json.dumps({"output_folder": str(output_folder)}))


def segment_name(run_fingerprint: str, dedup_fingerprint: str) -> str:
    """What a run's segment is called: the run first, so that a run that is deduplicated anew replaces its own."""
    return f"{run_fingerprint[:16]}-{dedup_fingerprint[:16]}"


def list_segments(cache_dir: Path, config: ExactConfig, run: InputRun) -> tuple[str, ...]:
    """Segments of other runs, sorted: none of the run itself, nor of those whose documents it has."""
    folder = family_dir(cache_dir, config)
    if not folder.is_dir():
        return ()
    own = {known[:16] for known in (run.fingerprint, *run.lineage)}
    names = (p.name for p in folder.iterdir() if _SEGMENT.fullmatch(p.name) and p.is_dir())
    return tuple(sorted(name for name in names if not own & set(name.split("-"))))


def with_segments(plan: DedupPlan, cache_dir: Path | None, plan_file: Path, *, fresh: bool) -> DedupPlan:
    """The plan with the segments that an earlier attempt has started with, else with those that are there now.

    Raises UserError for a segment that is damaged or gone.
    """
    if cache_dir is None:
        return plan
    earlier = None if fresh else (read_json(plan_file) or {}).get("segments")
    if isinstance(earlier, list) and all(_SEGMENT.fullmatch(str(name)) for name in earlier):
        segments = tuple(map(str, earlier))
    else:
        segments = list_segments(cache_dir, plan.config.exact, plan.runs[0])
    _cached_files.cache_clear()
    _cached_files(family_dir(cache_dir, plan.config.exact), segments)
    return plan.model_copy(update={"segments": segments})


@lru_cache(maxsize=4)
def _cached_files(family: Path, segments: tuple[str, ...]) -> tuple[CachedFile, ...]:
    found = []
    for segment in segments:
        if not (family / segment).is_dir():
            raise UserError(
                f"{family / segment}: was in the cache when this run started and is gone; start anew with --fresh"
            )
        found += _files_of(family / segment)
    return tuple(found)


def _files_of(segment: Path) -> list[CachedFile]:
    """The files of one segment. Raises UserError where one is missing or damaged: its documents would be unknown."""
    folders = sorted((p for p in segment.iterdir() if p.name.isdecimal()), key=lambda path: int(path.name))
    try:
        found = [store.totals(folder) for folder in folders]
        files = [
            CachedFile(folder, segment.name, str(totals["source"]), int(totals["documents"]))
            for folder, totals in zip(folders, found, strict=True)
        ]
        # Segments of older versions do not say how many files they have; their last ones are not missed.
        expected = int(found[0].get("files", len(found))) if found else 1
    except (store.WorkFileError, ValueError, KeyError, TypeError, AttributeError):
        files, expected = [], 1
    if [folder.name for folder in folders] != [f"{i:05d}" for i in range(expected)] or len(files) != expected:
        raise UserError(
            f"--dedup-cache: {segment}: is damaged; remove that folder, and deduplicate its run anew with --fresh if "
            "its documents are to be known again"
        )
    return files


def cached_files(work: Work) -> tuple[CachedFile, ...]:
    """Every file of the segments that this run looks at, in a fixed order."""
    return files_of_plan(work.plan)


def files_of_plan(plan: DedupPlan) -> tuple[CachedFile, ...]:
    """The same of a plan. Raises UserError for a segment that is damaged or gone."""
    if plan.cache_dir is None or not plan.segments:
        return ()
    return _cached_files(family_dir(Path(plan.cache_dir), plan.config.exact), plan.segments)


def collect(work: Work, index: int) -> None:
    """The written documents of one file for the cache: hashes out of the scan, ids out of the table."""
    file = work.plan.files[index]
    scan, table = work.folder("exact.scan", index), work.folder("index", index)
    row = np.asarray(store.load(scan, "row")).astype(np.int64)
    kept = (row < file.lines) & ~np.isin(row, work.removed_rows(index))
    row = row[kept]
    ends, names = store.load(table, "end"), store.load(table, "names").tobytes()
    parts = [names[int(ends[r - 1]) if r else 0 : int(ends[r])] for r in row.tolist()]
    store.commit(
        work.folder("cache", index),
        {
            "high": store.load(scan, "high")[kept],
            "low": store.load(scan, "low")[kept],
            "row": np.arange(len(row), dtype=np.uint32),
            "identity": store.load(table, "identity")[row],
            "epoch": store.load(table, "epoch")[row],
            "end": np.cumsum([len(part) for part in parts], dtype=np.uint64),
            "names": np.frombuffer(b"".join(parts), np.uint8),
        },
        {"documents": len(row), "records": len(row), "source": file.source, "files": len(work.own_files())},
    )


def add_segment(work: Work, dedup_fingerprint: str) -> Path:
    """Put what `collect` made of all files into the cache, and take out what this run had there before."""
    assert work.plan.cache_dir is not None
    family = family_dir(Path(work.plan.cache_dir), work.plan.config.exact)
    run_fingerprint = work.plan.runs[0].fingerprint
    place = family / segment_name(run_fingerprint, dedup_fingerprint)
    for old in family.glob(f".{place.name}.*new"):
        shutil.rmtree(old)
    scratch = family / f".{place.name}.{secrets.token_hex(4)}.new"
    scratch.mkdir(parents=True)
    for index in work.own_files():
        shutil.copytree(work.folder("cache", index), scratch / f"{index:05d}")
    for path in family.iterdir():
        if path.name.startswith(run_fingerprint[:16]):
            shutil.rmtree(path)
    os.rename(scratch, place)
    sync_folder(family)
    return place
