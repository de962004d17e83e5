"""Memory by step: the parts add up to the peak, and each byte is the step's that took it."""

from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.memory import LATER, NUM_DOCUMENTS, PROCESS, Border, Peaks, peak_memory_bytes, with_borders


class Machine:
    """Memory that steps of a test take."""

    def __init__(self) -> None:
        self.peak = 100


class Takes(PipelineStep):
    """Takes `once` with its first document and `each` with every one, and passes on every `every`-th."""

    type = "test"

    def __init__(self, name: str, machine: Machine, *, once: int = 0, each: int = 0, every: int = 1) -> None:
        super().__init__()
        self.name, self.machine, self.once, self.each, self.every = name, machine, once, each, every

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for number, document in enumerate(data):
            self.machine.peak += self.each + (self.once if number == 0 else 0)
            if (number + 1) % self.every == 0:
                yield document


def run(steps: list[PipelineStep], number: int) -> list[Document]:
    data: Any = iter([Document(text="", id=str(i)) for i in range(number)])
    for step in steps:
        data = step.run(data)
    return list(data)


takes = st.tuples(st.integers(0, 1000), st.integers(1, 4))


@settings(deadline=None)
@given(takes, st.lists(takes, max_size=4), takes, st.integers(0, 60))
def test_each_step_has_what_it_took_and_the_parts_are_the_peak(
    reader: tuple[int, int], filters: list[tuple[int, int]], writer: tuple[int, int], number: int
) -> None:
    """Law: sum of the parts = peak; a step that met a document has what it took; no document is lost or moved."""
    machine = Machine()
    peaks = Peaks(lambda: machine.peak)
    made = [
        Takes(f"{i}", machine, once=once, every=every) for i, (once, every) in enumerate([reader, *filters, writer])
    ]
    bare = run([Takes("x", Machine(), every=step.every) for step in made], number)
    found = run(with_borders(made[:1], made[1:-1], made[-1:], peaks), number)
    assert [document.id for document in found] == [document.id for document in bare]
    peaks.note(LATER)
    assert sum(peaks.by_step.values()) == machine.peak
    took = {str(step): step.once for step in made}
    of_steps = {name: size for name, size in peaks.by_step.items() if name not in (PROCESS, LATER)}
    assert all(took[name] == size for name, size in of_steps.items())
    assert LATER not in peaks.by_step, "what a first document takes is always told apart"


def test_a_step_that_drops_its_first_document_has_what_it_took() -> None:
    machine = Machine()
    peaks = Peaks(lambda: machine.peak)
    steps = [Takes("reader", machine), Takes("model", machine, once=500, every=5), Takes("writer", machine)]
    run(with_borders(steps[:1], steps[1:2], steps[2:], peaks), 20)
    assert peaks.by_step == {PROCESS: 100, "test: model": 500}


def test_later_documents_are_one_part() -> None:
    """Law: after NUM_DOCUMENTS written nobody looks; the rest of the task is said to be that, and no step's."""
    machine = Machine()
    peaks = Peaks(lambda: machine.peak)
    steps = [Takes("reader", machine, each=1), Takes("filter", machine, each=10), Takes("writer", machine)]
    run(with_borders(steps[:1], steps[1:2], steps[2:], peaks), 100)
    peaks.note(LATER)
    assert peaks.by_step["test: reader"] == NUM_DOCUMENTS
    assert peaks.by_step["test: filter"] == 10 * NUM_DOCUMENTS
    assert peaks.by_step[LATER] == 11 * (100 - NUM_DOCUMENTS)


def test_a_border_waits_until_it_is_asked() -> None:
    """Law: setting a chain up reads nothing."""

    def never() -> Iterator[Document]:
        raise AssertionError("read")
        yield

    data = Border("a", "b", Peaks(), most=5, first=True).run(never())
    with pytest.raises(AssertionError, match="read"):
        deque(data, maxlen=0)


def test_the_peak_is_this_processs_own() -> None:
    """Law: it grows with what is held, and holds on to it (Linux sums its counters of pages up now and then)."""
    before = peak_memory_bytes()
    held = bytearray(b"x") * (before + (64 << 20))
    after = peak_memory_bytes()
    assert after >= len(held)
    del held
    assert peak_memory_bytes() >= after - (8 << 20)
