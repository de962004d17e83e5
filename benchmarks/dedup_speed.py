"""Every stage of a deduplication that datatrove has, beside datatrove's own: CPU time, both sides in turns.

    python benchmarks/dedup.py speed ../shared/data --output benchmarks/results/dedup_speed.md

A finished run of real documents, English and Vietnamese, in ten files. Both sides read these files and write what the
next stage needs, as they do in a run: datatrove by `JsonlReader` and `JsonlWriter`, ours with its checks (sha256 of
what is read, digests of work files, canaries). Each method of each language has a process of its own, so every
document is met for the first time. Stages of files are taken file by file, ours and then stock's, and the median of
the files counts; stages of the corpus are repeated, and the median of the rounds counts. What a method decides is
compared. Matching and clustering are measured once more on all of web-en and the near-duplicates, where stock reads the
signatures that ours wrote, which are the same bytes: on 5,000 documents, opening and checking files is most of them.
Gives up: wall time, and several processes, which share nothing.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from benchmarks.corpus import LANGUAGES, documents_of  # noqa: E402 - run from anywhere
from benchmarks.dedup_corpus import make_run, near_dups  # noqa: E402
from benchmarks.dedup_speed_table import as_markdown  # noqa: E402
from benchmarks.lanes import ONE_CORE, measured  # noqa: E402
from benchmarks.pages import publish  # noqa: E402

DOCUMENTS, FILES = 5_000, 10
ROUNDS, SHORT_ROUNDS = 3, 7
METHODS = ("minhash", "sentence")
WARM_UP = "One two three four five six seven eight nine ten. Một hai ba bốn năm sáu bảy tám chín mười. " * 3


class Turns:
    """CPU microseconds per document of both sides of each stage."""

    def __init__(self) -> None:
        self.times: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))

    def take(self, stage: str, documents: int, *, ours: Callable[[], Any], stock: Callable[[], Any] | None) -> None:
        """Measure one turn: ours first, so that it finds nothing that stock has warmed."""
        for side, call in ((1, ours), (0, stock)):
            if call is not None:
                self.times[stage][side].append(measured(call)[0] / documents * 1e6)

    def rows(self) -> list[dict[str, Any]]:
        """Medians of the turns."""
        return [
            {
                "stage": stage,
                "stock_us": round(statistics.median(stock), 2) if stock else None,
                "us": round(statistics.median(ours), 2),
                "turns": len(ours),
            }
            for stage, (stock, ours) in self.times.items()
        ]


class Sides:
    """The two sides' folders, plan and reader for one method on one run."""

    def __init__(self, run: Path, folder: Path, method: str) -> None:
        from datatrove.pipeline.readers import JsonlReader

        from pipelines.dedup.config import DedupConfig
        from pipelines.dedup.freeze import freeze
        from pipelines.dedup.work import Work
        from pipelines.run_layout import RunLayout

        self.folder, self.config = folder, DedupConfig(methods=[method])  # type: ignore[list-item]
        plan = freeze(run, against=[], config=self.config)
        layout = RunLayout(output_folder=folder / "out", logging_dir=folder / "log", fingerprint="f" * 64)
        self.work = Work(layout=layout, plan=plan)
        self.lines = [file.lines for file in plan.files]
        self.documents = sum(self.lines)
        # The run's folder also holds its account, which is no document.
        self.reader = JsonlReader(str((run / plan.files[0].path).parent), glob_pattern="*.jsonl.gz")
        self.turns = Turns()

    def stock(self, name: str) -> str:
        """A folder of stock's."""
        return str(self.folder / name)

    def read(self, index: int) -> Iterator[Any]:
        """One file by datatrove's reader."""
        return iter(self.reader.run(None, index, len(self.lines)))

    def write(self, documents: Any, index: int) -> int:
        """Write what a filter passes on by datatrove's writer; answers how many there were."""
        from datatrove.pipeline.writers import JsonlWriter

        writer = JsonlWriter(self.stock("written"), output_filename="${rank}.jsonl.gz")
        return sum(1 for _ in writer.run(documents, index, len(self.lines)))

    def fresh(self, *stages: str) -> None:
        """Forget what a stage has left, of ours or of stock's."""
        for stage in stages:
            shutil.rmtree(self.work.folder(stage), ignore_errors=True)
            shutil.rmtree(self.folder / stage, ignore_errors=True)

    def written(self) -> int:
        """Documents that ours has written."""
        from pipelines.ledger import find_record

        records = [find_record(self.work.layout.record(file.output_dir, file.rank)) for file in self.work.plan.files]
        return sum(record.written for record in records if record is not None)


