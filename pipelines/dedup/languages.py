"""Documents of a deduplication by language: read, removed and written, told apart as the filters of the run told them.

Which languages those are comes from the ledger of the run that is read and is frozen with the plan, so no model is
loaded. Each line counts, so a later epoch of a document is one more. Gives up: runs whose ledgers have no counts by
language (of older versions); their deduplications have none either.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pipelines.histograms import OTHER, ByLanguage, Histograms, Tally, language_of
from pipelines.ledger import TaskRecord

if TYPE_CHECKING:
    from pipelines.dedup.inputs import InputSource


def languages_in(records: Iterable[TaskRecord]) -> tuple[str, ...] | None:
    """The languages that the records of a source tell apart, as its model spells them; None where one has no counts."""
    found: set[str] = set()
    for record in records:
        if record.histograms is None:
            return None
        found |= record.histograms.drawn.keys() | record.histograms.kept.keys()
    return tuple(sorted(found - {OTHER}))


def tally(source: "InputSource") -> Tally:
    """What counts documents of a source as its filters have counted them."""
    return Tally((source.languages or ()) if source.told_apart else None)


class FileCounts:
    """The documents of one file: `read` for each, then `removed` or `written`."""

    def __init__(self, source: "InputSource") -> None:
        self._counted = source.languages is not None
        self._read, self._written = tally(source), tally(source)
        self._removed: ByLanguage = {}

    def read(self, document: dict[str, Any]) -> None:
        """A document as it was read."""
        self._read.add(document["metadata"], len(document["text"]))

    def removed(self, document: dict[str, Any], reason: str) -> None:
        """It goes."""
        reasons = self._removed.setdefault(language_of(document["metadata"], self._read.known), {})
        reasons[reason] = reasons.get(reason, 0) + 1

    def written(self, document: dict[str, Any]) -> None:
        """It stays, with the text that it has now."""
        self._written.add(document["metadata"], len(document["text"]))

    def fields(self) -> dict[str, Any]:
        """What the record of the file has of it."""
        if not self._counted:
            return {}
        dropped = {language: dict(sorted(reasons.items())) for language, reasons in sorted(self._removed.items())}
        histograms = Histograms(drawn=self._read.histograms(), kept=self._written.histograms())
        return {"histograms": histograms, "dropped_by_language": dropped}
