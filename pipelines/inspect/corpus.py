"""The files of a run that hold documents, kept and dropped, as its ledger lists them: `open_corpus(run)` -> `Corpus`.

Works for runs and deduplications, finished or not. Gives up: documents of tasks that are not finished.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from pipelines.dedup.run import records_of as dedup_records
from pipelines.dedup.verify import is_dedup, open_dedup
from pipelines.errors import UserError, did_you_mean
from pipelines.ledger import TaskRecord
from pipelines.outcome import records_of
from pipelines.profiles import FilterSpec
from pipelines.verify import open_run

READER = "reader"


@dataclass(frozen=True, kw_only=True)
class DocumentFile:
    """One file. `family`: the filter that dropped its documents, `reader` for rejected rows, "" for kept ones."""

    path: Path
    name: str
    source: str
    family: str
    lines: int


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """A run to look at. `filters`: of each source, none for a deduplication; `reasons`: counts of the ledger."""

    folder: Path
    files: tuple[DocumentFile, ...]
    filters: dict[str, tuple[FilterSpec, ...]]
    reasons: dict[str, int]
    is_dedup: bool

    @property
    def sources(self) -> list[str]:
        """Their keys, in the run's order."""
        return list(dict.fromkeys(file.source for file in self.files))

    def select(self, *, dropped: bool, source: str = "", reason: str = "") -> list[DocumentFile]:
        """The kept or the dropped files, of sources that a glob means (any part of the key), of a reason's filter.

        Raises:
            UserError: no such source or reason; dropped documents of a run that has kept none of them.
        """
        if dropped and not any(file.family for file in self.files):
            what = "a deduplication; --duplicates shows what it removed" if self.is_dedup else "without --keep-dropped"
            raise UserError(f"{self.folder}: has no dropped documents: it was {'' if self.is_dedup else 'made '}{what}")
        if reason and not any(_of_reason(name, reason) for name in self.reasons):
            known = ", ".join(sorted(self.reasons)) or "none"
            raise UserError(
                f"--reason {reason}: nothing was dropped for it{did_you_mean(reason, self.reasons)}; known: {known}"
            )
        named = [file for file in self.files if file.source == source]
        named = named or [file for file in self.files if not source or fnmatchcase(file.source, f"*{source}*")]
        if source and not named:
            raise UserError(
                f"--source {source}: matches no source{did_you_mean(source, self.sources)}; "
                f"known: {', '.join(self.sources)}"
            )
        family = reason.partition(".")[0]
        return [file for file in named if bool(file.family) == dropped and (not family or file.family == family)]


def _of_reason(name: object, reason: str) -> bool:
    return name == reason or str(name).startswith(f"{reason}.")


def open_corpus(folder: Path) -> Corpus:
    """The documents of a run. Raises UserError where the folder holds none."""
    if is_dedup(folder):
        work = open_dedup(folder)
        return _corpus(folder, dedup_records(work), {}, is_dedup=True)
    layout, plan = open_run(folder)
    records = [record for source in plan.sources for record in records_of(layout, source)]
    return _corpus(folder, records, {source.key: source.filters for source in plan.sources}, is_dedup=False)


def _corpus(
    folder: Path, records: Iterable[TaskRecord], filters: dict[str, tuple[FilterSpec, ...]], *, is_dedup: bool
) -> Corpus:
    files: list[DocumentFile] = []
    reasons: dict[str, int] = {}
    for record in records:
        listed = [(record.file, "")] if record.file is not None else []
        listed += [(file, file.path.split("/")[-2]) for file in record.dropped_files]
        files += [
            DocumentFile(path=folder / file.path, name=file.path, source=record.source, family=family, lines=file.lines)
            for file, family in listed
        ]
        for name, number in [*record.rejected.items(), *record.dropped.items()]:
            reasons[name] = reasons.get(name, 0) + number
    return Corpus(folder=folder, files=tuple(files), filters=filters, reasons=reasons, is_dedup=is_dedup)
