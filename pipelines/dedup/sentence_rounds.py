"""Which windows are cut, when a document of which too little is left holds nothing for others.

In the order of `match`, a window is cut where an earlier document that stays has it. Whether a document stays depends
on what is cut from it, hence on earlier documents only, so that repeating the two steps below reaches the one answer:
round 0 takes every document to stay, and each round settles at least the next document of every chain. It ends when no
document has changed sides. The answer is a function of the documents alone.

    cut     a part: pairs of a window that goes and the same window of the first document that stays
    left    a file: what is left of documents whose windows have changed; who has too little
    gone    a file, after the last round: every sentence that goes, with its text and its counterpart
    piece   a file: counterparts that go themselves followed to the one that stays; neighbours put together

A sentence that goes always has a counterpart that stays: it is in an earlier document (or further up in the same one)
that stays, and if it is cut there, the same holds for it. Documents that only repeat themselves are cut but never
removed, since nobody else has their text. Memory: the windows that go of one file or one part, and 8 bytes a removed
document. Disk: 24 bytes a window that goes and round. Gives up: a bound on the number of rounds.
"""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xxhash

from pipelines.dedup import store
from pipelines.dedup.decide import sizes_before
from pipelines.dedup.documents import language_of, read_documents
from pipelines.dedup.sentence_pieces import follow, key_of, partners, pieces_of
from pipelines.dedup.sentence_spans import sentence_language
from pipelines.dedup.sentence_text import Left, Sentences, char_ends, cut, sentences_of
from pipelines.dedup.work import Work

if TYPE_CHECKING:
    from pipelines.dedup.stages import Crew

NAME = "sentence"
_PAIR = ("number", "sent", "to_number", "to_sent")


def settle(work: Work, crew: "Crew") -> None:
    """All rounds, after the last part has matched."""
    from pipelines.dedup.sentence import check, num_parts
    from pipelines.dedup.stages import stage

    check(work)
    parts, files = num_parts(work), len(work.plan.files)
    for turn in count():
        stage(work, crew, f"{NAME}.cut", cut_part, range(turn * parts, (turn + 1) * parts), "parts")
        own = [turn * files + i for i in work.own_files()]
        stage(work, crew, f"{NAME}.left", left_file, own, "files")
        if not sum(store.totals(work.folder(f"{NAME}.left", number))["changed"] for number in own):
            break
    stage(work, crew, f"{NAME}.gone", gone_file, own, "files")
    stage(work, crew, f"{NAME}.piece", piece_file, own, "files")
    decided = work.folder(f"{NAME}.decided")
    crew.once(decided.name, decide, turn, lambda: store.is_committed(decided))


def piece_folder(work: Work, index: int) -> Path:
    """Where the pieces of one file are, once the method has decided."""
    turn: int = store.totals(work.folder(f"{NAME}.decided"))["turn"]
    return work.folder(f"{NAME}.piece", turn * len(work.plan.files) + index)


def cut_part(work: Work, job: int) -> None:
    """The windows of one part that go, sorted by document, each with the window that it goes for."""
    from pipelines.dedup.sentence import num_parts

    turn, part = divmod(job, num_parts(work))
    folder = work.folder(f"{NAME}.match", part)
    group, number, sent, outside, exempt = (
        np.asarray(store.load(folder, name)) for name in ("group", "number", "sent", "outside", "exempt")
    )
    dead = _dead(work, turn - 1, check=part == 0) if turn else np.empty(0, np.uint64)
    for_whom = holders(group, number, outside, dead, only_outside=_only_outside(work))
    goes = np.flatnonzero((for_whom < np.arange(len(group))) & ~outside & ~exempt)
    order = goes[np.lexsort((sent[goes], number[goes]))]
    to = for_whom[order]
    found = {"number": number[order], "sent": sent[order], "to_number": number[to], "to_sent": sent[to]}
    store.commit(work.folder(f"{NAME}.cut", job), found, {"records": len(order)})


def _only_outside(work: Work) -> bool:
    return work.plan.config.sentence.only_dedup_in_index and any(run.against for run in work.plan.runs)


def _dead(work: Work, turn: int, *, check: bool = False) -> np.ndarray:
    folders = [work.folder(f"{NAME}.left", turn * len(work.plan.files) + i) for i in work.own_files()]
    return np.concatenate([np.asarray(store.load(folder, "dead", check=check)) for folder in folders])


def holders(
    group: np.ndarray, number: np.ndarray, outside: np.ndarray, dead: np.ndarray, *, only_outside: bool
) -> np.ndarray:
    """For each window the place of the one that stays: of the first document that is not `dead` (sorted), or its own.

    Windows stand group by group, best document first, those of one document by place in the text. One whose place is
    returned itself has nobody before it.
    """
    places = np.arange(len(group))
    if not len(group):
        return places
    new_group = np.append(True, group[1:] != group[:-1])
    of_group = np.cumsum(new_group) - 1
    firsts = places[new_group]
    if only_outside:
        return np.where(outside[firsts][of_group], firsts[of_group], places)
    new_document = new_group | np.append(True, number[1:] != number[:-1])
    own = np.maximum.accumulate(np.where(new_document, places, 0))
    stays = ~_in(number, dead)
    first_alive = np.minimum.reduceat(np.where(stays, places, len(places)), firsts)[of_group]
    return np.minimum(first_alive, own)


