"""MinHash beside stock datatrove: signatures and buckets, whole stages, on one core, files and pairs compared.

    python benchmarks/minhash_speed.py en --documents 20000 --stock-every 4

Signatures: documents in memory to sorted signature files (normalise, split, n-grams, hash, permute, sort, write).
Buckets: signature files to pairs of documents. Stock's buckets read the very signatures that ours wrote, since they
are the same bytes. Lanes and clocks as in pipeline.py. What it gives up: reading documents, which pipeline.py has.
"""

import argparse
import json
import statistics
import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from corpus import DATA, LANGUAGES, Piece, write_pieces  # noqa: E402 - the root must be on the path first
from lanes import Answer, Lane, measured, read_texts, serve  # noqa: E402

WARM_UP = "One two three four five six seven eight nine ten. Một hai ba bốn năm sáu bảy tám chín mười. " * 3
BUCKET_TURNS = 3


def _stock_lane(language: str, folder: Path) -> None:
    """datatrove's own steps, one signature step for every piece."""
    from datatrove.data import Document
    from datatrove.pipeline.dedup.minhash import MinhashDedupBuckets, MinhashDedupSignature

    from pipelines.dedup.config import DedupConfig
    from pipelines.dedup.minhash import stock_config

    config = stock_config(DedupConfig().minhash)
    step = MinhashDedupSignature(str(folder / "stock"), config, language=LANGUAGES[language].word_code)
    step.run((Document(text, "0") for text in [WARM_UP]), rank=99_999)

    def answer(question: dict[str, Any]) -> Answer:
        if "bucket" in question:
            buckets = MinhashDedupBuckets(str(folder / "given"), str(folder / "dups"), config=config)
            return {"cpu": measured(lambda: buckets.run(None, question["bucket"], config.num_buckets))[0]}
        documents = [Document(text, str(row)) for row, text in enumerate(read_texts(question["path"]))]
        return {"cpu": measured(lambda: step.run(iter(documents), rank=question["piece"]))[0]}

    serve(answer)


def _our_lane(language: str, folder: Path, lines: list[int]) -> None:
    """The stages `index`, `scan` and `match` of pipelines/dedup, with every piece as one file of a run."""
    from pipelines.dedup import documents, minhash
    from pipelines.dedup.config import DedupConfig
    from pipelines.dedup.inputs import DedupPlan, InputFile, InputRun
    from pipelines.dedup.work import Work
    from pipelines.run_layout import RunLayout

    given = {"run": 0, "source": "bench/web", "output_dir": "bench_web", "size": 0, "sha256": "", "text_bytes": 0}
    files = tuple(
        InputFile(**given, rank=i, path=str(i), lines=n, language=LANGUAGES[language].word_code)
        for i, n in enumerate(lines)
    )
    run = InputRun(path="", fingerprint="", against=False)
    plan = DedupPlan(runs=(run,), sources=(), files=files, config=DedupConfig(methods=["minhash"]))
    work = Work(layout=RunLayout(output_folder=folder, logging_dir=folder, fingerprint="f" * 64), plan=plan)
    rows: dict[int, list[dict[str, Any]]] = {}

    def in_memory(_: Work, file: InputFile, __: object = ()) -> Iterator[tuple[int, dict[str, Any]]]:
        return enumerate(rows[file.rank])

    # Whole files are read by both stages; here the documents are there already, for stock too.
    documents.read_rows = in_memory
    # An index without a scan, which is what is measured; `simhash` makes none at the same reading.
    indexed = Work(layout=work.layout, plan=plan.model_copy(update={"config": DedupConfig(methods=["simhash"])}))
    minhash.Signer(minhash.stock_config(plan.config.minhash)).signature(
        minhash.words_of(WARM_UP, LANGUAGES[language].word_code, minhash.stock_config(plan.config.minhash))
    )

    def answer(question: dict[str, Any]) -> Answer:
        if "bucket" in question:
            return {"cpu": measured(lambda: minhash.match(work, question["bucket"]))[0]}
        index = question["piece"]
        texts = read_texts(question["path"])
        rows[index] = [{"text": text, "id": str(row), "metadata": {}} for row, text in enumerate(texts)]
        documents.index_file(indexed, index)
        return {"cpu": measured(lambda: minhash.scan(work, index))[0]}

    serve(answer)


