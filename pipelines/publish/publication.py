"""What a folder publishes: the files of a finished run or of an export, with sizes, hashes and configurations.

Gives up: folders that neither `run`, `dedup` nor `export` has written.
"""

import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipelines.errors import UserError
from pipelines.publish.export import EXPORT_DIR, MANIFEST, open_export
from pipelines.publish.facts import Facts, facts_of
from pipelines.run_layout import RUN_DIR

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)


def check_name(repo: str) -> None:
    """Raises UserError for what the Hub takes for no repository's name."""
    if not _NAME.fullmatch(repo) or "--" in repo or ".." in repo:
        raise UserError(f"{repo}: not a repository's name; write org/name, with letters, digits, '.', '_', '-'")


class PublishedFile(BaseModel):
    """One file as it will be on the Hub. `arrow_bytes`: its documents in memory as Arrow, where that is known."""

    model_config = ConfigDict(frozen=True)

    path: str
    output_dir: str
    size: int
    sha256: str
    rows: int
    arrow_bytes: int | None = None


class Publication(BaseModel):
    """A folder that can be published. `form`: jsonl (a run) or parquet (an export)."""

    model_config = ConfigDict(frozen=True)

    folder: Path
    form: str
    suffix: str
    facts: Facts
    files: tuple[PublishedFile, ...]

    def place(self, file: PublishedFile) -> Path:
        """Where a file is on this machine."""
        return self.folder / file.path

    @property
    def work_dir(self) -> Path:
        """Where notes about publishing go: outside of the documents."""
        return self.folder / (EXPORT_DIR if self.form == "parquet" else RUN_DIR)

    @property
    def num_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def open_publication(folder: Path) -> Publication:
    """What `folder` publishes. Raises UserError for a run or export that is not complete, or any other folder."""
    folder = folder.absolute()
    if (folder / EXPORT_DIR / MANIFEST).is_file():
        facts, exported = open_export(folder)
        files = tuple(
            PublishedFile(
                path=file.path, output_dir=file.path.rpartition("/")[0], size=file.size, sha256=file.sha256,
                rows=file.rows, arrow_bytes=file.arrow_bytes,
            )
            for file in exported
        )  # fmt: skip
        found = Publication(folder=folder, form="parquet", suffix=".parquet", facts=facts, files=files)
    else:
        facts, records = facts_of(folder)
        files = tuple(
            PublishedFile(
                path=record.file.path, output_dir=record.output_dir, size=record.file.size, sha256=record.file.sha256,
                rows=record.written,
            )
            for record in records
            if record.file is not None
        )  # fmt: skip
        suffix = files[0].path.partition("/")[2].partition("/")[2].partition(".")[2] if files else ""
        found = Publication(folder=folder, form="jsonl", suffix=f".{suffix}", facts=facts, files=files)
    if not files:
        raise UserError(f"{folder}: has no document; there is nothing to publish")
    names: dict[str, str] = {}
    for source in facts.written:
        other = names.setdefault(source.config_name, source.source)
        if other != source.source:
            raise UserError(
                f"{folder}: {other} and {source.source} would be one configuration on the Hub ({source.config_name}); "
                "give one of them another `label`"
            )
    return found
