"""Documents page by page over files of any size: a page is where it begins, and the next one goes on from its end.

A place is (number of a file, row). The reader that made a page waits, open, for the page after it, so going on costs
nothing that was read already; other places are reached by skipping rows. A page ends when it is full or has looked at
MAX_LOOKED documents or MAX_BYTES, so rare matches do not hold it up. Gives up: pages before a place, which the browser
has, and more than OPEN_READERS files open at once.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipelines.inspect.corpus import DocumentFile
from pipelines.inspect.documents import Found, Wanted
from pipelines.inspect.lines import Line, lines_of

PAGE = 10
# What one page looks at, at most, for its matches: documents, and bytes of their lines.
MAX_LOOKED = 10_000
MAX_BYTES = 64 << 20
OPEN_READERS = 8
Place = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Page:
    """Documents, and the place where the next page begins: None after the last one."""

    found: list[Found]
    looked: int
    next: Place | None


class Pages:
    """Makes pages; safe to ask from several threads."""

    def __init__(self) -> None:
        self._open: OrderedDict[tuple[str, int], Iterator[Line]] = OrderedDict()
        self._lock = threading.Lock()

    def page(self, files: Sequence[DocumentFile], wanted: Wanted, place: Place = (0, 0), size: int = PAGE) -> Page:
        """The page of wanted documents at a place. Raises SourceError for a damaged file."""
        number, row = place
        found: list[Found] = []
        looked = num_bytes = 0
        while number < len(files):
            file = files[number]
            lines = self._take(file, row)
            for line in lines:
                row, looked, num_bytes = line.row + 1, looked + 1, num_bytes + line.size
                one = Found(file=file, line=line)
                if wanted.matches(one):
                    found.append(one)
                if len(found) == size or looked == MAX_LOOKED or num_bytes > MAX_BYTES:
                    self._keep(file, row, lines)
                    # The ledger says how many there are: no page that is empty comes last.
                    following = (number, row) if row < file.lines else (number + 1, 0)
                    return Page(found=found, looked=looked, next=following if following[0] < len(files) else None)
            number, row = number + 1, 0
        return Page(found=found, looked=looked, next=None)

    def one(self, file: DocumentFile, row: int) -> Found | None:
        """One document; None where the file has no such row."""
        line = next(lines_of(file.path, row), None)
        return None if line is None else Found(file=file, line=line)

    def _take(self, file: DocumentFile, row: int) -> Iterator[Line]:
        with self._lock:
            waiting = self._open.pop((file.name, row), None)
        return lines_of(file.path, row) if waiting is None else waiting

    def _keep(self, file: DocumentFile, row: int, lines: Iterator[Line]) -> None:
        with self._lock:
            self._open[file.name, row] = lines
            while len(self._open) > OPEN_READERS:
                # Leaving it closes its file.
                self._open.popitem(last=False)
