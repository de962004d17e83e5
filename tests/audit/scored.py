"""Documents for the tests of the audit: real text of every kind, and texts at the edges of what a filter reads.

Gives up: size; each law is checked on a few hundred documents.
"""

import gzip
import json
import random
from functools import lru_cache
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq
from datatrove.data import Document

from filters import FILTERS
from pipelines.audit.judge import Chain
from pipelines.profiles import Profile, load_profiles
from pipelines.writers import reason_name
from tests.data import ROOT, shared_data
from tests.pipelines.corpus import passages

EDGES = (
    "", " ", "\n\n", "\x1c", "...", "# # # #", "...\n...\n…", "- a\n• b\n- c", "a" * 60_000,
    "half \ud800 of a pair\n" * 9, "One line of words that comes again and again.\n" * 12,
    "Rẻ nhất! Liên hệ ngay 0900 000 000. " * 5, "the the the the the the the the the the", "word " * 25,
    "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22",
    "Buy now! Act now! Limited time offer, click here to unsubscribe, 100% free money back guarantee.",
)  # fmt: skip


@lru_cache(maxsize=1)
def profiles() -> dict[str, Profile]:
    """The bundled profiles."""
    return load_profiles(ROOT / "configs" / "filter_profiles.yaml")


@lru_cache(maxsize=16)
def texts_of(folder: str, number: int) -> tuple[str, ...]:
    """A seeded sample of a part of the data pack; skips where there is none."""
    found: list[str] = []
    base = shared_data(folder)
    for path in sorted(base.rglob("*.parquet")):
        found += pq.read_table(path, columns=["text"])["text"].to_pylist()
    for path in sorted(base.rglob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            found += [json.loads(line)["text"] for line in islice(lines, 3000)]
    random.Random(11).shuffle(found)
    return tuple(found[:number])


def documents(texts: tuple[str, ...] = (), number: int = 60, longest: int = 100_000) -> list[tuple[str, Document]]:
    """(source, document) pairs: passages of the mini hub's pages, `texts`, and the edges."""
    edges = [edge for edge in EDGES if len(edge) <= longest]
    every = [*islice(passages(), number), *texts, *edges]
    return [(f"s{i % 3}", Document(text=text, id=f"d{i}")) for i, text in enumerate(every)]


def run_chain(chain: Chain, document: Document) -> list[str | None]:
    """What each filter itself says of a document, whatever the ones before said."""
    copy = Document(text=document.text, id=document.id, metadata=dict(document.metadata))
    found = []
    for step in chain.steps:
        verdict = FILTERS[step.spec.name](**step.spec.params).filter(copy)
        found.append(None if verdict is True else verdict[1])
    return found


def first_reason(chain: Chain, reasons: list[str | None]) -> str | None:
    """What a run would write for these verdicts."""
    named = ((step.spec.name, reason) for step, reason in zip(chain.steps, reasons, strict=True))
    return next((reason_name(family, reason) for family, reason in named if reason is not None), None)


def write_jsonl(path: Path, pairs: list[tuple[str, Document]]) -> None:
    """The documents that a file can hold, as rows."""
    rows = [{"text": d.text, "id": d.id} for _, d in pairs if d.text.strip() and "\ud800" not in d.text]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