def _in(numbers: np.ndarray, among: np.ndarray) -> np.ndarray:
    places = np.minimum(np.searchsorted(among, numbers), max(0, len(among) - 1))
    return among[places] == numbers if len(among) else np.zeros(len(numbers), bool)


def left_file(work: Work, job: int) -> None:
    """Documents of one file that lose something (`document`, `key` of what), and the `dead` of them."""
    turn, index = divmod(job, len(work.plan.files))
    pairs = _pairs_of(work, turn, index)
    documents, firsts = np.unique(pairs["number"], return_index=True)
    ends = np.searchsorted(pairs["number"], documents, side="right")
    mine = pairs["to_number"] == pairs["number"]
    keys = np.fromiter(
        (_key(pairs["sent"][a:b], mine[a:b]) for a, b in zip(firsts.tolist(), ends.tolist(), strict=True)),
        np.uint64,
        len(documents),
    )
    known, before = {}, np.empty(0, np.uint64)
    if turn:
        folder = work.folder(f"{NAME}.left", job - len(work.plan.files))
        before = np.asarray(store.load(folder, "dead"))
        old = np.asarray(store.load(folder, "document"))
        known = dict(zip(old.tolist(), np.asarray(store.load(folder, "key")).tolist(), strict=True))
    new = np.array([known.get(d) != k for d, k in zip(documents.tolist(), keys.tolist(), strict=True)], bool)
    dead = ~new & _in(documents, before)
    asked = np.flatnonzero(new)
    for i, (sentences, left) in zip(asked, _cuts(work, index, pairs, documents[asked]), strict=True):
        dead[i] = left.too_little and _others(sentences, left, pairs, int(firsts[i]), int(ends[i]), work)
    changed = np.setxor1d(documents[dead], before)
    store.commit(
        work.folder(f"{NAME}.left", job),
        {"document": documents, "key": keys, "dead": documents[dead]},
        {"changed": len(changed), "read": len(asked)},
    )


def _key(sent: np.ndarray, mine: np.ndarray) -> int:
    return xxhash.xxh3_64_intdigest(sent.tobytes() + mine.tobytes())


def _pairs_of(work: Work, turn: int, index: int) -> dict[str, np.ndarray]:
    """All windows of one file that go, sorted."""
    from pipelines.dedup.sentence import num_parts

    first, end = work.offsets[index], work.offsets[index + 1]
    found: list[list[np.ndarray]] = []
    for part in range(num_parts(work)):
        folder = work.folder(f"{NAME}.cut", turn * num_parts(work) + part)
        check = index == work.own_files()[0]
        number = store.load(folder, "number", check=check)
        low, high = (int(place) for place in np.searchsorted(number, [first, end]))
        found.append([np.asarray(store.load(folder, name, check=check)[low:high]) for name in _PAIR])
    columns = [np.concatenate(column) for column in zip(*found, strict=True)]
    order = np.lexsort((columns[1], columns[0]))
    return {name: column[order] for name, column in zip(_PAIR, columns, strict=True)}


def _cuts(
    work: Work, index: int, pairs: dict[str, np.ndarray], documents: np.ndarray
) -> Iterator[tuple[Sentences, Left]]:
    """What is left of these documents of one file, in their order. Reads the file only when there is one."""
    if not len(documents):
        return
    file, config = work.plan.files[index], work.plan.config.sentence
    rows = iter((documents - work.offsets[index]).tolist())
    wanted = next(rows, None)
    for row, document in enumerate(read_documents(work, file)):
        if row != wanted:
            continue
        wanted = next(rows, None)
        code = sentence_language(language_of(document, file))
        sentences = sentences_of(document["text"], code, config)
        number = work.offsets[index] + np.uint64(row)
        low, high = np.searchsorted(pairs["number"], number), np.searchsorted(pairs["number"], number, side="right")
        yield sentences, cut(sentences, pairs["sent"][low:high].tolist(), config)


def counterparts(
    left: Left, sent: np.ndarray, to_number: np.ndarray, to_sent: np.ndarray, span: int
) -> tuple[np.ndarray, np.ndarray]:
    """For each sentence that goes: (document, number of the sentence) it goes for, by the first window that has it."""
    places = np.flatnonzero(left.cut)
    window = np.searchsorted(sent, places - (span - 1))
    return to_number[window], to_sent[window] + (places - sent[window]).astype(to_sent.dtype)


