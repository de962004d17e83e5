"""MinHash's signature stage beside stock datatrove's, on the same documents, paired and interleaved.

Documents are dealt in pieces; on every piece the stock step and ours run in turn, each with its own files, which are
compared byte by byte. Prints one line of JSON a language: CPU microseconds per document of the whole stage (signing,
writing, sorting), the ratio of the sums and the median ratio of the pieces, for a first pass (our memory of words is
empty at the start) and a second pass over the same texts; and how long `pipelines/dedup`'s scan of the same documents
takes, gzip in to committed work files out. `--long` measures one document of 20 MB instead. What it gives up: time that
is not CPU time, and more than one core.

    python benchmarks/fast_minhash.py en vi --documents 5000
"""

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import orjson
from datatrove.data import Document
from datatrove.pipeline.dedup.minhash import MinhashDedupSignature as Stock
from loguru import logger

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.fast_gopher import SETS, read_texts  # noqa: E402
from filters import MinhashDedupSignature, fast_minhash, native  # noqa: E402
from filters.fast_words import splitter  # noqa: E402
from pipelines.dedup import minhash  # noqa: E402
from pipelines.dedup.config import DedupConfig  # noqa: E402
from pipelines.dedup.documents import index_file, read_documents  # noqa: E402
from pipelines.dedup.inputs import DedupPlan, InputFile, InputRun  # noqa: E402
from pipelines.dedup.work import Work  # noqa: E402
from pipelines.run_layout import RunLayout  # noqa: E402
from pipelines.writers import Sink  # noqa: E402


def timed(step: Any, texts: list[str], rank: int) -> float:
    """CPU seconds of one task of a signature step."""
    documents = [Document(text=text, id=str(i)) for i, text in enumerate(texts)]
    begin = time.process_time()
    step.run(documents, rank, 10**4)
    return time.process_time() - begin


