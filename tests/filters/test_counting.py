"""The loop of our filters against datatrove's: the same documents, statistics to the last digit, dropped files."""

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.utils.stats import Stats
from hypothesis import given
from hypothesis import strategies as st

import filters
from filters.counting import CountedFilter, add_length, add_one
from filters.sampling import IntervalSampler


class Scripted(CountedFilter):
    """Answers with what each document carries."""

    name = "scripted"

    def filter(self, doc: Document) -> Any:
        verdict = doc.metadata["verdict"]
        if verdict == "raise":
            raise RuntimeError("a document that the filter cannot judge")
        return verdict


class Keeper(PipelineStep):
    """Stands in for an exclusion writer: what it got, and whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[tuple[Document, int]] = []
        self.closed = 0

    def write(self, document: Document, rank: int = 0) -> None:
        self.got.append((copy.deepcopy(document), rank))

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:
        return data

    def __enter__(self) -> "Keeper":
        return self

    def __exit__(self, *_: object) -> None:
        self.closed += 1


VERDICTS = st.sampled_from(
    [True, False, 1, 0, None, "yes", "", (True, None), (False, "why"), (False, ""), (0, None), (True, "x")]
)
DOCUMENTS = st.lists(
    st.builds(
        lambda text, verdict, tokens: Document(
            text=text, id="1", metadata={"verdict": verdict} | ({} if tokens is None else {"token_count": tokens})
        ),
        st.text(max_size=40),
        VERDICTS,
        st.none() | st.integers(0, 9),
    ),
    max_size=25,
)


def outcome(run: Any, documents: list[Document], keep: bool, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Everything that can be seen of a run: documents, statistics, times on a clock that is the same for both."""
    clock = iter(range(1, 10_000))

    def tick() -> float:
        return next(clock) ** 1.5

    monkeypatch.setattr("filters.counting.perf_counter", tick)
    monkeypatch.setattr("datatrove.utils.stats.time.perf_counter", tick)
    step = Scripted(exclusion_writer=Keeper() if keep else None)  # type: ignore[arg-type]
    passed: list[Document] = []
    failed = ""
    try:
        passed.extend(run(step, iter(copy.deepcopy(documents)), 3, 5))
    except RuntimeError as error:
        failed = str(error)
    writer: Any = step.exclusion_writer
    kept = (writer.got, writer.closed) if keep else None
    times = {name: value for name, value in vars(step.stats.time_stats).items() if name != "_entry_time"}
    return passed, failed, list(step.stats.stats), step.stats.to_dict(), times, kept


@given(documents=DOCUMENTS, keep=st.booleans(), bad=st.booleans())
def test_equal_to_datatroves_loop(documents: list[Document], keep: bool, bad: bool) -> None:
    if bad and documents:
        documents[len(documents) // 2].metadata["verdict"] = "raise"
    with pytest.MonkeyPatch.context() as monkeypatch:
        ours = outcome(Scripted.run, documents, keep, monkeypatch)
        assert ours == outcome(BaseFilter.run, documents, keep, monkeypatch)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=60), st.lists(st.integers(-3, 3), max_size=5))
def test_lengths_and_ones_are_equal_to_the_last_digit(lengths: list[int], before: list[int]) -> None:
    """Whatever a statistic held before: a merged one, or values other than one."""
    ours, theirs = Stats("x"), Stats("x")
    for value in before:
        ours["total"].update(value)
        theirs["total"].update(value)
    step = Scripted()
    step.stats = theirs

    class Long(str):
        def __len__(self) -> int:
            return self.n  # type: ignore[attr-defined, no-any-return]

    for length in lengths:
        text = Long()
        text.n = length  # type: ignore[attr-defined]
        document = Document(text=text, id="1")
        add_one(ours.stats, "total")
        add_length(ours.stats, document)
        step.stat_update("total")
        step.update_doc_stats(document)
    assert ours.stats == theirs.stats


def test_the_statistics_can_be_read_while_the_step_runs() -> None:
    """Law: they are at most 256 documents behind, and complete when the step ends, also before its documents do."""
    step = Scripted()
    running = step.run(iter([Document(text="ab", id=str(i), metadata={"verdict": True}) for i in range(1000)]))
    for number, _ in enumerate(running, start=1):
        total = step.stats["total"].total
        assert number - 256 <= total <= number
        assert step.stats["doc_len"].total == 2 * total
        if number == 700:
            break
    running.close()
    assert (step.stats["total"].total, step.stats["doc_len"].total, step.stats.time_stats.n) == (700, 1400, 700)


def test_a_filter_that_counts_in_its_own_way_keeps_datatroves_loop() -> None:
    class Own(Scripted):
        seen = 0

        def stat_update(self, *labels: str, value: int = 1, unit: str | None = None) -> None:
            Own.seen += 1
            super().stat_update(*labels, value=value, unit=unit)

    list(Own().run(iter([Document(text="a", id="1", metadata={"verdict": True})])))
    assert Own.seen >= 3


def every_filter() -> Iterator[type[BaseFilter]]:
    yield from filters.FILTERS.values()
    yield IntervalSampler


@pytest.mark.parametrize("kind", list(every_filter()))
def test_every_filter_uses_it(kind: type[BaseFilter]) -> None:
    assert kind.run is CountedFilter.run


def test_a_step_that_has_run_can_be_pickled() -> None:
    step = Scripted()
    list(step.run(iter([Document(text="a", id="1", metadata={"verdict": True})])))
    assert pickle.loads(pickle.dumps(step)).stats.to_dict() == step.stats.to_dict()  # noqa: S301
