"""Documents of a corpus that match what is asked for, in the files' order, and seeded samples of them.

A sample looks at the first FIRST matches of up to MAX_FILES files in a seeded order (at more files while it is short of
documents) and takes those whose ids have the smallest seeded hashes: the same on every machine, at a cost that does not
grow with the run. Gives up: what stands further back in large files.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import xxhash

from pipelines.inspect.corpus import DocumentFile
from pipelines.inspect.lines import Line, lines_of

FIRST = 400
MAX_FILES = 64


@dataclass(frozen=True, kw_only=True)
class Found:
    """A document and where it stands."""

    file: DocumentFile
    line: Line

    @property
    def reason(self) -> str:
        """`family.rule` why it was dropped, "" for a kept one."""
        return str(self.line.metadata.get("filter_reason", "")) if self.file.family else ""

    @property
    def language(self) -> str:
        """As the language filter (or the source) has written it; "" for none."""
        return str(self.line.metadata.get("language") or "")

    def as_dict(self) -> dict[str, Any]:
        """What `--json` prints of it."""
        return {
            "id": self.line.id, "source": self.file.source, "file": self.file.name, "row": self.line.row,
            "verdict": "dropped" if self.file.family else "kept", "reason": self.reason, "text": self.line.text,
            "cut": self.line.cut, "bytes": self.line.size, "metadata": self.line.metadata,
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What documents must be: of a language, dropped for a reason (or a family), with `search` in text or id."""

    language: str = ""
    reason: str = ""
    search: str = ""

    def matches(self, found: Found) -> bool:
        """Whether a document is wanted. Search does not mind capitals."""
        if self.language and found.language != self.language:
            return False
        if self.reason and found.reason != self.reason and not found.reason.startswith(f"{self.reason}."):
            return False
        text = self.search.casefold()
        return not text or text in found.line.text.casefold() or text in found.line.id.casefold()


def documents_of(file: DocumentFile, wanted: Wanted, start: int = 0) -> Iterator[Found]:
    """The wanted documents of a file from a row on. Raises SourceError for a damaged file."""
    for line in lines_of(file.path, start):
        found = Found(file=file, line=line)
        if wanted.matches(found):
            yield found


def sample(files: Sequence[DocumentFile], wanted: Wanted, number: int, seed: int) -> list[Found]:
    """Up to `number` wanted documents, the same for the same seed, in the order of their hashes."""
    order = sorted(files, key=lambda file: (_hash(file.name, seed), file.name))
    heap: list[tuple[int, int, Found]] = []
    count = 0
    for place, file in enumerate(order):
        if place >= MAX_FILES and len(heap) >= number:
            break
        for taken, found in enumerate(documents_of(file, wanted)):
            if taken >= FIRST:
                break
            count += 1
            item = (-_hash(f"{file.name}\0{found.line.id}\0{found.line.row}", seed), -count, found)
            if len(heap) < number:
                heapq.heappush(heap, item)
            elif item[0] > heap[0][0]:
                heapq.heapreplace(heap, item)
    return [found for _, _, found in sorted(heap, key=lambda item: (-item[0], -item[1]))]


def _hash(text: str, seed: int) -> int:
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"), seed & 0xFFFFFFFFFFFFFFFF)
