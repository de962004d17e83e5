"""Finished runs for the benchmarks of deduplication, made by `smoltrove run` out of the data pack.

    near_dups_run     the 4,088 documents of the near-duplicate set, as they are
    pieces_run        as many short documents as asked for: pieces of pages, with their real versions among them
    spans_run         as many documents of several sentences, with spans that stand in several of them

Pieces: the pages of web-en and those of the near-duplicate set, cut into runs of lines of about 400 characters. The
versions of a page differ by real edits, and so do their pieces; three in ten pieces come from pages with versions.
When the pack is used up it is cut again at other places, which gives new pieces of the same texts.

Spans: the same texts sentence by sentence, in documents of 900 characters, two in eleven of them from versions of a
page that follow each other, so that what real edits have left alone stands in both. To cut the pack again would repeat
every span of it; so the second time only each fourth sentence follows the one before, chosen by what it says, the third
time each seventh. Sentences are real then and their neighbours are not; one window in 16 is one of the first time.

Gives up: long documents, which would make 320,000 of them a matter of hours.
"""

import gzip
import json
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count, islice
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
  - {{name: bench/{name}, path: documents, id_field: id, weight: 1, max_epochs: 1, profile: none, language: {language}}}
"""
PIECE_CHARS = 400
SPAN_CHARS = 900
FILES = 8
_VERSIONS, _OF = 2, 11


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


def spans_run(data: Path, folder: Path, documents: int) -> Path:
    """A run of so many documents with spans of sentences in common, in `FILES` files."""
    return make_run(islice(_spans(data), documents), folder, "spans", FILES)


def make_run(documents: Iterator[tuple[str, str]], folder: Path, name: str, files: int, language: str = "en") -> Path:
    """A finished run with these documents (id, text), dealt to `files` files; CalledProcessError when it fails."""
    source = folder / "documents"
    source.mkdir(parents=True)
    with ExitStack() as stack:
        paths = [source / f"{i:03d}.jsonl.gz" for i in range(files)]
        handles = [stack.enter_context(gzip.open(path, "wt", 1, encoding="utf-8")) for path in paths]
        for i, (number, text) in enumerate(documents):
            handles[i % files].write(json.dumps({"id": number, "text": text}, ensure_ascii=False) + "\n")
    (folder / "profiles.yaml").write_text("profiles:\n  none: {filters: []}\n", encoding="utf-8")
    (folder / "config.yaml").write_text(_CONFIG.format(name=name, language=language), encoding="utf-8")
    run = folder / "run"
    subprocess.run(
        [sys.executable, "-m", "pipelines", "run", str(folder / "config.yaml"), "--output-folder", str(run),
         "--logging-dir", str(folder / "logs"), "--tasks", str(files), "--workers", "1"],
        check=True, cwd=Path(__file__).resolve().parent.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return run


def _pieces(data: Path) -> Iterator[tuple[str, str]]:
    versions, pages = [row["text"] for row in near_dups(data)], _pages(data)
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


def _pages(data: Path) -> list[str]:
    return [
        text
        for path in sorted((data / "web-en").rglob("*.parquet"))
        for text in pq.read_table(path, columns=["text"])["text"].to_pylist()
    ]


def _spans(data: Path) -> Iterator[tuple[str, str]]:
    rows = sorted(near_dups(data), key=lambda row: (row["cluster_id"], row["version_rank"]))
    versions, pages = _documents("version", [row["text"] for row in rows]), _documents("page", _pages(data))
    for number in count():
        yield next(versions if number % _OF < _VERSIONS else pages)


def _documents(kind: str, texts: list[str]) -> Iterator[tuple[str, str]]:
    """Documents of about `SPAN_CHARS` characters without an end: the sentences of all texts, then some of them."""
    sentences = [found for text in texts for one in re.split(r"(?<=[.!?])\s+|\n+", text) if (found := one.strip())]
    assert sentences, f"no {kind} in the data pack"
    for again in count():
        classes = 1 + 3 * again
        for chosen in range(classes):
            document: list[str] = []
            size = number = 0
            for sentence in sentences:
                if classes > 1 and zlib.crc32(sentence.encode()) % classes != chosen:
                    continue
                document.append(sentence)
                size += len(sentence) + 1
                if size >= SPAN_CHARS:
                    yield f"{kind}-{again}-{chosen}-{number}", "\n".join(document)
                    document, size, number = [], 0, number + 1


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
