"""Sentence deduplication: spans of three sentences that stand in several places stay in one of them.

What datatrove's three stages do, with its normalisation and hashes, in a fixed order of the documents: kept already,
source priority, the longest, the smallest id. Stock takes the order of the rows, and counts a span as kept in a
document that is then removed for its length, so that the text is nowhere; here such a document holds nothing
(sentence_rounds.py). A part is a range of hashes and holds about `PART_RECORDS` windows of the whole corpus, whatever
its size. Gives up: windows that differ in a word.
"""

from fnmatch import fnmatchcase

import numpy as np

from pipelines.dedup import store
from pipelines.dedup.canaries import canary_texts, take_out
from pipelines.dedup.clusters import clusters
from pipelines.dedup.documents import Table, language_of, read_documents
from pipelines.dedup.sentence_rounds import settle
from pipelines.dedup.sentence_spans import sentence_language
from pipelines.dedup.sentence_text import sentences_of, windows
from pipelines.dedup.work import CANARY_ROWS, Work

__all__ = ["match", "num_parts", "num_records", "scan", "settle", "similarity"]

NAME = "sentence"
PART_RECORDS = 2_000_000
# Of text for each window: 141 in web-en, 187 in web-vi of the data pack.
BYTES_PER_WINDOW = 140
# On disk for each window: 20 from the scan; with what is shared and cut, 24 in every eighth document of web-en.
DISK_BYTES = 30


def scan(work: Work, index: int) -> None:
    """The windows of one file in the order of their hashes: arrays `hash`, `guard`, `row`, `sent`."""
    file, config = work.plan.files[index], work.plan.config.sentence
    active = work.active_rows(index, before=NAME)
    found: list[np.ndarray] = []
    short = excluded = by_punctuation = 0
    leave_alone = any(fnmatchcase(file.source, glob) for glob in config.exclude)
    for row, document in enumerate(read_documents(work, file)):
        if not active[row]:
            continue
        if leave_alone:
            excluded += 1
            continue
        code = sentence_language(language_of(document, file))
        sentences = sentences_of(document["text"], code, config)
        by_punctuation += sentences.by_punctuation
        short += len(sentences.ends) < config.n_sentences
        found.append(_records(windows(sentences, config), row))
    for i, text in enumerate(canary_texts(NAME, index, work.layout.fingerprint, work.plan.config)):
        sentences = sentences_of(text, sentence_language(None), config)
        found.append(_records(windows(sentences, config), file.lines + i))
    records = np.concatenate(found)
    records = records[np.lexsort((records["sent"], records["row"], records["guard"], records["hash"]))]
    store.commit(
        work.folder(f"{NAME}.scan", index),
        {name: records[name] for name in _RECORD.names or ()},
        {
            "records": len(records),
            "skipped_short": short,
            "skipped_excluded": excluded,
            "by_punctuation": by_punctuation,
        },
    )


_RECORD = np.dtype([("hash", "<u8"), ("guard", "<u4"), ("row", "<u4"), ("sent", "<u4")])


def _records(found: list[tuple[int, int, int]], row: int) -> np.ndarray:
    return np.array([(value, guard, row, number) for value, guard, number in found], _RECORD)


def num_records(work: Work) -> int:
    """Records that all parts together must have seen."""
    return sum(store.totals(work.folder(f"{NAME}.scan", i))["records"] for i, _ in work.files())


