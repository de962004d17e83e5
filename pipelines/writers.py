"""Documents into compressed JSONL: the same documents give the same bytes, and a file is whole before anyone sees it.

Stock JsonlWriter writes in place, with the time of day in the gzip header and Python's slow deep copy of each document;
a killed task leaves a readable part. This one writes in a work folder, hashes while writing, syncs on close, and leaves
the move to its place to `pipelines.ledger.CommitStep`. Gives up: files split by size.
"""

import hashlib
import io
import os
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any

import orjson
from datatrove.data import Document, DocumentsPipeline
from datatrove.io import OutputFileManager
from datatrove.pipeline.writers.jsonl import JsonlWriter
from pydantic import BaseModel, ConfigDict

from filters.counting import add_one, add_time
from pipelines.compression import OutputConfig

_BLOCK = 256 * 1024


class WrittenFile(BaseModel):
    """A closed file: where it is, and what it holds. `sha256` is of the compressed bytes."""

    model_config = ConfigDict(frozen=True)

    path: str
    size: int
    lines: int
    sha256: str


class Sink:
    """A compressed file that is the same for the same lines: no name, no time in its header, fixed block boundaries."""

    def __init__(self, path: Path, output: OutputConfig | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._raw = open(path, "wb")  # noqa: SIM115 - closed by close(), which datatrove calls
        self._digest = hashlib.sha256()
        self._compressor = (output or OutputConfig()).compressor()
        self._pending = io.BytesIO()
        self._size = 0
        self.lines = 0

    def write(self, line: bytes) -> None:
        """Append one line, its newline included."""
        self._pending.write(line)
        self.lines += 1
        if self._pending.tell() >= _BLOCK:
            self._flush()

    def _flush(self) -> None:
        self._put(self._compressor.compress(self._pending.getvalue()))
        self._pending = io.BytesIO()

    def _put(self, data: bytes) -> None:
        self._raw.write(data)
        self._digest.update(data)
        self._size += len(data)

    def close(self) -> WrittenFile:
        """Finish the stream and force it to disk."""
        self._flush()
        self._put(self._compressor.flush())
        self._raw.flush()
        os.fsync(self._raw.fileno())
        self._raw.close()
        return WrittenFile(path=str(self.path), size=self._size, lines=self.lines, sha256=self._digest.hexdigest())

    def abandon(self) -> None:
        """Drop an unfinished file; its path must not look like a result."""
        # On a full disk even closing fails, because it writes what is buffered; that is why the file is dropped.
        with suppress(OSError):
            self._raw.close()
        self.path.unlink(missing_ok=True)


class _Sinks(OutputFileManager):
    """datatrove's table of open files, with Sink for files; keeps what it closed."""

    def __init__(self, folder: Path, output: OutputConfig) -> None:
        self.folder, self.output = folder, output
        self.closed: list[WrittenFile] = []
        self._output_files: dict[str, Sink] = {}

    def get_file(self, filename: str) -> Sink:
        if filename not in self._output_files:
            self._output_files[filename] = Sink(self.folder / filename, self.output)
        return self._output_files[filename]

    def close(self) -> None:
        try:
            for sink in self._output_files.values():
                self.closed.append(sink.close())
        except OSError:
            self.abandon()
            raise
        self._output_files.clear()

    def abandon(self) -> None:
        for sink in self._output_files.values():
            sink.abandon()
        self._output_files.clear()


class DocumentWriter(JsonlWriter):
    """Writes `{"text", "id", "metadata"}` lines to `<work_dir>/<rank>.jsonl.gz` (or `.zst`); no file for a task without
    documents.

    Also serves as an exclusion writer of filters and readers: `family` then turns a filter's own reason into
    `family.rule`.
    """

    name = "💾 Documents"

    def __init__(self, work_dir: str | Path, *, family: str | None = None, output: OutputConfig | None = None) -> None:
        self.suffix = (output or OutputConfig()).suffix
        super().__init__(str(work_dir), output_filename="${rank}" + self.suffix, compression=None)
        self.family = family
        self.work_dir = Path(work_dir)
        self.output_mg = _Sinks(self.work_dir, output or OutputConfig())
        self.text_bytes = 0

    @property
    def written(self) -> list[WrittenFile]:
        """The files of this step that are complete; empty until the task has written everything."""
        return list(self.output_mg.closed)

    def file_name(self, rank: int) -> str:
        """What the file of a task is called."""
        return f"{rank:05d}{self.suffix}"

    def _default_adapter(self, document: Document) -> dict[str, Any]:
        metadata = document.metadata
        if self.family is not None and "filter_reason" in metadata:
            metadata = {**metadata, "filter_reason": reason_name(self.family, metadata["filter_reason"])}
        return {"text": document.text, "id": document.id, "metadata": metadata}

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Writes each document and passes it on, as datatrove's writers do."""
        times = self.stats.time_stats
        with self:
            for document in data:
                started = perf_counter()
                try:
                    self.write(document, rank)
                finally:
                    add_time(times, perf_counter() - started)
                yield document

    def write(self, document: Document, rank: int = 0, **kwargs: Any) -> None:
        line = orjson.dumps(self.adapter(document), option=orjson.OPT_APPEND_NEWLINE)
        self.output_mg.get_file(self.file_name(rank)).write(line)
        text = document.text
        self.text_bytes += len(text) if text.isascii() else len(text.encode())
        add_one(self.stats.stats, "total")

    def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        if exc_type is None:
            self.close()
        else:
            self.output_mg.abandon()


def reason_name(family: str, rule: str | None) -> str:
    """`family.rule` for a filter's own reason: ("gopher_quality", "gopher_short_doc") -> "gopher_quality.short_doc"."""
    return f"{family}.{(rule or 'unnamed').removeprefix('gopher_')}"