def minhash(run: Path, folder: Path, language: str) -> dict[str, Any]:
    """All stages of MinHash."""
    from datatrove.data import Document
    from datatrove.pipeline.dedup.minhash import MinhashDedupFilter, MinhashDedupSignature

    from pipelines.dedup import exact, store
    from pipelines.dedup import minhash as ours
    from pipelines.dedup.config import DedupConfig
    from pipelines.dedup.documents import index_file
    from pipelines.dedup.work import Work
    from pipelines.dedup.writer import write_file

    sides = Sides(run, folder, "minhash")
    work, turns, config = sides.work, sides.turns, ours.stock_config(sides.config.minhash)
    code = LANGUAGES[language].word_code
    step = MinhashDedupSignature(sides.stock("sig"), config, language=code)
    step.run((Document(text, "0") for text in [WARM_UP]), rank=0)
    ours.Signer(config).sign(WARM_UP, language)
    alone = Work(layout=work.layout, plan=work.plan.model_copy(update={"config": DedupConfig(methods=["exact"])}))
    for i, lines in enumerate(sides.lines):
        turns.take(
            "signatures", lines, ours=lambda i=i: index_file(work, i),
            stock=lambda i=i: step.run(sides.read(i), rank=i, world_size=len(sides.lines)),
        )  # fmt: skip
        turns.take("exact: scan", lines, ours=lambda i=i: exact.scan(alone, i), stock=None)
    _permutation(sides, ours.Signer(config), code)
    _buckets_and_cluster(sides)
    passed = [0] * len(sides.lines)

    def stock_filter(index: int) -> None:
        cleaner = MinhashDedupFilter(sides.stock("ids"), load_cluster_sizes=True)
        passed[index] = sides.write(cleaner.run(sides.read(index), index, len(sides.lines)), index)

    for _ in range(ROUNDS):
        for i, lines in enumerate(sides.lines):
            turns.take("filter", lines, ours=lambda i=i: write_file(work, i), stock=lambda i=i: stock_filter(i))
    removed = store.totals(work.folder("minhash.decided"))["removed"]
    assert sides.documents - removed == sides.written()
    return {"rows": turns.rows(), "kept": {"stock": sum(passed), "ours": sides.written()}}


def _buckets_and_cluster(sides: Sides) -> None:
    """From the signatures of both sides to who goes."""
    from datatrove.pipeline.dedup.minhash import MinhashDedupBuckets, MinhashDedupCluster

    from pipelines.dedup import minhash as ours
    from pipelines.dedup.decide import decide

    work, turns, config = sides.work, sides.turns, ours.stock_config(sides.config.minhash)
    buckets = MinhashDedupBuckets(sides.stock("sig"), sides.stock("dups"), config=config)
    parts = ours.num_parts(work)
    for _ in range(ROUNDS):
        sides.fresh("minhash.match", "dups")
        turns.take(
            "buckets", sides.documents, ours=lambda: [ours.match(work, part) for part in range(parts)],
            stock=lambda: [buckets.run(None, bucket, config.num_buckets) for bucket in range(config.num_buckets)],
        )  # fmt: skip
    for _ in range(SHORT_ROUNDS):
        sides.fresh("minhash.decided", "ids")
        clusters = MinhashDedupCluster(sides.stock("dups"), sides.stock("ids"), config, save_cluster_size=True)
        turns.take("cluster", sides.documents, ours=lambda: decide(work, "minhash"), stock=clusters.run)


