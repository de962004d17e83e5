"""Whole pipelines beside stock datatrove: jsonl.gz in, language, Gopher, spam, jsonl.gz out; outputs compared.

    python benchmarks/pipeline.py en vi --documents 20000

Documents come in pieces. Each piece goes through stock and then through several fresh processes of ours, in turn
(lanes.py), and then once more in the same order: the second pass, memories full, texts new objects. CPU seconds of
each; imports and models are loaded before and listed as set-up. The ratio is the sum of stock's time over all pieces
by the sum of the median of our processes. Stock has no memory between documents, so its second pass is timed on fewer
pieces. Every document's fate is compared: kept or dropped, by which filter, for which reason, language, score, and
the text written. What it gives up: remote files, and more than one core.
"""

import argparse
import gzip
import hashlib
import json
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from corpus import DATA, LANGUAGES, Piece, write_pieces  # noqa: E402 - the project's root must be on the path first
from lanes import Answer, Lane, measured, serve  # noqa: E402

PASSES = ("first", "second")
WARM_UP = {"en": "A first text, of which nothing is measured.", "vi": "Một văn bản đầu tiên, không đo gì cả."}


def lane(side: str, language: str) -> None:
    """The process of a lane: pieces through one chain."""
    from chains import Chain
    from loguru import logger

    logger.remove()
    chain = Chain(side, language)
    with tempfile.TemporaryDirectory() as folder:
        # Models and word splitters load with the first document.
        warm_up = Path(folder) / "warm-up.jsonl.gz"
        row = {"id": "0", "text": f"{WARM_UP[language]} {WARM_UP[language]}\n" * 20}
        warm_up.write_bytes(gzip.compress(json.dumps(row).encode() + b"\n"))
        chain.run(warm_up, Path(folder) / "out")
        for step in (*chain.filters.values(), chain.words_only):
            step.filter(_document(row))

    def answer(question: dict[str, Any]) -> Answer:
        path, folder = Path(question["path"]), Path(question["folder"])
        chain.dropped.clear()
        if question.get("metered"):
            cpu, shares = measured(lambda: chain.run_metered(path, folder))
            return {"cpu": cpu, "shares": shares}
        cpu, _ = measured(lambda: chain.run(path, folder))
        (folder / "dropped.json").write_text(json.dumps(chain.dropped))
        return {"cpu": cpu, "stock_path": _sent_to_stock()}

    serve(answer)


def _document(row: dict[str, str]) -> Any:
    from datatrove.data import Document

    return Document(text=row["text"], id=row["id"])


def _sent_to_stock() -> int:
    """Verdicts that the native core has left to datatrove's own code, by any step, in this process."""
    from filters import native

    return sum(count for (path, _, _), count in native.counts.items() if path == "stock")


def fates(folder: Path) -> dict[str, list[Any]]:
    """What became of each document: ["kept", hash of its text, language, score], or [filter, reason, ...]."""
    found: dict[str, list[Any]] = json.loads((folder / "dropped.json").read_text())
    for path in folder.glob("*.jsonl.gz"):
        with gzip.open(path, "rb") as lines:
            for line in lines:
                row = json.loads(line)
                digest = hashlib.sha256(row["text"].encode()).hexdigest()
                metadata = row["metadata"]
                found[row["id"]] = ["kept", digest, metadata["language"], metadata["language_score"]]
    return found


def _size_against_level_6(folder: Path) -> tuple[int, int]:
    """Bytes of the files written, and of the same content by zlib at level 6."""
    size = plain = 0
    for path in folder.glob("*.jsonl.gz"):
        packed = path.read_bytes()
        size, plain = size + len(packed), plain + len(zlib.compress(gzip.decompress(packed), 6))
    return size, plain


