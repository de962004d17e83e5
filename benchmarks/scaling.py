"""How a run scales from one worker to two, locally and on Slurm, and what a task and a source cost by themselves.

    python benchmarks/scaling.py

English web pages through the profile `web-en`, each of them ten times so that a run is long; runs of one and of two
workers in turn, several times. On Slurm (the throw-away one of `tests/slurm.py`) a worker is a node that runs one job
at a time. Wall time is what a user sees, and on a shared machine it is mostly other people's work; so CPU time is
measured too, and how many cores the machine's other processes had meanwhile. Efficiency = documents/s of two workers /
(2 x documents/s of one):

- `wall`: medians, with the load as it was;
- `cpu`: CPU of the median task (all are alike) with one worker / with two. What two workers cost each other in caches
  and memory; this is the efficiency of a long run on idle cores, for a worker waits for nothing but its next task;
- `modelled`, in the file only: this run, start to end, on idle cores: the command's own CPU, then starting workers
  side by side, then the tasks' measured CPU times dealt to the workers in their order.

Gives up: more than two workers; a network file system; the queue of a real cluster.
"""

import argparse
import gzip
import heapq
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.corpus import LANGUAGES, write_pieces  # noqa: E402 - the project's root must be on the path first
from tests.pipelines.corpus import PROFILES, rows, write_jsonl  # noqa: E402
from tests.slurm import Slurm, throw_away_slurm, why_not  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
TICKS = os.sysconf("SC_CLK_TCK")
JOB_CPU = re.compile(r"done (\S+) task (\d+); ([0-9.]+) s of CPU in all")
SLURM = ("--executor", "slurm", "--wait", "--node-test-seconds", "0", "--sbatch", "exclusive")


def write_config(folder: Path, sources: Sequence[str], profile: str) -> Path:
    """A mixture of these local sources, all of each."""
    if profile == "none":
        (folder / "profiles.yaml").write_text(PROFILES, encoding="utf-8")
    entries = "".join(
        f"  - {{name: local/{name}, path: {name}, id_field: id, weight: 1, max_epochs: 1, profile: {profile}, "
        "language: en}\n"
        for name in sources
    )
    filtering = "filtering: {profiles: profiles.yaml}\n" if profile == "none" else ""
    config = folder / "config.yaml"
    config.write_text(f"stage: test\ntarget_tokens: 1T\non_shortage: shrink\n{filtering}datasets:\n{entries}")
    return config


