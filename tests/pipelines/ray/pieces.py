"""Pieces of a stage that does nothing but what a test asks for; actors find them by name, as those of real stages.

Gives up: work; test_dedup.py has real deduplications too.
"""

import time
from pathlib import Path

from pipelines.dedup import store
from pipelines.dedup.work import Work
from pipelines.errors import SourceError

STAGE = "made"
FAILS = 1


def gate(work: Work, number: int) -> Path:
    """What a piece waits for."""
    return work.layout.run_dir / f"go-{number}"


def waiting(work: Work, number: int) -> None:
    """Commits when its gate is open."""
    while not gate(work, number).exists():
        time.sleep(0.02)
    committing(work, number)


def committing(work: Work, number: int) -> None:
    """Commits."""
    store.commit(work.folder(STAGE, number), {}, {})


def difficult(work: Work, number: int) -> None:
    """One piece fails, the others commit."""
    if number == FAILS:
        raise SourceError("the disk is full")
    committing(work, number)