def num_parts(work: Work) -> int:
    """How many ranges of hashes there are. Of the plan alone, so that it is known before the scan."""
    return max(1, -(-sum(file.text_bytes for file in work.plan.files) // (PART_RECORDS * BYTES_PER_WINDOW)))


def match(work: Work, part: int) -> None:
    """Windows of one range of hashes that stand in several places, best document first in each group.

    Arrays `group`, `number`, `sent`; `outside` for documents of other runs, `exempt` for windows that a later epoch
    shares with its own document in another run; `canary_edges` of the groups in which a canary is.
    """
    parts = num_parts(work)
    low, high = (part << 64) // parts, ((part + 1) << 64) // parts
    columns = [_range(work, index, low, high, check=part == 0) for index, _ in work.files()]
    value, guard, number, sent = (np.concatenate(column) for column in zip(*columns, strict=True))
    records = len(value)
    order = np.lexsort((sent, number, guard, value))
    value, guard, number, sent = value[order], guard[order], number[order], sent[order]
    again = np.zeros(records, bool)
    again[1:] = (value[1:] == value[:-1]) & (guard[1:] == guard[:-1])
    shared = again.copy()
    shared[:-1] |= again[1:]
    group = np.cumsum(~again).astype(np.uint64)[shared]
    number, sent = number[shared], sent[shared]
    canary = np.isin(group, np.unique(group[_is_canary(work, number)]))
    edges = _edges(group[canary], number[canary])
    group, number, sent = group[~canary], number[~canary], sent[~canary]
    place, outside, exempt = _order(work, group, number)
    order = np.lexsort((sent, place, group))
    store.commit(
        work.folder(f"{NAME}.match", part),
        {
            "group": group[order],
            "number": number[order],
            "sent": sent[order],
            "outside": outside[order],
            "exempt": exempt[order],
            "canary_edges": edges,
        },
        {"records": records},
    )


def _range(work: Work, index: int, low: int, high: int, *, check: bool) -> tuple[np.ndarray, ...]:
    folder = work.folder(f"{NAME}.scan", index)
    value = store.load(folder, "hash", check=check)
    start = int(np.searchsorted(value, np.uint64(low))) if low else 0
    end = int(np.searchsorted(value, np.uint64(high))) if high < 1 << 64 else len(value)
    guard, row, sent = (store.load(folder, name, check=check)[start:end] for name in ("guard", "row", "sent"))
    return (
        np.asarray(value[start:end]),
        np.asarray(guard),
        row.astype(np.uint64) + work.offsets[index],
        np.asarray(sent),
    )


def _is_canary(work: Work, number: np.ndarray) -> np.ndarray:
    return work.offsets[work.file_of(number) + 1] - number <= np.uint64(CANARY_ROWS)


def _edges(group: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Each record with the first of its group."""
    first = number[np.searchsorted(group, group)] if len(group) else number
    return np.stack([first, number], axis=1)


def _order(work: Work, group: np.ndarray, number: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(place of each record's document, smaller is better; whether it is outside; whether its window is exempt)."""
    documents, inverse = np.unique(number, return_inverse=True)
    inverse = inverse.reshape(-1)
    table = Table(work)
    outside = table.is_outside(documents)
    rank = table.ranks(documents)
    length = table.column("length", documents).astype(np.int64)
    order = np.lexsort((-length, rank, ~outside))
    keys = np.stack([~outside, rank, -length], axis=1)[order]
    place = np.empty(len(documents), np.int64)
    place[order] = np.cumsum(np.append(True, (keys[1:] != keys[:-1]).any(axis=1))[: len(order)])
    # Names only where two documents of a group are equal so far.
    alike = np.lexsort((number, place[inverse], group))
    tied = (group[alike][1:] == group[alike][:-1]) & (place[inverse][alike][1:] == place[inverse][alike][:-1])
    tied &= number[alike][1:] != number[alike][:-1]
    asked = np.unique(np.concatenate([inverse[alike][1:][tied], inverse[alike][:-1][tied]]))
    if len(asked):
        numbers = documents[asked]
        runs = table.run_places(numbers).tolist()
        names = zip(table.names(numbers), table.sources(numbers), runs, strict=True)
        tie = np.zeros(len(documents), np.int64)
        tie[asked[[i for _, i in sorted((name, i) for i, name in enumerate(names))]]] = np.arange(1, len(asked) + 1)
        order = np.lexsort((tie, place))
        place[order] = np.cumsum(
            np.append(True, (np.diff(place[order]) != 0) | (np.diff(tie[order]) != 0))[: len(order)]
        )
    exempt = np.zeros(len(group), bool)
    epoch, identity = table.column("epoch", documents), table.column("identity", documents)
    repeats = ~outside & (epoch > 1)
    if repeats.any() and outside.any():
        known = np.stack([group[outside[inverse]], identity[inverse][outside[inverse]]], axis=1)
        known_set = {tuple(pair) for pair in known.tolist()}
        for i in np.flatnonzero(repeats[inverse]).tolist():
            exempt[i] = (int(group[i]), int(identity[inverse[i]])) in known_set
    return place[inverse], outside[inverse], exempt


def check(work: Work) -> None:
    """Raises WorkFileError when the parts have not seen every window, CanaryError when known spans were not found."""
    parts = [work.folder(f"{NAME}.match", part) for part in range(num_parts(work))]
    seen, expected = sum(store.totals(part)["records"] for part in parts), num_records(work)
    if seen != expected:
        raise store.WorkFileError(
            f"{NAME}: the parts have seen {seen:,} records, {expected:,} were written; remove "
            f"{work.folder(NAME).parent} and run the same command again"
        )
    take_out(work, NAME, *clusters(np.asarray(store.load(p, "canary_edges")).reshape(-1, 2) for p in parts))


def similarity(work: Work, pairs: np.ndarray) -> np.ndarray:
    """A span in common says nothing about Jaccard similarity."""
    return np.full(len(pairs), np.nan)
