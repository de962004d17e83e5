"""Random faults in runs on a two-node Ray: what is lost or doubled at the end, beside a local run without faults.

    python benchmarks/ray_faults.py --faults 20 --output benchmarks/results/ray_faults.md

Each run gets one fault at a random moment: kill -9 of a worker, a worker that stands still for a while, kill -9 of a
node, kill -9 or Ctrl-C of the command. The same command is given until it ends with 0; then every byte and the ledger
are compared. Gives up: real networks; there is one machine.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.pipelines.corpus import write_one_source  # noqa: E402 - the project's root must be on the path first
from tests.pipelines.processes import Run, finish  # noqa: E402
from tests.ray_box import Box, throw_away_ray  # noqa: E402

FAULTS = ("worker killed", "worker stopped for 3 s", "node killed", "command killed", "Ctrl-C")
TASKS = ("--tasks", "6")
MOST_TIMES = 4


def claims(run: Run) -> list[Path]:
    """All claims on tasks, the newest last."""
    return sorted(run.output.glob("_run/stages/*/claims/*/*/*.json"), key=lambda path: path.stat().st_mtime_ns)


def strike(box: Box, run: Run, process: "subprocess.Popen[str]", fault: str, delay: float) -> None:
    """Wait for the first claim and `delay` seconds more, then do it."""
    while not claims(run) and process.poll() is None:
        time.sleep(0.01)
    time.sleep(delay)
    working = [path for path in claims(run) if not path.with_suffix(".end").exists()]
    pid = json.loads(random.choice(working or claims(run)).read_bytes())["pid"]
    with suppress(ProcessLookupError):
        if fault == "worker killed":
            os.kill(pid, signal.SIGKILL)
        elif fault == "worker stopped for 3 s":
            os.kill(pid, signal.SIGSTOP)
            time.sleep(3)
            os.kill(pid, signal.SIGCONT)
        elif fault == "node killed":
            box.kill_second()
        else:
            os.killpg(process.pid, signal.SIGKILL if fault == "command killed" else signal.SIGINT)


def one_fault(box: Box, folder: Path, config: Path, fault: str, delay: float, local: Run) -> tuple[list[int], int]:
    """Exit statuses until the run was complete, and the number of claims. Raises AssertionError when it differs."""
    run = Run(folder, config, *TASKS)
    options = ("--executor", "ray", "--ray-address", box.address)
    process = run.start(*options)
    strike(box, run, process, fault, delay)
    status, text = finish(process)
    statuses = [status]
    if fault == "node killed":
        box.replace_second()
    while status != 0:
        assert len(statuses) < MOST_TIMES, text
        assert run.files().items() <= local.files().items(), "a partial or wrong file"
        status, text = run.call(*options)
        statuses.append(status)
    assert run.files() == local.files(), "the documents differ"
    assert run.ledger() == local.ledger(), "the ledger differs"
    return statuses, len(claims(run))


def main() -> int:
    """Print and write a table; 1 when a run was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    random.seed(args.seed)
    wrong, lines, seen = 0, [], Counter[str]()
    with tempfile.TemporaryDirectory() as name, throw_away_ray() as box:
        folder = Path(name)
        config = write_one_source(folder, 10_000, files=6, profile="sane")
        local = Run(folder / "local", config, *TASKS)
        status, text = local.call()
        assert status == 0, text
        for number in range(args.faults):
            fault = FAULTS[number % len(FAULTS)]
            delay = rng.uniform(0, 6)
            try:
                statuses, num_claims = one_fault(box, folder / str(number), config, fault, delay, local)
                outcome = "equal"
            except AssertionError as error:
                wrong, statuses, num_claims, outcome = wrong + 1, [], 0, f"WRONG: {str(error)[:300]}"
            seen[outcome] += 1
            shown = ", ".join(map(str, statuses))
            lines.append(f"| {number + 1} | {fault} | {delay:.1f} | {shown} | {num_claims} | {outcome} |")
            print(lines[-1], flush=True)
    title = f"`python benchmarks/ray_faults.py --faults {args.faults} --seed {args.seed}`"
    columns = ("", "fault", "s after the first claim", "exit statuses", "claims on 6 tasks", "files and ledger")
    head = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    report = "\n".join([title, "", *head, *lines, "", ", ".join(f"{n} {what}" for what, n in seen.items()), ""])
    if args.output is not None:
        args.output.write_text(report, encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
