"""What a deduplication reads: the files of finished runs, frozen out of their ledgers, with sizes and sha256.

An unfinished run is refused, and a file that is no longer the one in the ledger fails the task that reads it. Works on
the output of `run` and of `dedup` alike. Gives up: folders that no run of this toolkit has written.
"""

import hashlib
import json
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict

from pipelines.compression import OutputConfig
from pipelines.config_problems import first_problem
from pipelines.dedup.config import DedupConfig
from pipelines.dedup.languages import languages_in
from pipelines.dedup.places import check_record
from pipelines.errors import UserError
from pipelines.ledger import TaskRecord
from pipelines.manifest import deciding_versions
from pipelines.run_layout import RUN_DIR
from pipelines.store.store import open_at
from pipelines.store.url import store_url

KIND = "dedup"


class _Entry(BaseModel):
    """What is needed of a source in a manifest."""

    source: str
    tasks: int
    language: str | None = None


class _Manifest(BaseModel):
    """What is needed of a manifest beside its sources."""

    fingerprint: str
    runs: list["InputRun"] = []


def default_output(run: Path) -> Path:
    """`<run>_dedup`, beside the run."""
    return run.with_name(f"{run.absolute().name}_dedup")


class InputRun(BaseModel):
    """A finished run. `against`: its documents are kept already and only serve to remove others.

    `path` is a store's URL for a run in a store; `here` then is where this machine has its documents, if it has.
    `lineage`: fingerprints of the runs whose documents these are, itself included: a run that was deduplicated and then
    deduplicated again has three.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    fingerprint: str
    against: bool
    here: str | None = None
    lineage: tuple[str, ...] = ()


class InputFile(BaseModel):
    """One file of documents: `run` is the place of its run in `DedupPlan.runs`, `path` is relative to that run."""

    model_config = ConfigDict(frozen=True)

    run: int
    source: str
    output_dir: str
    rank: int
    path: str
    size: int
    sha256: str
    lines: int
    text_bytes: int
    language: str | None


class InputSource(BaseModel):
    """One source of the run that is deduplicated.

    `told_apart`: a language filter has looked at its documents; `languages`: those that its ledger tells apart, None
    where that has no counts by language.
    """

    model_config = ConfigDict(frozen=True)

    source: str
    output_dir: str
    language: str | None
    tasks: int
    description: dict[str, Any]
    told_apart: bool = False
    languages: tuple[str, ...] | None = None


class DedupPlan(BaseModel):
    """A deduplication before it starts: everything that decides its output, and where things are.

    `segments` are the parts of the cache that were there when it started; see pipelines/dedup/cache.py.
    """

    model_config = ConfigDict(frozen=True)

    runs: tuple[InputRun, ...]
    sources: tuple[InputSource, ...]
    files: tuple[InputFile, ...]
    config: DedupConfig
    output: OutputConfig = OutputConfig()
    cache_dir: str | None = None
    segments: tuple[str, ...] = ()

    def is_against(self, file: InputFile) -> bool:
        """Whether a file only serves to remove others."""
        return self.runs[file.run].against

    def place(self, file: InputFile) -> Path:
        """Where a file is on this machine."""
        run = self.runs[file.run]
        return Path(run.here or run.path) / file.path

    def open(self, file: InputFile) -> IO[bytes]:
        """A file to read from; straight out of a store where this machine does not have it."""
        run = self.runs[file.run]
        return open_at(run.here or run.path, file.path)

    @property
    def num_documents(self) -> int:
        """Lines of all files, those of --against runs included."""
        return sum(file.lines for file in self.files)


def freeze(
    run: Path,
    *,
    against: list[Path],
    config: DedupConfig,
    cache_dir: Path | None = None,
    segments: tuple[str, ...] = (),
) -> DedupPlan:
    """The plan for `run`. Raises UserError when a run is not finished, or is named twice."""
    runs: list[InputRun] = []
    files: list[InputFile] = []
    sources: list[InputSource] = []
    output = OutputConfig()
    seen: dict[Path, str] = {}
    for number, folder in enumerate([run, *against]):
        resolved = folder.resolve()
        if resolved in seen:
            raise UserError(f"--against {folder}: is {seen[resolved]} already; name each run once")
        seen[resolved] = "the run to deduplicate" if number == 0 else "given"
        manifest, records, languages = finished_run(folder)
        lineage = _lineage(manifest)
        if number > 0 and (same := set(lineage) & set(runs[0].lineage)):
            raise UserError(
                f"--against {folder}: has the documents of {run} itself (both come from the run {min(same)[:16]}), so "
                "every document would go; name other runs"
            )
        runs.append(
            InputRun(
                path=str(folder.absolute()), fingerprint=manifest["fingerprint"], against=number > 0, lineage=lineage
            )
        )  # fmt: skip
        if number == 0:
            output = _output_of(folder, manifest)
            filtered = _filtered_by_language(folder)
            by_source: dict[str, list[TaskRecord]] = {}
            for record in records:
                by_source.setdefault(record.source, []).append(record)
            for item in manifest["sources"]:
                key = item["source"]
                own = by_source[key]
                sources.append(
                    InputSource(
                        source=key, output_dir=own[0].output_dir, language=languages.get(key), tasks=item["tasks"],
                        description=item, told_apart=key in filtered, languages=languages_in(own),
                    )
                )  # fmt: skip
        files += [
            InputFile(
                run=number, source=record.source, output_dir=record.output_dir, rank=record.rank,
                path=record.file.path, size=record.file.size, sha256=record.file.sha256, lines=record.file.lines,
                text_bytes=record.text_bytes, language=languages.get(record.source),
            )
            for record in records
            if record.file is not None
        ]  # fmt: skip
    if not any(file.run == 0 for file in files):
        raise UserError(f"{run}: the run has written no document; there is nothing to deduplicate")
    return DedupPlan(
        runs=tuple(runs), sources=tuple(sources), files=tuple(files), config=config, output=output,
        cache_dir=str(cache_dir.absolute()) if cache_dir else None, segments=segments,
    )  # fmt: skip


def _lineage(manifest: dict[str, Any]) -> tuple[str, ...]:
    before = next((run for run in _Manifest.model_validate(manifest).runs if not run.against), None)
    return (manifest["fingerprint"], *((before.lineage or (before.fingerprint,)) if before is not None else ()))


def _output_of(folder: Path, manifest: dict[str, Any]) -> OutputConfig:
    """What the run writes its documents with; its deduplication writes the same."""
    try:
        return OutputConfig.model_validate(manifest.get("output", {})).resolved()
    except ValueError:
        raise UserError(f"{folder}: its manifest names an output that is unknown here; verify that run") from None


def beside(run: InputRun, folder: Path) -> Path | None:
    """Where a run of a store is on this machine, if it was fetched to beside `folder` under its own name."""
    if store_url(Path(run.path)) is None:
        return None
    place = folder.absolute().with_name(Path(run.path).name)
    manifest = read_json(place / RUN_DIR / "manifest.json") or {}
    return place if manifest.get("fingerprint") == run.fingerprint else None


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object from disk; None where there is none."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def finished_run(folder: Path) -> tuple[dict[str, Any], list[TaskRecord], dict[str, str | None]]:
    """Manifest, every task's record in order, and language by source of a finished run; UserError for any other."""
    run_dir = folder / RUN_DIR
    manifest = read_json(run_dir / "manifest.json")
    if manifest is None or "sources" not in manifest:
        raise UserError(f"{folder}: not a run (there is no {RUN_DIR}/manifest.json); give an output folder")
    if manifest.get("state") != "complete":
        raise UserError(f"{folder}: the run is not complete; finish it first (`smoltrove status {folder}`)")
    try:
        lines = (run_dir / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
        records = [TaskRecord.model_validate_json(line) for line in lines]
    except (OSError, ValueError) as error:
        raise UserError(f"{run_dir}/ledger.jsonl: cannot be read ({first_problem(error)}); verify the run") from None
    found = [(record.source, record.rank) for record in records]
    planned, expected = _planned(folder, manifest), []
    for source, tasks, _ in planned:
        expected += [(source, rank) for rank in range(tasks)]
    if found != expected:
        raise UserError(f"{folder}: the ledger has {len(found)} tasks, {len(expected)} were planned; verify the run")
    if problems := [problem for record in records for problem in record.problems()]:
        raise UserError(f"{folder}: the ledger does not add up ({problems[0]}); verify the run")
    for record in records:
        check_record(folder, record)
    languages = {source: language for source, _, language in planned}
    return manifest, records, languages | _languages_of_plan(run_dir / "plan.json")


def _planned(folder: Path, manifest: dict[str, Any]) -> list[tuple[str, int, str | None]]:
    """(source, tasks, language) of each source that a manifest names; UserError for one that no run has written."""
    try:
        entries = [_Entry.model_validate(item) for item in manifest["sources"]]
        _Manifest.model_validate(manifest)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{folder / RUN_DIR}/manifest.json: is damaged ({first_problem(error)}); verify the run"
        ) from None
    return [(entry.source, entry.tasks, entry.language) for entry in entries]


