"""Codecs and levels for documents: MB/s and size beside zlib level 6, on lines as a run writes them.

Command: `python benchmarks/output_codecs.py ../shared/data`, which prints Markdown; CPU time, medians of 3, in turn.
libdeflate (PyPI `deflate`) is measured where it is installed, in members of 1 MB. Gives up: decompression, whose speed
is its reader's affair.
"""

import gzip
import importlib
import json
import statistics
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import zstandard
from isal import isal_zlib
from zlib_ng import zlib_ng

BLOCK = 256 * 1024
MEMBER = 1 << 20
MAX_BYTES = 12_000_000
REPEATS = 3


def rows(data: Path, language: str) -> Iterator[dict[str, Any]]:
    """Rows of one file of the data pack."""
    if language == "en":
        yield from pq.read_table(data / "web-en/data/train-00000-of-00004.parquet").to_pylist()
    else:
        with gzip.open(data / "web-vi/data/train-00000-of-00003.jsonl.gz") as lines:
            yield from map(json.loads, lines)


def documents(data: Path, language: str) -> bytes:
    """Lines as `pipelines.writers` makes them."""
    kept = {"source": "a/b/default", "config": "default", "weight": 0.333, "source_file": "data/x/000_00001.parquet"}
    return b"".join(
        orjson.dumps({"text": row["text"], "id": row["id"], "metadata": {**kept, "url": row.get("url")}}) + b"\n"
        for row in rows(data, language)
    )[:MAX_BYTES]


def stream(make: Callable[[], Any]) -> Callable[[bytes], int]:
    """Size of one stream, written in blocks as a run does."""

    def size(data: bytes) -> int:
        compressor = make()
        blocks = sum(len(compressor.compress(data[i : i + BLOCK])) for i in range(0, len(data), BLOCK))
        return blocks + len(compressor.flush())

    return size


def members(compress: Callable[..., bytes], level: int) -> Callable[[bytes], int]:
    """Size of a file of several gzip members."""
    return lambda data: sum(len(compress(data[i : i + MEMBER], level)) for i in range(0, len(data), MEMBER))


def candidates() -> dict[str, Callable[[bytes], int]]:
    """What is compared, by name."""
    found: dict[str, Callable[[bytes], int]] = {}
    for level in (6, 1, 3, 4, 5, 9):
        found[f"zlib {level}"] = stream(lambda level=level: zlib.compressobj(level, zlib.DEFLATED, 31))
    for level in range(1, 10):
        found[f"zlib-ng {level}"] = stream(lambda level=level: zlib_ng.compressobj(level, zlib_ng.DEFLATED, 31))
    for level in range(4):
        found[f"isal {level}"] = stream(lambda level=level: isal_zlib.compressobj(level, isal_zlib.DEFLATED, 31))
    try:
        libdeflate = importlib.import_module("deflate")
    except ImportError:
        pass
    else:
        for level in (1, 2, 3, 4, 5, 6):
            found[f"libdeflate {level}, members"] = members(libdeflate.gzip_compress, level)
    for level in (1, 2, 3, 4, 6):
        found[f"zstd {level}"] = stream(lambda level=level: zstandard.ZstdCompressor(level=level).compressobj())
    return found


def main(data: Path) -> None:
    """Print one table per language."""
    for language in ("en", "vi"):
        lines = documents(data, language)
        runs: dict[str, list[tuple[float, int]]] = {}
        for _ in range(REPEATS):
            for name, size_of in candidates().items():
                start = time.process_time()
                size = size_of(lines)
                runs.setdefault(name, []).append((time.process_time() - start, size))
        usual = runs["zlib 6"][0][1]
        print(f"\n| {language}, {len(lines):,} bytes | MB/s | us a document | size beside zlib 6 |")
        print("|---|---:|---:|---:|")
        for name, found in runs.items():
            seconds = statistics.median(item[0] for item in found)
            each = seconds / lines.count(b"\n") * 1e6
            print(f"| {name} | {len(lines) / seconds / 1e6:.0f} | {each:.0f} | {found[0][1] / usual - 1:+.1%} |")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data"))
