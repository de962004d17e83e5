"""SimHash for short texts: two documents whose 64-bit fingerprints differ in at most `max_distance` bits.

Fingerprints are those of the package `simhash`: 4-character pieces of the lower-cased text without punctuation and
white space, as it makes them. The index is exact: a fingerprint is cut into max_distance + 1 bands, and two that differ
in no more bits are equal in one band at least (Manku, Jain, Das Sarma 2007, "Detecting near-duplicates for web
crawling"). A band is a part, or several where it has more than `PART_RECORDS` records (ranges.py), so that a worker's
memory does not grow with the corpus: 110 bytes a record at the peak. Disk: 12 bytes a document and band. Gives up:
texts above `max_chars`, where different texts on one subject come too close, and those below `min_chars`, both are
counted; and time in proportion to the corpus: what is equal in a band is compared pair by pair, and of 10^8 texts
1,500 are.
"""

import re
from typing import TYPE_CHECKING

import numpy as np
from simhash import Simhash

from pipelines.dedup import store
from pipelines.dedup.canaries import canary_texts
from pipelines.dedup.config import SimhashConfig
from pipelines.dedup.documents import read_documents
from pipelines.dedup.near_pairs import PER_PART, drawn
from pipelines.dedup.ranges import Column, even_bounds, rows_of_part
from pipelines.dedup.work import Work

if TYPE_CHECKING:
    from pipelines.dedup.stages import Crew

NAME = "simhash"
BOUNDS = "simhash.bounds"
PART_RECORDS = 2_000_000
_RECORD = np.dtype([("fingerprint", "<u8"), ("row", "<u4")])
_WORD_CHARS = re.compile(r"\w+")
# Number of bits of every 16-bit number; numpy has a function for that only since 2.0.
_ONES = np.array([bin(number).count("1") for number in range(1 << 16)], np.uint8)


class _Wide(Simhash):
    """The package's sums in 64 bits: a byte times more than 255 is an OverflowError in numpy 2."""

    @staticmethod
    def _bitarray_from_bytes(b: bytes) -> np.ndarray:
        wide: np.ndarray = Simhash._bitarray_from_bytes(b).astype(np.int64)
        return wide


def fingerprint(text: str) -> int:
    """64 bits; texts with many pieces in common have few bits that differ."""
    try:
        value: int = Simhash(text).value
    except OverflowError:  # one piece of four characters stands more than 255 times in the text
        value = _Wide(text).value
    return value


