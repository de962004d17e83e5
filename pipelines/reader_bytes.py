"""One frozen input file as bytes and as lines: opening, sizes, decompression, line splitting.

A compressed stream that is cut, padded or corrupt is a SourceError, never a shorter file; several gzip members, zstd
frames or bz2 and xz streams in a row are one content. Gives up: guessing a compression from the content.
"""

import os
import re
import zlib
from bz2 import BZ2Decompressor
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from lzma import FORMAT_XZ, LZMADecompressor, LZMAError
from types import ModuleType
from typing import Any, BinaryIO, cast

from pipelines.errors import SourceError
from pipelines.traffic import Traffic

gzip_codec: ModuleType
try:  # about twice as fast as zlib on text; installed or not, the bytes and the faults found are the same
    from isal import isal_zlib as gzip_codec
except ImportError:
    gzip_codec = zlib

BLOCK_BYTES = 1 << 19
ZSTD_BLOCK_BYTES = 1 << 16  # python-zstandard inflates a whole input block at once; small blocks bound the output
MAX_INFLATED_BYTES = 1 << 22
_CODEC_ERRORS = (zlib.error, gzip_codec.error, LZMAError, OSError, EOFError, ValueError)
_SUFFIXES = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".xz": "xz"}
_SECRETS = re.compile(r"hf_[A-Za-z0-9]{4,}|(?<=://)[^/@\s]+@|(?i:bearer\s+\S+)|\?[^\s'\"<>)]*")


@dataclass(frozen=True, kw_only=True)
class ReadFile:
    """One frozen input file.

    path: relative to its repository, '/'-separated; part of document ids and of every message.
    uri: what is opened: an absolute local path or any fsspec URL (`hf://datasets/org/name@sha/path`).
    size: bytes as planned, or None where unknown; another size is an error, because inputs are frozen.
    format: jsonl | parquet | csv | warc. The compression of all but Parquet follows from the name.
    identity: the Hub's object id; the bytes of a file of the Hub are compared with it. Local files are not hashed.
    traffic: counts what is asked of the Hub.
    peek: only the first rows will be read, so little is fetched at a time and nothing is compared.
    """

    path: str
    uri: str
    size: int | None = None
    format: str = "jsonl"
    identity: str | None = None
    traffic: Traffic | None = field(default=None, compare=False, repr=False)
    peek: bool = False


def describe(error: BaseException) -> str:
    """Kind and first line of an error, without tokens, passwords or the query part of URLs."""
    text = str(error).strip().partition("\n")[0][:300]
    return f"{type(error).__name__}: {_SECRETS.sub('...', text)}" if text else type(error).__name__


def local_path(uri: str) -> str | None:
    """The path on this machine, or None for what only fsspec can open."""
    if uri.startswith("file://"):
        return uri.removeprefix("file://")
    return None if "://" in uri else uri


def open_binary(file: ReadFile) -> AbstractContextManager[BinaryIO]:
    """The file's own bytes; a size other than the planned one is refused before anything is read."""
    path = local_path(file.uri)
    if path is None:
        if file.uri.startswith("hf://datasets/") and file.size is not None:
            from pipelines.hub_file import HubFile

            # Columns of a Parquet file are picked out; everything else is read from its start to its end.
            sequential = file.format != "parquet"
            opened = HubFile(file.uri, file.size, sequential=sequential, identity=file.identity, traffic=file.traffic)
            return cast(BinaryIO, opened)
        from fsspec.core import url_to_fs  # here: importing fsspec's registry costs more than reading a small file

        system, remote = url_to_fs(file.uri)
        return system.open(remote, "rb")
    _check_size(file, os.stat(path).st_size)
    return open(path, "rb")


def _check_size(file: ReadFile, size: int) -> None:
    if file.size is not None and size != file.size:
        raise SourceError(f"{file.path}: has {size:,} bytes, the plan froze {file.size:,}; plan again")


def read_bytes(file: ReadFile) -> Iterator[bytes]:
    """The decompressed content, in blocks of at most a few MB."""
    codec = _SUFFIXES.get(os.path.splitext(file.path)[1].lower())
    with open_binary(file) as handle:
        if codec is None:
            position = 0
            while block := handle.read(BLOCK_BYTES):
                position += len(block)
                yield block
        else:
            position = yield from _inflate(handle, file, codec)
    _check_size(file, position)


