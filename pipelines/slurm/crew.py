"""The stages of a deduplication on several jobs: each walks through all of them and does the pieces that nobody has.

A job trusts nothing but the disk: it goes on to a stage when every piece of the one before is committed, whoever did
it. So any number of jobs does the work, from one to all, they may start when they like, and a dead one is missed for
the seconds until its claim is taken over. A piece that has failed is not tried again in this submission, and one whose
jobs have died MAX_ATTEMPTS times is said to have failed: otherwise a piece that does not fit the memory would take all
jobs with it. Gives up: giving nodes back while one job decides; see docs/decisions.md.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

from pipelines.claim import Claim, history, take_if_free
from pipelines.dedup.claimed_piece import claims_of, pieces_failed, to_the_log, work_on_piece
from pipelines.dedup.stages import is_complete
from pipelines.dedup.work import Job, Work
from pipelines.work_queue import MAX_ATTEMPTS

# Waiting for pieces of others: short at first, since most are; 5 s cost nothing where one takes minutes.
FIRST_LOOK_SECONDS, LAST_LOOK_SECONDS = 0.2, 5.0


class AllDone(Exception):
    """Another job has finished the whole deduplication."""


class Jobs:
    """The part of one job (`job`, as Slurm calls it) in the crew of a submission.

    `claim`: on what it works now; `did`: stages of which it has done something.
    """

    def __init__(self, work: Work, *, submission: str, job: str, place: int, num_jobs: int) -> None:
        self.work, self.submission, self.job = work, submission, job
        self.place, self.num_jobs = place, num_jobs
        self.claim: Claim | None = None
        self.did: set[str] = set()

    def note(self, text: str) -> None:
        """To the log of this job."""
        to_the_log(text)

    def each(self, name: str, job: Job, numbers: Iterable[int], what: str, done: Callable[[int], bool]) -> None:
        """Until every piece is there. Raises SourceError when one has failed and all others are there.

        Raises AllDone when the deduplication is complete, and the pieces have been removed.
        """
        left = [number for number in numbers if not done(number)]
        if not left:
            return
        self.note(f"{name}: {len(left)} {what} left")
        # Each begins at a place of its own, so that jobs seldom ask for the same piece.
        first = self.place * len(left) // self.num_jobs
        left = left[first:] + left[:first]
        failed: dict[int, str] = {}
        wait = FIRST_LOOK_SECONDS
        while left:
            missing = [number for number in left if not done(number)]
            if missing and is_complete(self.work):
                raise AllDone
            before, left = len(left), []
            for number in missing:
                if done(number):
                    continue
                if reason := self._has_failed(name, number):
                    failed[number] = reason
                elif not self._try(name, job, number, done):
                    left.append(number)
            if not left:
                break
            wait = FIRST_LOOK_SECONDS if len(left) < before else min(2 * wait, LAST_LOOK_SECONDS)
            time.sleep(wait)
        if failed:
            raise pieces_failed(name, what, failed)

    def once(self, name: str, job: Job, number: int, done: Callable[[], bool]) -> None:
        """One job does it, the others wait for it."""
        self.each(name, job, [number], "pieces", lambda _: done())

    def _try(self, name: str, job: Job, number: int, done: Callable[[int], bool]) -> bool:
        """Do a piece unless another job has it. True when it need not be looked at again in this pass."""
        work = self.work
        claim = take_if_free(work.layout, claims_of(name), number, job=self.job, submission=self.submission)
        if claim is None:
            return False
        self.claim = claim
        # Between the look and the claim another job may have done it, or finished everything.
        if done(number) or is_complete(work):
            claim.end("done")
            self.claim = None
            return done(number)
        reason = work_on_piece(work, name, job, number, claim, self.note)
        self.claim = None
        if reason is None:
            self.did.add(name)
        return reason is None

    def _has_failed(self, name: str, number: int) -> str | None:
        """Why a piece that is not there will not be, as far as this submission goes; None while it may come."""
        layout, attempts = self.work.layout, 0
        last: dict[str, Any] = {}
        for entry in history(layout, claims_of(name), number):
            if entry.get("submission") != self.submission or entry.get("outcome") == "done":
                continue
            if entry.get("outcome") == "failed":
                return str(entry["reason"])
            attempts, last = attempts + 1, entry
        if attempts < MAX_ATTEMPTS or not last["over"]:
            return None
        how = last.get("reason") or f"its job ended without a word (job {last['job']}, node {last['node']}); killed?"
        return f"{how} ({attempts} attempts)"
