"""`smoltrove verify` for sentence deduplication: text conserved, every cut justified, every removal too.

Reads the run that was read and the files that were written side by side: each text that was written is the text that
was read without the pieces in `sentence_cuts.parquet`; each sentence of a piece stands, uncut, in the document that it
was cut for; each removed document was cut, and has too little left. Splits the documents concerned anew and trusts no
work file. Memory: 8 bytes for each document that this method has removed and for each that pieces were cut for. The
sentences themselves go to a temporary folder (sentence_sums.py): 16 bytes for each that was cut, 8 for each of the
documents that they were cut for.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from pipelines.compression import LINE_ERRORS, open_lines
from pipelines.dedup.columns import batches, rows_at, strings_of
from pipelines.dedup.documents import identity, language_of, read_documents
from pipelines.dedup.inputs import InputFile
from pipelines.dedup.report import FILE
from pipelines.dedup.sentence_report import CUTS_FILE, SENTENCE, cut_rows, without
from pipelines.dedup.sentence_spans import sentence_language
from pipelines.dedup.sentence_sums import SentenceSums
from pipelines.dedup.sentence_text import Sentences, sentences_of, simplified, without_sentences
from pipelines.dedup.work import Work
from pipelines.errors import SourceError
from pipelines.hashed_names import SUSPECTS, Distinct
from pipelines.ledger import TaskRecord
from pipelines.store.store import open_at

_MOST = 20


def verify_cuts(work: Work, records: list[TaskRecord]) -> Iterator[str]:
    """Every difference, one line each."""
    if SENTENCE not in work.methods:
        return
    path = work.layout.run_dir / CUTS_FILE
    try:
        kept, removed = _kept(path), _removed(work.layout.run_dir / FILE)
        with SentenceSums() as sums:
            yield from _Check(work, records, kept, removed, sums).problems(path)
    except (OSError, ValueError, KeyError) as error:
        yield f"{CUTS_FILE}: cannot be read ({str(error).splitlines()[0]})"
    except SourceError as error:
        yield str(error)


def _kept(path: Path) -> np.ndarray:
    """The documents that pieces were cut for, as `_place` has them, sorted."""
    found = Distinct()
    with pq.ParquetFile(path) as file:
        for batch in batches(file, ["kept_run", "kept_source", "kept_id"]):
            columns = (strings_of(batch.column(name)) for name in ("kept_run", "kept_source", "kept_id"))
            # A document stands for many pieces one after another.
            places = {_place(*named) for named in dict.fromkeys(zip(*columns, strict=True))}
            found.add(np.fromiter(places, np.uint64, len(places)))
    return found.sorted()


def _removed(path: Path) -> np.ndarray:
    """The documents that this method has removed, as `identity` has them, sorted."""
    found = Distinct()
    for documents in _removed_documents(path):
        found.add(np.array([identity(source, name) for source, name in documents], np.uint64))
    return found.sorted()


def _removed_documents(path: Path) -> Iterator[list[tuple[str, str]]]:
    """The same documents as (source, id), a batch at a time."""
    with pq.ParquetFile(path) as file:
        for batch in batches(file, ["removed_source", "removed_id", "method"]):
            mine = batch.filter(pc.equal(batch.column("method"), SENTENCE))
            names = (strings_of(mine.column(name)) for name in ("removed_source", "removed_id"))
            yield list(zip(*names, strict=True))


def _has(known: np.ndarray, value: int) -> bool:
    place = int(known.searchsorted(np.uint64(value)))
    return place < len(known) and int(known[place]) == value


def _place(run: str, source: str, name: str) -> int:
    return xxhash.xxh3_64_intdigest(f"{run}\0{identity(source, name)}".encode())


class _Check:
    def __init__(
        self, work: Work, records: list[TaskRecord], kept: np.ndarray, removed: np.ndarray, sums: SentenceSums
    ) -> None:
        self.work, self.kept, self.removed, self.config = work, kept, removed, work.plan.config.sentence
        self.records = {(record.source, record.rank): record for record in records}
        self.sums = sums
        self.uncut: set[tuple[str, str]] = set()
        self.num_uncut = 0

    def problems(self, path: Path) -> Iterator[str]:
        groups = _groups(cut_rows(path))
        group = next(groups, None)
        shown = 0
        for _, file in self.work.files():
            run = self.work.plan.runs[file.run]
            if run.against:
                self._outside(file, run.path)
                continue
            written = self._written(file)
            line = next(written, None)
            counts = [0, 0, 0]
            for document in read_documents(self.work, file):
                pieces: list[dict[str, Any]] = []
                if group is not None and group[0] == (file.source, document["id"]):
                    pieces = group[1]
                    group = next(groups, None)
                stays = line is not None and line["id"] == document["id"]
                for problem in self._document(file, document, pieces, line["text"] if stays and line else None, counts):
                    shown += 1
                    if shown <= _MOST:
                        yield f"{file.source}: {document['id']}: {problem}"
                if stays:
                    line = next(written, None)
            record = self.records[file.source, file.rank]
            if counts != [record.cut_documents, record.cut_sentences, record.cut_chars]:
                yield (
                    f"{file.source} task {file.rank}: {CUTS_FILE} has {counts[1]:,} sentences ({counts[2]:,} "
                    f"characters) of {counts[0]:,} documents, the ledger {record.cut_sentences:,} "
                    f"({record.cut_chars:,}) of {record.cut_documents:,}"
                )
        if group is not None:
            yield f"{CUTS_FILE}: {group[0][1]} ({group[0][0]}): is not in the run, or not in its order"
        if shown > _MOST:
            yield f"{CUTS_FILE}: {shown - _MOST:,} more problems of this kind"
        yield from self._uncut()
        yield from self._missing(path)

    def _written(self, file: InputFile) -> Iterator[dict[str, Any]]:
        record = self.records[file.source, file.rank]
        if record.file is None:
            return
        try:
            with (
                open_at(self.work.layout.where, record.file.path) as raw,
                open_lines(record.file.path, raw) as handle,
            ):
                for line in handle:
                    document: dict[str, Any] = orjson.loads(line)
                    yield document
        except LINE_ERRORS:
            # Said by the check of the files themselves.
            return

    def _document(
        self, file: InputFile, document: dict[str, Any], pieces: list[dict[str, Any]], written: str | None,
        counts: list[int],
    ) -> Iterator[str]:  # fmt: skip
        text: str = document["text"]
        spans = [(piece["start"], piece["end"]) for piece in pieces]
        if any(a[1] > b[0] for a, b in pairwise(spans)):
            yield "its pieces overlap"
        if any(text[p["start"] : p["end"]] != p["text"] for p in pieces):
            yield f"a piece in {CUTS_FILE} is not the text that was read there"
        if written is not None and written != without(text, iter(spans)):
            yield "the text that was written is not the text that was read without its pieces"
        if not pieces and written is None and _has(self.removed, identity(file.source, document["id"])):
            # Perhaps: two documents may have one hash.
            self.num_uncut += 1
            if len(self.uncut) < SUSPECTS:
                self.uncut.add((file.source, document["id"]))
        if any(piece["removed"] == (written is not None) for piece in pieces):
            yield f"is said to be {'removed' if written is not None else 'kept'}, and is not"
        if written is not None and pieces:
            counts[0] += 1
            counts[1] += sum(piece["sentences"] for piece in pieces)
            counts[2] += sum(end - start for start, end in spans)
        place = _place("", file.source, document["id"])
        stays = _has(self.kept, place)
        if not pieces and not stays:
            return
        sentences = self._split(file, document)
        hashes = _hashes(sentences, self.config)
        gone = np.zeros(len(hashes), bool)
        for piece in pieces:
            inside = _inside(sentences, piece["start"], piece["end"])
            gone |= inside
            found = hashes[inside & (hashes != 0)]
            where = _place(piece["kept_run"], piece["kept_source"], piece["kept_id"])
            self.sums.cut(_mix(where, found), piece["row"])
        if stays and written is not None:
            self.sums.stays(_mix(place, hashes[~gone & (hashes != 0)]))
        if pieces and written is None and not self._too_little(sentences, gone):
            yield "was removed, and enough is left of it"

    def _too_little(self, sentences: Sentences, gone: np.ndarray) -> bool:
        """Whether less than the minimum is left; own repeats may have been cut besides, which are not in the table."""
        if without_sentences(sentences, gone, self.config).too_little:
            return True
        repeats = np.zeros(len(gone), bool)
        window = self.config.n_sentences
        seen: set[tuple[str, ...]] = set()
        plain = simplified(sentences, self.config)
        for i in range(len(plain) - window + 1):
            if (key := tuple(plain[i : i + window])) in seen:
                repeats[i : i + window] = True
            seen.add(key)
        return without_sentences(sentences, gone | repeats, self.config).too_little

    def _outside(self, file: InputFile, run: str) -> None:
        for document in read_documents(self.work, file):
            if _has(self.kept, place := _place(run, file.source, document["id"])):
                hashes = _hashes(self._split(file, document), self.config)
                self.sums.stays(_mix(place, hashes[hashes != 0]))

    def _split(self, file: InputFile, document: dict[str, Any]) -> Sentences:
        code = sentence_language(language_of(document, file))
        return sentences_of(document["text"], code, self.config)

    def _uncut(self) -> Iterator[str]:
        """Documents that the table says this method has removed, and that have no piece; by their ids."""
        found: set[tuple[str, str]] = set()
        if self.uncut:
            for documents in _removed_documents(self.work.layout.run_dir / FILE):
                found |= self.uncut.intersection(documents)
        for source, name in sorted(found)[:_MOST]:
            yield f"{source}: {name}: was removed by {SENTENCE}, and nothing is cut from it"
        # Suspects that were not looked at are more than there can be by chance.
        number = len(found) + self.num_uncut - len(self.uncut)
        if number > _MOST:
            yield f"{CUTS_FILE}: {number - _MOST:,} more documents were removed, and nothing is cut from them"

    def _missing(self, path: Path) -> Iterator[str]:
        number, rows = self.sums.lost()
        if number:
            names = sorted({row["id"] for _, row in rows_at(path, rows.tolist())})
            yield (
                f"{CUTS_FILE}: {number:,} sentences were cut and do not stand in the document that they were cut "
                f"for (of {', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
            )


def _groups(rows: Iterator[dict[str, Any]]) -> Iterator[tuple[tuple[str, str], list[dict[str, Any]]]]:
    """The pieces of one document after another, each with its `row` in the table."""
    key: tuple[str, str] | None = None
    group: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        row["row"] = number
        if (row["source"], row["id"]) != key:
            if key is not None:
                yield key, group
            key, group = (row["source"], row["id"]), []
        group.append(row)
    if key is not None:
        yield key, group


def _hashes(sentences: Sentences, config: Any) -> np.ndarray:
    """64 bits for each sentence as it is compared; 0 for one of punctuation alone."""
    plain = simplified(sentences, config)
    return np.array([xxhash.xxh3_64_intdigest(text.encode()) if text else 0 for text in plain], np.uint64)


def _mix(place: int, hashes: np.ndarray) -> np.ndarray:
    return (hashes ^ np.uint64(place)) * np.uint64(0x9E3779B97F4A7C15)


def _inside(sentences: Sentences, start: int, end: int) -> np.ndarray:
    """Which sentences are in a piece. One that goes at the start of a text takes white space of the next along."""
    ends = np.array(sentences.ends)
    starts = np.append(0, ends[:-1])
    return (starts >= start) & (ends <= end)
