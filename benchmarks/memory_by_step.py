"""What noting memory costs: one reading of the peak, a chain's borders per document once nobody looks, and what a
piece of a deduplication writes down.

CPU microseconds. Command: `python benchmarks/memory_by_step.py`; paired, in turn, medians. Gives up: the readings over
a task's first documents, which are a fixed number of the first figure (pipelines/memory.py).
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from datatrove.data import Document

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from filters import LengthFilter  # noqa: E402 - the project's root must be on the path first
from pipelines.dedup.spent import measured  # noqa: E402
from pipelines.memory import Peaks, peak_memory_bytes, with_borders  # noqa: E402
from pipelines.run_layout import RunLayout  # noqa: E402

DOCUMENTS = [Document(text="some text", id=str(i)) for i in range(50_000)]
NUM_FILTERS, PAIRS, READINGS = 4, 15, 5_000


def cost(steps: list[Any]) -> float:
    """CPU microseconds per document of a chain."""
    data: Any = iter(DOCUMENTS)
    for step in steps:
        data = step.run(data)
    start = time.process_time()
    for _ in data:
        pass
    return (time.process_time() - start) / len(DOCUMENTS) * 1e6


def filters() -> list[Any]:
    return [LengthFilter(min_chars=1) for _ in range(NUM_FILTERS)]


def main() -> None:
    start = time.process_time()
    for _ in range(READINGS):
        peak_memory_bytes()
    print(f"one reading: {(time.process_time() - start) / READINGS * 1e6:.1f} us")
    found = []
    for _ in range(PAIRS):
        first, *middle, last = filters()
        found.append(cost(with_borders([first], middle, [last], Peaks())) - cost(filters()))
    print(f"{NUM_FILTERS - 1} borders: {statistics.median(found):.2f} us a document")
    with tempfile.TemporaryDirectory() as name:
        layout = RunLayout(output_folder=Path(name), logging_dir=Path(name), fingerprint="f" * 64)
        start = time.process_time()
        for number in range(READINGS):
            with measured(layout, "stage", number):
                pass
        print(f"a piece of a deduplication: {(time.process_time() - start) / READINGS * 1e6:.0f} us")


if __name__ == "__main__":
    main()
