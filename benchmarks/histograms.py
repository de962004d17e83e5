"""What counts by language cost: a run's two steps around the filters, a filter that tells of what it drops, and the
counts of a deduplication.

CPU microseconds per document and per drop. Command: `python benchmarks/histograms.py`; paired, in turn, medians. Gives
up: what the counts cost at the end of a task, once for all documents.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from datatrove.data import Document

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from filters import LengthFilter  # noqa: E402
from pipelines.dedup.inputs import InputSource  # noqa: E402 - the project's root must be on the path first
from pipelines.dedup.languages import FileCounts  # noqa: E402
from pipelines.histograms import Drawn, Dropped, Kept  # noqa: E402

DOCUMENTS = [
    Document(text="x" * (i % 5000), id=str(i), metadata={"language": "en", "language_score": i % 100 / 100})
    for i in range(20_000)
]
PLAIN = [{"text": document.text, "metadata": document.metadata} for document in DOCUMENTS]
PAIRS = 15


def passes(data: Any) -> Iterator[Document]:
    """Stands for the filters."""
    yield from data


def cost(*steps: Callable[[Any], Any]) -> float:
    """CPU microseconds per document of a chain."""
    data: Any = iter(DOCUMENTS)
    for step in steps:
        data = step(data)
    start = time.process_time()
    for _ in data:
        pass
    return (time.process_time() - start) / len(DOCUMENTS) * 1e6


def drops(languages: tuple[str, ...] | None = None, *, told: bool = True) -> Callable[[Any], Any]:
    """A filter that drops everything."""
    step = LengthFilter(min_chars=10_000)
    step.when_dropped = Dropped(languages).of(step.family) if told else None
    return step.run


def counted(languages: tuple[str, ...] | None, *, removed: bool) -> float:
    """CPU microseconds per document of a deduplication that removes all, or writes all."""
    source = InputSource(
        source="s", output_dir="s/d", language=None, tasks=1, description={}, told_apart=languages is not None,
        languages=languages or (),
    )  # fmt: skip
    counts = FileCounts(source)
    start = time.process_time()
    for document in PLAIN:
        counts.read(document)
        if removed:
            counts.removed(document, "dedup.exact")
        else:
            counts.written(document)
    return (time.process_time() - start) / len(PLAIN) * 1e6


def main() -> None:
    for what, languages in (("with a language filter", ("en",)), ("without", None)):
        found = [cost(Drawn(languages).run, passes, Kept(languages).run) - cost(passes) for _ in range(PAIRS)]
        print(f"{what}: {statistics.median(found):.2f} us a document")
        found = [cost(drops(languages)) - cost(drops(told=False)) for _ in range(PAIRS)]
        print(f"{what}: {statistics.median(found):.2f} us a drop")
        for removed, how in ((False, "written"), (True, "removed")):
            found = [counted(languages, removed=removed) for _ in range(PAIRS)]
            print(f"{what}, deduplication: {statistics.median(found):.2f} us a document that is {how}")


if __name__ == "__main__":
    main()
