"""The documents of the speed benchmark, as jsonl.gz files of a few hundred documents: the pieces that lanes are given.

English and Vietnamese web pages of the developers' data pack, in the order of its files; where the pack is not there,
the bundled mini hub's. Texts are in Unicode's composed form (NFC) and blank ones left out, because our reader
composes texts and rejects blank ones and datatrove's does not: with that out of the way, outputs must be equal. Gives
up: other formats.
"""

import gzip
import itertools
import json
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
COLUMNS = ("url", "title", "date", "language", "source", "kind", "extraction", "path", "license")


@dataclass(frozen=True, kw_only=True)
class Language:
    """A language: its filter profile, datatrove's code of its words, and where its documents are."""

    profile: str
    word_code: str
    pack: str
    mini_hub: str


LANGUAGES = {
    "en": Language(profile="web-en", word_code="eng", pack="web-en/data", mini_hub="HuggingFaceFW/fineweb-edu/data"),
    "vi": Language(profile="web-vi", word_code="vie", pack="web-vi/data", mini_hub="epfml/FineWeb2-HQ/vie_Latn"),
}


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One file: its place, its documents, and the UTF-8 bytes of their texts."""

    path: Path
    documents: int
    text_bytes: int


def folder_of(language: str, data: Path) -> Path:
    """Where the documents of a language are: in the data pack, else in the mini hub."""
    pack = data / LANGUAGES[language].pack
    return pack if pack.is_dir() else ROOT / "examples" / "mini_hub" / LANGUAGES[language].mini_hub


def _rows(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".parquet":
            names = [name for name in pq.read_schema(path).names if name in ("text", "id", *COLUMNS)]
            yield from pq.read_table(path, columns=names).to_pylist()
        elif path.suffix == ".gz":
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                yield from map(json.loads, lines)


def documents_of(language: str, limit: int, data: Path = DATA) -> Iterator[dict[str, Any]]:
    """The first `limit` documents: text, id, and the columns of the data pack (None where there is none)."""
    seen: set[str] = set()
    for row in _rows(folder_of(language, data)):
        if len(seen) == limit:
            return
        text = unicodedata.normalize("NFC", row["text"] or "")
        if text.strip() and row["id"] not in seen:
            seen.add(row["id"])
            yield {"text": text, "id": row["id"]} | {name: row.get(name) for name in COLUMNS}


def write_pieces(language: str, limit: int, size: int, folder: Path, data: Path = DATA) -> list[Piece]:
    """The first `limit` documents of a language in gzip files of `size` documents."""
    folder.mkdir(parents=True, exist_ok=True)
    documents = documents_of(language, limit, data)
    pieces = []
    while rows := list(itertools.islice(documents, size)):
        path = folder / f"{len(pieces):05d}.jsonl.gz"
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(lines, 6, mtime=0))
        text_bytes = sum(len(row["text"].encode()) for row in rows)
        pieces.append(Piece(path=path, documents=len(rows), text_bytes=text_bytes))
    return pieces
