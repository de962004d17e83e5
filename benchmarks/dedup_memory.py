"""Peak memory of every stage of a deduplication at 20,000, 80,000 and 320,000 documents, and of a 20 MB document.

    python benchmarks/dedup.py memory ../shared/data --output benchmarks/results/dedup_memory.md
    python benchmarks/dedup.py memory ../shared/data --only sentences      # or documents, or long

Real text in eight files (dedup_corpus.py), through the real stages (dedup_memory_stages.py). Each stage runs in a
process of its own; printed is how far its resident memory rises above what it held before the first document, mapped
files included. A stage that goes file by file depends on the largest file (an eighth here), one that goes part by part
on the part, the others on the corpus. Gives up: other systems than Linux, which tell less about a process.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.dedup_corpus import FILES, make_run, near_dups  # noqa: E402 - run from anywhere
from benchmarks.dedup_memory_stages import CHAINS, FINISH, said  # noqa: E402
from benchmarks.pages import publish  # noqa: E402
from pipelines.dedup import sentence  # noqa: E402
from pipelines.dedup.freeze import freeze  # noqa: E402
from pipelines.dedup.inputs import DedupPlan  # noqa: E402
from pipelines.dedup.work import Work  # noqa: E402
from pipelines.run_layout import RunLayout  # noqa: E402

SIZES = (20_000, 80_000, 320_000)
LONG_BYTES = 20_000_000
LONG_STAGES = ("index", "exact.scan", "exact.match", "exact.decide", "minhash.scan")
LONG_SHOWN = ("index", "exact.scan", "minhash.scan")
Measured = dict[str, Any]


def resident(key: str) -> int:
    """`VmRSS` (now) or `VmHWM` (at the peak) of this process, in bytes."""
    found = re.search(rf"{key}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def measure(chain: str, folder: Path, stage: str) -> Measured:
    """Run one stage: by how many bytes its first job raised the memory (`peak`), and CPU time of all jobs."""
    stages = CHAINS[chain]
    plan = DedupPlan.model_validate_json((folder / "plan.json").read_bytes())
    layout = RunLayout(output_folder=folder / "out", logging_dir=folder / "log", fingerprint="f" * 64)
    work = Work(layout=layout, plan=plan.model_copy(update={"config": stages.config(stage)}))
    stages.warm_up()
    first, *others = stages.jobs(work, stage)
    # 5 sets the peak to what is held now (Linux: Documentation/filesystems/proc.rst).
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    started = time.process_time()
    first()
    peak = resident("VmHWM") - before
    for job in others:
        job()
    cpu = time.process_time() - started
    parts = sentence.num_parts(work) if chain == "sentences" else 1
    return {"peak": peak, "cpu_us": cpu / plan.num_documents * 1e6, "parts": parts, "said": said(work, stage)}


def measurements(chain: str, run: Path, folder: Path, stages: list[str]) -> dict[str, Measured]:
    """What `measure` says of each of these stages, one after the other."""
    plan = freeze(run, against=[], config=CHAINS[chain].config("index"))
    (folder / "out").mkdir(parents=True)
    (folder / "plan.json").write_text(plan.model_dump_json())
    found = {}
    for stage in stages:
        command = [sys.executable, __file__, chain, str(folder), stage]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found[stage] = json.loads(done.stdout.splitlines()[-1])
        one = found[stage]
        print(
            f"{plan.num_documents:,}: {stage}: {one['peak'] / 1e6:.0f} MB, {one['cpu_us']:.1f} us a document"
            + (f"; {one['said']}" if one["said"] else ""),
            file=sys.stderr, flush=True,
        )  # fmt: skip
    return found


def memory(data: Path, only: list[str], sizes: tuple[int, ...] = SIZES) -> dict[str, Any]:
    """All figures: chain -> stage -> one measurement for each size; `long` for the document of 20 MB."""
    found: dict[str, Any] = {}
    for chain in (name for name in CHAINS if name in only):
        found[chain] = {stage: {"grows_with": grows, "sizes": []} for stage, grows in CHAINS[chain].stages.items()}
        for documents in sizes:
            with tempfile.TemporaryDirectory() as name:
                run = CHAINS[chain].run(data, Path(name) / "made", documents)
                measured = measurements(chain, run, Path(name) / "dedup", list(CHAINS[chain].stages))
            for stage, one in measured.items():
                found[chain][stage]["sizes"].append({"documents": documents, **one})
    if "long" in only:
        with tempfile.TemporaryDirectory() as name:
            text = "\n".join(row["text"] for row in near_dups(data)) * 2
            long = text.encode()[:LONG_BYTES].decode(errors="ignore")
            run = make_run(iter([("long", long)]), Path(name) / "made", "long", files=1)
            found["long"] = measurements("documents", run, Path(name) / "dedup", list(LONG_STAGES))
    return found


def bytes_per_document(stage: dict[str, Any]) -> float:
    """Slope between the smallest and the largest size: bytes for a document of the file, part or corpus."""
    first, last = stage["sizes"][0], stage["sizes"][-1]
    units = [
        one["documents"] / {"file": FILES, "part": one["parts"], "corpus": 1}[stage["grows_with"]]
        for one in (first, last)
    ]
    slope: float = (last["peak"] - first["peak"]) / (units[1] - units[0])
    return slope


def as_markdown(found: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        "# Peak memory of a deduplication, stage by stage",
        "",
        "`python benchmarks/dedup.py memory ../shared/data --output benchmarks/results/dedup_memory.md`: how far each "
        "stage raises the memory of its process above what Python, packages and splitters hold, mapped files included; "
        f"real text in {FILES} files. Bytes are for a document of the largest file, of a part, or of the corpus. "
        "`index` has the scan of the first method in hand as well, if that is `exact` or `minhash`.",
    ]
    for chain, stages in found.items():
        if chain == "long":
            shown = ", ".join(f"{stage} {stages[stage]['peak'] / 1e6:,.0f} MB" for stage in LONG_SHOWN)
            lines += ["", f"One document of {LONG_BYTES / 1e6:.0f} MB: {shown}."]
            continue
        sizes = [one["documents"] for one in stages["index"]["sizes"]]
        heading = " | ".join(f"{size:,}" for size in sizes)
        lines += ["", f"## {chain.capitalize()}", ""]
        lines += [f"| stage | {heading} | grows with | bytes a document | CPU us a document |"]
        lines += ["|---" + "|---:" * len(sizes) + "|---|---:|---:|"]
        lines += [_line(name, stage) for name, stage in stages.items() if name != FINISH]
        for i, size in enumerate(sizes):
            notes = [text for stage in stages.values() if (text := stage["sizes"][i]["said"])]
            lines += ["", f"{size:,} documents: {'; '.join(notes)}."] if notes else []
    return "\n".join(lines) + "\n"


def _line(name: str, stage: dict[str, Any]) -> str:
    peaks = " | ".join(f"{one['peak'] / 1e6:.0f} MB" for one in stage["sizes"])
    # Most of its fingerprints are made up.
    cpu = "" if name == "simhash.scan" else f"{stage['sizes'][-1]['cpu_us']:.1f}"
    return f"| {name} | {peaks} | {stage['grows_with']} | {bytes_per_document(stage):,.0f} | {cpu} |"


def show(data: Path, output: Path | None, only: list[str] | None) -> None:
    """Print the table; with `output` write it there, the figures beside it as JSON. Chains not asked for stay there."""
    found: dict[str, Any] = {}
    if output is not None and only and output.with_suffix(".json").is_file():
        found = json.loads(output.with_suffix(".json").read_text(encoding="utf-8"))
    found |= memory(data, only or [*CHAINS, "long"])
    found = {name: found[name] for name in (*CHAINS, "long") if name in found}
    publish(found, as_markdown(found), output)


if __name__ == "__main__":
    _, which, where, what = sys.argv
    print(json.dumps(measure(which, Path(where), what)))
