"""Sentence deduplication beside datatrove's signature stage, and the peak memory of the stage that sees all windows.

    python benchmarks/dedup_sentence.py speed ../shared/data      # CPU microseconds per document, both sides in turns
    python benchmarks/dedup_sentence.py memory                    # peak of `match` by the number of windows

Speed: real documents, splitting included, one process, medians of paired rounds; the first round fills the memory of
the native splitter and is shown apart. Memory: windows as the scan leaves them, every fifth of them in two places, a
process for each measurement; what Python and the libraries hold is not in it. Gives up: the memory of splitting.
"""

import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from loguru import logger

from pipelines.dedup import sentence, store
from pipelines.dedup.config import DedupConfig, SentenceConfig
from pipelines.dedup.inputs import DedupPlan, InputFile, InputRun
from pipelines.dedup.sentence_text import norm_config, sentences_of, windows
from pipelines.dedup.work import CANARY_ROWS, Work
from pipelines.run_layout import RunLayout

ROUNDS, PER_ROUND = 7, 150
SIZES = (250_000, 1_000_000, 2_000_000)


def texts_of(folder: Path) -> list[str]:
    """Texts at even distances over a data set."""
    import pyarrow.parquet as pq

    found: list[str] = []
    for path in sorted((folder / "data").iterdir()):
        if path.suffix == ".parquet":
            found += pq.read_table(path, columns=["text"])["text"].to_pylist()
        else:
            with gzip.open(path) as handle:
                found += [json.loads(line)["text"] for line in handle]
    number = (ROUNDS + 1) * PER_ROUND
    return found[:: len(found) // number][:number]


def cpu(call: Callable[[], object]) -> float:
    """CPU microseconds per document of one round."""
    start = time.process_time()
    call()
    return (time.process_time() - start) / PER_ROUND * 1e6


def speed(data: Path) -> None:
    """The table of CPU microseconds per document."""
    from datatrove.data import Document
    from datatrove.pipeline.dedup.sentence_dedup import SentDedupConfig, SentenceDedupSignature

    logger.remove()
    config = SentenceConfig()
    print("| documents | stock, us | ours, us | ours, first round | stock / ours |\n|---|---:|---:|---:|---:|")
    for name, code in (("web-en", "eng"), ("web-vi", "vie")):
        texts = texts_of(data / name)

        def ours_of(part: list[str], code: str = code) -> None:
            for text in part:
                windows(sentences_of(text, code, config), config)

        with tempfile.TemporaryDirectory() as folder:
            step = SentenceDedupSignature(
                folder, config=SentDedupConfig(norm_config=norm_config(config)), language=code
            )
            pairs = []
            for i in range(ROUNDS + 1):
                part = texts[i * PER_ROUND : (i + 1) * PER_ROUND]
                documents = [Document(text, str(number)) for number, text in enumerate(part)]
                ours = cpu(partial(ours_of, part))
                pairs.append((cpu(partial(step.run, documents)), ours))
        theirs, ours = (statistics.median(pair[side] for pair in pairs[1:]) for side in (0, 1))
        print(f"| {name} | {theirs:,.0f} | {ours:,.0f} | {pairs[0][1]:,.0f} | {theirs / ours:.1f} |", flush=True)


def measure(number: int) -> None:
    """Print the peak of `match`, in bytes per window, for so many windows."""
    dice = np.random.default_rng(number)
    with tempfile.TemporaryDirectory() as name:
        layout = RunLayout(output_folder=Path(name), logging_dir=Path(name), fingerprint="f" * 64)
        given = {"run": 0, "source": "x/y", "output_dir": "x/y", "size": 0, "sha256": "", "text_bytes": 0, "rank": 0}
        documents = number // 20
        file = InputFile.model_validate({**given, "path": "0", "lines": documents, "language": "en"})
        run = InputRun(path="", fingerprint="", against=False)
        plan = DedupPlan(runs=(run,), sources=(), files=(file,), config=DedupConfig(methods=["sentence"]))
        work = Work(layout=layout, plan=plan)
        ids = np.arange(documents)
        store.commit(
            work.folder("index", 0),
            {"length": ids % 9000, "epoch": ids * 0 + 1, "identity": ids, "unit": ids, "end": (ids + 1) * 8,
             "names": np.frombuffer("".join(f"{i:08d}" for i in ids).encode(), np.uint8)},
            {},
        )  # fmt: skip
        value = dice.integers(0, 1 << 63, number, np.uint64)
        value[: number // 5] = value[number // 5 : 2 * (number // 5)]
        columns = {
            "hash": np.sort(value), "guard": np.zeros(number, np.uint32),
            "row": dice.integers(0, documents, number).astype(np.uint32),
            "sent": dice.integers(0, 40, number).astype(np.uint32),
        }  # fmt: skip
        assert CANARY_ROWS == 2
        store.commit(work.folder("sentence.scan", 0), columns, {"records": number})
        del value, columns
        tracemalloc.start()
        sentence.match(work, 0)
        print(tracemalloc.get_traced_memory()[1] / number)


def memory() -> None:
    """The table of peak memory."""
    print("| windows | peak of match | bytes a window |\n|---:|---:|---:|")
    for number in SIZES:
        done = subprocess.run(
            [sys.executable, __file__, "measure", str(number)], check=True, capture_output=True, text=True
        )
        print(f"| {number:,} | {float(done.stdout) * number / 1e6:.0f} MB | {float(done.stdout):.0f} |", flush=True)


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "speed":
        speed(Path(arguments[0]))
    elif command == "memory":
        memory()
    else:
        measure(int(arguments[0]))