class Comparison:
    """One language: its lanes, what they answered, and what did not agree."""

    def __init__(self, language: str, pieces: Sequence[Piece], folder: Path, repeats: int, stock_every: int) -> None:
        self.language, self.pieces, self.folder, self.stock_every = language, pieces, folder, stock_every
        self.lanes = {"stock": self._open("stock")} | {f"ours-{i}": self._open("ours") for i in range(repeats)}
        self.ours = [name for name in self.lanes if name != "stock"]
        self.answers: dict[tuple[str, str], dict[int, Answer]] = {
            (name, turn): {} for name in self.lanes for turn in PASSES
        }
        self.compared: set[int] = set()
        self.different: dict[str, list[Any]] = {}
        self.sizes = [0, 0]

    def _open(self, side: str) -> Lane:
        return Lane(f"{side} {self.language}", [sys.executable, __file__, "--lane", side, self.language])

    def run(self) -> None:
        """Both passes over all pieces."""
        for turn in PASSES:
            for number, piece in enumerate(self.pieces):
                due = number % (self.stock_every if turn == "first" else max(self.stock_every, 4)) == 0
                names = [*(["stock"] if due else []), *self.ours]
                # Who comes first changes, so that no one always finds the machine as another has left it.
                names = names if number % 2 else names[::-1]
                out = {name: self.folder / f"{turn}-{number:05d}-{name}" for name in names}
                for name in names:
                    answer = self.lanes[name].ask(path=str(piece.path), folder=str(out[name]))
                    self.answers[name, turn][number] = answer
                self.compare(number, piece, out)

    def compare(self, number: int, piece: Piece, out: dict[str, Path]) -> None:
        """Note every document whose fate is not the same everywhere."""
        found = {name: fates(folder) for name, folder in out.items()}
        for name, fate in found.items():
            if len(fate) != piece.documents:
                self.different[f"{piece.path.name} {name}"] = [f"{len(fate)} of {piece.documents} documents came out"]
        reference = found.get("stock", found[self.ours[0]])
        for name, fate in found.items():
            for ident in reference.keys() | fate.keys():
                if reference.get(ident) != fate.get(ident):
                    self.different[ident] = [name, reference.get(ident), fate.get(ident)]
        if "stock" in found:
            self.compared.add(number)
            size, level_6 = _size_against_level_6(out[self.ours[0]])
            self.sizes = [self.sizes[0] + size, self.sizes[1] + level_6]

    def shares(self, stock_pieces: int = 1) -> dict[str, Any]:
        """Share of each step, of ours in both passes (a fresh process) and of stock (few pieces)."""
        found: dict[str, Any] = {}
        with self._open("ours") as metered:
            for turn in PASSES:
                found[turn] = self._shares(metered, self.pieces)
        found["stock"] = self._shares(self.lanes["stock"], self.pieces[:stock_pieces])
        return found

    def _shares(self, asked: Lane, pieces: Sequence[Piece]) -> dict[str, float]:
        answers = [
            asked.ask(path=str(piece.path), folder=str(self.folder / "metered" / piece.path.name), metered=True)
            for piece in pieces
        ]
        cpu = sum(answer["cpu"] for answer in answers)
        names = answers[0]["shares"]
        return {name: round(sum(a["shares"][name] * a["cpu"] for a in answers) / cpu, 4) for name in names}

    def result(self) -> dict[str, Any]:
        """Everything that was found, ready for JSON."""
        stock_cpu = self._seconds("stock", "first", self.compared)
        documents = sum(piece.documents for piece in self.pieces)
        text_bytes = sum(piece.text_bytes for piece in self.pieces)
        compared = sum(self.pieces[i].documents for i in self.compared)
        out: dict[str, Any] = {
            "documents": documents, "compared": compared, "mismatches": len(self.different),
            "examples": dict(list(self.different.items())[:5]),
            "text_megabytes": round(text_bytes / 1e6, 2),
            "stock_us": round(stock_cpu / compared * 1e6, 1),
            "stock_mb_s": round(sum(self.pieces[i].text_bytes for i in self.compared) / stock_cpu / 1e6, 2),
            "size_against_gzip_6": round(self.sizes[0] / max(1, self.sizes[1]), 3),
        }  # fmt: skip
        for turn in PASSES:
            pairs = sorted(self.answers["stock", turn])
            ratio = self._seconds("stock", turn, pairs) / self._ours(turn, pairs)
            cpu = self._ours(turn, range(len(self.pieces)))
            each = [self.answers["stock", turn][i]["cpu"] / self._ours(turn, [i]) for i in pairs]
            out[turn] = {
                "ratio": round(ratio, 1), "us": round(cpu / documents * 1e6, 1),
                "documents_s": round(documents / cpu), "mb_s": round(text_bytes / cpu / 1e6, 1),
                "ratio_of_pieces": [round(f(each), 1) for f in (min, statistics.median, max)],
            }  # fmt: skip
        for name, lane_name in (("stock", "stock"), ("ours", self.ours[0])):
            last = self.answers[lane_name, "second"][0]
            opened = self.lanes[lane_name].ready
            out[f"{name}_setup"] = {
                "seconds": round(opened["setup_seconds"], 2), "memory_mb": round(opened["setup_memory"] / 1e6),
                "peak_memory_mb": round(max(last["peak_memory"], self._peak(lane_name)) / 1e6),
            }  # fmt: skip
        out["sent_to_stock"] = self.answers[self.ours[0], "second"][len(self.pieces) - 1]["stock_path"]
        return out

    def _peak(self, name: str) -> int:
        return max(answer["peak_memory"] for turn in PASSES for answer in self.answers[name, turn].values())

    def _seconds(self, name: str, turn: str, numbers: Any) -> float:
        return sum(self.answers[name, turn][i]["cpu"] for i in numbers)

    def _ours(self, turn: str, numbers: Any) -> float:
        return sum(statistics.median(self.answers[name, turn][i]["cpu"] for name in self.ours) for i in numbers)

    def close(self) -> None:
        """End the lanes."""
        for opened in self.lanes.values():
            opened.close()


def measure(
    language: str, *, documents: int = 20_000, piece_size: int = 1_000, stock_every: int = 1, repeats: int = 3,
    data: Path = DATA,
) -> dict[str, Any]:  # fmt: skip
    """Ratios, costs, shares and differences of one language.

    Args:
        language: a key of `corpus.LANGUAGES`.
        documents, piece_size: how many, and how many in one piece.
        stock_every: stock gets every n-th piece; ratios are over the pieces that both had.
        repeats: fresh processes of ours; the median of them counts.
        data: the data pack.
    """
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        pieces = write_pieces(language, documents, piece_size, Path(name) / "pieces", data)
        comparison = Comparison(language, pieces, Path(name) / "out", repeats, stock_every)
        try:
            comparison.run()
            result = comparison.result() | {"shares": comparison.shares()}
        finally:
            comparison.close()
    return result | {"stock_every": stock_every, "repeats": repeats, "seconds": round(time.monotonic() - begin)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("languages", nargs="*", default=sorted(LANGUAGES), metavar="LANGUAGE")
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--piece-size", type=int, default=1_000)
    parser.add_argument("--stock-every", type=int, default=1, help="give stock every n-th piece")
    parser.add_argument("--repeats", type=int, default=3, help="fresh processes of ours; the median of them counts")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--lane", choices=("ours", "stock"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.lane:
        lane(options.lane, options.languages[0])
        return
    for language in options.languages:
        result = measure(
            language, documents=options.documents, piece_size=options.piece_size, stock_every=options.stock_every,
            repeats=options.repeats, data=options.data,
        )  # fmt: skip
        print(json.dumps({language: result}, ensure_ascii=False, indent=1), flush=True)


if __name__ == "__main__":
    main()
