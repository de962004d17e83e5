"""SimHash for short texts: two documents whose 64-bit fingerprints differ in at most `max_distance` bits.

Fingerprints are those of the package `simhash`: 4-character pieces of the lower-cased text without punctuation and
white space, as it makes them. The index is exact: a fingerprint is cut into max_distance + 1 bands, and two that differ
in no more bits are equal in one band at least (Manku, Jain, Das Sarma 2007, "Detecting near-duplicates for web
crawling"). A band is a part; a worker holds 12 bytes a document of the corpus and 100 while it compares. Disk: 12 bytes
a document. Gives up: texts above `max_chars`, where different texts on one subject come too close, and those below
`min_chars`; both are counted.
"""

import re

import numpy as np
from simhash import Simhash

from pipelines.dedup import store
from pipelines.dedup.canaries import canary_texts
from pipelines.dedup.config import SimhashConfig
from pipelines.dedup.documents import read_documents
from pipelines.dedup.work import Work

NAME = "simhash"
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
    """The fingerprints of one file: arrays `fingerprint` and `row`."""
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
        {
            "fingerprint": np.array([value for value, _ in found], np.uint64),
            "row": np.array([row for _, row in found], np.uint32),
        },
        {"records": len(found), "skipped_short": short, "skipped_long": long},
    )


def num_parts(work: Work) -> int:
    """Every band is a part."""
    return work.plan.config.simhash.max_distance + 1


def match(work: Work, part: int) -> None:
    """Pairs that are near each other and equal in one band: array `edges`."""
    values, numbers = _all(work, check=part == 0)
    store.commit(
        work.folder(f"{NAME}.match", part),
        {"edges": near_pairs(values, numbers, part, work.plan.config.simhash)},
        {"records": len(values)},
    )


def _all(work: Work, *, check: bool = False) -> tuple[np.ndarray, np.ndarray]:
    values, numbers = [], []
    for index, _ in work.files():
        folder = work.folder(f"{NAME}.scan", index)
        values.append(np.asarray(store.load(folder, "fingerprint", check=check)))
        rows = np.asarray(store.load(folder, "row", check=check))
        numbers.append(rows.astype(np.uint64) + work.offsets[index])
    return np.concatenate(values), np.concatenate(numbers)


def near_pairs(values: np.ndarray, numbers: np.ndarray, band: int, config: SimhashConfig) -> np.ndarray:
    """Pairs of `numbers` whose fingerprints are equal in this band and differ in at most `max_distance` bits.

    Equal fingerprints are joined in a chain first, so that a thousand copies are a thousand pairs, not half a million.
    """
    order = np.argsort(values, kind="stable")
    values, numbers = values[order], numbers[order]
    again = np.append(False, values[1:] == values[:-1])
    found = [np.stack([numbers[:-1][again[1:]], numbers[1:][again[1:]]], axis=1)]
    values, numbers = values[~again], numbers[~again]
    low, high = (64 * edge // (config.max_distance + 1) for edge in (band, band + 1))
    key = (values >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
    order = np.argsort(key, kind="stable")
    key, values, numbers = key[order], values[order], numbers[order]
    places = np.arange(len(key))
    step = 0
    while len(places):
        # Each with the one `step` places further on, as long as that is in the same group.
        step += 1
        places = places[places + step < len(key)]
        places = places[key[places] == key[places + step]]
        near = places[distance(values[places], values[places + step]) <= config.max_distance]
        found.append(np.stack([numbers[near], numbers[near + step]], axis=1))
    return np.concatenate(found)


def num_records(work: Work) -> int:
    """Records that all parts together must have seen."""
    return num_parts(work) * sum(store.totals(work.folder(f"{NAME}.scan", i))["records"] for i, _ in work.files())


def similarity(work: Work, pairs: np.ndarray) -> np.ndarray:
    """Fingerprints say nothing about Jaccard similarity."""
    return np.full(len(pairs), np.nan)