def distance(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """In how many bits fingerprints differ (Hamming distance)."""
    different = left ^ right
    parts = [_ONES[(different >> np.uint64(shift)) & np.uint64(0xFFFF)] for shift in (0, 16, 32, 48)]
    return parts[0] + parts[1] + parts[2] + parts[3]


def scan(work: Work, index: int) -> None:
    """The fingerprints of one file: for each band an array of records (fingerprint, row) in its order."""
    file, config = work.plan.files[index], work.plan.config
    active = work.active_rows(index, before=NAME)
    found: list[tuple[int, int]] = []
    short = long = 0
    for row, document in enumerate(read_documents(work, file)):
        if not active[row]:
            continue
        num_chars = sum(map(len, _WORD_CHARS.findall(document["text"])))
        if num_chars < config.simhash.min_chars:
            short += 1
        elif num_chars > config.simhash.max_chars:
            long += 1
        else:
            found.append((fingerprint(document["text"]), row))
    for i, text in enumerate(canary_texts(NAME, index, work.layout.fingerprint, config)):
        found.append((fingerprint(text), file.lines + i))
    store.commit(
        work.folder(f"{NAME}.scan", index),
        by_band(found, config.simhash),
        {"records": len(found), "skipped_short": short, "skipped_long": long},
    )


def by_band(found: list[tuple[int, int]], config: SimhashConfig) -> dict[str, np.ndarray]:
    """What a scan commits of (fingerprint, row) of its documents: for each band the records in its order."""
    records = np.array(found, _RECORD)
    orders = (np.argsort(_keys(records, band, config), kind="stable") for band in range(num_bands(config)))
    return {_band_name(band): records[order] for band, order in enumerate(orders)}


def num_bands(config: SimhashConfig) -> int:
    """Into how many bands a fingerprint is cut: with no more different bits than that, one has none of them."""
    return config.max_distance + 1


def _band_name(band: int) -> str:
    return f"band_{band:02d}"


def band_keys(fingerprints: np.ndarray, band: int, config: SimhashConfig) -> np.ndarray:
    """The bits of one band, as a number."""
    low, high = (64 * edge // num_bands(config) for edge in (band, band + 1))
    return (fingerprints >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)


def _keys(records: np.ndarray, band: int, config: SimhashConfig) -> np.ndarray:
    return band_keys(records["fingerprint"], band, config)


def _splits(work: Work) -> int:
    return max(1, -(-int(work.offsets[-1]) // PART_RECORDS))


def num_parts(work: Work) -> int:
    """Every band is a part, or several where it is large."""
    return num_bands(work.plan.config.simhash) * _splits(work)


def prepare(work: Work, crew: "Crew") -> None:
    """Between scan and match: where bands are cut, if they are."""
    from pipelines.dedup.stages import stage

    if _splits(work) > 1:
        stage(work, crew, BOUNDS, find_bounds, range(num_bands(work.plan.config.simhash)), "bands")


def find_bounds(work: Work, band: int) -> None:
    """Keys at which one band is cut into parts of about as many records: array `first`."""
    config = work.plan.config.simhash

    def column(records: np.ndarray) -> Column:
        return len(records), lambda places: _keys(records[places], band, config)

    columns = [column(_band(work, index, band, check=False)) for index, _ in work.files()]
    store.commit(work.folder(BOUNDS, band), {"first": even_bounds(columns, _splits(work))}, {})


def _band(work: Work, index: int, band: int, *, check: bool) -> np.ndarray:
    return store.load(work.folder(f"{NAME}.scan", index), _band_name(band), check=check)


def match(work: Work, part: int) -> None:
    """Pairs that are near each other and equal in one band: array `edges`; near misses: `near` with `bits`."""
    config, splits = work.plan.config.simhash, _splits(work)
    band, split = divmod(part, splits)
    bounds = store.load(work.folder(BOUNDS, band), "first") if splits > 1 else np.empty(0, np.uint64)
    values, numbers = [], []
    for index, _ in work.files():
        records = _band(work, index, band, check=split == 0)

        def key(row: int, records: np.ndarray = records) -> int:
            return int(_keys(records[row : row + 1], band, config)[0])

        records = records[rows_of_part(len(records), key, bounds, split)]
        values.append(records["fingerprint"].copy())
        numbers.append(records["row"].astype(np.uint64) + work.offsets[index])
    seen = sum(map(len, values))
    missed = MissedPairs(config)
    edges = near_pairs(np.concatenate(values), np.concatenate(numbers), band, config, missed)
    near, bits = missed.nearest()
    store.commit(work.folder(f"{NAME}.match", part), {"edges": edges, "near": near, "bits": bits}, {"records": seen})


class MissedPairs:
    """Pairs that are equal in a band and differ in up to three bits too many, at most in twice as many as they may.

    Holds at most PER_PART of each distance, drawn by a hash.
    """

    def __init__(self, config: SimhashConfig) -> None:
        self.most = min(config.max_distance + 3, 2 * config.max_distance)
        self.pairs = {bits: np.empty((0, 2), np.uint64) for bits in range(config.max_distance + 1, self.most + 1)}

    def take(self, pairs: np.ndarray, bits: np.ndarray) -> None:
        """Take in pairs of documents with the distance of each."""
        for wanted, known in self.pairs.items():
            if len(more := pairs[bits == wanted]):
                self.pairs[wanted] = drawn(np.concatenate([known, more]), PER_PART)

    def nearest(self) -> tuple[np.ndarray, np.ndarray]:
        """(PER_PART of the pairs, those with the fewest different bits; how many each has)."""
        bits = np.repeat(np.array([*self.pairs], np.uint8), [len(pairs) for pairs in self.pairs.values()])
        pairs = np.concatenate([np.empty((0, 2), np.uint64), *self.pairs.values()])
        return pairs[:PER_PART], bits[:PER_PART]


def near_pairs(
    values: np.ndarray, numbers: np.ndarray, band: int, config: SimhashConfig, missed: MissedPairs
) -> np.ndarray:
    """Pairs of `numbers` whose fingerprints are equal in this band and differ in at most `max_distance` bits.

    Equal fingerprints are joined in a chain first, so that a thousand copies are a thousand pairs, not half a million.
    `missed` takes in pairs with a few bits more.
    """
    order = np.argsort(values, kind="stable")
    values, numbers = values[order], numbers[order]
    again = np.append(False, values[1:] == values[:-1])[: len(values)]
    found = [np.stack([numbers[:-1][again[1:]], numbers[1:][again[1:]]], axis=1)]
    values, numbers = values[~again], numbers[~again]
    key = band_keys(values, band, config)
    order = np.argsort(key, kind="stable")
    key, values, numbers = key[order], values[order], numbers[order]
    places = np.arange(len(key))
    step = 0
    while len(places):
        # Each with the one `step` places further on, as long as that is in the same group.
        step += 1
        places = places[places + step < len(key)]
        places = places[key[places] == key[places + step]]
        bits = distance(values[places], values[places + step])
        near = places[bits <= config.max_distance]
        found.append(np.stack([numbers[near], numbers[near + step]], axis=1))
        almost = places[is_almost := (bits > config.max_distance) & (bits <= missed.most)]
        missed.take(np.stack([numbers[almost], numbers[almost + step]], axis=1), bits[is_almost])
    return np.concatenate(found)


def num_records(work: Work) -> int:
    """Records that all parts together must have seen."""
    bands = num_bands(work.plan.config.simhash)
    return bands * sum(store.totals(work.folder(f"{NAME}.scan", i))["records"] for i, _ in work.files())


def similarity(work: Work, pairs: np.ndarray) -> np.ndarray:
    """Fingerprints say nothing about Jaccard similarity."""
    return np.full(len(pairs), np.nan)
