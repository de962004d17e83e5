"""`smoltrove verify` on the output of a deduplication: nothing lost, nothing without a partner.

For each source read = removed by each method + written, against the files of the run that was read, the files written
and `duplicates.parquet`; every removed id has a partner that is written, or is in a run (or cache) that was given.
Reads all documents. Gives up: looking at the texts again; that is what running the method anew does. (Where texts were
cut they are looked at: sentence_verify.py.)
"""

from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import xxhash

from pipelines.dedup import store
from pipelines.dedup.cache import family_dir
from pipelines.dedup.documents import identity, read_documents
from pipelines.dedup.inputs import KIND, DedupPlan, beside, read_json
from pipelines.dedup.languages_verify import tally_of, verify_languages
from pipelines.dedup.report import FILE, shown_id
from pipelines.dedup.sentence_verify import verify_cuts
from pipelines.dedup.stages import records_of
from pipelines.dedup.work import PLAN_FILE, Work
from pipelines.dedup.writer import FAMILY
from pipelines.errors import SourceError, UserError
from pipelines.histograms import Tally
from pipelines.ledger import TaskRecord
from pipelines.meter import Meter
from pipelines.run_layout import RUN_DIR, RunLayout
from pipelines.signals import StopRequest
from pipelines.store.files import fetch_files, stored_tables
from pipelines.store.look import files_of, open_copy, stored_manifest
from pipelines.store.store import connect
from pipelines.store.url import store_url
from pipelines.verify import check_file, check_ledger_file, names_in, print_verdict


def is_dedup(run_folder: Path) -> bool:
    """Whether a folder, also one of a store, is the output of a deduplication."""
    if (url := store_url(run_folder)) is not None:
        return stored_manifest(url).get("kind") == KIND
    return (read_json(run_folder / RUN_DIR / "manifest.json") or {}).get("kind") == KIND


def open_dedup(run_folder: Path, *, tables: bool = True) -> Work:
    """The work of an existing deduplication; of one in a store its state is copied here for the life of the process,
    with `tables` its tables too. Raises UserError for a damaged one."""
    url = store_url(run_folder)
    copy = open_copy(url) if url is not None else None
    if url is not None and copy is not None and tables:
        store = connect(url)
        fetch_files(store, stored_tables(store), copy.output_folder, StopRequest())
    folder = copy.output_folder if copy is not None else run_folder.absolute()
    run_dir = folder / RUN_DIR
    manifest = read_json(run_dir / "manifest.json") or {}
    try:
        plan = DedupPlan.model_validate_json((run_dir / PLAN_FILE).read_bytes())
        places = [beside(run, folder) for run in plan.runs]
        runs = [
            run.model_copy(update={"here": str(place) if place is not None else None})
            for run, place in zip(plan.runs, places, strict=True)
        ]
        plan = plan.model_copy(update={"runs": tuple(runs)})
        layout = RunLayout(
            output_folder=folder, logging_dir=Path(manifest["logging_dir"]) if url is not None else run_dir / "log",
            fingerprint=manifest["fingerprint"], store=url,
        )  # fmt: skip
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{run_dir}: is damaged ({str(error).splitlines()[0]}); deduplicate anew with --fresh"
        ) from None
    return Work(layout=layout, plan=plan)


def verify_dedup(work: Work, *, show_progress: bool = False) -> list[str]:
    """Every difference, one line each; [] when all is accounted for."""
    manifest = read_json(work.layout.run_dir / "manifest.json") or {}
    if manifest.get("state") != "complete":
        return ["the deduplication is not complete; run the same command again"]
    try:
        records = records_of(work)
    except SourceError as error:
        return [str(error)]
    problems = [f"{r.source} task {r.rank}: {problem}" for r in records for problem in r.problems()]
    problems += _rows(work, records)
    written: dict[str, np.ndarray] = {}
    tallies: dict[tuple[str, int], Tally] = {}
    with Meter("verifying", sum(r.file.size for r in records if r.file), "bytes", show=show_progress) as meter:
        for record in records:
            names = array("Q")
            tally = tally_of(work, record)
            if record.file is not None:
                seen = None if tally is None else partial(_count, tally)
                with files_of(work.layout, record):
                    found = check_file(work.layout, record, names, seen)
                problems += found
                # Of a damaged file that much is said already.
                tally = None if found else tally
                meter.advance(record.file.size)
            written.setdefault(record.source, np.empty(0, np.uint64))
            hashes = np.frombuffer(names, np.uint64) if names else np.empty(0, np.uint64)
            written[record.source] = np.concatenate([written[record.source], hashes])
            if tally is not None:
                tallies[record.source, record.rank] = tally
    for source, hashes in written.items():
        hashes.sort()
        if again := int((hashes[1:] == hashes[:-1]).sum()):
            problems.append(f"{source}: {again:,} ids occur more than once")
    problems += _strangers(work, records)
    problems += check_ledger_file(work.layout, records)
    problems += _partners(work, records, written)
    problems += verify_languages(work, records, tallies)
    problems += verify_cuts(work, records)
    return problems


def _count(tally: Tally, document: dict[str, Any]) -> None:
    tally.add(document["metadata"], len(document["text"]))


def _rows(work: Work, records: list[TaskRecord]) -> Iterator[str]:
    """What was read is what the run that was read has written."""
    lines = {(f.source, f.rank): f.lines for f in work.plan.files if not work.plan.is_against(f)}
    for record in records:
        if record.rows != (expected := lines.get((record.source, record.rank), 0)):
            yield f"{record.source} task {record.rank}: {record.rows:,} documents read, the run has {expected:,}"


