"""How far an estimate is off: `plan --estimate` on a sample, then the run itself, and the two side by side.

    python benchmarks/estimate_check.py                  # the data pack, 17,000 documents drawn
    python benchmarks/estimate_check.py --mini-hub       # stage 1 on the mini hub: 39 tiny sources
    python benchmarks/estimate_check.py --overhead       # CPU of a task and of a worker besides their documents

Both are the commands that people type. CPU time of the run is that of all its processes. Wall time is the clock's, so
the predicted one is only comparable where nothing else runs; "schedule" is: the simulated schedule of the run's own
times of tasks, as its ledger has them, beside the clock. Every source has its row; off by is (predicted - real) / real.
Gives up: the Hub.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
PACK = "pack/[wm]*"
MIXTURE = ROOT / "examples" / "local_mixture.yaml"
STAGE_1 = ROOT / "configs" / "smollm3_weighted_config.yaml"


def command(*words: str) -> tuple[str, float, float]:
    """(standard output, CPU seconds with all children, wall seconds) of one command of the program."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    run = subprocess.run([sys.executable, "-m", "pipelines", *words], cwd=ROOT, capture_output=True, text=True)
    if run.returncode not in (0, 1) or not run.stdout:
        raise RuntimeError(f"{' '.join(words[:3])}: ended with {run.returncode}: {run.stderr[-1000:]}")
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - start
    return run.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def compare(config: Path, options: list[str], *, rows: int, workers: int, repeats: int) -> dict[str, Any]:
    """Predicted and real figures, for each source and in all; the real run is the one of least CPU time of several."""
    estimate, _, seconds = command(
        "plan", str(config), *options, "--estimate", "--json", "--sample-rows", str(rows), "--cores-per-node",
        str(workers),
    )  # fmt: skip
    predicted = json.loads(estimate)
    attempts = []
    with tempfile.TemporaryDirectory() as name:
        for number in range(repeats):
            folder, started = Path(name) / str(number), time.time()
            out, cpu, wall = command(
                "run", str(config), *options, "--workers", str(workers), "--output-folder", str(folder / "out"),
                "--logging-dir", str(folder / "logs"), "--json",
            )  # fmt: skip
            size = sum(path.stat().st_size for path in (folder / "out").glob("*/*/*.jsonl.gz"))
            attempts.append((cpu, wall, size, json.loads(out)["outcomes"], replayed(folder, workers, started)))
        cpu, wall, size, outcomes, schedule = min(attempts, key=lambda attempt: attempt[0])
        walls = [attempt[1] for attempt in attempts]
    real = {outcome["source"]: outcome for outcome in outcomes}
    sources = {}
    for source in predicted["sources"]:
        outcome = real[source["source"]]
        sources[source["source"]] = {
            "sampled": source["sampled_documents"],
            "documents": pair(source["drawn"], drawn(outcome)),
            # The ledger's seconds have the loading of models in them, once for each worker that loads.
            "cpu": pair(plus(source["cpu_seconds"], source["setup_seconds"]), outcome["cpu_seconds"]),
            "written": pair(source["documents"], outcome["written"]),
            "tokens": pair(source["tokens"], outcome["tokens"]),
        }
    total = {
        "documents": pair(None, sum(map(drawn, outcomes)), sum(s["drawn"]["value"] for s in predicted["sources"])),
        "cpu of all processes": pair(predicted["cpu_seconds"], cpu),
        "wall": pair(predicted["wall_seconds"], min(walls)),
        "schedule": pair(None, wall, schedule),
        "documents written": pair(predicted["documents"], sum(o["written"] for o in outcomes)),
        "tokens": pair(predicted["tokens"], sum(o["tokens"] for o in outcomes)),
        "bytes written": pair(predicted["written_bytes"], size),
    }
    return {
        "rows": rows, "workers": workers, "estimate_wall_seconds": round(seconds, 1),
        "load_average": os.getloadavg()[0], "total": total, "sources": sources, "problems": predicted["problems"],
    }  # fmt: skip


def plus(figure: dict[str, float], more: float) -> dict[str, float]:
    """A range moved up."""
    return {name: value + more for name, value in figure.items()}


def replayed(folder: Path, workers: int, started: float) -> float:
    """Wall seconds of the simulated schedule, given how long each task of a finished run took and when it began."""
    from pipelines.estimate.schedule import Job, simulate
    from pipelines.ledger import TaskRecord
    from pipelines.plan import Plan

    run = folder / "out" / "_run"
    plan = Plan.model_validate_json((run / "plan.json").read_bytes())
    by_key = {source.key: source for source in plan.sources}
    jobs = []
    for line in (run / "ledger.jsonl").read_text().splitlines():
        record = TaskRecord.model_validate_json(line)
        source = by_key[record.source]
        jobs.append(
            Job(
                seconds=record.seconds, profile=source.languages if source.filters else (), load_seconds=0.0,
                input_bytes=sum(file.size for file in source.task_files(record.rank)),
            )
        )  # fmt: skip
    log = (folder / "logs" / "main.log").read_text()
    stamp, ready = re.findall(r"^(\S+) worker ready after ([0-9.]+) s", log, re.MULTILINE)[0]
    # The log's clock has whole seconds.
    lead = max(0.0, datetime.fromisoformat(stamp).timestamp() + 0.5 - float(ready) - started)
    return simulate(jobs, workers=workers, start_seconds=float(ready), pooled=True, lead_seconds=lead).wall_seconds


