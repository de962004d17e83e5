"""The language filter by the native core against datatrove's own, on the same documents, paired and interleaved.

Prints CPU microseconds per document (the whole filter step, one core) for stock, for a first pass with an empty memory
of words and for a second pass over the same texts, the ratios, and how many verdicts, labels or scores differ. Blocks
go through stock and core in turn; the medians of the blocks are printed, which a busy machine shifts less than means.
What it gives up: readers and writers; stock judges every n-th document only.

    python benchmarks/fast_language.py en vi --documents 20000 --stock-every 5
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.filters.language_filter import LanguageFilter as DatatroveFilter

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.fast_gopher import SETS, read_texts  # noqa: E402
from filters import native  # noqa: E402
from filters.language import LanguageFilter  # noqa: E402
from filters.language_model import bundled_model  # noqa: E402

BLOCK = 100


def judge(step: Any, texts: list[str]) -> tuple[list[Any], float]:
    """(kept, metadata) of every text, and CPU microseconds per document."""
    documents = [Document(text=text, id="") for text in texts]
    begin = time.process_time()
    verdicts = [step.filter(document) for document in documents]
    spent = time.process_time() - begin
    kept = [not isinstance(verdict, tuple) and bool(verdict) for verdict in verdicts]
    return list(zip(kept, [document.metadata for document in documents], strict=True)), spent / len(texts) * 1e6


def measure(language: str, texts: list[str], stock_every: int, model: str | None, threshold: float) -> dict[str, Any]:
    """CPU microseconds per document (medians over blocks) and the number of answers that differ."""
    fast = LanguageFilter(languages=[language], threshold=threshold, model=model)
    stock = DatatroveFilter(fast.languages, threshold, backend=fast.backend)
    from fasttext.FastText import _FastText

    stock.model._model = _FastText(model or str(bundled_model()))
    for step in (fast, stock):  # imports and models are not what is measured
        judge(step, ["A first text, một văn bản đầu tiên."])
    assert not fast.model.fast.note, fast.model.fast.note
    fast.model.fast.forget()
    native.counts.clear()

    cost: dict[str, list[float]] = {"stock": [], "first": [], "second": []}
    mismatches = compared = 0
    for begin in range(0, len(texts), BLOCK):
        block = texts[begin : begin + BLOCK]
        found, spent = judge(fast, block)
        cost["first"].append(spent)
        theirs, spent = judge(stock, block[::stock_every])
        cost["stock"].append(spent)
        compared += len(theirs)
        mismatches += sum(mine != other for mine, other in zip(found[::stock_every], theirs, strict=True))
    for begin in range(0, len(texts), BLOCK):
        # New strings, so that their UTF-8 is made again.
        cost["second"].append(judge(fast, [text[:1] + text[1:] for text in texts[begin : begin + BLOCK]])[1])
    median = {name: statistics.median(values) for name, values in cost.items()}
    return {
        "documents": len(texts),
        "mean_characters": round(sum(map(len, texts)) / len(texts)),
        "compared": compared,
        "us_per_document": {name: round(value, 1) for name, value in median.items()},
        "ratio": {name: round(median["stock"] / median[name], 1) for name in ("first", "second")},
        "mismatches": mismatches,
        "sent_to_stock": sum(count for (path, _, _), count in native.counts.items() if path == "stock"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("languages", nargs="*", default=["en", "vi"], choices=sorted(SETS), metavar="LANGUAGE")
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--stock-every", type=int, default=5, help="time stock on every n-th document of a block")
    parser.add_argument("--model", help="path of another fastText model; it must know the languages")
    parser.add_argument("--threshold", type=float, default=0.65)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    options = parser.parse_args()
    for language in options.languages:
        texts = read_texts(options.data / SETS[language][1], options.documents)
        found = measure(language, texts, options.stock_every, options.model, options.threshold)
        print(json.dumps({language: found}), flush=True)


if __name__ == "__main__":
    main()
