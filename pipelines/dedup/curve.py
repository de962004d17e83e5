"""The S-curve of MinHash: with which chance two documents of a similarity share a bucket.

Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, 3.4.2.
"""

from pipelines.dedup.config import MinhashConfig


def chance(similarity: float, config: MinhashConfig) -> float:
    """Probability that two documents of this Jaccard similarity share a bucket: 1 - (1 - s^r)^b."""
    return float(1 - (1 - similarity**config.hashes_per_bucket) ** config.num_buckets)


def threshold(config: MinhashConfig) -> float:
    """Where the S-curve is steepest, about (1/b)^(1/r)."""
    return float((1 / config.num_buckets) ** (1 / config.hashes_per_bucket))
