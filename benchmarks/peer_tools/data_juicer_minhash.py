"""data-juicer's document_minhash_deduplicator of 112 permutations over 5-grams at white space, as a lane.

Runs in the environment that benchmarks/peers.py makes. Gives up: the clustering after the hashes.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data_juicer.ops.deduplicator.document_minhash_deduplicator import DocumentMinhashDeduplicator
from lanes import Answer, measured, read_texts, serve

HASHER = DocumentMinhashDeduplicator(
    tokenization="space", window_size=5, lowercase=True, num_permutations=112, num_bands=14, num_rows_per_band=8
)


def answer(question: dict[str, str]) -> Answer:
    """One piece, document by document."""
    samples = [{"text": text} for text in read_texts(question["path"])]
    cpu, hashed = measured(lambda: [HASHER.compute_hash(sample) for sample in samples])
    return {"cpu": cpu, "kept": len(hashed)}


if __name__ == "__main__":
    serve(answer)
