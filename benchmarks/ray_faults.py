"""Random faults in a row in runs on a two-node Ray: is anything lost or doubled, beside a local run without faults?

    python benchmarks/ray_faults.py --faults 20 --seed 0 --output benchmarks/results/ray_faults.md

The first half hits the filters of a run, the second its deduplication. Each fault hits a task or piece in the middle of
its work: it is frozen at a random moment, looked at, and hit. Then no file may differ from the local run's. A command
that has ended is given again; when it ends with 0, documents, ledger, tables and `verify` are compared, and if faults
are left a new run begins. Gives up: real networks, and nodes whose clocks differ; there is one machine.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.pipelines import processes  # noqa: E402
from tests.pipelines.corpus import passages, write_jsonl  # noqa: E402 - the project's root must be on the path first
from tests.pipelines.processes import Run, finish, is_alive, wait_until  # noqa: E402
from tests.ray_box import Box, throw_away_ray  # noqa: E402

KINDS = ("kill -9 of a worker", "a worker stands still", "kill -9 of a node", "time limit", "kill -9 of the command",
         "Ctrl-C")  # fmt: skip
TABLES = ("duplicates.parquet", "near_misses.parquet")
# Of one task or piece; nothing takes so long here but what was stopped.
LIMIT = "1:00"
PATIENCE = 1800.0  # seconds for one command, on a machine that others use too
MOST_TIMES = 6  # how often a command may be given after its last fault
CONFIG = """\
stage: test
target_tokens: 1B
filtering: {profiles: profiles.yaml}
datasets:
  - {name: local/only, path: only, id_field: id, weight: 1, max_epochs: 1, profile: pages, language: en}
