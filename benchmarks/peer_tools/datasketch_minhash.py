"""datasketch's MinHash of 112 permutations over all 5-grams, by its bulk call, as a lane.

Runs in the environment that benchmarks/peers.py makes. Gives up: its LSH index.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datasketch import MinHash
from lanes import Answer, measured, read_texts, serve
from shingles import shingles

NUM_PERM = 112


def work(texts: list[str]) -> int:
    """Signatures of one batch."""
    sets = ([shingle.encode() for shingle in shingles(text)] for text in texts)
    return len(MinHash.bulk(sets, num_perm=NUM_PERM))


def answer(question: dict[str, str]) -> Answer:
    """One batch."""
    texts = read_texts(question["path"])
    cpu, kept = measured(lambda: work(texts))
    return {"cpu": cpu, "kept": kept}


if __name__ == "__main__":
    serve(answer)
