"""How documents are compressed: the `output:` block of a configuration, what writes it and what reads it back.

The same documents give the same bytes with the same version of the library on the same kind of processor. The
fingerprint holds the versions; what is in a file never depends on them. Gives up: files of several gzip members, since
some readers stop after the first without a word; and codecs that fewer tools read than these two.
"""

import io
import zlib
from typing import IO, Any, Literal

import zstandard
from isal import igzip, isal_zlib
from pydantic import BaseModel, ConfigDict, Field, model_validator
from zlib_ng import zlib_ng

from pipelines.errors import UserError, did_you_mean

# Measured by `benchmarks/output_codecs.py`; the table is in docs/decisions.md.
_LEVELS = {"gzip": (1, 4, 9), "zstd": (1, 3, 19)}  # lowest, default, highest
_SUFFIXES = {"gzip": ".jsonl.gz", "zstd": ".jsonl.zst"}
# What reading a damaged file raises.
READ_ERRORS: tuple[type[Exception], ...] = (OSError, EOFError, zlib.error, isal_zlib.error, zstandard.ZstdError)  # type: ignore[assignment]
# The same, and what a line that is no JSON raises.
LINE_ERRORS: tuple[type[Exception], ...] = (*READ_ERRORS, ValueError)
_GZIP_CONTAINER = 31  # window bits of 15, and 16 for a gzip header and checksum


class OutputConfig(BaseModel):
    """Codec and level of all documents of a run. `level` None: 4 for gzip, 3 for zstd."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    compression: Literal["gzip", "zstd"] = "gzip"
    level: int | None = Field(default=None, description="gzip: 1 to 9, default 4; zstd: 1 to 19, default 3")

    @model_validator(mode="after")
    def _is_a_level(self) -> "OutputConfig":
        lowest, default, highest = _LEVELS[self.compression]
        if self.level is not None and not lowest <= self.level <= highest:
            raise ValueError(
                f"level {self.level} is none of {self.compression}'s; give {lowest} to {highest}, or leave it out for "
                f"{default}"
            )
        return self

    def resolved(self) -> "OutputConfig":
        """The same with its level spelled out."""
        return OutputConfig(compression=self.compression, level=self._level)

    @property
    def _level(self) -> int:
        return _LEVELS[self.compression][1] if self.level is None else self.level

    @property
    def suffix(self) -> str:
        """How the names of its files end."""
        return _SUFFIXES[self.compression]

    def compressor(self) -> Any:
        """An object with `compress(bytes)` and `flush()`; what they return is one gzip member or zstd frame."""
        if self.compression == "zstd":
            return zstandard.ZstdCompressor(level=self._level, write_checksum=True).compressobj()
        return zlib_ng.compressobj(self._level, zlib_ng.DEFLATED, _GZIP_CONTAINER)


def parse_compression(value: str) -> OutputConfig:
    """`gzip`, `zstd`, or with a level `zstd:6`, as on a command line. Raises UserError for anything else."""
    name, colon, level = value.partition(":")
    if name not in _LEVELS:
        hint = did_you_mean(name, list(_LEVELS))
        raise UserError(f"--compression: {value!r} is not gzip or zstd, with a level such as gzip:6 or without{hint}")
    if colon and not (level.isascii() and level.isdecimal() and len(level) < 4):
        raise UserError(f"--compression: {value!r}: the level is not a whole number; write {name}:{_LEVELS[name][1]}")
    try:
        return OutputConfig.model_validate({"compression": name, "level": int(level) if colon else None})
    except ValueError as error:
        raise UserError(f"--compression: {error.errors()[0]['ctx']['error']}") from None  # type: ignore[attr-defined]


def open_lines(name: str, raw: IO[bytes]) -> IO[bytes]:
    """The lines of a file of documents called `name`, out of its bytes."""
    if name.endswith(_SUFFIXES["zstd"]):
        return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True), 1 << 20)
    handle: IO[bytes] = igzip.open(raw)
    return handle
