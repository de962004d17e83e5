"""One run on a throw-away Slurm, and one random fault after the other: is anything lost or doubled?

    python benchmarks/slurm_campaign.py --faults 20 --seed 0 --output benchmarks/results/slurm_campaign.md

Needs Debian's `slurm-wlm` and `munge`. Jobs are held and let go one by one, so that each fault hits a task in the
middle of its work, at a random moment, often beside others. After each fault no file may differ from the local run's;
at the end all must be there, with the same account. Gives up: faults of the file system, and of the controller.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.pipelines.corpus import write_one_source  # noqa: E402 - the project's root must be on the path first
from tests.pipelines.processes import Run, is_alive  # noqa: E402
from tests.pipelines.slurm.conftest import SlurmRun, is_task, until  # noqa: E402
from tests.slurm import Slurm, throw_away_slurm, why_not  # noqa: E402

# Arrays smaller than the run. The warning before the time limit is a signal that tasks do not answer, so that the
# limit itself is hit; SIGUSR1 is a fault of its own.
SUBMIT = ("--max-array-size", "5", "--time", "30", "--sbatch", "signal=B:URG@1")
MOST_COMPANY = 2
EVERY = 0.2  # seconds between two looks at the queue


@dataclass
class Victim:
    """A task that was stopped in the middle of its work: its rank, claim, job, node and process."""

    rank: int
    number: int
    job: str
    node: str
    pid: int


@dataclass
class Fault:
    """One fault of the table: what was done to which task, and what its job said of itself."""

    kind: str
    victim: Victim
    seconds: float = 0.0
    said: str = ""
    wrong: str = ""


class Campaign:
    """A local run to compare with, and a run on `box` that things happen to."""

    def __init__(self, box: Slurm, folder: Path, *, tasks: int, documents: int, seed: int) -> None:
        self.box, self.draw = box, random.Random(seed)
        source = write_one_source(folder / "source", documents, files=tasks, profile="sane")
        self.local = Run(folder / "local", source, "--tasks", str(tasks))
        status, text = self.local.call()
        if status:
            raise RuntimeError(f"the local run fails:\n{text}")
        self.expected = self.local.files()
        self.run = SlurmRun(box, folder / "run", source, "--tasks", str(tasks))
        self.launches = 0
        self.kinds: dict[str, Callable[[Victim], None]] = {
            "kill -9": self.kill, "scancel of a task": self.scancel_task, "scancel of an array": self.scancel_array,
            "kill -9 of slurmd": self.kill_slurmd, "time limit": self.time_limit, "SIGUSR1": self.sigusr1,
            "relaunch": self.relaunch,
        }  # fmt: skip

    def series(self, number: int) -> list[str]:
        """Kinds of faults, every kind in turn in a random order."""
        found: list[str] = []
        while len(found) < number:
            kinds = list(self.kinds)
            self.draw.shuffle(kinds)
            found += kinds
        return found[:number]

    def play(self, kinds: Sequence[str]) -> list[Fault]:
        """All these faults, then the rest of the run. What went wrong is in the faults, the last one's above all."""
        faults = []
        for position, kind in enumerate(kinds):
            victim = self.victim(len(kinds) - position)
            fault = Fault(kind, victim)
            start = time.monotonic()
            self.kinds[kind](victim)
            fault.seconds = time.monotonic() - start
            fault.said = self.said(victim)
            fault.wrong = self.wrong_files()
            faults.append(fault)
            print(f"{position + 1}/{len(kinds)} {kind}: task {victim.rank} on {victim.node}, {fault.said} "
                  f"({fault.seconds:.0f} s) {fault.wrong}", file=sys.stderr, flush=True)  # fmt: skip
        for label in self.held():
            self.box.run("scontrol", "release", label)
        self.run.wait()
        while self.run.state()["state"] != "complete":
            self.launches += 1
            if self.launches > 3 * len(kinds) + 3:
                faults[-1].wrong += "; the run does not get complete"
                break
            self.run.submit("--wait")
        faults[-1].wrong += self.wrong_end()
        return faults

    # What is in the queue -----------------------------------------------------------------------------------------

    def live(self) -> list[str]:
        """Labels of everything of the run that Slurm still has to do."""
        return [line.split()[0] for line in self.run.queue()] if self.launches else []

    def held(self) -> list[str]:
        """Labels of tasks that wait to be let go."""
        if not self.launches:
            return []
        name = self.run.submissions()[-1]["name"]
        lines = self.box.run("squeue", "-h", "-r", "-t", "PD", f"--name={name}", "-o", "%i %r").splitlines()
        return [label for label, reason in map(str.split, lines) if reason == "JobHeldUser"]

    def launch(self) -> None:
        """Submit the incomplete tasks, all held; the last job waits for them only."""
        until(lambda: not self.live(), "jobs do not end", EVERY)
        self.run.submit(*SUBMIT, "--sbatch", "hold")
        self.launches += 1
        self.box.run("scontrol", "release", self.run.submissions()[-1]["finish_id"])

    def rank_of(self, label: str) -> int:
        job, _, element = label.partition("_")
        submission = self.run.submissions()[-1]
        array = next(array for array in submission["arrays"] if array["job_id"] == job)
        return submission["tasks"][array["first"] + int(element)][1]

    def victim(self, faults_to_come: int) -> Victim:
        """Let tasks go until one is caught in the middle of its work; often with others at work beside it."""
        while True:
            held = self.held()
            if not held:
                self.launch()
                continue
            spare = max(0, len(held) - faults_to_come)
            for label in self.draw.sample(held, min(self.draw.randint(0, MOST_COMPANY), spare)):
                self.box.run("scontrol", "release", label)
                held.remove(label)
            if caught := self.catch(self.draw.choice(held)):
                return caught

    def catch(self, label: str) -> Victim | None:
        rank = self.rank_of(label)
        number = len(list(self.run.output.glob(f"_run/stages/*/claims/*/*/{rank:05d}.*.json")))
        self.box.run("scontrol", "release", label)
        claim = self.run.claim(rank, number)
        time.sleep(self.draw.uniform(0.0, 1.0))
        if not is_task(claim["pid"]):
            return None
        os.kill(claim["pid"], signal.SIGSTOP)
        victim = Victim(rank, number, claim["job"], claim["node"], claim["pid"])
        if self.said(victim) == "nothing" and f"{victim.job} RUNNING" in self.run.queue():
            return victim
        self.go_on(victim)
        return None

    def said(self, victim: Victim) -> str:
        """The outcome that the claim was ended with; "nothing" for one that was not."""
        for path in self.run.output.glob(f"_run/stages/*/claims/*/*/{victim.rank:05d}.{victim.number}.end"):
            return str(path.read_text().partition('"outcome": "')[2].partition('"')[0])
        return "nothing"

    def go_on(self, victim: Victim) -> None:
        with suppress(ProcessLookupError):
            os.kill(victim.pid, signal.SIGCONT)

    def gone(self, victim: Victim) -> None:
        """Until neither Slurm nor this machine has anything of the victim's job left."""
        until(lambda: victim.job not in self.live(), f"job {victim.job} does not end", EVERY)
        until(lambda: not (is_alive(victim.pid) and is_task(victim.pid)), f"process {victim.pid} does not end", EVERY)

    # The faults ---------------------------------------------------------------------------------------------------

    def kill(self, victim: Victim) -> None:
        os.kill(victim.pid, signal.SIGKILL)
        self.gone(victim)

    def scancel_task(self, victim: Victim) -> None:
        self.box.run("scancel", victim.job)
        self.gone(victim)

    def scancel_array(self, victim: Victim) -> None:
        self.box.run("scancel", victim.job.partition("_")[0])
        self.gone(victim)

    def kill_slurmd(self, victim: Victim) -> None:
        """The daemon is away for a moment or until Slurm gives the job to another; its process wakes up at any time."""
        self.box.kill(victim.node)
        wakes = self.draw.uniform(0.0, 40.0)
        back = self.draw.choice((1.0, 12.0))
        start = time.monotonic()
        for moment, happens in sorted(
            [(wakes, lambda: self.go_on(victim)), (back, lambda: self.box.start_node(victim.node))],
            key=lambda pair: pair[0],
        ):
            time.sleep(max(0.0, start + moment - time.monotonic()))
            happens()
        self.box.wait_until_up()
        self.gone(victim)

    def time_limit(self, victim: Victim) -> None:
        self.box.run("scontrol", "update", f"JobId={victim.job}", "TimeLimit=1")  # a minute is Slurm's least
        # Slurm wakes a stopped job up before it sends it a signal.
        until(lambda: self._stopped(victim), f"job {victim.job} runs on beyond its limit", EVERY)
        self.gone(victim)

    def _stopped(self, victim: Victim) -> bool:
        if victim.job not in self.live():
            return True
        if is_task(victim.pid):
            os.kill(victim.pid, signal.SIGSTOP)
        return False

    def sigusr1(self, victim: Victim) -> None:
        self.run.usr1(victim.job, victim.pid)
        self.gone(victim)

    def relaunch(self, victim: Victim) -> None:
        """The same command while jobs live: it must be refused."""
        status, text = self.run.call("--executor", "slurm", "--node-test-seconds", "0")
        if status != 2 or "jobs of this run are queued or running" not in text:
            raise RuntimeError(f"a second launch beside a live one was not refused ({status}):\n{text}")
        self.go_on(victim)
        self.gone(victim)

    # Right or wrong -----------------------------------------------------------------------------------------------

    def wrong_files(self) -> str:
        """Files that are not the local run's, by name."""
        files = self.run.files() if self.run.output.is_dir() else {}
        return ", ".join(name for name, data in files.items() if self.expected.get(name) != data)

    def wrong_end(self) -> str:
        """What a finished run has wrong; "" when nothing."""
        found = []
        if self.run.files() != self.expected:
            found.append("other documents than the local run")
        if self.run.ledger() != self.local.ledger():
            found.append("another account than the local run")
        status, text = self.run.verify()
        if status:
            found.append(f"verify says {text}")
        return "; ".join(found)


