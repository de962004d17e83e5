"""Lines of a file of documents in bounded memory: of a very long one its beginning is kept, and its id and metadata.

`lines_of(path, start)` -> `Line`s. Gives up: a text beyond MAX_LINE, which is cut with a note, id and metadata beyond
64 KiB of such a line, and files without lines in the middle: what is skipped has to be decompressed.
"""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson

from pipelines.compression import LINE_ERRORS, open_lines
from pipelines.errors import SourceError

# Bytes of a line that are kept when it has more; a page shows less.
MAX_LINE = 1 << 20
_PIECE = 1 << 20
_DAMAGED: tuple[type[Exception], ...] = (*LINE_ERRORS, KeyError, TypeError)
# The end of a line that is too long, where its id and metadata stand.
_TAIL = 1 << 16
# Inside a JSON string each quote has a backslash before it, so `","id":"` is never part of a text.
_END_OF_TEXT = b'","id":"'
_HALF_ESCAPE = re.compile(rb"\\(?:u[0-9a-fA-F]{0,3})?\Z")


@dataclass(frozen=True, kw_only=True)
class Line:
    """A document as its file has it. `size`: bytes of the line; `cut`: whether `text` is only its beginning."""

    row: int
    text: str
    id: str
    metadata: dict[str, Any] = field(default_factory=dict)
    size: int
    cut: bool = False


def rows_of(path: Path, rows: Collection[int], max_bytes: float = float("inf")) -> tuple[dict[int, Line], int]:
    """Some documents of a file, and how many bytes of lines were read for them; `max_bytes` ends the search.

    Raises SourceError for a damaged file.
    """
    found: dict[int, Line] = {}
    num_bytes = row = 0
    last = max(rows, default=-1)
    with _readable(path) as handle:
        while row <= last and num_bytes < max_bytes and (read := _next(handle, keep=row in rows)) is not None:
            num_bytes += read[2]
            if row in rows:
                found[row] = _parse(row, *read)
            row += 1
    return found, num_bytes


@contextmanager
def _readable(path: Path) -> Iterator[IO[bytes]]:
    try:
        with open(path, "rb") as raw, open_lines(path.name, raw) as handle:
            yield handle
    except _DAMAGED as error:
        raise SourceError(f"{path}: cannot be read to its end ({error}); verify the run") from None


def lines_of(path: Path, start: int = 0) -> Iterator[Line]:
    """The documents of a file from row `start` (0 for the first) on. Raises SourceError for a damaged file."""
    row = 0
    try:
        with open(path, "rb") as raw, open_lines(path.name, raw) as handle:
            while (read := _next(handle, keep=row >= start)) is not None:
                head, tail, size = read
                if row >= start:
                    yield _parse(row, head, tail, size)
                row += 1
    except _DAMAGED as error:
        raise SourceError(f"{path}: cannot be read after {row:,} documents ({error}); verify the run") from None


def _next(handle: IO[bytes], *, keep: bool) -> tuple[bytes, bytes, int] | None:
    """(the line or its first MAX_LINE bytes, the end of a longer one, bytes of all); None at the end of the file."""
    head = handle.readline(MAX_LINE)
    if not head:
        return None
    size, tail, piece = len(head), b"", head
    while len(piece) and not piece.endswith(b"\n"):
        piece = handle.readline(_PIECE)
        size += len(piece)
        if keep:
            tail = (tail + piece)[-_TAIL:]
    return head, tail, size


def _parse(row: int, head: bytes, tail: bytes, size: int) -> Line:
    if not tail:
        data = orjson.loads(head)
        return Line(row=row, text=data["text"], id=data["id"], metadata=data["metadata"], size=size)
    # The first end of a text is its own; one in the tail can be part of long metadata, whose rest is then no document.
    start = head.find(_END_OF_TEXT)
    rest = head[start:] if start >= 0 else (head[-len(_END_OF_TEXT) :] if len(tail) < _TAIL else b"") + tail
    end = rest.find(_END_OF_TEXT)
    known: dict[str, Any] = {"id": "", "metadata": {}}
    with suppress(ValueError):
        found = orjson.loads(b'{"id":"' + rest[end + len(_END_OF_TEXT) :])
        known = found if end >= 0 and found.keys() == known.keys() else known
    return Line(row=row, text=_beginning(head), id=known["id"], metadata=known["metadata"], size=size, cut=True)


def _beginning(head: bytes) -> str:
    """The text of a line that begins with it, as far as the bytes go; what is no such line, as it is."""
    prefix = b'{"text":"'
    body = head.removeprefix(prefix).partition(_END_OF_TEXT)[0]
    if body == head or not head.startswith(prefix):
        return head.decode("utf-8", "replace")
    # Bytes of half a character go, and half an escape; a run of backslashes ends in half a one when it is odd.
    body = body.decode("utf-8", "ignore").encode()
    found = _HALF_ESCAPE.search(body)
    if found and (found.start() - len(body[: found.start()].rstrip(b"\\"))) % 2 == 0:
        body = body[: found.start()]
    try:
        text: str = orjson.loads(b'"' + body + b'"')
    except ValueError:  # cut between the two halves of a surrogate pair
        text = orjson.loads(b'"' + body[:-6] + b'"')
    return text
