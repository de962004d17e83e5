"""What the pieces of a deduplication took: CPU seconds and peak memory by stage, out of lines in a folder of its logs.

    <logs>/pieces/<fingerprint>/<node>-<pid>-<token>.jsonl     one file a process; lines when a piece begins and ends

A file of one's own needs no lock on any file system. Lines outlive kills, so a deduplication that was resumed has those
of all its attempts; nothing of them is in documents, tables or work files, which are the same bytes for any schedule.
The peak is the process's while it had the piece in hand, with what it had loaded before and the mapped pages of work
files: what a node must have for it. Gives up: what attempts took that were killed; and peaks of single pieces where the
kernel does not forget old ones (other systems than Linux): those are bounds then.
"""

import json
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError

from pipelines.dedup.inputs import read_json
from pipelines.memory import forget_peak, peak_memory_bytes, peak_since_forgotten
from pipelines.run_layout import RunLayout

BEGUN, SO_FAR, DONE, FAILED = "begun", "so far", "done", "failed"


class StageSpent(BaseModel):
    """One stage. `cpu_seconds` and `seconds` are sums over pieces, `peak_memory_bytes` is the largest of a process.

    `unmeasured`: pieces that are begun, killed with their process, or done by one that could not write its line.
    `peak_is_exact` is false where the largest may be an earlier piece's of the same process.
    """

    stage: str
    pieces: int = 0
    unmeasured: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0
    peak_is_exact: bool = True


_STAGES = TypeAdapter(list[StageSpent])


class _Piece:
    """A piece that this process has in hand."""

    def __init__(self, folder: Path, stage: str, number: int) -> None:
        self._path = folder / _file_name(os.getpid())
        self._names = {"stage": stage, "piece": number}
        self._say(BEGUN, at=datetime.now(timezone.utc).isoformat(timespec="milliseconds"))
        self._forgets, self._peak = forget_peak(), peak_memory_bytes()
        self._started, self._cpu = time.perf_counter(), time.process_time()

    def note(self, what: str) -> None:
        """What it has taken until now."""
        peak = peak_since_forgotten()
        self._say(
            what,
            seconds=round(time.perf_counter() - self._started, 3),
            cpu_seconds=round(time.process_time() - self._cpu, 3),
            peak_memory_bytes=peak,
            peak_is_exact=self._forgets or peak > self._peak,
        )

    def _say(self, what: str, **figures: object) -> None:
        line = json.dumps({"what": what, **self._names, **figures}) + "\n"
        # A measurement that cannot be written fails no piece; the report says that it is missing.
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Closed each time: on NFS others see what a file had when it was closed.
            with open(self._path, "ab", buffering=0) as handle:
                handle.write(line.encode())


_in_hand: list[_Piece] = []


@lru_cache(maxsize=1)
def _file_name(pid: int) -> str:
    return f"{os.uname().nodename}-{pid}-{secrets.token_hex(4)}.jsonl"


def _folder(layout: RunLayout) -> Path:
    return layout.logging_dir / "pieces" / layout.fingerprint[:16]


@contextmanager
def measured(layout: RunLayout, stage: str, number: int) -> Iterator[None]:
    """Writes down what happens within, as the work on one piece."""
    piece = _Piece(_folder(layout), stage, number)
    _in_hand.append(piece)
    outcome = FAILED
    try:
        yield
        outcome = DONE
    finally:
        _in_hand.remove(piece)
        piece.note(outcome)


def stages_so_far(layout: RunLayout) -> list[StageSpent]:
    """All stages with what they have taken until now, the piece in hand included."""
    for piece in _in_hand:
        piece.note(SO_FAR)
    return _read(_folder(layout))


def stages_of(layout: RunLayout) -> list[StageSpent]:
    """All stages in their order; [] where nobody has measured any.

    From the lines; of a deduplication in a store, or whose logs are gone, as `state.json` has it since its end.
    """
    if layout.store is None and (found := _read(_folder(layout))):
        return found
    try:
        return _STAGES.validate_python((read_json(layout.run_dir / "state.json") or {}).get("stages", []))
    except ValidationError:
        return []


def _read(folder: Path) -> list[StageSpent]:
    begun: dict[str, str] = {}
    attempts: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.jsonl")):
        # A process has one piece in hand at a time.
        in_hand: dict[str, Any] = {}
        for entry in _entries(path):
            if entry["what"] == BEGUN:
                stage = entry["stage"]
                begun[stage] = min(begun.get(stage, entry["at"]), entry["at"])
                attempts.append(in_hand := entry)
            elif (entry["stage"], entry["piece"]) == (in_hand.get("stage"), in_hand.get("piece")):
                in_hand.update(entry)
    by_stage: dict[str, list[dict[str, Any]]] = {stage: [] for stage in sorted(begun, key=lambda name: begun[name])}
    for attempt in attempts:
        by_stage[attempt["stage"]].append(attempt)
    return [_summed(stage, found) for stage, found in by_stage.items()]


def _entries(path: Path) -> Iterable[dict[str, Any]]:
    with open(path, "rb") as handle:
        for line in handle:
            # The last line of a process that was killed may be cut.
            with suppress(orjson.JSONDecodeError):
                yield orjson.loads(line)


def _summed(stage: str, attempts: list[dict[str, Any]]) -> StageSpent:
    known = [attempt for attempt in attempts if attempt["what"] != BEGUN]
    pieces = {attempt["piece"] for attempt in attempts}
    most = max(known, key=lambda found: (found["peak_memory_bytes"], found["peak_is_exact"]), default=None)
    return StageSpent(
        stage=stage,
        pieces=len(pieces),
        unmeasured=len(pieces - {attempt["piece"] for attempt in known if attempt["what"] != FAILED}),
        seconds=round(sum(attempt["seconds"] for attempt in known), 3),
        cpu_seconds=round(sum(attempt["cpu_seconds"] for attempt in known), 3),
        peak_memory_bytes=most["peak_memory_bytes"] if most else 0,
        peak_is_exact=most["peak_is_exact"] if most else True,
    )
