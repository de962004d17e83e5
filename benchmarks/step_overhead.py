"""What a filter step costs apart from its filter: our loop beside datatrove's, CPU microseconds per document.

Command: `python benchmarks/step_overhead.py`; paired, in turn, medians. Gives up: dropped documents, which cost less.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from filters.counting import CountedFilter  # noqa: E402 - the project's root must be on the path first

DOCUMENTS = [Document(text="x" * (i % 5000), id=str(i)) for i in range(20_000)]
PAIRS = 15


class Passes(CountedFilter):
    """Keeps everything."""

    name = "passes"

    def filter(self, doc: Document) -> bool:
        return True


def cost(run: Callable[..., Any]) -> float:
    """CPU microseconds per document of a loop over documents that all pass."""
    step = Passes()
    start = time.process_time()
    for _ in run(step, iter(DOCUMENTS)):
        pass
    return (time.process_time() - start) / len(DOCUMENTS) * 1e6


def main() -> None:
    """Print both costs and their ratio."""
    pairs = [(cost(BaseFilter.run), cost(CountedFilter.run)) for _ in range(PAIRS)]
    theirs, mine = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"datatrove {theirs:.2f} us, ours {mine:.2f} us, datatrove / ours {ratio:.2f} (median of {PAIRS} pairs)")


if __name__ == "__main__":
    main()