class Comparison:
    """One language: stock, a number of our processes, and what they made."""

    def __init__(self, language: str, pieces: list[Piece], folder: Path, repeats: int, stock_every: int) -> None:
        self.language, self.pieces, self.folder, self.stock_every = language, pieces, folder, stock_every
        lines = json.dumps([piece.documents for piece in pieces])
        command = [sys.executable, __file__, language, "--folder", str(folder), "--lines", lines, "--lane"]
        self.stock = Lane(f"stock {language}", [*command, "stock"])
        self.ours = [Lane(f"ours {language}", [*command, f"ours-{i}"]) for i in range(repeats)]
        self.mismatches = 0

    def signatures(self) -> dict[str, Any]:
        """Ratio and cost of the signature stage."""
        stock, ours = {}, {}
        for number, piece in enumerate(self.pieces):
            question = {"piece": number, "path": str(piece.path)}
            if number % self.stock_every == 0:
                stock[number] = self.stock.ask(**question)["cpu"]
            ours[number] = statistics.median(lane.ask(**question)["cpu"] for lane in self.ours)
            if number in stock:
                self.mismatches += self._compare_signatures(number, piece.documents)
        compared = sum(self.pieces[number].documents for number in stock)
        documents = sum(piece.documents for piece in self.pieces)
        return {
            "ratio": round(sum(stock.values()) / sum(ours[number] for number in stock), 1),
            "stock_us": round(sum(stock.values()) / compared * 1e6, 1),
            "us": round(sum(ours.values()) / documents * 1e6, 1),
            "documents": documents, "compared": compared,
        }  # fmt: skip

    def _records(self, bucket: int, number: int) -> np.ndarray:
        """Our records of one bucket of one piece, without those of canaries."""
        scans = self.folder / "ours-0" / "_run" / "stages" / ("f" * 16) / "dedup" / "minhash.scan"
        kind = np.dtype([("hashes", "<u8", (8,)), ("row", "<u4")])
        records = np.fromfile(scans / f"{number:05d}" / f"bucket_{bucket:03d}.minhash.sig", kind)
        return records[records["row"] < self.pieces[number].documents]

    def _compare_signatures(self, number: int, documents: int) -> int:
        """Documents that have another signature, or none, in a bucket."""
        different: set[int] = set()
        for bucket in range(14):
            ours = self._records(bucket, number)
            path = self.folder / "stock" / f"bucket_{bucket:03d}" / f"{number:05d}.minhash.sig"
            if ours.tobytes() != path.read_bytes():
                theirs = np.fromfile(path, ours.dtype)
                sides = [{int(r["row"]): r["hashes"].tobytes() for r in records} for records in (ours, theirs)]
                different |= {row for row in range(documents) if sides[0].get(row) != sides[1].get(row)}
        return len(different)

    def buckets(self) -> dict[str, Any]:
        """Ratio and cost of the bucket stage over all pieces."""
        for bucket in range(14):
            folder = self.folder / "given" / f"bucket_{bucket:03d}"
            folder.mkdir(parents=True)
            for number in range(len(self.pieces)):
                (folder / f"{number:05d}.minhash.sig").write_bytes(self._records(bucket, number).tobytes())
        stock, ours = [], []
        for _ in range(BUCKET_TURNS):
            stock.append(sum(self.stock.ask(bucket=bucket)["cpu"] for bucket in range(14)))
            ours.append(sum(self.ours[0].ask(bucket=bucket)["cpu"] for bucket in range(14)))
        self.mismatches += len(self._stock_pairs() ^ self._our_pairs())
        documents = sum(piece.documents for piece in self.pieces)
        return {
            "ratio": round(statistics.median(s / o for s, o in zip(stock, ours, strict=True)), 1),
            "stock_us": round(statistics.median(stock) / documents * 1e6, 1),
            "us": round(statistics.median(ours) / documents * 1e6, 2),
        }

    def _stock_pairs(self) -> set[tuple[int, ...]]:
        found = set()
        for bucket in range(14):
            for path in (self.folder / "dups").glob(f"{bucket:05d}_*.dups"):
                found |= {(bucket, *pair) for pair in struct.iter_unpack("<4I", path.read_bytes())}
        return found

    def _our_pairs(self) -> set[tuple[int, ...]]:
        matched = self.folder / "ours-0" / "_run" / "stages" / ("f" * 16) / "dedup" / "minhash.match"
        ends = np.cumsum([piece.documents + 2 for piece in self.pieces])
        starts = ends - [piece.documents + 2 for piece in self.pieces]
        found = set()
        for bucket in range(14):
            edges = np.fromfile(matched / f"{bucket:05d}" / "edges", "<u8").reshape(-1, 2)
            files = np.searchsorted(ends, edges, side="right")
            rows = edges.astype(np.int64) - starts[files]
            real = (rows < np.array([piece.documents for piece in self.pieces])[files]).all(axis=1)
            table = np.stack([files[:, 0], rows[:, 0], files[:, 1], rows[:, 1]], axis=1)[real]
            found |= {(bucket, *row) for row in table.tolist()}
        return found

    def close(self) -> None:
        """End the lanes."""
        for lane in (self.stock, *self.ours):
            lane.close()


def measure(
    language: str, *, documents: int = 20_000, piece_size: int = 1_000, stock_every: int = 4, repeats: int = 3,
    data: Path = DATA,
) -> dict[str, Any]:  # fmt: skip
    """Ratios and costs of signatures and buckets of one language; parameters as in `pipeline.measure`."""
    with tempfile.TemporaryDirectory() as name:
        pieces = write_pieces(language, documents, piece_size, Path(name) / "pieces", data)
        comparison = Comparison(language, pieces, Path(name) / "work", repeats, stock_every)
        try:
            return {
                "signatures": comparison.signatures(),
                "buckets": comparison.buckets(),
                "mismatches": comparison.mismatches,
            }
        finally:
            comparison.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("languages", nargs="*", default=sorted(LANGUAGES), metavar="LANGUAGE")
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--piece-size", type=int, default=1_000)
    parser.add_argument("--stock-every", type=int, default=4, help="give stock every n-th piece")
    parser.add_argument("--repeats", type=int, default=3, help="fresh processes of ours; the median of them counts")
    parser.add_argument("--data", type=Path, default=DATA)
    for name in ("--lane", "--folder", "--lines"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.lane:
        from loguru import logger

        logger.remove()
        language, folder = options.languages[0], Path(options.folder)
        if options.lane == "stock":
            _stock_lane(language, folder)
        else:
            _our_lane(language, folder / options.lane, json.loads(options.lines))
        return
    for language in options.languages:
        result = measure(
            language, documents=options.documents, piece_size=options.piece_size, stock_every=options.stock_every,
            repeats=options.repeats, data=options.data,
        )  # fmt: skip
        print(json.dumps({language: result}, indent=1), flush=True)


if __name__ == "__main__":
    main()
