"""datatrove's MinHash signature step on the native core: the same arguments, statistics and files, byte for byte.

    from filters import MinhashDedupSignature

in place of `from datatrove.pipeline.dedup import MinhashDedupSignature`; the other three stages stay datatrove's.
Signatures are appended in blocks, and each bucket is sorted by its first hash, ties by the rest, where stock writes
every record by itself and compares whole records. What it gives up: nothing; where the core cannot be used
(`fast_minhash.why_not` tells), or a subclass makes signatures of its own, this is the stock step.
"""

from typing import Any

import numpy as np
from datatrove.data import DocumentsPipeline
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.dedup.minhash import MinhashDedupSignature as StockSignature
from datatrove.utils.logging import logger
from datatrove.utils.typeshelper import StatHints

from filters.fast_minhash import FastMinhash
from filters.fast_words import splitter

# Records that are collected before they are written: 4 MB of them at 14 x 8 values of 64 bits.
BLOCK = 4096


def record_type(config: MinhashConfig) -> np.dtype:
    """A record of datatrove's signature files: the hashes of one bucket, then the document's row in its file."""
    kind = f"<u{config.hash_config.precision // 8}"
    return np.dtype([("hashes", kind, (config.hashes_per_bucket,)), ("row", "<u4")])


def sort_records(records: np.ndarray) -> np.ndarray:
    """Records (of `record_type`) in datatrove's order: by all hashes, then by row.

    By the first hash alone, which differs for nearly all that differ; then those that share it by everything.
    """
    records = records[np.argsort(records["hashes"][:, 0])]
    first = records["hashes"][:, 0]
    same = first[1:] == first[:-1]
    tied = np.concatenate([same, [False]]) | np.concatenate([[False], same]) if len(records) else same
    if tied.any():
        few = records[tied]
        # Ties stand together and keep their first hash, so sorting them all leaves each group in its place.
        records[tied] = few[np.lexsort((few["row"], *few["hashes"].T[::-1]))]
    return records


class MinhashDedupSignature(StockSignature):
    """The first stage of MinHash deduplication. Arguments, statistics and files are datatrove's."""

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> None:
        """Write the signatures of `data` as `bucket_<b>/<rank>.minhash.sig`, sorted.

        Raises:
            OSError, ValueError: a file cannot be written, or is not what was written.
        """
        fast = self._fast()
        if fast is None or self.check_can_skip_sig_writing(rank)[0]:
            super().run(data, rank, world_size)
            return
        with self.track_time():
            self._write(fast, data, rank)
            logger.info("Sorting buckets...")
            for bucket in range(self.config.num_buckets):
                self._sort(self._path(bucket, rank))

    def _fast(self) -> FastMinhash | None:
        own = type(self)
        if any(getattr(own, name) is not getattr(StockSignature, name) for name in ("get_shingles", "get_signature")):
            return None
        if not isinstance(self.language, str) or splitter(self.language) is None:
            return None
        try:
            return FastMinhash(self)
        except RuntimeError:
            return None

    def _path(self, bucket: int, rank: int) -> str:
        return f"bucket_{bucket:03d}/{rank:05d}.minhash.sig"

    def _split(self, text: str, _: str) -> list[str]:
        words: list[str] = self.word_tokenizer.word_tokenize(text)
        return words

    def _write(self, fast: FastMinhash, data: DocumentsPipeline, rank: int) -> None:
        buckets = [self.output_folder.open(self._path(b, rank), mode="wb") for b in range(self.config.num_buckets)]
        rows: list[int] = []
        signatures: list[bytes] = []
        for row, doc in enumerate(data):
            self.stat_update(StatHints.total)
            signature = fast.sign(doc.text, self.language, self._split)[1]
            if signature is None:
                continue
            rows.append(row)
            signatures.append(signature)
            if len(rows) == BLOCK:
                self._append(buckets, rows, signatures)
                rows, signatures = [], []
        self._append(buckets, rows, signatures)
        for file in buckets:
            file.close()

    def _append(self, buckets: list[Any], rows: list[int], signatures: list[bytes]) -> None:
        kind = record_type(self.config)
        hashes = np.frombuffer(b"".join(signatures), kind["hashes"].base)
        hashes = hashes.reshape(len(rows), self.config.num_buckets, self.config.hashes_per_bucket)
        for bucket, file in enumerate(buckets):
            records = np.empty(len(rows), kind)
            records["hashes"], records["row"] = hashes[:, bucket], rows
            file.write(records.tobytes())

    def _sort(self, path: str) -> None:
        with self.output_folder.open(path, mode="rb") as file:
            data = file.read()
        records = sort_records(np.frombuffer(data, record_type(self.config))).tobytes()
        with self.output_folder.open(path, mode="wb") as file:
            file.write(records)
        with self.output_folder.open(path, mode="rb") as file:
            if file.read() != records:
                raise ValueError(f"{path}: what was read back is not what was written; check the disk and run again")
