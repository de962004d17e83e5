"""Sums over the records of tasks: what an outcome, a report and a card all say about a source.

Gives up: what cannot be added up (files, seconds on the clock, peaks of memory).
"""

from collections import Counter
from collections.abc import Iterable

from pydantic import BaseModel, Field, computed_field

from pipelines.ledger import TaskRecord

_ADDED = (
    "rows", "sampled_out", "not_fetched", "repeated", "written", "text_bytes", "tokens", "requests", "bytes_fetched",
    "cpu_seconds", "cut_sentences",
)  # fmt: skip


class Counts(BaseModel):
    """Counts as in TaskRecord, summed over finished tasks."""

    tasks_done: int = 0
    rows: int = 0
    rejected: dict[str, int] = Field(default_factory=dict)
    sampled_out: int = 0
    not_fetched: int = 0
    dropped: dict[str, int] = Field(default_factory=dict)
    repeated: int = 0
    written: int = 0
    text_bytes: int = 0
    tokens: int = 0
    requests: int = 0
    bytes_fetched: int = 0
    cpu_seconds: float = 0
    cut_sentences: int = 0

    def take(self, records: Iterable[TaskRecord]) -> None:
        """Add records."""
        rejected, dropped = Counter(self.rejected), Counter(self.dropped)
        for record in records:
            self.tasks_done += 1
            rejected.update(record.rejected)
            dropped.update(record.dropped)
            for name in _ADDED:
                setattr(self, name, getattr(self, name) + getattr(record, name))
        self.rejected, self.dropped = dict(rejected), dict(dropped)

    @property
    def num_rejected(self) -> int:
        """Rows that could not be used."""
        return sum(self.rejected.values())

    @property
    def num_dropped(self) -> int:
        """Documents that a filter dropped."""
        return sum(self.dropped.values())

    @property
    def most_dropped_as(self) -> str:
        """The most frequent reason with its number, "" where nothing was dropped."""
        most = max(self.dropped, key=lambda reason: self.dropped[reason], default="")
        return f"{most} ({self.dropped[most]:,})" if most else ""

    def losses(self) -> list[tuple[str, int]]:
        """Reasons of rejected rows and of dropped documents with their numbers, largest first."""
        return sorted({**self.rejected, **self.dropped}.items(), key=lambda item: (-item[1], item[0]))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def drawn(self) -> int:
        """Documents that reached the filters."""
        return self.rows - self.num_rejected - self.sampled_out

    @computed_field  # type: ignore[prop-decorator]
    @property
    def kept(self) -> int:
        """Documents that the filters passed on, each once whatever its epochs."""
        return self.drawn - self.num_dropped
