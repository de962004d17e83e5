"""Lines of JSON read with the native core's strings beside orjson alone, CPU microseconds per line.

Command: `python benchmarks/json_lines.py ../shared/data`; 6,000 documents a language, in turn, medians of 5; values are
compared. Gives up: lines of other shapes than a run's own.
"""

import statistics
import sys
import time
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from corpus import LANGUAGES, documents_of  # noqa: E402 - the project's root must be on the path first

from pipelines.json_line import line_loader, surely_composed  # noqa: E402

DOCUMENTS, REPEATS = 6_000, 5


def cost(work: Callable[[Any], Any], items: list[Any]) -> float:
    """CPU microseconds per item."""
    start = time.process_time()
    for item in items:
        work(item)
    return (time.process_time() - start) / len(items) * 1e6


def compared(title: str, ours: Callable[[Any], Any], theirs: Callable[[Any], Any], items: Iterable[Any]) -> None:
    """Print the medians of both, in turn."""
    items = list(items)
    pairs = [(cost(theirs, items), cost(ours, items)) for _ in range(REPEATS)]
    before, after = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    print(f"{title}: {before:.2f} us -> {after:.2f} us (medians of {REPEATS} pairs, {len(items):,} lines)")


def main(data: Path) -> None:
    """Both languages."""
    load = line_loader()
    for language in LANGUAGES:
        lines = [orjson.dumps(row) for row in documents_of(language, DOCUMENTS, data)]
        if any(load(line) != orjson.loads(line) for line in lines):
            sys.exit(f"{language}: a line is read differently")
        texts = [orjson.loads(line)["text"] for line in lines]
        compared(f"{language}: orjson -> line_loader", load, orjson.loads, lines)
        compared(f"{language}: is_normalized -> surely_composed", surely_composed, _normalized, texts)


def _normalized(text: str) -> bool:
    return unicodedata.is_normalized("NFC", text)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared" / "data")
