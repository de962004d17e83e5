"""MinHash: datatrove's signatures bit for bit, its buckets on whole files in numpy, its clusters.

Stock datatrove makes one 112-column matrix of a document (20 MB of text: 6 GB), and reads signatures in slices of five
records. Here signatures are made in blocks of n-grams, by the native core (filters/fast_minhash.py) or, where it cannot
be used, by datatrove's functions and numpy. A bucket is read whole; one of more than `PART_RECORDS` records is cut by
its first hash (ranges.py). Disk: 68 bytes a document and bucket (14 x 8: 952). Gives up: texts of fewer words than an
n-gram has, which are left to `exact` and counted.
"""

from array import array
from collections.abc import Iterable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from datatrove.pipeline.dedup.minhash import MinhashConfig as StockConfig
from datatrove.pipeline.dedup.minhash import MinhashDedupSignature, _mersenne_prime
from datatrove.utils.hashing import HashConfig, create_hash_func
from datatrove.utils.text import TextNormConfig, ngrams, simplify_text

from filters.fast_minhash import FastMinhash
from filters.minhash import record_type, sort_records
from filters.text import UnsplittableText, split_words, splitter_available, word_language
from pipelines.dedup import near_pairs, store
from pipelines.dedup.canaries import canary_texts
from pipelines.dedup.config import MinhashConfig
from pipelines.dedup.documents import language_of, scan_file
from pipelines.dedup.ranges import Column, even_bounds, rows_of_part
from pipelines.dedup.work import Work

if TYPE_CHECKING:
    from pipelines.dedup.stages import Crew

NAME = "minhash"
BOUNDS = "minhash.bounds"
PART_RECORDS = 2_000_000
BLOCK = 4096
_DEFAULT_LANGUAGE = "eng"


def stock_config(config: MinhashConfig) -> StockConfig:
    """The same parameters as datatrove's own steps take them."""
    return StockConfig(
        n_grams=config.n_grams,
        num_buckets=config.num_buckets,
        hashes_per_bucket=config.hashes_per_bucket,
        seed=config.seed,
        norm_config=TextNormConfig(
            lowercase=config.lowercase,
            norm_whitespace=config.norm_whitespace,
            remove_punctuation=config.remove_punctuation,
            norm_unicode_diacritics=not config.keep_marks,
            norm_numbers=config.norm_numbers,
            norm_weekdays=config.norm_weekdays,
            norm_monthnames=config.norm_monthnames,
        ),
        hash_config=HashConfig(precision=config.precision, hash_fc=config.hash),
    )


@lru_cache(maxsize=1024)
def splitter_of(language: str | None) -> str:
    """The code of the word splitter for a document's language; English where there is none for it on this machine."""
    try:
        return word_language(language) if language and splitter_available(language) is None else _DEFAULT_LANGUAGE
    except ValueError:
        return _DEFAULT_LANGUAGE


def words_of(text: str, language: str | None, config: StockConfig) -> list[str]:
    """The words that n-grams are made of. Raises UnsplittableText."""
    return split_words(simplify_text(text, config.norm_config), splitter_of(language))


