"""text-dedup's embed_func of 112 permutations over 5-grams, with its default 64-bit sha1 hashes, as a lane.

Runs in the environment that benchmarks/peers.py makes. Gives up: the clustering after the hashes.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from lanes import Answer, measured, read_texts, serve
from text_dedup.minhash import embed_func
from text_dedup.utils import sha1_hash

NUM_PERM = 112
PRIME = np.uint64((1 << 61) - 1)
DICE = np.random.RandomState(42)
OPTIONS = {
    "num_perm": NUM_PERM,
    "ngram_size": 5,
    "min_length": 5,
    "hashranges": [(start, start + 8) for start in range(0, NUM_PERM, 8)],
    "permutations": (
        DICE.randint(1, PRIME, size=NUM_PERM, dtype=np.uint64),
        DICE.randint(0, PRIME, size=NUM_PERM, dtype=np.uint64),
    ),
    "hash_func": lambda data: sha1_hash(data, d=32),
    "dtype": np.uint64,
    "max_hash": np.uint64((1 << 32) - 1),
    "modulo_prime": PRIME,
}


def answer(question: dict[str, str]) -> Answer:
    """One piece, document by document."""
    texts = read_texts(question["path"])
    cpu, hashed = measured(lambda: [embed_func(text, i, **OPTIONS) for i, text in enumerate(texts)])
    return {"cpu": cpu, "kept": len(hashed)}


if __name__ == "__main__":
    serve(answer)
