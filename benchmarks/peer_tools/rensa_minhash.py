"""rensa's R-MinHash of 112 permutations over all 5-grams, by its batch call, as a lane.

Runs in the environment that benchmarks/peers.py makes. Its faster "rho" sketch is left out: it samples tokens by
their position, so equal sets of n-grams get different signatures. Gives up: its own deduplicator.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lanes import Answer, measured, read_texts, serve
from rensa import RMinHash
from shingles import shingles

NUM_PERM = 112


def work(texts: list[str]) -> int:
    """Signatures of one batch in one matrix."""
    RMinHash.digest_matrix_from_token_sets([shingles(text) for text in texts], NUM_PERM, 1)
    return len(texts)


def answer(question: dict[str, str]) -> Answer:
    """One batch."""
    texts = read_texts(question["path"])
    cpu, kept = measured(lambda: work(texts))
    return {"cpu": cpu, "kept": kept}


if __name__ == "__main__":
    serve(answer)
