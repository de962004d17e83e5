"""Does a document cost the same in a corpus of many files and parts? CPU time of every stage, by number of files.

    python benchmarks/dedup_scale.py ../shared/data

Files of `DOCUMENTS` short documents each (dedup_corpus.py), 100 to 1,200 of them, and parts of `PART_RECORDS` records,
so that a small corpus has as many files and parts as a large one; the real stages in one process. What is printed are
CPU microseconds a document: the same in every column where a stage does not look at all files for each file, or at all
records for each part. Beside them how full the fullest part is, of `PART_RECORDS`: that is what bounds the memory.
Gives up: the price of a document in a file of real size; most of what is seen here is the price of a file.
"""

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.dedup_corpus import _pieces
from pipelines.compression import OutputConfig
from pipelines.dedup import exact, minhash, sentence, simhash, stages, store
from pipelines.dedup.config import DedupConfig, MethodName, MinhashConfig
from pipelines.dedup.inputs import DedupPlan, InputFile, InputRun, InputSource
from pipelines.dedup.processes import Alone
from pipelines.dedup.work import Job, Work
from pipelines.run_layout import RunLayout
from pipelines.writers import Sink

FILES = (100, 400, 1200)
DOCUMENTS = 20
PART_RECORDS = 1000
SOURCE = "bench/pieces"
METHODS: dict[str, tuple[list[MethodName], float | None]] = {
    "exact, minhash, simhash": (["exact", "minhash", "simhash"], None),
    "min_similarity, sentence": (["minhash", "sentence"], 0.8),
}


def plan_of(documents: Iterator[tuple[str, str]], folder: Path, files: int, config: DedupConfig) -> DedupPlan:
    """So many files of `DOCUMENTS` documents, and the plan that a finished run with them would give."""
    found = []
    for rank in range(files):
        sink = Sink(folder / f"{rank:05d}.jsonl.gz", OutputConfig())
        text_bytes = 0
        for name, text in islice(documents, DOCUMENTS):
            line = json.dumps({"text": text, "id": f"{name}", "metadata": {"language": "en"}}, ensure_ascii=False)
            sink.write(line.encode() + b"\n")
            text_bytes += len(text.encode())
        written = sink.close()
        found.append(
            InputFile(
                run=0, source=SOURCE, output_dir=SOURCE, rank=rank, path=Path(written.path).name,
                size=written.size, sha256=written.sha256, lines=written.lines, text_bytes=text_bytes, language="en",
            )
        )  # fmt: skip
    return DedupPlan(
        runs=(InputRun(path=str(folder), fingerprint="0" * 64, against=False),),
        sources=(InputSource(source=SOURCE, output_dir=SOURCE, language="en", tasks=files, description={}),),
        files=tuple(found), config=config,
    )  # fmt: skip


class Timed(Alone):
    """Adds up CPU seconds by stage."""

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self.seconds: dict[str, float] = {}

    def each(self, name: str, job: Job, numbers: Iterable[int], what: str, done: Callable[[int], bool]) -> None:
        """The pieces that are left, timed."""
        started = time.process_time()
        super().each(name, job, numbers, what, done)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - started

    def once(self, name: str, job: Job, number: int, done: Callable[[], bool]) -> None:
        """The same for what is one piece."""
        self.each(name, job, () if done() else (number,), "", lambda _: False)


def measured(data: Path, files: int, methods: list[MethodName], min_similarity: float | None) -> dict[str, float]:
    """CPU microseconds a document by stage, and `fullest`: records of the fullest part of a method."""
    config = DedupConfig(methods=methods, minhash=MinhashConfig(min_similarity=min_similarity))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan = plan_of(_pieces(data), folder, files, config)
        digest = hashlib.sha256(str(files).encode()).hexdigest()
        layout = RunLayout(output_folder=folder / "out", logging_dir=folder / "log", fingerprint=digest)
        work = Work(layout=layout, plan=plan)
        layout.run_dir.mkdir(parents=True)
        crew = Timed(work)
        fullest: dict[str, int] = {}
        clear, stages.clear_work = stages.clear_work, lambda layout: _note_parts(work, fullest)
        try:
            stages.all_stages(work, crew)  # type: ignore[arg-type]
        finally:
            stages.clear_work = clear
    found = {stage: seconds / plan.num_documents * 1e6 for stage, seconds in crew.seconds.items()}
    return found | {f"{name}: fullest part": records for name, records in fullest.items()}


def _note_parts(work: Work, fullest: dict[str, int]) -> None:
    for name in work.methods:
        folders = sorted(work.folder(f"{name}.match").iterdir())
        fullest[name] = max(store.totals(folder)["records"] for folder in folders)


def main() -> None:
    """Print a table for each set of methods."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the data pack")
    parser.add_argument("--files", type=int, nargs="+", default=FILES)
    arguments = parser.parse_args()
    for module in (exact, minhash, simhash, sentence):
        module.PART_RECORDS = PART_RECORDS
    for title, (methods, min_similarity) in METHODS.items():
        # What the first document of a process loads is not the price of a document.
        measured(arguments.data, 2, methods, min_similarity)
        found = []
        for files in arguments.files:
            found.append(measured(arguments.data, files, methods, min_similarity))
            print(f"{title}: {files:,} files: {sum(found[-1].values()):,.0f}", file=sys.stderr)
        print(f"\n| {title} | " + " | ".join(f"{files:,} files" for files in arguments.files) + " |")
        print("|---|" + "---:|" * len(arguments.files))
        for stage in found[-1]:
            print(f"| {stage} | " + " | ".join(f"{one[stage]:,.0f}" for one in found) + " |")


if __name__ == "__main__":
    main()
