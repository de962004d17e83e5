"""One job at a time for a task: a claim on disk with a heartbeat, which outlives a dead node by seconds only.

    _run/stages/<fingerprint>/claims/<source>/00003.1.json    task 3, second claim; its time is the heartbeat
    _run/stages/<fingerprint>/claims/<source>/00003.1.end     how that ended

A claim is never removed. The next one is made under the next number, by an exclusive link, so that of two that find the
same claim abandoned only one goes on. Abandoned = ended, or of a process of this machine that is gone, or without a
heartbeat for STILL_SECONDS, by the clock of the file system. flock would do with one machine; network file systems
often have none. Gives up: certainty about a process that is frozen for longer than that and then wakes up; it finds a
newer claim when it wants to commit, and fails; its work files are its own (see RunLayout.attempt).
"""

import json
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from datatrove.data import DocumentsPipeline
from datatrove.pipeline.base import PipelineStep

from pipelines.errors import SourceError
from pipelines.ledger import write_atomically
from pipelines.run_layout import RunLayout

HEARTBEAT_SECONDS = 5.0
STILL_SECONDS = 20.0


class ClaimHeldError(SourceError):
    """Another process works on the task, or has just taken it."""


class Claim:
    """The right to work on one task. Made by `take`; ended by `end`, or by the end of its heartbeat."""

    def __init__(self, path: Path, number: int) -> None:
        self.path, self.number = path, number
        self._over = threading.Event()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def _beat(self) -> None:
        while not self._over.wait(HEARTBEAT_SECONDS):
            # A file system that hangs for a moment is no reason to die; the commit looks at the claim anyway.
            with suppress(OSError):
                os.utime(self.path)

    @property
    def is_newest(self) -> bool:
        """Whether nobody has taken the task over."""
        return newest(self.path.parent, _rank_of(self.path)) == self.number

    def require(self) -> None:
        """Raises SourceError when somebody has."""
        if not self.is_newest:
            raise SourceError("another job took it over while this one stood still; that one finishes it")

    def end(self, outcome: str, reason: str = "") -> None:
        """Say how it ended: done, failed, requeued, stopped or overtaken. The first word counts."""
        self._over.set()
        path = self.path.with_suffix(".end")
        if not path.exists():
            write_atomically(path, json.dumps({"outcome": outcome, "reason": reason}, ensure_ascii=False))


class Fence(PipelineStep):
    """Stands before the commit: the task fails there when its claim was taken over meanwhile."""

    name = "🚧 Claim"
    type = "🚧 - CLAIM"

    def __init__(self, claim: Claim) -> None:
        super().__init__()
        self.claim = claim

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        yield from data or ()
        self.claim.require()


def claims_dir(layout: RunLayout, output_dir: str) -> Path:
    """The claims on the tasks of a source."""
    return layout.stage_dir / "claims" / output_dir


def newest(folder: Path, rank: int) -> int:
    """The number of the last claim on a task, -1 when there is none."""
    return max((int(path.name.split(".")[1]) for path in folder.glob(f"{rank:05d}.*.json")), default=-1)


def last_word(layout: RunLayout, output_dir: str, rank: int) -> dict[str, str] | None:
    """Who made the last claim on a task (job, node, pid), with `outcome` and `reason` when it has ended."""
    folder = claims_dir(layout, output_dir)
    number = newest(folder, rank)
    if number < 0:
        return None
    found: dict[str, str] = {}
    for suffix in ("json", "end"):
        with suppress(OSError, ValueError):
            found |= json.loads((folder / f"{rank:05d}.{number}.{suffix}").read_bytes())
    return found


def history(layout: RunLayout, output_dir: str, rank: int) -> list[dict[str, Any]]:
    """All claims on a task, oldest first, as `last_word` has one; `over` says whether its job works no more."""
    folder = claims_dir(layout, output_dir)
    last, found = newest(folder, rank), []
    for number in range(last + 1):
        word: dict[str, Any] = {"over": number < last or is_abandoned(folder, rank, number)}
        for suffix in ("json", "end"):
            with suppress(OSError, ValueError):
                word |= json.loads((folder / f"{rank:05d}.{number}.{suffix}").read_bytes())
        found.append(word)
    return found