def table(campaign: Campaign, faults: Sequence[Fault], options: argparse.Namespace) -> Iterator[str]:
    """The results as Markdown."""
    wrong = [fault for fault in faults if fault.wrong]
    claims = len(list(campaign.run.output.glob("_run/stages/*/claims/*/*/*.json")))
    tasks = len(campaign.expected)
    yield "# One run on Slurm, and fault after fault\n"
    yield (
        f"`python benchmarks/slurm_campaign.py --faults {len(faults)} --seed {options.seed} --tasks {tasks} "
        f"--documents {options.documents}`\n"
    )
    counted = ", ".join(f"{number} {kind}" for kind, number in Counter(fault.kind for fault in faults).items())
    yield (
        f"{len(faults)} faults ({counted}) on a run of {tasks} tasks in arrays of 5, on a two-node Slurm on one "
        f"machine. {campaign.launches} launches, {claims} attempts at tasks. After each fault every file in the output "
        "folder was compared with the local run's, at the end all documents, the ledger and `smoltrove verify`: "
        + (f"**{len(wrong)} wrong**.\n" if wrong else "nothing lost, nothing doubled.\n")
    )
    yield "| | fault | task | node | what the job said of itself | seconds until it was over | |"
    yield "|---:|---|---:|---|---|---:|---|"
    for number, fault in enumerate(faults, 1):
        yield (
            f"| {number} | {fault.kind} | {fault.victim.rank} | {fault.victim.node} | {fault.said} | "
            f"{fault.seconds:.0f} | {fault.wrong and 'WRONG: ' + fault.wrong} |"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the campaign. Returns 1 when anything was wrong."""
    parser = argparse.ArgumentParser(description="Random faults on one run on a throw-away Slurm.")
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tasks", type=int, default=30)
    # Seconds of work for a task, or it is over before it can be caught.
    parser.add_argument("--documents", type=int, default=30_000, help="rows of a task")
    parser.add_argument("--output", type=Path, help="where the table goes; default: printed")
    options = parser.parse_args(arguments)
    if reason := why_not():
        print(f"error: {reason}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="slurm") as name, throw_away_slurm(Path(name) / "box") as box:
        campaign = Campaign(
            box, Path(name) / "campaign", tasks=options.tasks, documents=options.documents, seed=options.seed
        )
        faults = campaign.play(campaign.series(options.faults))
        text = "\n".join(table(campaign, faults, options)) + "\n"
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    else:
        print(text)
    return int(any(fault.wrong for fault in faults))


if __name__ == "__main__":
    sys.exit(main())