def write_corpus(folder: Path, documents: int, copies: int, files: int) -> Path:
    """`documents` English pages in `files` files, and that `copies` times under ids of their own; the configuration.

    A long run is what a user waits for; the pack has 25,152 pages.
    """
    pieces = write_pieces("en", documents, -(-documents // files), folder / "web")
    for copy in range(1, copies):
        for piece in pieces:
            with gzip.open(piece.path, "rt", encoding="utf-8") as lines:
                again = [row | {"id": f"{row['id']}-{copy}"} for row in map(json.loads, lines)]
            write_jsonl(folder / "web" / f"{copy:03d}-{piece.path.name}", iter(again))
    return write_config(folder, ["web"], LANGUAGES["en"].profile)


def machine_busy() -> float:
    """CPU seconds that all processes of this machine have had."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return (sum(fields) - fields[3] - fields[4]) / TICKS


def run_once(config: Path, folder: Path, options: Sequence[str], env: dict[str, str]) -> dict[str, Any]:
    """One run from nothing: wall and CPU seconds, and its ledger's."""
    shutil.rmtree(folder, ignore_errors=True)
    command = [
        sys.executable, "-m", "pipelines", "run", str(config), "--output-folder", str(folder / "out"),
        "--logging-dir", str(folder / "logs"), *options,
    ]  # fmt: skip
    cpu, busy, start = children_cpu(), machine_busy(), time.monotonic()
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    wall = time.monotonic() - start
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    lines = (folder / "out" / "_run" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    jobs = {
        (match[1], int(match[2])): float(match[3])
        for path in folder.glob("logs/slurm/*/*.out")
        for match in JOB_CPU.finditer(path.read_text(errors="replace"))
    }
    own = children_cpu() - cpu + sum(jobs.values())
    return {
        "documents": sum(record["rows"] for record in records),
        "wall": wall,
        "cpu": own,
        "tasks_cpu": [record["cpu_seconds"] for record in records],
        "jobs_cpu": list(jobs.values()),
        "others_cores": max(0.0, machine_busy() - busy - own) / wall,
        "files": {path.name: path.stat().st_size for path in folder.glob("out/local_*/*/*.jsonl.gz")},
    }


def children_cpu() -> float:
    """CPU seconds of this process's children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def makespan(tasks: Sequence[float], workers: int) -> float:
    """When the last of `tasks` ends that `workers` take one after the other, in their order."""
    free = [0.0] * workers
    for task in tasks:
        heapq.heappush(free, heapq.heappop(free) + task)
    return max(free)


def middle(runs: Sequence[dict[str, Any]], key: str) -> float:
    return statistics.median(run[key] for run in runs)


def local_scaling(config: Path, folder: Path, tasks: int, repeats: int) -> dict[str, Any]:
    """Runs with one and two workers, in turn."""
    runs: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
    for repeat in range(repeats):
        for workers in (1, 2) if repeat % 2 == 0 else (2, 1):
            options = ("--tasks", str(tasks), "--workers", str(workers))
            runs[workers].append(run_once(config, folder, options, dict(os.environ)))
    per_document = {n: _per_document(runs[n], "tasks_cpu", tasks) for n in runs}
    beside = {n: statistics.median(run["cpu"] - sum(run["tasks_cpu"]) for run in runs[n]) for n in runs}
    start = max(0.0, beside[2] - beside[1])  # what one worker more takes to start
    modelled = {n: beside[1] + statistics.median(makespan(run["tasks_cpu"], n) for run in runs[n]) for n in runs}
    found = _summary(runs, per_document)
    found["seconds_beside_tasks"] = {"command": round(beside[1] - start, 2), "each_worker": round(start, 2)}
    found["efficiency"]["modelled"] = round(modelled[1] / (2 * modelled[2]), 3)
    return found


def slurm_scaling(config: Path, folder: Path, tasks: int, repeats: int, box: Slurm) -> dict[str, Any]:
    """The same on Slurm: one node that runs one job at a time, or both."""
    runs: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
    for repeat in range(repeats):
        for workers in (1, 2) if repeat % 2 == 0 else (2, 1):
            nodes = ("--sbatch", "nodelist=n1") if workers == 1 else ()
            runs[workers].append(run_once(config, folder, (*SLURM, "--tasks", str(tasks), *nodes), box.env))
            if len(runs[workers][-1]["jobs_cpu"]) != tasks:
                raise RuntimeError("a job has not said what it took")
    per_document = {n: _per_document(runs[n], "jobs_cpu", tasks) for n in runs}
    found = _summary(runs, per_document)
    every = [run for each in runs.values() for run in each]
    found["job_cpu_beside_task"] = round(
        statistics.median((sum(run["jobs_cpu"]) - sum(run["tasks_cpu"])) / tasks for run in every), 2
    )
    jobs = {n: statistics.median(makespan(run["jobs_cpu"], n) for run in runs[n]) for n in runs}
    found["efficiency"]["modelled"] = round(jobs[1] / (2 * jobs[2]), 3)
    return found


def _per_document(runs: Sequence[dict[str, Any]], key: str, tasks: int) -> float:
    """CPU seconds per document of the median task; a worker's first task, which loads models, is not that."""
    return statistics.median(task for run in runs for task in run[key]) * tasks / runs[0]["documents"]


def _summary(runs: dict[int, list[dict[str, Any]]], per_document: dict[int, float]) -> dict[str, Any]:
    if len({json.dumps(run["files"], sort_keys=True) for each in runs.values() for run in each}) != 1:
        raise RuntimeError("runs of the same corpus wrote different files")
    walls = {n: middle(runs[n], "wall") for n in runs}

    def both(values: dict[int, float], digits: int | None) -> dict[str, float]:
        return {str(n): round(value, digits) for n, value in values.items()}

    return {
        "documents": runs[1][0]["documents"],
        "repeats": len(runs[1]),
        "documents_per_second": both({n: run[0]["documents"] / walls[n] for n, run in runs.items()}, None),
        "wall_seconds": both(walls, 1),
        "cpu_seconds": both({n: middle(runs[n], "cpu") for n in runs}, 1),
        "cpu_us_per_document": both({n: per_document[n] * 1e6 for n in runs}, 1),
        "others_cores": both({n: middle(runs[n], "others_cores") for n in runs}, 2),
        "efficiency": {
            "wall": round(walls[1] / (2 * walls[2]), 3), "cpu": round(per_document[1] / per_document[2], 3),
        },
    }  # fmt: skip


def overheads(folder: Path, repeats: int) -> dict[str, float]:
    """CPU seconds of a run for one task more and for one source more, its documents the same."""
    shapes = {"few tasks": (1, 10), "many tasks": (1, 110), "many sources": (22, 5)}  # (sources, tasks of each)
    configs = {}
    for name, (sources, tasks) in shapes.items():
        place = folder / name.replace(" ", "_")
        for source in range(sources):
            for file in range(tasks):
                write_jsonl(
                    place / f"s{source}" / f"{file:03d}.jsonl.gz", rows(f"s{source}", file, 1100 // sources // tasks)
                )
        configs[name] = write_config(place, [f"s{source}" for source in range(sources)], "none")
    cpu: dict[str, list[float]] = {name: [] for name in shapes}
    for _ in range(repeats):
        for name, (_, tasks) in shapes.items():
            run = run_once(configs[name], folder / "run", ("--tasks", str(tasks), "--workers", "1"), dict(os.environ))
            cpu[name].append(run["cpu"])
    few, many, sources = (statistics.median(cpu[name]) for name in shapes)
    return {"task_ms": round((many - few) / 100 * 1000, 1), "source_ms": round((sources - many) / 21 * 1000, 1)}


def circumstances(given: str) -> dict[str, Any]:
    """Under which the figures of a part were measured."""
    return {
        "command": f"python benchmarks/scaling.py {given}", "cores": os.cpu_count(),
        "load_average": [round(load, 1) for load in os.getloadavg()],
    }  # fmt: skip


def table(found: dict[str, Any]) -> str:
    """The figures as Markdown. "modelled" stays in the file: on Slurm it is the quotient of two sums of other runs."""
    lines = ["| | documents | workers | documents/s | wall | CPU / document | others' cores | efficiency |"]
    lines.append("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, label in (("local", "local"), ("slurm", "Slurm")):
        part = found.get(name)
        for n in ("1", "2") if part else ():
            efficiency = f"**{part['efficiency']['wall']:.2f}**" if n == "2" else ""
            lines.append(
                f"| {label} | {part['documents']:,} | {n} | {part['documents_per_second'][n]:,} | "
                f"{part['wall_seconds'][n]} s | {part['cpu_us_per_document'][n]:.0f} us | "
                f"{part['others_cores'][n]} | {efficiency} |"
            )
    return "\n".join(lines)


def overhead_line(found: dict[str, Any]) -> str:
    """What a task, a source and a job cost by themselves, in words."""
    text = f"A task more: {found['overhead']['task_ms']} ms of CPU, a source more: {found['overhead']['source_ms']} ms"
    return text + (f", a job on Slurm: {found['slurm']['job_cpu_beside_task']} s." if "slurm" in found else ".")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--documents", type=int, default=24_000)
    parser.add_argument("--copies", type=int, default=10, help="how often the corpus has each of them")
    parser.add_argument("--tasks", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=("local", "slurm"), help="measure this part anew, keep the rest of the file")
    parser.add_argument("--output", type=Path, help="where the figures go; default: benchmarks/results/scaling.json")
    options = parser.parse_args()
    path = options.output or RESULTS / "scaling.json"
    found: dict[str, Any] = json.loads(path.read_bytes()) if options.only else {}
    given = " ".join(f"--{name} {getattr(options, name)}" for name in ("documents", "copies", "tasks", "repeats"))
    with tempfile.TemporaryDirectory(prefix="scaling") as name, ExitStack() as stack:
        folder = Path(name)
        config = write_corpus(folder / "corpus", options.documents, options.copies, options.tasks)
        if options.only != "slurm":
            found["local"] = local_scaling(config, folder / "run", options.tasks, options.repeats)
            found["local"] |= circumstances(given)
        if options.only is None:
            found["overhead"] = overheads(folder / "overheads", options.repeats)
        if options.only == "local":
            pass
        elif reason := why_not():
            print(f"no Slurm: {reason}", file=sys.stderr)
        else:
            box = stack.enter_context(throw_away_slurm(folder / "box"))
            found["slurm"] = slurm_scaling(config, folder / "run", options.tasks, options.repeats, box)
            found["slurm"] |= circumstances(given)
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(table(found))
    print(f"\n{overhead_line(found)}")


if __name__ == "__main__":
    main()