def first_block(file: ReadFile) -> tuple[int, bytes, bool]:
    """(bytes read, what they inflate to, whether that is all of the file) of its first block, for a look at it.

    Of several members in a row only the first is inflated, and only its bytes are counted. Raises SourceError for what
    is not compressed as its name says.
    """
    codec = _SUFFIXES.get(os.path.splitext(file.path)[1].lower())
    with open_binary(file) as handle:
        data = handle.read(BLOCK_BYTES)
    size = len(data)
    if codec is None:
        return size, data, size == file.size
    member = _CODECS[codec]()
    try:
        pieces = b"".join(_drain(member, data, codec))
    except _CODEC_ERRORS as error:
        raise SourceError(f"{file.path}: not {codec} data: {describe(error)}") from None
    used = size - len(member.unused_data) if member.eof else size
    return used, pieces, used == file.size


def _zstd_frame() -> Any:
    import zstandard

    # 2 GiB: the window that `zstd --long=31` writes, the largest there is.
    return zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()


_CODECS: dict[str, Callable[[], Any]] = {
    "gzip": lambda: gzip_codec.decompressobj(31),  # 31 = the gzip container, checksum verified
    "zstd": _zstd_frame,
    "bz2": BZ2Decompressor,
    "xz": lambda: LZMADecompressor(FORMAT_XZ),
}


def _inflate(handle: BinaryIO, file: ReadFile, codec: str) -> Generator[bytes, None, int]:
    """Inflate all members (frames, streams) of a file; returns the number of compressed bytes."""
    position = members = 0
    member: Any = None
    block_bytes = ZSTD_BLOCK_BYTES if codec == "zstd" else BLOCK_BYTES
    while data := handle.read(block_bytes):
        position += len(data)
        while data:
            if member is None:
                if members and codec in ("gzip", "xz"):
                    data = data.lstrip(b"\0")  # both formats allow padding between and after members
                    if not data:
                        break
                member, fresh, start = _CODECS[codec](), True, data[:8]
            try:
                for chunk in _drain(member, data, codec):
                    fresh = fresh and not chunk
                    yield chunk
            except _CODEC_ERRORS as error:
                where = f"near byte {position:,} of {_size(file)}"
                if not fresh:
                    what = f"corrupt {codec} data {where}"
                elif members:
                    what = f"bytes that are not {codec} after the end of {codec} member {members:,}, {where}"
                else:
                    what = f"not {codec} data, or corrupt from the start (it begins with {start!r})"
                raise SourceError(f"{file.path}: {what}: {describe(error)}") from None
            data = b""
            if member.eof:
                data, member, members = member.unused_data, None, members + 1
    if member is not None:
        raise SourceError(f"{file.path}: cut short: the {codec} stream has no end at byte {position:,}, the last one")
    if not members:
        raise SourceError(f"{file.path}: empty: a file of 0 bytes is not a {codec} file")
    return position


def _drain(member: Any, data: bytes, codec: str) -> Iterator[bytes]:
    """What one input block inflates to, in bounded pieces: one block of a hostile file could be gigabytes."""
    if codec == "zstd":
        import zstandard

        try:
            yield member.decompress(data)
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from None
        return
    while True:
        chunk = member.decompress(data, MAX_INFLATED_BYTES)
        yield chunk
        if member.eof:
            return
        if codec == "gzip":
            data = member.unconsumed_tail
            if not data and len(chunk) < MAX_INFLATED_BYTES:
                return
        else:
            data = b""
            if member.needs_input:
                return


def _size(file: ReadFile) -> str:
    return "an unknown number" if file.size is None else f"{file.size:,}"


def _without_mark(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Drops a UTF-8 byte order mark, which may come in pieces."""
    start = b""
    for block in blocks:
        start += block
        if len(start) >= 3:
            break
    yield start.removeprefix(b"\xef\xbb\xbf")
    yield from blocks


def split_lines(blocks: Iterator[bytes]) -> Iterator[bytes | bytearray]:
    """Lines without their b'\\n'. A line over many blocks is gathered once, so 500 MB lines cost linear time."""
    carry = bytearray()
    for block in _without_mark(blocks):
        if carry:
            end = block.find(b"\n")
            if end < 0:
                carry += block
                continue
            carry += block[:end]
            yield carry
            carry = bytearray()
            block = block[end + 1 :]
        lines = block.split(b"\n")
        carry += lines.pop()
        yield from lines
    if carry:
        yield carry
