"""Peak memory and CPU time of what reads the tables of a finished deduplication: verify, report, dedup --explain.

    python benchmarks/dedup_verify_memory.py ../shared/data [OTHER_CHECKOUT]

Deduplications of pieces of real pages (dedup_corpus.py; exact, minhash, sentence), and made ones with large tables: a
written document of a few bytes for every ten that were removed, with ids of 47 characters such as FineWeb has. Each
command runs in a process of its own, here and then in OTHER_CHECKOUT; printed are its CPU seconds and its peak of
resident memory (VmHWM). Linux only. Gives up: `--explain` of the made ones, which have no run to read.
"""

import json
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.dedup_corpus import pieces_run
from pipelines.dedup.config import DedupConfig
from pipelines.dedup.inputs import DedupPlan, InputFile, InputRun, InputSource
from pipelines.dedup.report import FILE
from pipelines.dedup.stages import start
from pipelines.dedup.work import Work
from pipelines.ledger import TaskRecord, ledger_line, write_atomically
from pipelines.run_layout import RunLayout
from pipelines.writers import Sink

ROOT = Path(__file__).resolve().parent.parent
PIECES = (20_000, 80_000)
REMOVED = (500_000, 2_000_000, 5_000_000)
BEFORE_AT_MOST = 2_000_000  # what the memory of this machine bears
FILES, SOURCE, OUTPUT_DIR = 8, "bench/made/default", "bench_made/default"


def ids(first: int, number: int) -> list[str]:
    """Ids of 47 characters."""
    return [f"<urn:uuid:{uuid.UUID(int=(i * 0x9E3779B97F4A7C15F39CC0605CEDC835) % (1 << 128))}>" for i in
            range(first, first + number)]  # fmt: skip


def made(folder: Path, removed: int) -> Path:
    """A finished deduplication with so many removed documents, and a tenth as many that stay."""
    kept, gone = removed // 10 // FILES, removed // FILES
    files = tuple(
        InputFile(run=0, source=SOURCE, output_dir=OUTPUT_DIR, rank=rank, path=f"{OUTPUT_DIR}/{rank:05d}.jsonl.gz",
                  size=1, sha256="0" * 64, lines=kept + gone, text_bytes=kept + gone, language="en")
        for rank in range(FILES)
    )  # fmt: skip
    description = {"source": SOURCE, "tasks": FILES, "language": "en"}
    source = InputSource(source=SOURCE, output_dir=OUTPUT_DIR, language="en", tasks=FILES, description=description)
    run = InputRun(path=str(folder / "run"), fingerprint="f" * 64, against=False)
    plan = DedupPlan(runs=(run,), sources=(source,), files=files, config=DedupConfig(methods=["exact"]))
    layout = RunLayout(output_folder=folder / "out", logging_dir=folder / "out/_run/log", fingerprint="e" * 64)
    layout.run_dir.mkdir(parents=True)
    start(layout, plan, {"kind": "dedup"})
    work = Work(layout=layout, plan=plan)
    records = [_written(work, rank, kept, gone) for rank in range(FILES)]
    write_atomically(layout.run_dir / "ledger.jsonl", "".join(ledger_line(record) for record in records))
    manifest = json.loads((layout.run_dir / "manifest.json").read_text())
    write_atomically(layout.run_dir / "manifest.json", json.dumps(manifest | {"state": "complete"}))
    write_atomically(layout.run_dir / "state.json", json.dumps({"state": "complete", "skipped": {}}))
    _table(layout.run_dir / FILE, files, kept, gone)
    return layout.output_folder


def _written(work: Work, rank: int, kept: int, gone: int) -> TaskRecord:
    place = work.layout.output_folder / OUTPUT_DIR / f"{rank:05d}.jsonl.gz"
    sink = Sink(place, work.plan.output)
    for name in ids(rank * kept, kept):
        sink.write(orjson.dumps({"text": "x", "id": name, "metadata": {}}, option=orjson.OPT_APPEND_NEWLINE))
    file = sink.close().model_copy(update={"path": f"{OUTPUT_DIR}/{place.name}"})
    record = TaskRecord(
        source=SOURCE, output_dir=OUTPUT_DIR, rank=rank, rows=kept + gone, sampled_out=0, repeated=0,
        dropped={"dedup.exact": gone}, written=kept, text_bytes=kept, tokens=kept, file=file,
    )  # fmt: skip
    write_atomically(work.layout.record(OUTPUT_DIR, rank), record.model_dump_json())
    return record


def _table(path: Path, files: tuple[InputFile, ...], kept: int, gone: int) -> None:
    writer = None
    for rank, file in enumerate(files):
        names = ids(10**12 + rank * gone, gone)
        partner = np.random.default_rng(rank).integers(0, kept, gone)
        stays = ids(rank * kept, kept)
        partners = [stays[i] for i in partner.tolist()]
        table = pa.table({
            "removed_id": names, "removed_source": [SOURCE] * gone, "kept_id": partners,
            "kept_source": [SOURCE] * gone, "kept_run": [""] * gone, "method": ["exact"] * gone,
            "cluster_size": np.full(gone, 11), "estimated_jaccard": np.ones(gone), "match_id": partners,
            "removed_file": [file.path] * gone, "removed_row": np.arange(kept, kept + gone),
            "kept_file": [file.path] * gone, "kept_row": partner,
        })  # fmt: skip
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=200_000)
    assert writer is not None
    writer.close()


# Read inside: what the parent of a process held counts as the process's own in wait4.
_COMMAND = """
import re, runpy, sys, time
sys.argv[0] = "smoltrove"
try:
    runpy.run_module("pipelines", run_name="__main__")
except SystemExit as error:
    if error.code:
        raise
status = open("/proc/self/status").read()
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) * 1024
print(f"{time.process_time():.1f} s, {peak / 1e6:,.0f} MB", file=sys.stderr)
"""


def measured(checkout: Path, *arguments: str) -> str:
    """CPU seconds and peak resident memory of one command; CalledProcessError when it fails."""
    command = [sys.executable, "-c", _COMMAND, *arguments]
    done = subprocess.run(
        command, cwd=checkout, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    return done.stderr.splitlines()[-1]


def main(data: Path, checkouts: list[Path]) -> None:
    """Print the table."""
    print("| deduplication | command |" + "".join(f" {checkout.name} |" for checkout in checkouts), flush=True)
    print("|---|---|" + "---|" * len(checkouts), flush=True)

    def row(name: str, *arguments: str, at_most: bool = True) -> None:
        cells = [measured(c, *arguments) if at_most or c == ROOT else "not run" for c in checkouts]
        print(f"| {name} | {arguments[0]} | " + " | ".join(cells) + " |", flush=True)

    for documents in PIECES:
        with tempfile.TemporaryDirectory() as name:
            run, out = pieces_run(data, Path(name) / "made", documents), Path(name) / "out"
            methods = "exact,minhash,sentence"
            measured(ROOT, "dedup", str(run), "--output-folder", str(out), "--dedup-method", methods, "--workers", "1")
            label = f"{documents:,} documents"
            row(label, "verify", str(out))
            row(label, "report", str(out))
            row(label, "dedup", str(run), "--output-folder", str(out), "--dedup-method", methods, "--explain")
    for removed in REMOVED:
        with tempfile.TemporaryDirectory() as name:
            out = made(Path(name), removed)
            for command in ("verify", "report"):
                row(f"made, {removed:,} removed", command, str(out), at_most=removed <= BEFORE_AT_MOST)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), [ROOT, *(Path(path).resolve() for path in sys.argv[2:])])
