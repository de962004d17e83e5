"""Deduplication beside stock datatrove: CPU time of each stage; and the peak memory of every stage.

    python benchmarks/dedup.py speed ../shared/data      # CPU microseconds per document, 5,000 of each language
    python benchmarks/dedup.py memory ../shared/data     # peak of each stage at 20,000, 80,000 and 320,000 documents

With `--output FILE.md` the table is written there, and the figures beside it as FILE.json. How it is measured: see
dedup_speed.py and dedup_memory.py. Gives up: stages on several processes, which share nothing.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("speed", "memory"))
    parser.add_argument("data", type=Path, help="folder of the data pack")
    parser.add_argument("--output", type=Path, metavar="FILE.md")
    parser.add_argument("--documents", type=int, metavar="N", help="of each language, for a short look at `speed`")
    parser.add_argument("--only", nargs="+", metavar="CHAIN", help="of `memory`: documents, sentences, long")
    options = parser.parse_args()
    if options.what == "speed":
        from benchmarks import dedup_speed

        dedup_speed.show(options.data, options.output, options.documents or dedup_speed.DOCUMENTS)
    else:
        from benchmarks import dedup_memory

        dedup_memory.show(options.data, options.output, options.only)


if __name__ == "__main__":
    main()