dedup: {methods: [exact, minhash]}
"""
PROFILES = "profiles:\n  pages:\n    filters:\n      - gopher_repetition: {}\n      - gopher_quality: {}\n"


def documents(file: int, number: int) -> Iterator[dict[str, str]]:
    """Pairs of real passages, each fifth document a copy of one of another file."""
    texts = passages()
    for i in range(number):
        pair = i if i % 5 == 0 else i + file * number
        first = pair % len(texts)
        second = (first + 1 + pair // len(texts)) % len(texts)
        yield {"id": f"{file}-{i}", "text": f"{texts[first]}\n\n{texts[second]}"}


def write_source(folder: Path, tasks: int, number: int) -> Path:
    """One file a task, `number` documents each; the configuration."""
    for file in range(tasks):
        write_jsonl(folder / "only" / f"part-{file}.jsonl.gz", documents(file, number))
    (folder / "profiles.yaml").write_text(PROFILES, encoding="utf-8")
    config = folder / "config.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    return config


class Dedup(Run):
    """The deduplication of a finished run, as a command."""

    def __init__(self, folder: Path, run: Path) -> None:
        super().__init__(folder, run)
        self.command = [sys.executable, "-m", "pipelines", "dedup", str(run), "--output-folder", str(self.output)]


def tables(run: Run) -> dict[str, bytes]:
    """The tables of a deduplication."""
    found = {name: run.output / "_run" / name for name in TABLES}
    return {name: path.read_bytes() for name, path in found.items() if path.is_file()}


@dataclass
class Victim:
    """What was stopped in the middle of its work: a task, or a piece of a stage."""

    path: Path  # its claim
    stage: str
    rank: int
    pid: int
    node: str


@dataclass
class Fault:
    """One fault of the table, and the exit statuses of the command from it to the next one."""

    leg: str
    kind: str
    victim: Victim
    seconds: float = 0.0
    statuses: list[int] = field(default_factory=list)
    wrong: str = ""


class Leg:
    """Filters or deduplication, again and again until all their faults have been: `new(folder)` is one more run."""

    def __init__(self, name: str, box: Box, local: Run, folder: Path, draw: random.Random) -> None:
        self.name, self.box, self.local, self.folder, self.draw = name, box, local, folder, draw
        self.expected = local.files()
        self.faults: list[Fault] = []
        self.num_runs = 0
        self.process: subprocess.Popen[str] | None = None
        self.struck: set[Path] = set()
        self.begin()

    def new(self, folder: Path) -> Run:
        """The command in a folder of its own."""
        if isinstance(self.local, Dedup):
            return Dedup(folder, Path(self.local.command[4]))
        run = Run(folder, Path())
        run.command = [word.replace(str(self.local.folder), str(folder)) for word in self.local.command]
        return run

    def begin(self) -> None:
        self.num_runs += 1
        self.run = self.new(self.folder / f"{self.name}-{self.num_runs}")

    def play(self, kinds: Sequence[str]) -> list[Fault]:
        """All these faults, then the rest of the last run."""
        for number, kind in enumerate(kinds, 1):
            victim = self.victim(kind)
            fault = Fault(self.name, kind, victim)
            self.faults.append(fault)
            start = time.monotonic()
            self.strike(kind, victim)
            fault.seconds = time.monotonic() - start
            fault.wrong = self.wrong_files()
            print(f"{self.name} {number}/{len(kinds)} {kind}: {victim.stage} {victim.rank} on {victim.node} "
                  f"({fault.seconds:.0f} s) {fault.wrong}", file=sys.stderr, flush=True)  # fmt: skip
        for _ in range(MOST_TIMES):
            if self.over():
                return self.faults
        self.faults[-1].wrong += " the run does not get complete"
        return self.faults

    def over(self) -> bool:
        """Wait for the command, which is given again if it has ended; whether the run is complete, and compared."""
        process, self.process = self.process or self.start(), None
        status, text = finish(process)
        if self.faults:
            self.faults[-1].statuses.append(status)
        if status not in (0, 1):
            raise RuntimeError(f"the command ends with {status}:\n{text}")
        if status == 0 and self.faults:
            self.faults[-1].wrong += self.wrong_end()
        return status == 0

    def start(self) -> "subprocess.Popen[str]":
        return self.run.start("--executor", "ray", "--ray-address", self.box.address, "--time", LIMIT)

    def victim(self, kind: str) -> Victim:
        """What is in the middle of its work; for a node's end on the second one, which may be replaced."""
        while True:
            if self.process is None:
                self.process = self.start()
            elif self.process.poll() is not None and self.over():
                shutil.rmtree(self.run.folder)
                self.struck.clear()
                self.begin()
            second = self.box.node_of(self.box.second)
            for path in self.claims():
                if (caught := self.catch(path, second if kind == "kill -9 of a node" else "")) is not None:
                    return caught
            time.sleep(0.01)

    def claims(self) -> list[Path]:
        """Claims on what somebody works on, in a random order."""
        found = [
            path for path in self.run.output.glob("_run/stages/*/claims/*/*/[0-9]*.json")
            if path not in self.struck and not path.with_suffix(".end").exists()
        ]  # fmt: skip
        self.draw.shuffle(found)
        return found

    def catch(self, path: Path, node: str) -> Victim | None:
        """Stop a worker where it is, at a moment of chance; None when it was over before, or is on another node."""
        with suppress(OSError, ValueError):
            word = json.loads(path.read_bytes())
            if not word["node"].endswith(node) or not is_alive(word["pid"]):
                return None
            time.sleep(self.draw.uniform(0.0, 1.0))
            os.kill(word["pid"], signal.SIGSTOP)
            if path.is_file() and not path.with_suffix(".end").exists():
                self.struck.add(path)
                rank = int(path.name.split(".")[0])
                return Victim(path, path.parent.name, rank, word["pid"], word["node"].rpartition("/")[2])
            os.kill(word["pid"], signal.SIGCONT)
        return None

    def strike(self, kind: str, victim: Victim) -> None:
        process = self.process
        assert process is not None
        if kind == "kill -9 of a worker":
            os.kill(victim.pid, signal.SIGKILL)
        elif kind == "a worker stands still":
            time.sleep(self.draw.uniform(1.0, 30.0))
        elif kind == "time limit":
            wait_until(lambda: not is_alive(victim.pid), "the end of an overdue worker", PATIENCE, 0.1)
        elif kind == "kill -9 of a node":
            self.box.kill_second()
            time.sleep(self.draw.uniform(0.0, 40.0))
        else:
            os.killpg(process.pid, signal.SIGKILL if kind == "kill -9 of the command" else signal.SIGINT)
            status, _ = finish(process)
            self.faults[-1].statuses.append(status)
            self.process = None
        # It may wake up when another has done its work, or nobody waits for it.
        with suppress(ProcessLookupError):
            os.kill(victim.pid, signal.SIGCONT)
        if kind == "kill -9 of a node":
            self.box.replace_second()

    def wrong_files(self) -> str:
        """Files that are not the local run's, by name."""
        return ", ".join(name for name, data in self.run.files().items() if self.expected.get(name) != data)

    def wrong_end(self) -> str:
        """What a finished run has wrong; "" when nothing."""
        found = []
        if self.run.files() != self.expected:
            found.append("other documents than the local run")
        if self.run.ledger() != self.local.ledger():
            found.append("another account than the local run")
        if tables(self.run) != tables(self.local):
            found.append("other tables than the local run")
        status, text = self.run.verify()
        if status:
            found.append(f"verify says {text}")
        return "; ".join(found)


