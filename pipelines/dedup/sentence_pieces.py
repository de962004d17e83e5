"""Sentences that go, put together to pieces of text, each with the document in which the same text stays.

Gives up: the place in that document; the text is found there by looking for it.
"""

import numpy as np

from pipelines.dedup import store
from pipelines.dedup.work import Work

GONE = "sentence.gone"


def key_of(rows: np.ndarray, sent: np.ndarray) -> np.ndarray:
    """One number for a sentence of a file: row, then place in the text."""
    return rows.astype(np.uint64) << np.uint64(32) | sent.astype(np.uint64)


def follow(work: Work, turn: int, to_number: np.ndarray, to_sent: np.ndarray) -> np.ndarray:
    """The document in which each sentence stays: a counterpart that goes itself is followed to its own counterpart.

    Every step leads to an earlier document, or further up in the same one, so it ends.
    """
    number, sent = to_number.copy(), to_sent.copy()
    moving = np.arange(len(number))
    own = set(work.own_files())
    while len(moving):
        files = work.file_of(number[moving])
        moved = []
        for index in np.unique(files).tolist():
            if index not in own:
                continue
            folder = work.folder(GONE, turn * len(work.plan.files) + index)
            keys = store.load(folder, "key", check=False)
            here = moving[files == index]
            wanted = key_of(number[here] - work.offsets[index], sent[here])
            places = np.minimum(np.searchsorted(keys, wanted), max(0, len(keys) - 1))
            found = np.asarray(keys[places]) == wanted if len(keys) else np.zeros(len(here), bool)
            here, places = here[found], places[found]
            number[here] = store.load(folder, "to_number", check=False)[places]
            sent[here] = store.load(folder, "to_sent", check=False)[places]
            moved.append(here)
        moving = np.concatenate([np.empty(0, np.int64), *moved])
    return number


def pieces_of(
    number: np.ndarray, sent: np.ndarray, to: np.ndarray, end: np.ndarray, text_end: np.ndarray, start: np.ndarray
) -> dict[str, np.ndarray]:
    """Neighbouring sentences of one document that go for the same document as one piece.

    Arrays `number`, `start`, `end` (characters), `sentences`, `to`, and where its text begins and ends in bytes.
    """
    if not len(number):
        return {name: np.empty(0, np.uint64) for name in _COLUMNS}
    same = (number[1:] == number[:-1]) & (to[1:] == to[:-1]) & (sent[1:] == sent[:-1] + 1)
    firsts = np.flatnonzero(np.append(True, ~same))
    lasts = np.append(firsts[1:], len(number)) - 1
    text_start = np.append(np.uint64(0), text_end[:-1])
    columns = (
        number[firsts], start[firsts], end[lasts], lasts - firsts + 1, to[firsts], text_start[firsts], text_end[lasts],
    )  # fmt: skip
    return {name: column.astype(np.uint64) for name, column in zip(_COLUMNS, columns, strict=True)}


_COLUMNS = ("number", "start", "end", "sentences", "to", "text_start", "text_end")


def partners(dead: np.ndarray, number: np.ndarray, to: np.ndarray) -> np.ndarray:
    """For each removed document the other one that most of its sentences go for; of several, the first in its text."""
    found = np.empty(len(dead), np.uint64)
    lows, highs = np.searchsorted(number, dead), np.searchsorted(number, dead, side="right")
    for i, (low, high) in enumerate(zip(lows.tolist(), highs.tolist(), strict=True)):
        others = to[low:high][to[low:high] != dead[i]]
        assert len(others), "a document that goes for nobody else is never removed"
        numbers, firsts, counts = np.unique(others, return_index=True, return_counts=True)
        found[i] = numbers[np.lexsort((firsts, -counts))[0]]
    return found