def drawn(outcome: dict[str, Any]) -> int:
    """Documents that reached the filters."""
    return outcome["rows"] - sum(outcome["rejected"].values()) - outcome["sampled_out"]


def pair(predicted: dict[str, float] | None, real: float, value: float | None = None) -> dict[str, Any]:
    """Predicted beside real, and how far it is off; whether the real one lies in the range."""
    predicted = predicted or {"value": value or 0.0}
    found = {"predicted": predicted["value"], "real": real, "off": (predicted["value"] - real) / real if real else 0.0}
    if "low" in predicted:
        found |= {"low": predicted["low"], "high": predicted["high"]}
        found["in_range"] = predicted["low"] <= real <= predicted["high"]
    return found


def show(result: dict[str, Any]) -> str:
    """A Markdown table of the totals, and one of the sources."""
    lines = [
        f"sampled up to {result['rows']:,} rows of each source in {result['estimate_wall_seconds']:g} s; "
        f"{result['workers']} workers; load average {result['load_average']:.1f}",
        "",
        "| | predicted | range | real | off |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, row in result["total"].items():
        span = f"{figure(row['low'])} to {figure(row['high'])}" if "low" in row else ""
        lines.append(f"| {name} | {figure(row['predicted'])} | {span} | {figure(row['real'])} | {row['off']:+.0%} |")
    lines += ["", "| source | sampled | drawn | off | CPU, s | off | written | off |", "|---|" + "---:|" * 7]
    for name, row in result["sources"].items():
        cells = [f"{row['sampled']:,}"]
        for key in ("documents", "cpu", "written"):
            cells += [figure(row[key]["real"]), f"{row[key]['off']:+.0%}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    inside = [row[key]["in_range"] for row in result["sources"].values() for key in ("cpu", "written", "tokens")]
    lines += ["", f"in range: {sum(inside)} of {len(inside)} figures of sources (CPU, documents written, tokens)"]
    lines += [f"not measured: {key}: {problem}" for key, problem in result["problems"].items()]
    return "\n".join(lines)


def figure(value: float) -> str:
    """Three digits, thousands with commas."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def overhead(number: int = 60) -> dict[str, float]:
    """CPU seconds of a task with one short document, in a worker that has done the same before; and of a worker."""
    from pipelines.estimate.process import start_seconds

    row = json.dumps({"id": "0", "text": "A text."}) + "\n"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds = {}
        for tasks in (1, number):
            data = folder / f"data{tasks}"
            data.mkdir()
            for i in range(tasks):
                (data / f"{i:04d}.jsonl").write_text(row)
            config = folder / f"c{tasks}.yaml"
            config.write_text(
                "max_epochs: 1\ntarget_tokens: 1B\non_shortage: redistribute\ndatasets:\n"
                f"  - {{name: a, path: {data}, weight: 1, profile: qa, id_field: id, id_scope: file}}\n"
            )
            _, seconds[tasks], _ = command(
                "run", str(config), "--tasks", str(tasks), "--workers", "1", "--json",
                "--output-folder", str(folder / f"o{tasks}"), "--logging-dir", str(folder / f"l{tasks}"),
            )  # fmt: skip
    return {
        "task_cpu_seconds": round((seconds[number] - seconds[1]) / (number - 1), 4),
        "run_of_one_task_cpu_seconds": round(seconds[1], 2),
        "worker_start_cpu_seconds": round(start_seconds(), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mini-hub", action="store_true", help="stage 1 on the mini hub")
    parser.add_argument("--overhead", action="store_true", help="CPU of a task and of a worker")
    parser.add_argument("--datasets", default=PACK, help="sources of the data pack")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2, help="real runs; the one of least CPU time counts")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.overhead:
        print(json.dumps(overhead(), indent=1))
        return
    if options.mini_hub:
        config, choice = STAGE_1, ["--mirror", "examples/mini_hub", "--target-tokens", "1M", "--tasks", "1"]
    else:
        config, choice = MIXTURE, ["--datasets", options.datasets, "--tasks", "4"]
    result = compare(config, choice, rows=options.rows, workers=options.workers, repeats=options.repeats)
    print(json.dumps(result, indent=1) if options.json else show(result))


if __name__ == "__main__":
    main()