class Signer(MinhashDedupSignature):
    """datatrove's signature step without its files, by the native core where that can be used (`fast`)."""

    def __init__(self, config: StockConfig) -> None:
        # The stock constructor opens an output folder and loads a word splitter; nothing of that is needed here.
        self.config = config
        self.num_hashes = config.num_buckets * config.hashes_per_bucket
        self._parameters = None
        self._hash_func = create_hash_func(config.hash_config)
        try:
            self.fast: FastMinhash | None = FastMinhash(self)
        except RuntimeError:
            self.fast = None

    def sign(self, text: str, language: str | None) -> tuple[int, np.ndarray | None]:
        """(number of words, all hashes of a document bucket after bucket; None where no n-gram fits).

        Raises UnsplittableText.
        """
        if self.fast is None:
            words = words_of(text, language, self.config)
            return len(words), self.signature(words) if len(words) >= self.config.n_grams else None
        try:
            num_words, found = self.fast.sign(text, splitter_of(language), split_words)
        except UnicodeEncodeError as error:  # splitters of some languages let unpaired surrogates pass; no hash does
            raise UnsplittableText(str(error)) from error
        return num_words, None if found is None else np.frombuffer(found, self.fast.dtype)

    def signature(self, words: Iterable[str]) -> np.ndarray:
        """All hashes of a document, bucket after bucket. `words` must fill an n-gram."""
        grams = (self._hash_func(" ".join(gram)) for gram in ngrams(words, self.config.n_grams))
        return self.permute(np.fromiter(grams, np.uint64))

    def permute(self, shingles: np.ndarray) -> np.ndarray:
        """The smallest value of each permutation over all n-grams' hashes (uint64)."""
        if self.fast is not None:
            return self.fast.permute(np.ascontiguousarray(shingles))
        a, b = self.parameters
        best = np.full(self.num_hashes, np.iinfo(np.uint64).max, np.uint64)
        for start in range(0, len(shingles), BLOCK):
            values = shingles[start : start + BLOCK, None] * a
            values += b
            values %= _mersenne_prime
            if self.config.hash_config.precision == 32:
                values &= np.uint64(self.config.hash_config.max)
            np.minimum(best, values.min(axis=0), out=best)
        return best.astype(self.config.hash_config.np_dtype)


class Scan:
    """The signatures of one file: an array of sorted records for each bucket."""

    def __init__(self, work: Work, index: int) -> None:
        self.work, self.index = work, index
        self.file, self.config = work.plan.files[index], work.plan.config.minhash
        self.signer = Signer(stock_config(self.config))
        self.rows = array("I")
        # One after the other: a list of arrays and a matrix of them would be twice the memory.
        self.signatures = bytearray()
        self.short = self.unsplittable = 0

    def take(self, row: int, document: dict[str, Any]) -> None:
        """Sign one document."""
        try:
            language = language_of(document, self.file)
            num_words, signature = self.signer.sign(document["text"], language)
        except UnsplittableText:
            self.unsplittable += 1
            return
        if signature is None or num_words < self.config.min_words:
            self.short += 1
            return
        self.rows.append(row)
        self.signatures += signature.data

    def commit(self) -> None:
        """Sign the canaries too, and commit all."""
        config = self.config
        for i, text in enumerate(canary_texts(NAME, self.index, self.work.layout.fingerprint, self.work.plan.config)):
            _, signature = self.signer.sign(text, None)
            assert signature is not None, "canaries fill an n-gram"
            self.rows.append(self.file.lines + i)
            self.signatures += signature.data
        matrix = np.frombuffer(self.signatures, f"<u{config.precision // 8}")
        matrix = matrix.reshape(len(self.rows), config.num_buckets, config.hashes_per_bucket)
        rows = np.array(self.rows, np.uint32)
        store.commit(
            self.work.folder(f"{NAME}.scan", self.index),
            {bucket_name(b): partial(sorted_records, matrix[:, b], rows, config) for b in range(config.num_buckets)},
            {"records": len(rows), "skipped_short": self.short, "skipped_unsplittable": self.unsplittable},
        )


def scan(work: Work, index: int) -> None:
    """The signatures of one file, read for them alone."""
    scan_file(work, index, NAME, Scan(work, index))


def bucket_name(bucket: int) -> str:
    """The file of one bucket."""
    return f"bucket_{bucket:03d}.minhash.sig"


def sorted_records(hashes: np.ndarray, rows: np.ndarray, config: MinhashConfig) -> np.ndarray:
    """Records of one bucket in datatrove's order: by hashes, then by row."""
    records = np.empty(len(rows), record_type(stock_config(config)))
    records["hashes"], records["row"] = hashes, rows
    return sort_records(records)