def _partners(work: Work, records: list[TaskRecord], written: dict[str, np.ndarray]) -> Iterator[str]:
    """The table of removals: as many as the ledger has, each gone from the files, each with somebody that stays."""
    try:
        table = pq.read_table(work.layout.run_dir / FILE).to_pydict()
    except (OSError, ValueError) as error:
        yield f"{RUN_DIR}/{FILE}: cannot be read ({str(error).splitlines()[0]})"
        return
    found = Counter(zip(table["removed_source"], table["method"], strict=True))
    expected: Counter[tuple[str, str]] = Counter()
    for record in records:
        for reason, number in record.dropped.items():
            expected[record.source, reason.removeprefix(f"{FAMILY}.")] += number
    for source, method in sorted(found.keys() | expected.keys()):
        if found[source, method] != expected[source, method]:
            yield (
                f"{source}: {FILE} has {found[source, method]:,} documents removed by {method}, the ledger "
                f"{expected[source, method]:,}"
            )
    removed = Counter(zip(table["removed_source"], table["removed_id"], strict=True))
    places = set(zip(table["removed_file"], table["removed_row"], strict=True))
    if again := len(table["removed_id"]) - len(places):
        yield f"{FILE}: {again:,} documents are removed twice"
    both = {place for place in removed if _has(written.get(place[0]), place[1])}
    for source, name in sorted(both and _too_many(work, removed, both, written)):
        yield f"{source}: {shown_id(name)}: is in {FILE} as removed and in the files as well"
    outside: dict[str, set[int] | None] = {}
    for name, source, run, gone in zip(
        table["kept_id"], table["kept_source"], table["kept_run"], table["removed_id"], strict=True
    ):
        if not run:
            if not _has(written.get(source), name):
                yield f"{gone}: was removed for {name} ({source}), which is not in the files"
            continue
        if run not in outside:
            outside[run] = _ids_of(work, run)
            if outside[run] is None:
                yield f"{run}: holds documents that stand for removed ones, and cannot be read"
        ids = outside[run]
        if ids is not None and identity(source, name) not in ids:
            yield f"{gone}: was removed for {name} ({source}), which is not in {run}"


def _too_many(
    work: Work, removed: "Counter[tuple[str, str]]", both: set[tuple[str, str]], written: dict[str, np.ndarray]
) -> set[tuple[str, str]]:
    """Which of the ids that were removed and written stand for fewer documents in the run than in both together.

    An id that a source has given to two documents may go once and stay once; the run that was read tells.
    """
    read: Counter[tuple[str, str]] = Counter()
    with suppress(OSError, SourceError):
        for file in work.plan.files:
            if not work.plan.is_against(file):
                names = ((file.source, document["id"]) for document in read_documents(work, file))
                read.update(name for name in names if name in both)
    return {place for place in both if read[place] < removed[place] + _num_written(written[place[0]], place[1])}


def _num_written(hashes: np.ndarray, name: str) -> int:
    number = np.uint64(xxhash.xxh3_64_intdigest(name.encode()))
    return int(np.searchsorted(hashes, number, side="right") - np.searchsorted(hashes, number))


def _has(hashes: np.ndarray | None, name: str) -> bool:
    if hashes is None or not len(hashes):
        return False
    number = np.uint64(xxhash.xxh3_64_intdigest(name.encode()))
    place = int(np.searchsorted(hashes, number))
    return place < len(hashes) and bool(hashes[place] == number)


def _ids_of(work: Work, run: str) -> set[int] | None:
    """Documents of an --against run or of a segment of the cache; None when they cannot be read."""
    plan = work.plan
    found: set[int] = set()
    try:
        if run.startswith("cache:"):
            family = family_dir(Path(plan.cache_dir or ""), plan.config.exact)
            for folder in sorted((family / run.removeprefix("cache:")).iterdir()):
                source, names = store.totals(folder)["source"], store.load(folder, "names").tobytes()
                start = 0
                for end in store.load(folder, "end").tolist():
                    found.add(identity(source, names[start:end].decode()))
                    start = end
            return found
        for file in plan.files:
            if plan.runs[file.run].path == run:
                found |= {identity(file.source, document["id"]) for document in read_documents(work, file)}
        return found
    except (OSError, SourceError):
        return None


def _strangers(work: Work, records: list[TaskRecord]) -> Iterator[str]:
    known = {record.file.path for record in records if record.file is not None}
    for name in names_in(work.layout):
        if not name.startswith(f"{RUN_DIR}/") and name not in known:
            yield f"{name}: extra: not in the ledger of this run"


def show_dedup_verification(run_folder: Path, *, as_json: bool) -> int:
    """Print what `verify_dedup` found; 0 when nothing."""
    work = open_dedup(run_folder)
    shown = work.layout.store or str(run_folder)
    problems = verify_dedup(work, show_progress=not as_json)
    if not problems and not as_json:
        records = records_of(work)
        by_method = ", ".join(
            f"{sum(r.dropped.get(f'{FAMILY}.{name}', 0) for r in records):,} by {name}" for name in work.methods
        )
        print(
            f"{shown}: verified: {len(records)} tasks\n{sum(r.rows for r in records):,} documents read = "
            f"{sum(r.num_dropped for r in records):,} removed ({by_method}) + {sum(r.written for r in records):,} "
            "written; every removed document has a surviving partner"
        )
        if "sentence" in work.methods:
            print(
                f"{sum(r.cut_sentences for r in records):,} sentences ({sum(r.cut_chars for r in records):,} "
                f"characters) cut from {sum(r.cut_documents for r in records):,} of them; each text is what was read "
                "without them, and each stands in the document that it was cut for"
            )
    return print_verdict(shown, problems, as_json=as_json)