def _others(sentences: Sentences, left: Left, pairs: dict[str, np.ndarray], low: int, high: int, work: Work) -> bool:
    """Whether a document is cut for any other than itself."""
    number, sent = pairs["number"][low], pairs["sent"][low:high].astype(np.int64)
    to_number, to_sent = pairs["to_number"][low:high], pairs["to_sent"][low:high].astype(np.int64)
    span = work.plan.config.sentence.n_sentences
    return bool((counterparts(left, sent, to_number, to_sent, span)[0] != number).any())


def gone_file(work: Work, job: int) -> None:
    """Every sentence of one file that goes, in order, with its text and its counterpart (`to_number`, `to_sent`)."""
    turn, index = divmod(job, len(work.plan.files))
    pairs = _pairs_of(work, turn, index)
    documents, firsts = np.unique(pairs["number"], return_index=True)
    ends = np.searchsorted(pairs["number"], documents, side="right")
    rows: list[tuple[int, int, int, int]] = []
    to: list[tuple[np.ndarray, np.ndarray]] = []
    text = bytearray()
    text_end: list[int] = []
    span = work.plan.config.sentence.n_sentences
    found = zip(documents.tolist(), firsts, ends, _cuts(work, index, pairs, documents), strict=True)
    for number, low, high, (sentences, left) in found:
        if not left.cut.any():
            continue
        sent = pairs["sent"][low:high].astype(np.int64)
        to.append(counterparts(left, sent, pairs["to_number"][low:high], pairs["to_sent"][low:high], span))
        for place, start, end in char_ends(sentences, left):
            rows.append((number, place, start, end))
            text += sentences.text[start:end].encode()
            text_end.append(len(text))
    table = np.array(rows, np.uint64).reshape(-1, 4)
    store.commit(
        work.folder(f"{NAME}.gone", job),
        {
            "key": key_of(table[:, 0] - work.offsets[index], table[:, 1]),
            "start": table[:, 2],
            "end": table[:, 3],
            "to_number": np.concatenate([np.empty(0, np.uint64), *(number for number, _ in to)]),
            "to_sent": np.concatenate([np.empty(0, np.uint32), *(sent for _, sent in to)]),
            "text": np.frombuffer(bytes(text), np.uint8),
            "text_end": np.array(text_end, np.uint64),
        },
        {"sentences": len(table)},
    )


def piece_file(work: Work, job: int) -> None:
    """Pieces of one file (see `pieces_of`), and the partner (`match`) of each document that is `dead`.

    Pieces of a removed document that only repeat itself are left out: it stands for nothing any more.
    """
    turn, index = divmod(job, len(work.plan.files))
    folder = work.folder(f"{NAME}.gone", job)
    key, start, end, text_end, to_number, to_sent = (
        np.asarray(store.load(folder, name)) for name in ("key", "start", "end", "text_end", "to_number", "to_sent")
    )
    number, sent = (key >> np.uint64(32)) + work.offsets[index], key & np.uint64(0xFFFFFFFF)
    to = follow(work, turn, to_number, to_sent)
    dead = np.asarray(store.load(work.folder(f"{NAME}.left", job), "dead"))
    pieces = pieces_of(number, sent, to, end, text_end, start)
    removed = _in(pieces["number"], dead)
    shown = ~(removed & (pieces["to"] == pieces["number"]))
    store.commit(
        work.folder(f"{NAME}.piece", job),
        {
            **{name: column[shown] for name, column in pieces.items()},
            "removed": removed[shown],
            "dead": dead,
            "match": partners(dead, number, to),
        },
        {
            "documents": len(np.unique(pieces["number"][~removed])),
            "sentences": int(pieces["sentences"][~removed].sum()),
        },
    )


def decide(work: Work, turn: int) -> None:
    """Commit `sentence.decided` in the form of the other methods: `removed` and `match`, `kept` and its `size`.

    A document that is kept stands for no more documents than before: it has a few sentences of those that go, and
    whoever repeats documents by their cluster size must not repeat it for that.
    """
    folders = [work.folder(f"{NAME}.piece", turn * len(work.plan.files) + i) for i in work.own_files()]
    removed = np.concatenate([np.asarray(store.load(folder, "dead")) for folder in folders])
    match = np.concatenate([np.asarray(store.load(folder, "match")) for folder in folders])
    kept = np.unique(match)
    order = np.argsort(removed)
    totals = [store.totals(folder) for folder in folders]
    by_marks = sum(store.totals(work.folder(f"{NAME}.scan", i))["by_punctuation"] for i in work.own_files())
    documents, sentences = (sum(entry[name] for entry in totals) for name in ("documents", "sentences"))
    store.commit(
        work.folder(f"{NAME}.decided"),
        {
            "removed": removed[order],
            "match": match[order],
            "kept": kept,
            "size": sizes_before(work, NAME, kept).astype(np.uint64),
        },
        {
            "removed": len(removed),
            "turn": turn,
            "said": f"{len(removed):,} documents removed, {sentences:,} sentences cut from {documents:,} others, "
            f"{turn + 1} rounds" + (f"; {by_marks:,} documents split at punctuation alone" if by_marks else ""),
        },
    )
