"""Finished runs for the benchmarks of deduplication, made by `smoltrove run` out of the data pack.

    near_dups_run     the 4,088 documents of the near-duplicate set, as they are
    pieces_run        as many short documents as asked for: pieces of pages, with their real versions among them

Pieces: the pages of web-en and those of the near-duplicate set, cut into runs of lines of about 400 characters. The
versions of a page differ by real edits, and so do their pieces; three in ten pieces come from pages with versions.
When the pack is used up it is cut again at other places, which gives new pieces of the same texts. Gives up: long
documents, which would make 320,000 of them a matter of hours.
"""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

_CONFIG = """\
stage: bench
description: documents of the data pack as they are
target_tokens: 1T
seed: 1
filtering: {{profiles: profiles.yaml}}
datasets:
  - {{name: bench/{name}, path: documents, id_field: id, weight: 1, max_epochs: 1, profile: none, language: en}}
"""
PIECE_CHARS = 400
FILES = 8


def near_dups(data: Path) -> list[dict[str, Any]]:
    """The rows of the near-duplicate set."""
    rows: list[dict[str, Any]] = []
    for path in sorted((data / "near-dups" / "data").glob("*.parquet")):
        rows += pq.read_table(path).to_pylist()
    return rows


def near_dups_run(data: Path, folder: Path) -> Path:
    """A run of the near-duplicate set; the same ids."""
    return make_run(((row["id"], row["text"]) for row in near_dups(data)), folder, "near-dups", files=1)


def pieces_run(data: Path, folder: Path, documents: int) -> Path:
    """A run of so many pieces, in `FILES` files."""
    return make_run(islice(_pieces(data), documents), folder, "pieces", FILES)


def make_run(documents: Iterator[tuple[str, str]], folder: Path, name: str, files: int) -> Path:
    """A finished run with these documents (id, text), dealt to `files` files; CalledProcessError when it fails."""
    source = folder / "documents"
    source.mkdir(parents=True)
    with ExitStack() as stack:
        paths = [source / f"{i:03d}.jsonl.gz" for i in range(files)]
        handles = [stack.enter_context(gzip.open(path, "wt", 1, encoding="utf-8")) for path in paths]
        for i, (number, text) in enumerate(documents):
            handles[i % files].write(json.dumps({"id": number, "text": text}, ensure_ascii=False) + "\n")
    (folder / "profiles.yaml").write_text("profiles:\n  none: {filters: []}\n", encoding="utf-8")
    (folder / "config.yaml").write_text(_CONFIG.format(name=name), encoding="utf-8")
    run = folder / "run"
    subprocess.run(
        [sys.executable, "-m", "pipelines", "run", str(folder / "config.yaml"), "--output-folder", str(run),
         "--logging-dir", str(folder / "logs"), "--tasks", str(files), "--workers", "1"],
        check=True, cwd=Path(__file__).resolve().parent.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return run


def _pieces(data: Path) -> Iterator[tuple[str, str]]:
    versions = [row["text"] for row in near_dups(data)]
    pages = [
        text
        for path in sorted((data / "web-en").rglob("*.parquet"))
        for text in pq.read_table(path, columns=["text"])["text"].to_pylist()
    ]
    again = 0
    while True:
        shift = again * 137 % PIECE_CHARS
        cut = (_cut(texts, shift, f"{kind}-{again}") for kind, texts in (("version", versions), ("page", pages)))
        left = dict(zip(("version", "page"), cut, strict=True))
        number = 0
        while left:
            kind = "version" if number % 10 < 3 else "page"
            if kind not in left:
                kind = next(iter(left))
            piece = next(left[kind], None)
            if piece is None:
                del left[kind]
                continue
            number += 1
            yield piece
        again += 1


def _cut(texts: list[str], shift: int, name: str) -> Iterator[tuple[str, str]]:
    for i, text in enumerate(texts):
        piece: list[str] = []
        size, number = shift, 0
        for line in text.splitlines():
            piece.append(line)
            size += len(line)
            if size >= PIECE_CHARS:
                yield f"{name}-{i}-{number}", "\n".join(piece)
                piece, size, number = [], 0, number + 1
        if piece:
            yield f"{name}-{i}-{number}", "\n".join(piece)
