"""Documents made of real sentences for tests of sentence deduplication, and the plain rule of who keeps what.

Gives up: speed; the plain rule goes through all documents one after another.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from datatrove.utils.text import simplify_text

from pipelines.dedup.config import DedupConfig, SentenceConfig
from pipelines.dedup.run import DedupResult, run_dedup
from pipelines.dedup.sentence_text import norm_config
from pipelines.dedup.verify import open_dedup, verify_dedup
from tests.dedup.corpus import Doc, doc
from tests.pipelines.corpus import passages

WEB, BOOKS = "local/web/en", "local/books/en"
SOURCE = "local/x/y"
PLAIN = SentenceConfig(min_doc_words=0, min_num_sentences=0)


@lru_cache(maxsize=1)
def real_sentences() -> list[str]:
    """Different sentences of ten words and more, each ending with a full stop, without others inside."""
    found: dict[str, str] = {}
    for text in passages():
        for piece in text.replace("\n", " ").split(". "):
            words = piece.split()
            # Neither abbreviations ("Dec.") nor a sentence that could be two.
            if 10 <= len(words) <= 30 and all(map(str.isalpha, words)) and len(words[-1]) > 4 and words[-1].islower():
                found.setdefault(simplify_text(piece, norm_config(PLAIN)), f"{' '.join(words)}.")
    return list(found.values())


def text_of(numbers: Sequence[int], glue: str = " ") -> str:
    """These sentences as one text."""
    return glue.join(real_sentences()[i] for i in numbers)


def cuts_of(folder: Path) -> list[dict[str, Any]]:
    """The rows of sentence_cuts.parquet."""
    rows: list[dict[str, Any]] = pq.read_table(folder / "_run" / "sentence_cuts.parquet").to_pylist()
    return rows


def plain_rule(
    documents: Sequence[tuple[str, Sequence[int]]], span: int, min_sentences: int
) -> dict[str, list[int] | None]:
    """What is left of documents that are given best first, as sentence numbers; None for those that are removed.

    One document after another: what an earlier one that stays has, or the document itself further up, is cut; it goes
    when less than the minimum is left and some of it was cut for another document.
    """
    held: dict[tuple[int, ...], str] = {}
    left: dict[str, list[int] | None] = {}
    for name, numbers in documents:
        windows = [tuple(numbers[i : i + span]) for i in range(len(numbers) - span + 1)]
        own: set[tuple[int, ...]] = set()
        gone: dict[int, str] = {}
        for i, window in enumerate(windows):
            if window in held or window in own:
                for at in range(i, i + span):
                    gone.setdefault(at, held.get(window, name))
            own.add(window)
        rest = [number for at, number in enumerate(numbers) if at not in gone]
        if gone and len(rest) < max(1, min_sentences) and set(gone.values()) != {name}:
            left[name] = None
            continue
        left[name] = rest
        for window in windows:
            held.setdefault(window, name)
    return left


def config_of(priority: list[str] | None = None, **options: object) -> DedupConfig:
    parameters = SentenceConfig.model_validate({"min_doc_words": 0, "min_num_sentences": 0, **options})
    return DedupConfig(methods=["sentence"], sentence=parameters, priority=priority or [])


def dedup(run: Path, out: Path, config: DedupConfig | None = None, **options: object) -> DedupResult:
    result = run_dedup(run, config=config or config_of(), output_folder=out, workers=0, **options)  # type: ignore[arg-type]
    assert verify_dedup(open_dedup(out)) == []
    return result


def totals(result: DedupResult) -> tuple[int, int, int]:
    records = result.records
    return (
        sum(record.cut_documents for record in records),
        sum(record.cut_sentences for record in records),
        sum(record.cut_chars for record in records),
    )


def two_sources() -> dict[str, list[Doc]]:
    """Twelve documents with own sentences around a shared block, in two sources, the longest one in web."""
    block = list(range(100, 105))
    web = [doc(f"w{i}", text_of([10 * i, 10 * i + 1, *block, 10 * i + 2, *range(200, 200 + i)])) for i in range(6)]
    books = [doc(f"b{i}", text_of([300 + 10 * i, *block, 301 + 10 * i])) for i in range(6)]
    return {WEB: web, BOOKS: books}
