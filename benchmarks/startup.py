"""What starting costs: from the command to working workers, for each source, and for each language's models.

    python benchmarks/startup.py

Stage 1 on the mini hub with two workers. Wall seconds from the command to the last worker's "ready" (the least of
several runs: the machine is shared). Then, in one process and in CPU seconds, every task of the plan twice: the
second time is what a source costs without loading anything (its documents, a few hundred, are in it), the first time
has models, word splitters and imports on top, which a worker pays once for a language and not for a source. `seconds`
is the sum: ready, plus sources and models shared by two workers. Gives up: the Hub, whose answers take as long as
they take.
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
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
WORKERS = 2
READY = re.compile(r"worker ready after ([0-9.]+) s")


def command(folder: Path, *more: str) -> list[str]:
    """Stage 1 on the mini hub, into `folder`."""
    return [
        sys.executable, "smollm3_stage1_datatrove_pipeline.py", "--mirror", "examples/mini_hub",
        "--target-tokens", "300k", "--tasks", "1", "--workers", str(WORKERS), "--output-folder", str(folder / "out"),
        "--logging-dir", str(folder / "logs"), *more,
    ]  # fmt: skip


def seconds_to_ready(folder: Path, to_the_end: bool) -> dict[str, float]:
    """Wall seconds from the command until all workers are ready, and until the run ends (0.0: it was stopped)."""
    log = folder / "logs" / "main.log"
    start = time.monotonic()
    run = subprocess.Popen(command(folder), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    ready: list[str] = []
    while len(ready) < WORKERS:
        if run.poll() not in (None, 0):
            raise RuntimeError(f"the run ended with {run.returncode}")
        time.sleep(0.02)
        ready = READY.findall(log.read_text()) if log.is_file() else []
    found = {"ready": time.monotonic() - start, "worker": max(map(float, ready)), "run": 0.0}
    if to_the_end:
        _, errors = run.communicate()
        if run.returncode:
            raise RuntimeError(f"the run ended with {run.returncode}: {errors.decode()[-500:]}")
        found["run"] = time.monotonic() - start
    else:
        run.terminate()
        run.communicate()
    return found


def command_cpu(folder: Path) -> float:
    """CPU seconds of the command before it starts workers: what `--plan` takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command(folder, "--plan"), cwd=ROOT, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def tasks_twice(run: Path) -> dict[str, Any]:
    """CPU seconds of every task of a finished run, done again twice in this process."""
    from pipelines.executors import SourceExecutor
    from pipelines.manifest import load_plan
    from pipelines.run_layout import RunLayout
    from pipelines.stages import build_steps

    manifest = json.loads((run / "_run" / "manifest.json").read_text())
    options = {"fingerprint": manifest["fingerprint"], "mirror": ROOT / "examples" / "mini_hub"}
    plan = load_plan(RunLayout(output_folder=run, logging_dir=run, **options))
    times: dict[str, list[float]] = {}
    imports = time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        for turn in ("first", "second"):
            folder = Path(scratch) / turn
            layout = RunLayout(output_folder=folder / "out", logging_dir=folder / "logs", **options)
            for source in plan.sources:
                begin = time.process_time()
                output_dir = source.source.output_dir
                executor = SourceExecutor(
                    build_steps(plan, source, layout, 0), tasks=len(source.tasks),
                    state_dir=layout.datatrove_dir(output_dir), log_dir=layout.log_dir(output_dir),
                )  # fmt: skip
                executor.run_rank(0)
                times.setdefault(source.key, []).append(time.process_time() - begin)
    loads = {key: round(first - second, 2) for key, (first, second) in times.items() if first - second > 0.05}
    return {
        "sources": len(times),
        "imports_cpu": round(imports, 2),
        "sources_cpu": round(sum(second for _, second in times.values()), 2),
        "models_cpu": round(sum(first - second for first, second in times.values()), 2),
        "models": dict(sorted(loads.items(), key=lambda item: -item[1])),
    }


def measure(repeats: int = 3) -> dict[str, Any]:
    """Seconds of starting up, and what they are made of."""
    attempts = []
    with tempfile.TemporaryDirectory() as name:
        for number in range(repeats):
            folder = Path(name) / str(number)
            attempts.append(seconds_to_ready(folder, to_the_end=number == 0))
        plan_cpu = command_cpu(Path(name) / "plan")
        twice = subprocess.run(
            [sys.executable, __file__, "--twice", f"{name}/0/out"], check=True, capture_output=True, text=True, cwd=ROOT
        )
    tasks = json.loads(twice.stdout.splitlines()[-1])
    ready = min(attempt["ready"] for attempt in attempts)
    load = tasks["sources_cpu"] + tasks["models_cpu"]
    return tasks | {
        "ready_seconds": round(ready, 2),
        "command_cpu": round(plan_cpu, 2),
        "worker_seconds": round(min(attempt["worker"] for attempt in attempts), 2),
        "run_seconds": round(attempts[0]["run"], 1),
        "workers": WORKERS,
        "load_average": round(os.getloadavg()[0], 1),
        "seconds": round(ready + tasks["sources_cpu"], 1),
        "seconds_with_models": round(ready + load / WORKERS, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--twice", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    print(json.dumps(tasks_twice(options.twice) if options.twice else measure(options.repeats)))


if __name__ == "__main__":
    main()
