"""Finished runs for tests of the deduplication, written directly: manifest, ledger and files as `run` leaves them.

Gives up: plans and filters, which have their own tests; one test here goes through the command line.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow.parquet as pq

from pipelines.compression import OutputConfig
from pipelines.dedup import minhash, store
from pipelines.dedup.config import DedupConfig
from pipelines.dedup.documents import index_file
from pipelines.dedup.freeze import freeze
from pipelines.dedup.methods import method
from pipelines.dedup.processes import Alone
from pipelines.dedup.store import is_committed
from pipelines.dedup.work import Work
from pipelines.histograms import Histograms, Tally
from pipelines.ledger import TaskRecord, ledger_line
from pipelines.run_layout import RunLayout
from pipelines.writers import Sink
from tests.data import shared_data
from tests.pipelines.corpus import passages

Doc = dict[str, Any]


def replace_folder(folder: Path, arrays: Mapping[str, np.ndarray], totals: Mapping[str, Any]) -> None:
    """Another content for a committed folder, whole in itself: what a wrong stage would have left."""
    shutil.rmtree(folder)
    store.commit(folder, arrays, totals)


def doc(name: str, text: str, **metadata: Any) -> Doc:
    """One document as it stands in a file."""
    return {"text": text, "id": name, "metadata": metadata}


def make_run(
    folder: Path, sources: Mapping[str, Sequence[Doc]], tasks: int = 1, language: str = "en",
    told_apart: Sequence[str] = (),
) -> Path:  # fmt: skip
    """A finished run with these documents, dealt to `tasks` files a source in their order.

    told_apart: languages that a filter of each source asked for; without, the ledger has no counts by language.
    """
    records, entries, planned = [], [], []
    for source, docs in sources.items():
        output_dir = source.rpartition("/")[0].replace("/", "_") + "/" + source.rpartition("/")[2]
        entries.append({"source": source, "tasks": tasks, "language": language})
        name, _, label = source.rpartition("/")
        entry = {"name": name, "label": label, "language": language}
        planned.append({"source": entry, "filters": [{"name": "language"}]})
        for rank, part in enumerate(np.array_split(np.arange(len(docs)), tasks)):
            chosen = [docs[i] for i in part]
            written = None
            if chosen:
                sink = Sink(folder / output_dir / f"{rank:05d}.jsonl.gz", OutputConfig(level=1))
                for item in chosen:
                    item = {**item, "metadata": {"source": source, **item["metadata"]}}
                    sink.write(orjson.dumps(item, option=orjson.OPT_APPEND_NEWLINE))
                written = sink.close()
                written = written.model_copy(update={"path": f"{output_dir}/{rank:05d}.jsonl.gz"})
            size = sum(len(item["text"].encode()) for item in chosen)
            tally = Tally(told_apart)
            for item in chosen:
                tally.add(item["metadata"], len(item["text"]))
            histograms = Histograms(drawn=tally.histograms(), kept=tally.histograms()) if told_apart else None
            records.append(
                TaskRecord(
                    source=source,
                    output_dir=output_dir,
                    rank=rank,
                    rows=len(chosen),
                    sampled_out=0,
                    repeated=0,
                    written=len(chosen),
                    text_bytes=size,
                    tokens=size // 4,
                    file=written,
                    histograms=histograms,
                )
            )
    run_dir = folder / "_run"
    run_dir.mkdir(parents=True)
    ledger = "".join(ledger_line(record) for record in records)
    (run_dir / "ledger.jsonl").write_text(ledger, encoding="utf-8")
    manifest = {
        "fingerprint": hashlib.sha256(ledger.encode()).hexdigest(),
        "state": "complete",
        "logging_dir": "logs",
        "mirror": None,
        "sources": entries,
    }
    (run_dir / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    if told_apart:
        (run_dir / "plan.json").write_text(json.dumps({"sources": planned}), encoding="utf-8")
    return folder


def documents_of(folder: Path) -> dict[str, Doc]:
    """Every document of a run by `source id`."""
    import gzip

    found = {}
    for path in sorted(folder.glob("*/*/*.jsonl.gz")):
        for line in gzip.decompress(path.read_bytes()).splitlines():
            item = orjson.loads(line)
            found[f"{item['metadata']['source']} {item['id']}"] = item
    return found


def files_of(folder: Path) -> dict[str, bytes]:
    """Document files by path, and the table of duplicates."""
    files = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.glob("*/*/*.jsonl.gz"))}
    return files | {"duplicates": (folder / "_run" / "duplicates.parquet").read_bytes()}


def duplicates_of(folder: Path) -> list[dict[str, Any]]:
    """The rows of duplicates.parquet."""
    rows: list[dict[str, Any]] = pq.read_table(folder / "_run" / "duplicates.parquet").to_pylist()
    return rows


@lru_cache(maxsize=1)
def near_dups() -> list[dict[str, Any]]:
    """The rows of the near-duplicate set of the data pack."""
    rows: list[dict[str, Any]] = pq.read_table(
        shared_data("near-dups") / "data" / "train-00000-of-00001.parquet"
    ).to_pylist()
    return rows


_WORDS: dict[tuple[str, str | None], list[str]] = {}
_WORDS_OF = minhash.words_of


def remember_words() -> Any:
    """A stand-in for `minhash.words_of` that splits a text once for all tests: splitting is nearly all of the time."""

    def words_of(text: str, language: str | None, config: Any) -> list[str]:
        norm = repr(config.norm_config)
        key = (hashlib.sha256(text.encode()).hexdigest() + norm, language)
        if key not in _WORDS:
            _WORDS[key] = list(_WORDS_OF(text, language, config))
        return _WORDS[key]

    return words_of


def small_sources() -> dict[str, list[Doc]]:
    """Two sources of passages with every kind of duplicate in them; the ids say what each document is."""
    texts = passages()
    web: list[Doc] = [doc(f"plain-{i}", texts[i]) for i in range(60)]
    books: list[Doc] = [doc(f"plain-{i}", texts[i]) for i in range(100, 140)]
    for i in range(0, 20):
        web.append(doc(f"spaced-{i}", texts[i].replace(" ", "  \n")))
        books.append(doc(f"copied-{i}", texts[i]))
    long = [" ".join(texts[60 + 4 * i : 64 + 4 * i]) for i in range(10)]
    for i, text in enumerate(long):
        web.append(doc(f"near-{i}-short", text))
        books.append(doc(f"near-{i}-long", f"{text} And one sentence was added at the end."))
    web += [doc("short-a", "Hello there"), doc("short-b", "Hello  there"), doc("short-c", "Hello you")]
    return {"local/web/en": web, "local/books/en": books}


def stages_by_hand(run: Path, out: Path, config: DedupConfig | None = None) -> Work:
    """A deduplication whose stages a test calls itself, to do between them what must not be done."""
    layout = RunLayout(output_folder=out, logging_dir=out / "_run" / "log", fingerprint="f" * 64)
    return Work(layout=layout, plan=freeze(run, against=[], config=config or DedupConfig()))


def scan_all(work: Work, name: str) -> None:
    """The stages of a method up to its last part."""
    module = method(name)
    for index, _ in work.files():
        if not is_committed(work.folder("index", index)):
            index_file(work, index)
        module.scan(work, index)


def match_all(work: Work, name: str) -> None:
    """Every part of a method."""
    if hasattr(method(name), "prepare"):
        method(name).prepare(work, Alone(work))
    for part in range(method(name).num_parts(work)):
        method(name).match(work, part)
