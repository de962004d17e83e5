"""Items of work that are left, and what has become of each: what every supervisor keeps, whoever does the work.

An item whose worker is lost is tried again, MAX_ATTEMPTS times in all; one that fails is not, and stops no other. The
disk says whether an item is done, not who did it. Gives up: doing anything.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable
from typing import Any, Generic, TypeVar

from pipelines.signals import StopRequest

MAX_ATTEMPTS = 3

Item = TypeVar("Item", bound=Hashable)
Kind = tuple[str, ...]  # what a worker loads for an item, and has loaded for the next of the kind


class WorkQueue(ABC, Generic[Item]):
    """`queue` is what waits, in order; `failures` says what did not work and why."""

    def __init__(self, items: Iterable[Item], *, stop: StopRequest | None = None) -> None:
        self.queue = list(items)
        self.stop = stop or StopRequest()
        self.failures: dict[Item, str] = {}
        self.attempts: dict[Item, int] = {}

    @abstractmethod
    def is_done(self, item: Item) -> bool:
        """Whether it is, by the disk."""

    @abstractmethod
    def tell(self, event: str, *args: Any) -> None:
        """What has happened: ready, started, progress, done, failed, retried, tick; see task_queue.Watcher."""

    def kind(self, item: Item) -> Kind:
        """Items of one kind are better done by one worker."""
        return ()

    def take(self, own: set[Kind], busy: set[Kind]) -> Item:
        """The first item that waits of a kind that a worker has loaded, else of one that no other is busy with."""
        item = next((item for item in self.queue if self.kind(item) in own), None)
        if item is None:
            item = next((item for item in self.queue if self.kind(item) not in busy), self.queue[0])
        self.queue.remove(item)
        return item

    def lost(self, item: Item, how: str, advice: str, what: str = "its worker died") -> None:
        """The worker of an item is gone: it was done all the same, or is tried again, or has failed."""
        if self.is_done(item):
            self.tell("done", item)
            return
        self.attempts[item] = self.attempts.get(item, 0) + 1
        if self.attempts[item] < MAX_ATTEMPTS:
            self.queue.insert(0, item)
            self.tell("retried", item, how)
        else:
            self.fail(item, f"{what} {MAX_ATTEMPTS} times ({how}){advice}")

    def fail(self, item: Item, reason: str) -> None:
        """It will not be tried again."""
        self.failures[item] = reason
        self.tell("failed", item, reason)

    def fail_rest(self, reason: str) -> None:
        """Nothing that waits can be done."""
        for item in self.queue:
            self.fail(item, reason)
        self.queue.clear()