def series(number: int, draw: random.Random) -> list[str]:
    """Kinds of faults, every kind in turn in a random order."""
    found: list[str] = []
    while len(found) < number:
        kinds = list(KINDS)
        draw.shuffle(kinds)
        found += kinds
    return found[:number]


def table(legs: Sequence[Leg], options: argparse.Namespace) -> Iterator[str]:
    """The results as Markdown."""
    faults = [fault for leg in legs for fault in leg.faults]
    wrong = sum(bool(fault.wrong) for fault in faults)
    yield "# Runs on Ray, and fault after fault\n"
    yield (
        f"`python benchmarks/ray_faults.py --faults {options.faults} --seed {options.seed} --tasks {options.tasks} "
        f"--documents {options.documents}`\n"
    )
    counted = ", ".join(f"{number} {kind}" for kind, number in Counter(fault.kind for fault in faults).items())
    runs = " and ".join(f"{leg.num_runs} of the {leg.name}" for leg in legs)
    yield (
        f"{len(faults)} faults ({counted}) on a two-node Ray on one machine, in runs of {options.tasks} tasks: {runs}. "
        "Each hit a task or piece in the middle of its work. After it every file in the output folder was compared "
        "with the local run's; when a run was complete, all documents, the ledger, the tables and `smoltrove verify`: "
        + (f"**{wrong} wrong**.\n" if wrong else "nothing lost, nothing doubled.\n")
    )
    yield "| | in | fault | task or piece | node | seconds | the command ended with | |"
    yield "|---:|---|---|---|---|---:|---|---|"
    for number, fault in enumerate(faults, 1):
        hit = f"task {fault.victim.rank}" if fault.leg == "filters" else f"{fault.victim.stage} {fault.victim.rank}"
        ended = ", ".join(map(str, fault.statuses)) or "went on"
        yield (
            f"| {number} | {fault.leg} | {fault.kind} | {hit} | {fault.victim.node} | {fault.seconds:.0f} | {ended} | "
            f"{fault.wrong and 'WRONG: ' + fault.wrong} |"
        )


def finished(run: Run) -> Run:
    """A local run, done."""
    status, text = run.call()
    if status:
        raise RuntimeError(f"the local run fails:\n{text}")
    return run


def main(arguments: Sequence[str] | None = None) -> int:
    """Play all faults. Returns 1 when anything was wrong."""
    parser = argparse.ArgumentParser(description="Random faults in a row in runs on a throw-away Ray.")
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tasks", type=int, default=12)
    parser.add_argument("--documents", type=int, default=4_000, help="rows of a task")
    parser.add_argument("--output", type=Path, help="where the table goes; default: printed")
    options = parser.parse_args(arguments)
    draw = random.Random(options.seed)
    processes.HANG_SECONDS = int(PATIENCE)
    with tempfile.TemporaryDirectory(prefix="rayfaults") as name, throw_away_ray() as box:
        folder = Path(name)
        config = write_source(folder / "source", options.tasks, options.documents)
        filtered = finished(Run(folder / "filters", config, "--tasks", str(options.tasks)))
        deduplicated = finished(Dedup(folder / "dedup", filtered.output))
        half = (options.faults + 1) // 2
        legs = [Leg("filters", box, filtered, folder, draw), Leg("deduplication", box, deduplicated, folder, draw)]
        for leg, number in zip(legs, (half, options.faults - half), strict=True):
            leg.play(series(number, draw))
        text = "\n".join(table(legs, options)) + "\n"
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    else:
        print(text)
    return int(any(fault.wrong for leg in legs for fault in leg.faults))


if __name__ == "__main__":
    sys.exit(main())