def _languages_of_plan(path: Path) -> dict[str, str | None]:
    """The language of each source of a run; {} where there is no plan: a deduplication has it in its manifest."""
    if not path.is_file():
        return {}
    found: dict[str, str | None] = {}
    try:
        for planned in json.loads(path.read_bytes())["sources"]:
            entry = planned["source"]
            found[_key(entry)] = _Entry(source="", tasks=0, language=entry.get("language")).language
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        # Without it documents would be split by the rules of another language, and nobody would see that.
        raise UserError(f"{path}: is damaged ({first_problem(error)}); verify the run") from None
    return found


def _filtered_by_language(folder: Path) -> set[str]:
    """The sources at whose documents a language filter has looked, in this run or in the one that it deduplicates."""
    deduplicated = read_json(folder / RUN_DIR / "dedup.json") or {}
    found = {source["source"] for source in deduplicated.get("sources", ()) if source.get("told_apart")}
    path = folder / RUN_DIR / "plan.json"
    try:
        for planned in (read_json(path) or {}).get("sources", ()):
            if any(spec["name"] == "language" for spec in planned["filters"]):
                found.add(_key(planned["source"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: is damaged ({first_problem(error)}); verify the run") from None
    return found


def _key(entry: dict[str, Any]) -> str:
    return f"{entry['name']}/{entry.get('label') or entry.get('config') or 'default'}"


def plan_fingerprint_data(plan: DedupPlan) -> dict[str, Any]:
    """Everything that decides the output, as plain data; where runs and cache stand is not in it."""
    files = [
        [plan.runs[file.run].against, file.source, file.rank, file.lines, file.language, file.sha256]
        for file in plan.files
    ]
    listed = json.dumps(files, ensure_ascii=False)
    # As text, so that a refusal shows what they are and not how many.
    shown = {"methods": ", ".join(plan.config.methods), "priority": ", ".join(plan.config.priority)}
    return {
        "kind": KIND,
        "runs": [{"name": run.fingerprint, "against": run.against} for run in plan.runs],
        "output": plan.output.model_dump(),
        "num_files": len(files),
        "files_sha256": hashlib.sha256(listed.encode()).hexdigest(),
        "config": {**plan.config.model_dump(mode="json"), **shown},
        "cache": plan.cache_dir is not None,
        "cache_segments": list(plan.segments),
        "versions": deciding_versions(),
    }