def corpus(run: Path, folder: Path, _: str) -> dict[str, Any]:
    """Buckets and clusters alone; stock has our signatures without those of canaries."""
    import numpy as np

    from filters.minhash import record_type
    from pipelines.dedup import minhash as ours
    from pipelines.dedup import store
    from pipelines.dedup.documents import index_file

    sides = Sides(run, folder, "minhash")
    work, config = sides.work, ours.stock_config(sides.config.minhash)
    for i, lines in enumerate(sides.lines):
        index_file(work, i)
        for bucket in range(config.num_buckets):
            path = Path(sides.stock("sig")) / f"bucket_{bucket:03d}" / f"{i:05d}.minhash.sig"
            path.parent.mkdir(parents=True, exist_ok=True)
            records = np.fromfile(work.folder("minhash.scan", i) / ours.bucket_name(bucket), record_type(config))
            records[records["row"] < lines].tofile(path)
    _buckets_and_cluster(sides)
    removed = sum(path.stat().st_size // 4 for path in Path(sides.stock("ids")).glob("*.remove"))
    ours_removed = store.totals(work.folder("minhash.decided"))["removed"]
    kept = {"stock": sides.documents - removed, "ours": sides.documents - ours_removed}
    return {"rows": sides.turns.rows(), "kept": kept}


def _permutation(sides: Sides, signer: Any, code: str) -> None:
    """The smallest hashes of the n-grams of the first file's documents, their hashes given."""
    import numpy as np
    from datatrove.utils.text import ngrams

    from pipelines.dedup.minhash import words_of

    span = signer.config.n_grams
    words = [words_of(document.text, code, signer.config) for document in sides.read(0)]
    hashed = [
        np.fromiter((signer._hash_func(" ".join(gram)) for gram in ngrams(one, span)), np.uint64)
        for one in words
        if len(one) >= span
    ]
    columns = [values.reshape(-1, 1) for values in hashed]
    sides.turns.take(
        "  of it the permutation", len(words), ours=lambda: [signer.permute(values) for values in hashed],
        stock=lambda: [signer.get_signature(column) for column in columns],
    )  # fmt: skip


def sentence(run: Path, folder: Path, language: str) -> dict[str, Any]:
    """All stages of sentence deduplication; stock's filter splits, cuts, counts and writes: rounds and writing here."""
    from datatrove.data import Document
    from datatrove.pipeline.dedup.sentence_dedup import (
        SentDedupConfig,
        SentenceDedupFilter,
        SentenceDedupSignature,
        SentenceFindDedups,
    )

    from pipelines.dedup import sentence as ours
    from pipelines.dedup.documents import index_file
    from pipelines.dedup.processes import Alone
    from pipelines.dedup.sentence_spans import sentence_language
    from pipelines.dedup.sentence_text import norm_config, sentences_of, windows
    from pipelines.dedup.writer import write_file

    sides = Sides(run, folder, "sentence")
    work, turns, given = sides.work, sides.turns, sides.config.sentence
    code = LANGUAGES[language].word_code
    config = SentDedupConfig(norm_config=norm_config(given), only_dedup_in_index=given.only_dedup_in_index)
    step = SentenceDedupSignature(sides.stock("sig"), config=config, language=code)
    step.run([Document(WARM_UP, "0")], rank=0)
    windows(sentences_of(WARM_UP, sentence_language(language), given), given)
    for i, lines in enumerate(sides.lines):
        turns.take("index", lines, ours=lambda i=i: index_file(work, i), stock=None)
        turns.take(
            "signatures", lines, ours=lambda i=i: ours.scan(work, i),
            stock=lambda i=i: step.run(sides.read(i), rank=i, world_size=len(sides.lines)),
        )  # fmt: skip
    for _ in range(ROUNDS):
        sides.fresh("sentence.match", "dups")
        find = SentenceFindDedups(sides.stock("sig"), sides.stock("dups"), config=config)
        turns.take(
            "find", sides.documents, stock=find.run,
            ours=lambda: [ours.match(work, part) for part in range(ours.num_parts(work))],
        )  # fmt: skip
    passed = 0

    def stock_filter() -> None:
        nonlocal passed
        passed = 0
        for i in range(len(sides.lines)):
            cleaner = SentenceDedupFilter(sides.stock("dups/0000"), config=config, language=code)
            passed += sides.write(cleaner.run(sides.read(i), i, len(sides.lines)), i)

    def write() -> None:
        for i in range(len(sides.lines)):
            write_file(work, i)

    for _ in range(ROUNDS):
        sides.fresh(*(f"sentence.{name}" for name in ("cut", "left", "gone", "piece", "decided")))
        turns.take("  of it the rounds", sides.documents, ours=lambda: ours.settle(work, Alone(work)), stock=None)
        turns.take("  of it writing", sides.documents, ours=write, stock=None)
        turns.take("filter", sides.documents, ours=lambda: None, stock=stock_filter)
    rows = turns.rows()
    of_it = [row for row in rows if row["stage"].startswith("  of it")]
    whole = next(row for row in rows if row["stage"] == "filter")
    whole["us"] = round(sum(row["us"] for row in of_it), 2)
    rows = [*(row for row in rows if row not in (*of_it, whole)), whole, *of_it]
    return {"rows": rows, "kept": {"stock": passed, "ours": sides.written()}}


def speed(data: Path, documents: int = DOCUMENTS, files: int = FILES) -> dict[str, Any]:
    """All figures: both languages, and the whole set where the data pack is here."""
    found = {}
    for language in LANGUAGES:
        rows = documents_of(language, documents, data)
        found[language] = _measure([(row["id"], row["text"]) for row in rows], METHODS, language, files)
    if documents >= DOCUMENTS:
        everything = [(row["id"], row["text"]) for row in (*documents_of("en", 10**9, data), *near_dups(data))]
        found["corpus"] = _measure(everything, ("corpus",), "en", files)
    return found


def _measure(documents: list[tuple[str, str]], methods: tuple[str, ...], language: str, files: int) -> dict[str, Any]:
    chars = sum(len(text) for _, text in documents) / len(documents)
    found: dict[str, Any] = {"documents": len(documents), "chars": round(chars), "methods": {}}
    with tempfile.TemporaryDirectory() as name:
        run = make_run(iter(documents), Path(name) / "made", "web", files, language=language)
        for method in methods:
            result = Path(name) / f"{method}.json"
            command = [sys.executable, __file__, method, language, str(run), str(Path(name) / method), str(result)]
            subprocess.run(command, check=True, env={**os.environ, **ONE_CORE})
            found["methods"][method if method != "corpus" else "minhash"] = json.loads(result.read_text())
            print(f"{language}, {len(documents):,} documents: {method}: done", file=sys.stderr)
    return found


def show(data: Path, output: Path | None, documents: int = DOCUMENTS) -> None:
    """Print the table; with `output` write it there, and the figures beside it as JSON."""
    from benchmarks.bench import machine

    found = {"machine": machine(), "languages": speed(data, documents, min(FILES, 1 + documents // 500))}
    publish(found, as_markdown(found), output)


if __name__ == "__main__":
    # datatrove's logger puts its handler back when it is imported.
    from datatrove.utils.logging import logger

    logger.remove()
    _, chosen, spoken, made, work_folder, target = sys.argv
    Path(work_folder).mkdir()
    answer = {"minhash": minhash, "sentence": sentence, "corpus": corpus}[chosen](Path(made), Path(work_folder), spoken)
    Path(target).write_text(json.dumps(answer), encoding="utf-8")
