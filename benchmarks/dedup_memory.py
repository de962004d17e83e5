"""Peak memory of every stage of a deduplication at 20,000, 80,000 and 320,000 documents, and of a 20 MB document.

    python benchmarks/dedup.py memory ../shared/data

Real short documents in eight files (dedup_corpus.py), through the real stages. Each stage runs in a process of its own;
printed is how far its resident memory rises above what it held before the first document, mapped files included. A
stage that goes file by file depends on the largest file (an eighth here), the others on the corpus. Fingerprints of
`simhash` are the package's in one file and random in the others, since making one takes a millisecond. Gives up:
other systems than Linux, which tell less about a process.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.dedup_corpus import make_run, near_dups, pieces_run
from pipelines.dedup import check, minhash, simhash, store
from pipelines.dedup.canaries import canary_texts
from pipelines.dedup.config import DedupConfig, MinhashConfig
from pipelines.dedup.decide import decide
from pipelines.dedup.documents import index_file
from pipelines.dedup.inputs import DedupPlan, freeze
from pipelines.dedup.methods import method
from pipelines.dedup.near_misses import write_near_misses
from pipelines.dedup.report import write_duplicates
from pipelines.dedup.work import Work
from pipelines.dedup.writer import write_file
from pipelines.run_layout import RunLayout

SIZES = (20_000, 80_000, 320_000)
METHODS = ("exact", "minhash", "simhash")
CHECKED = "minhash.decide, min_similarity 0.8"
STAGES = {
    "index": "file",
    "exact.scan": "file", "exact.match": "corpus", "exact.decide": "corpus",
    "minhash.scan": "file", "minhash.match": "corpus", "minhash.decide": "corpus",
    check.STAGE: "file", CHECKED: "corpus",
    "simhash.scan": "file", "simhash.match": "corpus", "simhash.decide": "corpus",
    "write": "file", "report": "corpus",
}  # fmt: skip
LONG_BYTES = 20_000_000


def config_of(stage: str) -> DedupConfig:
    """The parameters of the run; with the check from its stage on."""
    places = list(STAGES)
    checked = places.index(stage) >= places.index(check.STAGE)
    return DedupConfig(methods=list(METHODS), minhash=MinhashConfig(min_similarity=0.8 if checked else None))


def work_in(folder: Path, stage: str) -> Work:
    """The deduplication in `folder` as this stage sees it."""
    plan = DedupPlan.model_validate_json((folder / "plan.json").read_bytes())
    layout = RunLayout(output_folder=folder / "out", logging_dir=folder / "log", fingerprint="f" * 64)
    return Work(layout=layout, plan=plan.model_copy(update={"config": config_of(stage)}))


def jobs_of(work: Work, stage: str) -> list[Callable[[], object]]:
    """What the stage has to do; the first job is the one that is measured."""
    every = [index for index, _ in work.files()]
    by_file = {"index": index_file, "write": write_file, check.STAGE: check.scan_candidates}
    if stage in by_file:
        return [lambda index=index: by_file[stage](work, index) for index in every]  # type: ignore[misc]
    if stage == "report":
        return [lambda: (write_duplicates(work, work.layout.output_folder / "duplicates.parquet"),
                         write_near_misses(work, work.layout.output_folder / "near.parquet"))]  # fmt: skip
    name, _, what = stage.split(",")[0].partition(".")
    if stage == "simhash.scan":
        return [lambda: simhash.scan(work, 0), *(lambda index=index: _made_up(work, index) for index in every[1:])]  # type: ignore[misc]
    if what == "scan":
        return [lambda index=index: method(name).scan(work, index) for index in every]  # type: ignore[misc]
    if what == "match":
        return [lambda part=part: method(name).match(work, part) for part in range(method(name).num_parts(work))]  # type: ignore[misc]
    return [lambda: decide(work, name)]


def _made_up(work: Work, index: int) -> None:
    lines = work.plan.files[index].lines
    texts = canary_texts(simhash.NAME, index, work.layout.fingerprint, work.plan.config)
    values = np.random.default_rng(index).integers(0, 1 << 63, lines + 2, np.uint64)
    values[lines:] = [simhash.fingerprint(text) for text in texts]
    arrays = {"fingerprint": values, "row": np.arange(lines + 2, dtype=np.uint32)}
    store.commit(work.folder(f"{simhash.NAME}.scan", index), arrays, {"records": lines + 2})


def resident(key: str) -> int:
    """`VmRSS` (now) or `VmHWM` (at the peak) of this process, in bytes."""
    found = re.search(rf"{key}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def measure(folder: Path, stage: str) -> None:
    """Run one stage; print by how many bytes its first job raised the memory, and CPU time of all jobs."""
    work = work_in(folder, stage)
    stock = minhash.stock_config(work.plan.config.minhash)
    minhash.Signer(stock).signature(minhash.words_of("one two three four five six", "en", stock))
    first, *others = jobs_of(work, stage)
    # 5 sets the peak to what is held now (Linux: Documentation/filesystems/proc.rst).
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    started = time.process_time()
    first()
    peak = resident("VmHWM") - before
    for job in others:
        job()
    cpu = time.process_time() - started
    print(f"{stage}: {cpu / work.plan.num_documents * 1e6:.1f} us a document", file=sys.stderr)
    print(json.dumps({"peak": peak, "cpu_us": cpu / work.plan.num_documents * 1e6}))


def measurements(run: Path, folder: Path, stages: list[str]) -> dict[str, dict[str, float]]:
    """What `measure` says of each of these stages, one after the other."""
    plan = freeze(run, against=[], config=config_of("index"))
    folder.mkdir(exist_ok=True)
    (folder / "out").mkdir(exist_ok=True)
    (folder / "plan.json").write_text(plan.model_dump_json())
    found = {}
    for stage in stages:
        command = [sys.executable, str(Path(__file__).with_name("dedup.py")), "measure", str(folder), stage]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found[stage] = json.loads(done.stdout)
        print(f"{plan.num_documents:,}: {stage}: {found[stage]['peak'] / 1e6:.0f} MB", file=sys.stderr)
    return found


def memory(data: Path) -> None:
    """Print the table of peak memory."""
    found: dict[str, list[dict[str, float]]] = {stage: [] for stage in STAGES}
    for documents in SIZES:
        with tempfile.TemporaryDirectory() as name:
            run = pieces_run(data, Path(name) / "made", documents)
            for stage, measured in measurements(run, Path(name) / "dedup", list(STAGES)).items():
                found[stage].append(measured)
    with tempfile.TemporaryDirectory() as name:
        text = "\n".join(row["text"] for row in near_dups(data)) * 2
        long = text.encode()[:LONG_BYTES].decode(errors="ignore")
        run = make_run(iter([("long", long)]), Path(name) / "made", "long", files=1)
        one = measurements(
            run, Path(name) / "dedup", ["index", "exact.scan", "exact.match", "exact.decide", "minhash.scan"]
        )
    sizes = " | ".join(f"{documents:,}" for documents in SIZES)
    print(
        f"| stage | {sizes} | grows with | bytes a document | CPU us a document |\n|---|---:|---:|---:|---|---:|---:|"
    )
    for stage, results in found.items():
        row = [result["peak"] for result in results]
        shown = " | ".join(f"{peak / 1e6:.0f} MB" for peak in row)
        share = {"file": 8, "corpus": 1}[STAGES[stage]]
        slope = (row[-1] - row[0]) / (SIZES[-1] - SIZES[0]) * share
        us = "" if stage == "simhash.scan" else f"{results[-1]['cpu_us']:.1f}"
        print(f"| {stage} | {shown} | {STAGES[stage]} | {slope:,.0f} | {us} |")
    print(f"\nOne document of {len(long.encode()) / 1e6:.0f} MB: " + ", ".join(
        f"{stage} {one[stage]['peak'] / 1e6:,.0f} MB" for stage in ("index", "exact.scan", "minhash.scan")
    ))  # fmt: skip
