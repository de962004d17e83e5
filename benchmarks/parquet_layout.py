"""Row groups and zstd levels of Parquet exports: size, time, what streaming costs, what a change sends again.

Command: `python benchmarks/parquet_layout.py ../shared/data`, which prints Markdown. The documents are web-en and
web-vi of the data pack, three times over in one file for the streams. `datasets` streams over the local Hub of the
tests, each time in a process of its own: bytes asked for before the first document, peak memory above that of the
imports, CPU time for all. Levels are medians of 3, in turn; streams ran once. What is sent again is estimated: cut
where a rolling hash says so (64 KiB on average, as the Hub's storage does), and the bytes of pieces that the first
file does not have are counted. Gives up: a real network, whose latency multiplies the number of requests.
"""

import gzip
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pipelines.publish import parquet  # noqa: E402
from tests.hub import LocalHub  # noqa: E402

REPEATS = 3
GROUPS_MB = (1, 4, 16, 32, 64, 128)
LEVELS = (1, 3, 6, 9, 15)
STREAM = """
import json, re, sys, time
from datasets import load_dataset
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
before = peak()
stream = iter(load_dataset("bench/corpus", split="train", streaming=True))
if sys.argv[1] == "first":
    next(stream)
    print(json.dumps({}))
else:
    start = time.process_time()
    rows = sum(1 for _ in stream)
    cpu = time.process_time() - start
    print(json.dumps({"rows": rows, "cpu": cpu, "memory": peak() - before}))
sys.stdout.flush()
import os
os._exit(0)
"""


def documents(data: Path) -> list[dict[str, Any]]:
    """All documents of two sets of the data pack, with metadata as a run writes it."""
    rows = [row for path in sorted(data.glob("web-en/data/*.parquet")) for row in pq.read_table(path).to_pylist()]
    for path in sorted(data.glob("web-vi/data/*.jsonl.gz")):
        with gzip.open(path) as lines:
            rows += map(json.loads, lines)
    kept = {"source": "a/b/default", "config": "default", "weight": 0.333, "source_file": "data/x/000_00001.parquet"}
    more = {"language": "en", "language_score": 0.96875}
    return [
        {"text": row["text"], "id": str(row["id"]), "metadata": {**kept, "url": row.get("url"), **more}} for row in rows
    ]


def write(
    path: Path, rows: list[dict[str, Any]], *, megabytes: float = 16, level: int = parquet.ZSTD_LEVEL, cdc: bool = True
) -> float:
    """Write a file; its CPU seconds."""
    start = time.process_time()
    with parquet.open_writer(path, level=level, chunked_by_content=cdc) as writer:
        for table in parquet.row_groups(rows, max_bytes=int(megabytes * 1e6)):
            writer.write_table(table, row_group_size=table.num_rows)
    return time.process_time() - start


def stream(hub: LocalHub, mode: str, cache: Path) -> tuple[dict[str, float], int, int]:
    """What a streaming process says, requests and bytes of data files that it asked for."""
    before = len(hub.log(endpoint="resolve"))
    env = {**os.environ, **hub.environment, "HF_HOME": str(cache), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    env.pop("HF_HUB_OFFLINE", None)
    done = subprocess.run(
        [sys.executable, "-c", STREAM, mode], env=env, capture_output=True, text=True, timeout=600, check=True
    )
    asked = [r for r in hub.log(endpoint="resolve")[before:] if r.method == "GET" and str(r.path).endswith(".parquet")]
    return json.loads(done.stdout.splitlines()[-1]), len(asked), sum(r.num_bytes for r in asked)


_GEAR = np.frombuffer(hashlib.shake_256(b"gear").digest(2048), np.uint64)


def pieces(path: Path) -> dict[bytes, int]:
    """Pieces of a file between places that its last 16 bytes choose, by their hash: size. 64 KiB on average."""
    data = np.frombuffer(path.read_bytes(), np.uint8)
    rolling = np.zeros(len(data), np.uint64)
    for back in range(16):
        rolling[back:] += _GEAR[data[: len(data) - back]] << np.uint64(back)
    ends = [*(np.flatnonzero((rolling & np.uint64(0xFFFF0000_00000000 >> 16)) == 0) + 1).tolist(), len(data)]
    found, start = {}, 0
    for end in ends:
        piece = data[start:end].tobytes()
        found[hashlib.sha256(piece).digest()] = len(piece)
        start = end
    return found


def main() -> None:
    """Print the tables."""
    rows = documents(Path(sys.argv[1]))
    thrice = [{**row, "id": f"{row['id']}/{i}"} for i in range(3) for row in rows]
    text_bytes = sum(len(row["text"].encode()) for row in rows)
    print(f"{len(rows):,} documents, {text_bytes / 1e6:.1f} MB of text\n")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        print("| row group, MB of text | groups | file MB | write s | first document: MB in requests | "
              "all: CPU us/document | peak MB |\n| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")  # fmt: skip
        for size in GROUPS_MB:
            root = folder / f"hub{size}"
            path = root / "bench" / "corpus" / "train.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            seconds = write(path, thrice, megabytes=size)
            with LocalHub(root) as hub:
                _, requests, num_bytes = stream(hub, "first", folder / "cache")
                found, _, _ = stream(hub, "all", folder / "cache")
            assert found["rows"] == len(thrice)
            groups, file_bytes = pq.ParquetFile(path).num_row_groups, path.stat().st_size
            print(f"| {size} | {groups} | {file_bytes / 1e6:.1f} | {seconds:.2f} | "
                  f"{num_bytes / 1e6:.1f} in {requests} | {found['cpu'] / len(thrice) * 1e6:.1f} | "
                  f"{found['memory'] / 1e6:.0f} |", flush=True)  # fmt: skip
            path.unlink()
        print("\n| zstd level | file MB | write s |\n| ---: | ---: | ---: |")
        times: dict[int, list[float]] = {level: [] for level in LEVELS}
        for _ in range(REPEATS):
            for level in LEVELS:
                times[level].append(write(folder / f"level{level}", rows, level=level))
        for level in LEVELS:
            size = (folder / f"level{level}").stat().st_size
            print(f"| {level} | {size / 1e6:.2f} | {statistics.median(times[level]):.2f} |")
        without = [{**row, "metadata": {}} for row in rows]
        write(folder / "bare", without)
        bare, full = (folder / "bare").stat().st_size, (folder / "level3").stat().st_size
        lines = b"".join(orjson.dumps(row) + b"\n" for row in rows)
        print(f"\nmetadata and its copies: {(full - bare) / len(rows):.1f} bytes a document of {full / len(rows):.0f}; "
              f"the same lines by gzip level 4: {len(gzip.compress(lines, 4)) / 1e6:.2f} MB\n")  # fmt: skip
        print("| after one document in 1,000 was dropped | pages cut by content | fixed pages |\n| --- | ---: | ---: |")
        shares = []
        for cdc in (True, False):
            write(folder / "before", rows, cdc=cdc)
            write(folder / "after", [row for i, row in enumerate(rows) if i % 1000 != 500], cdc=cdc)
            known, new = pieces(folder / "before"), pieces(folder / "after")
            total = sum(new.values())
            shares.append(sum(size for name, size in new.items() if name not in known) / total)
        print(f"| share of the new file that is sent again | {shares[0]:.0%} | {shares[1]:.0%} |")


if __name__ == "__main__":
    main()
