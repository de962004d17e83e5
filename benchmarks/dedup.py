"""Deduplication beside stock datatrove: CPU time of each stage; and the peak memory of every stage.

    python benchmarks/dedup.py speed ../shared/data      # CPU microseconds per document, 5,000 English documents
    python benchmarks/dedup.py memory ../shared/data     # peak of each stage at 20,000, 80,000 and 320,000 documents

Speed: real documents, English word splitting included, each stage in one process, best of three for the short ones.
Memory: see dedup_memory.py. Gives up: stages on several processes, which share nothing.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from loguru import logger

from benchmarks.dedup_memory import measure, memory
from pipelines.dedup import exact, minhash
from pipelines.dedup.clusters import clusters
from pipelines.dedup.config import DedupConfig


def cpu(call: Callable[[], Any], repeats: int = 1) -> float:
    """The least CPU seconds of a call."""
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        call()
        best = min(best, time.process_time() - start)
    return best


def speed(data: Path, documents: int = 5000) -> None:
    """The table of CPU microseconds per document."""
    import pyarrow.parquet as pq
    from datatrove.data import Document
    from datatrove.pipeline.dedup.minhash import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupSignature
    from datatrove.utils.text import ngrams, simplify_text

    logger.remove()
    texts: list[str] = []
    for path in sorted((data / "web-en").rglob("*.parquet")):
        texts += pq.read_table(path, columns=["text"])["text"].to_pylist()[: documents - len(texts)]
    config = DedupConfig().minhash
    stock = minhash.stock_config(config)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        step = MinhashDedupSignature(str(folder / "sig"), stock, language="eng")
        rows = [("signatures, whole stage", cpu(lambda: step.run((Document(t, str(i)) for i, t in enumerate(texts)))))]
        signer = minhash.Signer(stock)
        # What the first document of a process loads is not the price of a document.
        signer.sign(texts[0], None)
        start = time.process_time()
        signed = [found for _, found in (signer.sign(text, None) for text in texts) if found is not None]
        matrix = np.stack(signed).reshape(len(signed), 14, 8)
        numbers = np.arange(len(signed), dtype=np.uint32)
        records = [minhash.sorted_records(matrix[:, b], numbers, config) for b in range(14)]
        ours_signed = time.process_time() - start
        simplified = [simplify_text(text, stock.norm_config) for text in texts]
        words = [minhash.words_of(text, None, stock) for text in texts]
        chosen = [w for w in words if len(w) >= config.n_grams]
        hashed = [
            np.fromiter((signer._hash_func(" ".join(g)) for g in ngrams(w, 5)), np.uint64).reshape(-1, 1)
            for w in chosen
        ]
        permute = (
            cpu(lambda: [signer.get_signature(s) for s in hashed]),
            cpu(lambda: [signer.permute(s[:, 0]) for s in hashed]),
        )

        def stock_buckets() -> None:
            step = MinhashDedupBuckets(str(folder / "sig"), str(folder / "dups"), config=stock)
            for rank in range(14):
                step.run(None, rank, 14)

        def our_buckets() -> list[np.ndarray]:
            found = []
            for r in records:
                hashes, rows = np.ascontiguousarray(r["hashes"]), r["row"].astype(np.uint64)
                found.append(minhash.matches(hashes, rows)[0])
            return found

        edges = our_buckets()

        def stock_clusters() -> None:
            MinhashDedupCluster(str(folder / "dups"), str(folder / "ids"), stock, save_cluster_size=True).run()

        table = [
            (rows[0][0], rows[0][1], ours_signed),
            ("  of it the permutation", *permute),
            ("buckets, near misses included", cpu(stock_buckets, 3), cpu(our_buckets, 3)),
            ("clusters", cpu(stock_clusters, 3), cpu(lambda: clusters(edges), 3)),
            ("exact: normalise and hash", None, cpu(lambda: [exact.key(t, DedupConfig().exact) for t in texts], 3)),
        ]
    size = sum(map(len, simplified)) / len(texts)
    print(f"{len(texts):,} documents, {size:,.0f} characters each after normalisation\n")
    print("| stage | stock, us | ours, us | stock / ours |\n|---|---:|---:|---:|")
    for label, theirs, ours in table:
        ours_us = ours / len(texts) * 1e6
        if theirs is None:
            print(f"| {label} | | {ours_us:.1f} | |")
        else:
            print(f"| {label} | {theirs / len(texts) * 1e6:.1f} | {ours_us:.1f} | {theirs / ours:.1f} |")


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "speed":
        speed(Path(arguments[0]))
    elif command == "memory":
        memory(Path(arguments[0]))
    elif command == "measure":
        measure(Path(arguments[0]), arguments[1])
    else:
        sys.exit(f"{command}: is neither speed nor memory")
