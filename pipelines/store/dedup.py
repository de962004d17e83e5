"""A deduplication of which a run, or the output, is in a store: fetched here, done here as in a folder, put there.

    <scratch>/<hash of the output>/states/<hash of a URL>/   copies of the state of the runs that are read
                                   inputs/<hash of a URL>/   their documents, each compared with its ledger
                                   stored/                   the output's state, as the store has it
                                   output/                   the deduplication, as in a folder

Documents are put first, then their records, tables, and the manifest that says complete last. Gives up: work files that
another machine could go on with; it does the deduplication anew and puts what is not there yet. Slurm and Ray.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from pipelines.dedup.cache import check_cache, with_segments
from pipelines.dedup.config import DedupConfig
from pipelines.dedup.explain import disk_bytes
from pipelines.dedup.freeze import freeze
from pipelines.dedup.inputs import KIND, DedupPlan, InputFile, plan_fingerprint_data, read_json
from pipelines.dedup.report import FILE
from pipelines.dedup.run import DedupResult, Say, result_of, run_dedup
from pipelines.dedup.stages import has_segment, is_complete, records_of, start
from pipelines.dedup.work import PLAN_FILE, Work
from pipelines.errors import SourceError, UserError
from pipelines.ledger import TaskRecord, find_record, write_atomically
from pipelines.manifest import check_continues, fingerprint
from pipelines.run_layout import RUN_DIR, RunLayout, make_writable
from pipelines.run_lock import lock_run
from pipelines.signals import StopRequest, note_signals
from pipelines.store.files import TABLES, Halted, at_once, bytes_left, check_room, fetch_files
from pipelines.store.lock import StoreLock, fence, take_lock
from pipelines.store.look import open_stored_run
from pipelines.store.run import UNGUARDED, scratch_of, token_of
from pipelines.store.state import delete, pull, push
from pipelines.store.store import Store, Stored, connect, open_store
from pipelines.store.url import store_url
from pipelines.verify import sha256_of
from pipelines.writers import WrittenFile


def run_dedup_in_stores(
    run: Path,
    *,
    config: DedupConfig,
    output_folder: Path,
    scratch_folder: Path,
    against: Sequence[Path] = (),
    cache_dir: Path | None = None,
    tasks: int | None = None,
    workers: int = 2,
    fresh: bool = False,
    say: Say = lambda _: None,
    show_progress: bool = False,
) -> DedupResult:
    """`pipelines.dedup.run.run_dedup`, where `run`, any of `against` and `output_folder` may be stores' URLs.

    Raises UserError when a store or folder cannot be used, holds something else or another process works there,
    SourceError when a store or a stage fails; the same call goes on.
    """
    check_cache(config, cache_dir)
    url, stop = store_url(output_folder), StopRequest()
    if url is not None and url in {store_url(folder) for folder in (run, *against)}:
        raise UserError(f"--output-folder {url}: is a run that is read; choose another")
    home = scratch_of(scratch_folder, url or str(output_folder.absolute()))
    make_writable("--scratch-folder", home)
    here = RunLayout(output_folder=home, logging_dir=Path(), fingerprint="")
    try:
        with ExitStack() as stack:
            stack.enter_context(lock_run(here.run_dir))
            stack.enter_context(note_signals(stop))
            # What another command has left there, documents of a run in a store among them, is in nobody's way.
            lock = stack.enter_context(take_lock(open_store(url), token_of(here))) if url is not None else None
            plan = freeze_stored(run, against=against, config=config, cache_dir=cache_dir, home=home)
            output = _Output(home, output_folder, plan, lock, fresh)
            if (found := output.already()) is None:
                if (fresh and url is None) or not is_complete(output.local):
                    _fetch_inputs(output.plan, home, stop, say, show_progress)
                output.begin()
                found = run_dedup(
                    run, config=config, output_folder=output.local.layout.output_folder, against=list(against),
                    cache_dir=cache_dir, tasks=tasks, workers=workers, fresh=fresh and url is None, say=say,
                    show_progress=show_progress, frozen=output.plan, store=url,
                )  # fmt: skip
                if found.ok:
                    output.publish(stop, say)
            if found.ok:
                _clear(home)
            return found
    except Halted:
        say("stopped: finished work is kept; run the same command to go on")
        return DedupResult(
            output_folder=url or str(output_folder), records=[], skipped={}, stopped=stop.signum or 2
        )  # fmt: skip
    except OSError as error:
        raise SourceError(
            f"the deduplication cannot go on: {error}; finished work is kept: put that right and run the same command "
            "again"
        ) from error


def freeze_stored(
    run: Path, *, against: Sequence[Path], config: DedupConfig, home: Path, cache_dir: Path | None = None
) -> DedupPlan:
    """`pipelines.dedup.freeze.freeze` for runs in stores and folders; copies of the stored ones' states are in `home`
    afterwards. Raises UserError as that does."""
    states: dict[str, str] = {}
    folders = []
    for given in (run, *against):
        if (url := store_url(given)) is None:
            folders.append(given)
            continue
        folder = home / "states" / _name(url)
        open_stored_run(url, folder)
        states[str(folder)] = url
        folders.append(folder)
    try:
        plan = freeze(folders[0], against=folders[1:], config=config, cache_dir=cache_dir)
    except UserError as error:
        message = str(error)
        for place, url in states.items():
            message = message.replace(place, url)
        raise UserError(message) from None
    runs = tuple(found.model_copy(update={"path": states.get(found.path, found.path)}) for found in plan.runs)
    return plan.model_copy(update={"runs": runs})


def _fetch_inputs(plan: DedupPlan, home: Path, stop: StopRequest, say: Say, show: bool) -> None:
    """Bring what the deduplication reads out of stores to this machine."""
    fetched: list[tuple[str, Path, list[WrittenFile]]] = []
    for number, run in enumerate(plan.runs):
        if run.here is not None:
            files = [_written(file) for file in plan.files if file.run == number]
            fetched.append((run.path, Path(run.here), files))
    left = sum(bytes_left(files, folder) for _, folder, files in fetched)
    if left:
        own = sum(file.size for file in plan.files if not plan.is_against(file))
        check_room(home, left + own + disk_bytes(plan), "files of the run, as many again for the output, work files")
    for url, folder, files in fetched:
        say(f"fetch: {len(files)} files of {url}")
        fetch_files(connect(url), files, folder, stop, show=show)


def _written(file: InputFile) -> WrittenFile:
    return WrittenFile(path=file.path, size=file.size, lines=file.lines, sha256=file.sha256)


def _clear(home: Path) -> None:
    """Leave nothing of a complete deduplication in the scratch folder but its locks and its log."""
    for name in ("inputs", "states", "stored"):
        shutil.rmtree(home / name, ignore_errors=True)
    for path in (*(home / "output").glob("*"), *(home / "output" / RUN_DIR).glob("*")):
        if path.name not in (RUN_DIR, "log"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _name(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:16]


class _Output:
    """Where a deduplication goes. `local`: its work on this machine; with a `lock`, a store has the result."""

    def __init__(self, home: Path, folder: Path, plan: DedupPlan, lock: StoreLock | None, fresh: bool) -> None:
        self.lock, self.store = lock, lock.store if lock is not None else None
        place = home / "output" if lock is not None else folder.absolute()
        stored = home / "stored"
        before: dict[str, Stored] = {}
        if self.store is not None:
            if fresh:
                shutil.rmtree(place, ignore_errors=True)
            before = _pulled(self.store, stored, fresh=fresh)
            _seed(stored, place)
        cache_dir = Path(plan.cache_dir) if plan.cache_dir is not None else None
        plan = with_segments(plan, cache_dir, place / RUN_DIR / PLAN_FILE, fresh=fresh and lock is None)
        runs = tuple(
            run.model_copy(update={"here": str(home / "inputs" / _name(run.path))})
            if store_url(Path(run.path)) is not None
            else run
            for run in plan.runs
        )
        self.plan = plan.model_copy(update={"runs": runs})
        # As it is for others: where this machine has its copies concerns nobody.
        self.shown = plan
        self.data = plan_fingerprint_data(plan)
        url = self.store.url if self.store is not None else None
        layout = RunLayout(
            output_folder=place, logging_dir=place / RUN_DIR / "log", fingerprint=fingerprint(self.data), store=url
        )
        self.local = Work(layout=layout, plan=self.plan)
        self.stored = RunLayout(output_folder=stored, logging_dir=Path(), fingerprint=layout.fingerprint, store=url)
        self.listed = before
        if self.store is None and not fresh:
            check_continues(layout, self.data)
        if self.store is not None:
            check_continues(self.stored, self.data)
            there = read_json(layout.run_dir / "manifest.json")
            if there is not None and there.get("fingerprint") != layout.fingerprint:
                shutil.rmtree(place)
                _seed(stored, place)

    def already(self) -> DedupResult | None:
        """The result where the store has all of it."""
        work = Work(layout=self.stored, plan=self.plan)
        manifest = read_json(self.stored.run_dir / "manifest.json") or {}
        if self.store is None or manifest.get("state") != "complete" or f"{RUN_DIR}/{FILE}" not in self.listed:
            return None
        try:
            return result_of(work) if has_segment(work) else None
        except SourceError:
            return None

    def begin(self) -> None:
        """Write down in the store what is going to be there."""
        if self.store is None or self.lock is None:
            return
        start(self.local.layout, self.shown, self.data)
        if not self.lock.guarded:
            Console(stderr=True).print(f"warning: {self.store.url}: {UNGUARDED}", markup=False, soft_wrap=True)
        if f"{RUN_DIR}/manifest.json" not in self.listed:
            fence(self.store, self.lock.number)
            push(self.store, self.local.layout)

    def publish(self, stop: StopRequest, say: Say) -> None:
        """Put what the store has not: documents, each before its record; tables; what describes it, manifest last."""
        if self.store is None or self.lock is None:
            return
        store, number, layout = self.store, self.lock.number, self.local.layout
        records = records_of(self.local)
        say(f"put: {len(records)} tasks to {store.url}")

        def put(record: TaskRecord) -> None:
            if stop.signum is not None:
                raise Halted
            path = layout.record(record.output_dir, record.rank)
            there = find_record(self.stored.record(record.output_dir, record.rank))
            if record.file is not None and (there is None or there.file != record.file):
                store.put(layout.output_folder / record.file.path, record.file.path, record.file.sha256)
            fence(store, number)
            store.write(path.relative_to(layout.output_folder).as_posix(), path.read_bytes())

        for _ in at_once(put, records):
            pass
        tables = []
        for path in sorted(layout.run_dir.iterdir()):
            key = f"{RUN_DIR}/{path.name}"
            if path.suffix == ".parquet":
                tables.append(
                    WrittenFile(path=key, size=path.stat().st_size, lines=0, sha256=sha256_of(path))
                )  # fmt: skip
                store.put(path, key, tables[-1].sha256)
            elif path.name.startswith("report."):
                store.write(key, path.read_bytes())
        write_atomically(layout.run_dir / PLAN_FILE, self.shown.model_dump_json())
        fence(store, number)
        store.write(TABLES, json.dumps([table.model_dump() for table in tables], indent=1).encode())
        push(store, layout)


def _pulled(store: Store, folder: Path, *, fresh: bool) -> dict[str, Stored]:
    """Copy the state of the output to `folder`, with `fresh` after deleting the deduplication that is there."""
    layout = RunLayout(output_folder=folder, logging_dir=Path(), fingerprint="", store=store.url)
    listed = pull(store, layout)
    if not fresh or f"{RUN_DIR}/manifest.json" not in listed:
        return listed
    if (read_json(layout.run_dir / "manifest.json") or {}).get("kind") != KIND:
        raise UserError(f"{store.url}: is not the output of a deduplication; choose another --output-folder")
    plan = DedupPlan.model_validate_json((layout.run_dir / PLAN_FILE).read_bytes())
    delete(store, layout, listed, (source.output_dir for source in plan.sources))
    return {}


def _seed(stored: Path, place: Path) -> None:
    """Which segments of a cache the first attempt began with is in its plan, whatever machine that was on."""
    plan = stored / RUN_DIR / PLAN_FILE
    if plan.is_file() and not (place / RUN_DIR / PLAN_FILE).is_file():
        write_atomically(place / RUN_DIR / PLAN_FILE, plan.read_text(encoding="utf-8"))