def _splits(work: Work) -> int:
    return max(1, -(-int(work.offsets[-1]) // PART_RECORDS))


def num_parts(work: Work) -> int:
    """Every bucket is a part, or several where it is large."""
    return work.plan.config.minhash.num_buckets * _splits(work)


def prepare(work: Work, crew: "Crew") -> None:
    """Between scan and match: where buckets are cut, if they are."""
    from pipelines.dedup.stages import stage

    if _splits(work) > 1:
        stage(work, crew, BOUNDS, find_bounds, range(work.plan.config.minhash.num_buckets), "buckets")


def find_bounds(work: Work, bucket: int) -> None:
    """First hashes at which one bucket is cut into parts of about as many records: array `first`."""
    columns = [_column(_bucket(work, index, bucket, check=False)) for index, _ in work.files()]
    store.commit(work.folder(BOUNDS, bucket), {"first": even_bounds(columns, _splits(work))}, {})


def _column(records: np.ndarray) -> Column:
    return len(records), lambda places: records["hashes"][places, 0]


def _bucket(work: Work, index: int, bucket: int, *, check: bool) -> np.ndarray:
    return store.load(work.folder(f"{NAME}.scan", index), bucket_name(bucket), check=check)


def match(work: Work, part: int) -> None:
    """Pairs of documents with one signature in a bucket: array `edges`; some that have nearly: `near`.

    `members` are the documents of `edges`, sorted.
    """
    splits = _splits(work)
    bucket, split = divmod(part, splits)
    bounds = store.load(work.folder(BOUNDS, bucket), "first") if splits > 1 else np.empty(0, np.uint64)
    hashes, numbers = [], []
    for index, _ in work.files():
        records = _bucket(work, index, bucket, check=split == 0)
        first = records["hashes"]
        records = records[rows_of_part(len(records), lambda row, first=first: int(first[row, 0]), bounds, split)]  # type: ignore[misc]
        hashes.append(np.ascontiguousarray(records["hashes"]))
        numbers.append(records["row"].astype(np.uint64) + work.offsets[index])
    row, number = np.concatenate(hashes), np.concatenate(numbers)
    del hashes
    edges, near = matches(row, number)
    store.commit(
        work.folder(f"{NAME}.match", part),
        {"edges": edges, "near": near, "members": np.unique(edges)},
        {"records": len(number)},
    )


def equal_rows(hashes: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Pairs of `numbers` whose rows of `hashes` are equal, each with the next of its kind."""
    return matches(hashes, numbers)[0]


def matches(hashes: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of `numbers` whose rows of `hashes` are equal, and some whose rows are equal in the first half only.

    Both are neighbours in one order of the rows, by 32 bits of a mix of each half.
    """
    key = near_pairs.halves(hashes)
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    same = ordered[1:] == ordered[:-1]
    left = np.flatnonzero(same)
    pairs = np.stack([order[left], order[left + 1]], axis=1)
    if not (hashes[pairs[:, 0]] == hashes[pairs[:, 1]]).all():
        # Two different rows with one mix stand between equal ones; so sort the rows themselves.
        order = np.lexsort(tuple(hashes.T[::-1]))
        same = (hashes[order[1:]] == hashes[order[:-1]]).all(axis=1)
        pairs = np.stack([order[:-1][same], order[1:][same]], axis=1)
        ordered = key[order]
    return numbers[pairs].reshape(-1, 2), near_pairs.half_equal(hashes, numbers, order, ordered)


def num_records(work: Work) -> int:
    """Records that all parts together must have seen."""
    buckets = work.plan.config.minhash.num_buckets
    return buckets * sum(store.totals(work.folder(f"{NAME}.scan", i))["records"] for i, _ in work.files())


def similarity(work: Work, pairs: np.ndarray) -> np.ndarray:
    """Estimated Jaccard similarity of pairs of documents: the share of equal hashes in their signatures."""
    config = work.plan.config.minhash
    wanted = np.unique(pairs)
    files = work.file_of(wanted)
    places = np.searchsorted(wanted, pairs)
    equal = np.zeros(len(pairs), np.int64)
    for bucket in range(config.num_buckets):
        hashes = np.zeros((len(wanted), config.hashes_per_bucket), f"<u{config.precision // 8}")
        for index in np.unique(files).tolist():
            records = store.load(work.folder(f"{NAME}.scan", index), bucket_name(bucket), check=False)
            of_file = np.nonzero(files == index)[0]
            rows = (wanted[of_file] - work.offsets[index]).astype(np.int64)
            order = np.argsort(records["row"])
            found = order[np.searchsorted(records["row"], rows, sorter=order)]
            hashes[of_file] = records["hashes"][found]
        equal += (hashes[places[:, 0]] == hashes[places[:, 1]]).sum(axis=1)
    return equal / (config.num_buckets * config.hashes_per_bucket)