def measure(language: str, texts: list[str], piece: int, stock_every: int) -> dict[str, Any]:
    """The table of one language."""
    word_code = SETS[language][0]
    pieces = [texts[i : i + piece] for i in range(0, len(texts), piece)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stock = Stock(str(folder / "stock"), language=word_code)
        ours = MinhashDedupSignature(str(folder / "ours"), language=word_code)
        for step in (stock, ours):  # imports, tables and models are not what is measured
            timed(step, ["A first text, một văn bản đầu tiên."], 0)
        words_of = splitter(word_code)
        assert words_of is not None
        words_of.forget()
        native.counts.clear()
        spent = {"stock": [0.0] * len(pieces), "first": [0.0] * len(pieces), "second": [0.0] * len(pieces)}
        compared = [i for i in range(len(pieces)) if i % stock_every == 0]
        for i, chosen in enumerate(pieces):
            spent["first"][i] = timed(ours, chosen, i)
            if i in compared:
                spent["stock"][i] = timed(stock, chosen, i)
        mismatches = sum(differs(folder, bucket, i) for bucket in range(ours.config.num_buckets) for i in compared)
        for i, chosen in enumerate(pieces):
            spent["second"][i] = timed(ours, [text[:1] + text[1:] for text in chosen], i)
        mismatches += sum(differs(folder, bucket, i) for bucket in range(ours.config.num_buckets) for i in compared)
    judged = sum(len(pieces[i]) for i in compared)
    cost = {
        "stock": sum(spent["stock"]) / judged * 1e6,
        "first": sum(spent["first"]) / len(texts) * 1e6,
        "second": sum(spent["second"]) / len(texts) * 1e6,
    }
    return {
        "documents": len(texts),
        "compared": judged,
        "us_per_document": {key: round(value, 1) for key, value in cost.items()},
        "ratio": {key: round(cost["stock"] / cost[key], 1) for key in ("first", "second")},
        "median_ratio_of_pieces": {
            key: round(statistics.median(spent["stock"][i] / spent[key][i] for i in compared), 1)
            for key in ("first", "second")
        },
        "mismatches": mismatches,
        "words_by_stock": sum(number for (path, _, _), number in native.counts.items() if path == "stock"),
        "scan_us_per_document": scan(language, texts),
    }


def differs(folder: Path, bucket: int, rank: int) -> bool:
    """Whether one file of ours is not stock's."""
    name = f"bucket_{bucket:03d}/{rank:05d}.minhash.sig"
    return (folder / "stock" / name).read_bytes() != (folder / "ours" / name).read_bytes()


def scan(language: str, texts: list[str]) -> dict[str, float]:
    """CPU microseconds per document of the scan stage of a deduplication, and of reading its file alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sink = Sink(folder / "run" / "0.jsonl.gz")
        for i, text in enumerate(texts):
            document = {"text": text, "id": str(i), "metadata": {"language": language}}
            sink.write(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))
        written = sink.close()
        file = InputFile(
            run=0, source="bench/x/y", output_dir="bench_x/y", rank=0, path="0.jsonl.gz", size=written.size,
            sha256=written.sha256, lines=len(texts), text_bytes=0, language=language,
        )  # fmt: skip
        run = InputRun(path=str(folder / "run"), fingerprint="", against=False)
        plan = DedupPlan(runs=(run,), sources=(), files=(file,), config=DedupConfig(methods=["minhash"]))
        layout = RunLayout(output_folder=folder / "out", logging_dir=folder, fingerprint="f" * 64)
        work = Work(layout=layout, plan=plan)
        # An index without a scan, which is what is measured; `simhash` makes none at the same reading.
        index_file(Work(layout=layout, plan=plan.model_copy(update={"config": DedupConfig(methods=["simhash"])})), 0)
        spent = {}
        for label, job in (("scan", minhash.scan), ("of it reading", only_read)):
            begin = time.process_time()
            job(work, 0)
            spent[label] = round((time.process_time() - begin) / len(texts) * 1e6, 1)
    return spent


def only_read(work: Work, index: int) -> None:
    """What the scan reads, without a look at it."""
    for _ in read_documents(work, work.plan.files[index]):
        pass


def long_document(language: str, texts: list[str]) -> dict[str, Any]:
    """One document of 20 MB of real text: seconds, and what the process had at its peak before and after, in MB."""
    word_code = SETS[language][0]
    parts, size = [], 0
    while size < 20_000_000:
        for text in texts:
            parts.append(text)
            size += len(text.encode()) + 1
            if size >= 20_000_000:
                break
    text = "\n".join(parts)
    fast = fast_minhash.FastMinhash(Stock("memory://signatures", language=word_code))
    warm, _ = fast.sign("A first text, một văn bản đầu tiên.", word_code, _refuse)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begin = time.process_time()
    words, signature = fast.sign(text, word_code, _refuse)
    seconds = time.process_time() - begin
    assert warm
    assert signature
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"bytes": size, "words": words, "seconds": round(seconds, 2), "mb_before": round(before), "mb": round(peak)}


def _refuse(text: str, word_code: str) -> list[str]:
    raise AssertionError(f"{word_code}: the core did not take a text of {len(text)} characters")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("languages", nargs="*", metavar="LANGUAGE", help="en, vi; default both")
    parser.add_argument("--documents", type=int, default=5000)
    parser.add_argument("--piece", type=int, default=1000, help="documents of one task")
    parser.add_argument("--stock-every", type=int, default=1, help="run stock on every n-th piece")
    parser.add_argument("--long", action="store_true", help="one document of 20 MB instead")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    options = parser.parse_args()
    logger.remove()
    if reason := fast_minhash.why_not():
        sys.exit(f"the native core cannot be used here: {reason}")
    for language in options.languages or ["en", "vi"]:
        if language not in SETS:
            parser.error(f"{language}: no such language; known: {', '.join(SETS)}")
        texts = read_texts(options.data / SETS[language][1], options.documents)
        found = (
            long_document(language, texts)
            if options.long
            else measure(language, texts, options.piece, options.stock_every)
        )
        print(json.dumps({language: found}), flush=True)


if __name__ == "__main__":
    main()
