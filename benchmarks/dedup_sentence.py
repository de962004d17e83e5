"""The peak memory of the stage of sentence deduplication that sees the windows of all files, by their number.

    python benchmarks/dedup_sentence.py

Windows as the scan leaves them, every fifth of them in two places, a process for each measurement; what Python and the
libraries hold is not in it. Stages of real documents: dedup_speed.py and dedup_memory.py. Gives up: the memory of
splitting.
"""

import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pipelines.dedup import sentence, store
from pipelines.dedup.config import DedupConfig
from pipelines.dedup.inputs import DedupPlan, InputFile, InputRun
from pipelines.dedup.work import CANARY_ROWS, Work
from pipelines.run_layout import RunLayout

SIZES = (250_000, 1_000_000, 2_000_000)


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
        done = subprocess.run([sys.executable, __file__, str(number)], check=True, capture_output=True, text=True)
        print(f"| {number:,} | {float(done.stdout) * number / 1e6:.0f} MB | {float(done.stdout):.0f} |", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(int(sys.argv[1]))
    else:
        memory()