def held(layout: RunLayout, output_dir: str) -> list[tuple[int, dict[str, Any]]]:
    """(task, who) of all tasks of a source on which somebody works; lists the folder once, however many they are."""
    folder = claims_dir(layout, output_dir)
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    last: dict[int, int] = {}
    for name in names:
        if name.endswith(".json") and not name.startswith("."):
            task, claim, _ = name.split(".")
            last[int(task)] = max(int(claim), last.get(int(task), 0))
    found = []
    for rank, number in sorted(last.items()):
        if f"{rank:05d}.{number}.end" not in names and not is_abandoned(folder, rank, number):
            with suppress(OSError, ValueError):
                found.append((rank, json.loads((folder / f"{rank:05d}.{number}.json").read_bytes())))
    return found


def take(layout: RunLayout, output_dir: str, rank: int, *, job: str, node: str | None = None) -> Claim:
    """Claim a task, after waiting for an abandoned claim to be still. Raises ClaimHeldError while another job holds it.

    job, node: who asks, for people; `node` is Slurm's name of the machine, or its own, when it is not given.
    """
    folder = claims_dir(layout, output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    number = newest(folder, rank)
    if number >= 0:
        _wait_until_abandoned(folder, rank, number)
    claim = _make(folder, rank, number + 1, job=job, **({"node": node} if node else {}))
    if claim is None:
        raise ClaimHeldError(f"task {rank}: another job has just taken it; this one has nothing to do")
    return claim


def take_if_free(layout: RunLayout, output_dir: str, rank: int, *, job: str, submission: str) -> Claim | None:
    """Claim a task; None, without waiting, while another job holds it. `submission` is kept with the claim."""
    folder = claims_dir(layout, output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    number = newest(folder, rank)
    if number >= 0 and not is_abandoned(folder, rank, number):
        return None
    return _make(folder, rank, number + 1, job=job, submission=submission)


def _make(folder: Path, rank: int, number: int, **known: str) -> Claim | None:
    """The claim of this number; None when another process has it."""
    path = folder / f"{rank:05d}.{number}.json"
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    node = known.pop("node", None) or os.environ.get("SLURMD_NODENAME") or socket.gethostname()
    holder = {**known, "node": node, "pid": os.getpid(), "process": process_identity(os.getpid())}
    scratch.write_text(json.dumps(holder), encoding="utf-8")
    try:
        os.link(scratch, path)
    except FileExistsError:
        # link(2): over NFS a link that was made may be answered with an error; the count of links tells.
        if scratch.stat().st_nlink != 2:
            return None
    finally:
        scratch.unlink()
    return Claim(path, number)


def is_abandoned(folder: Path, rank: int, number: int) -> bool:
    """Whether a claim has ended, or its heart stands still."""
    path = folder / f"{rank:05d}.{number}.json"
    return path.with_suffix(".end").exists() or _is_gone(path) or _now(folder) - path.stat().st_mtime > STILL_SECONDS


def _wait_until_abandoned(folder: Path, rank: int, number: int) -> None:
    deadline = time.monotonic() + STILL_SECONDS + HEARTBEAT_SECONDS
    while not is_abandoned(folder, rank, number):
        if time.monotonic() > deadline:
            holder = json.loads((folder / f"{rank:05d}.{number}.json").read_bytes())
            raise ClaimHeldError(
                f"task {rank}: job {holder['job']} works on it (node {holder['node']}, process {holder['pid']}); wait "
                "for it or end it, and run the same command again"
            )
        time.sleep(0.5)


def process_identity(pid: int) -> str | None:
    """Boot, namespace, number and start of a live process: no other has the same. None where the system cannot say."""
    if sys.platform != "linux":
        return None
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        state, *rest = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return None if state in "ZX" else f"{boot} {os.readlink('/proc/self/ns/pid')} {pid} {rest[18]}"
    except OSError:
        return None


def _is_gone(path: Path) -> bool:
    """Whether a claim's process was one of this machine and has ended; of other machines only the heartbeat tells."""
    try:
        holder = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    known, mine = holder.get("process"), process_identity(os.getpid())
    if known is None or mine is None or known.split()[:2] != mine.split()[:2]:
        return False
    return process_identity(holder["pid"]) != known


def _now(folder: Path) -> float:
    """The time by the clock that stamps files there; clocks of nodes differ."""
    probe = folder / f".now.{secrets.token_hex(8)}"
    probe.touch()
    os.utime(probe)
    now = probe.stat().st_mtime
    probe.unlink()
    return now


def _rank_of(path: Path) -> int:
    return int(path.name.split(".")[0])
