"""Finished runs, frozen for a deduplication: manifest, ledger and languages of each, checked against one another.

Whatever is not complete, damaged or named twice is refused with a line. Gives up: folders that no run of this toolkit
has written.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipelines.compression import OutputConfig
from pipelines.config_problems import first_problem
from pipelines.dedup.config import DedupConfig
from pipelines.dedup.inputs import DedupPlan, InputFile, InputRun, InputSource, read_json
from pipelines.dedup.languages import languages_in
from pipelines.dedup.places import check_record
from pipelines.errors import UserError
from pipelines.ledger import TaskRecord
from pipelines.run_layout import RUN_DIR


class _Entry(BaseModel):
    """What is needed of a source in a manifest."""

    source: str
    tasks: int
    language: str | None = None


class _Manifest(BaseModel):
    """What is needed of a manifest beside its sources."""

    fingerprint: str
    runs: list[InputRun] = []


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
