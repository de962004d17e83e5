"""What a run's counts by language cost: the two steps around the filters, and a filter that tells of what it drops.

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
from pipelines.histograms import Drawn, Dropped, Kept  # noqa: E402 - the project's root must be on the path first

DOCUMENTS = [
    Document(text="x" * (i % 5000), id=str(i), metadata={"language": "en", "language_score": i % 100 / 100})
    for i in range(20_000)
]
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


def main() -> None:
    for what, languages in (("with a language filter", ("en",)), ("without", None)):
        found = [cost(Drawn(languages).run, passes, Kept(languages).run) - cost(passes) for _ in range(PAIRS)]
        print(f"{what}: {statistics.median(found):.2f} us a document")
        found = [cost(drops(languages)) - cost(drops(told=False)) for _ in range(PAIRS)]
        print(f"{what}: {statistics.median(found):.2f} us a drop")


if __name__ == "__main__":
    main()
