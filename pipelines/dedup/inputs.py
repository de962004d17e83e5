"""What a deduplication reads, as plain data: runs, sources and files with sizes and sha256; freeze.py makes it.

A file that is no longer the one in the ledger fails the task that reads it. Works on the output of `run` and of `dedup`
alike. Gives up: knowing what a file holds; its ledger says that.
"""

import hashlib
import json
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict

from pipelines.compression import OutputConfig
from pipelines.dedup.config import DedupConfig
from pipelines.manifest import deciding_versions
from pipelines.run_layout import RUN_DIR
from pipelines.store.store import open_at
from pipelines.store.url import store_url

KIND = "dedup"


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
