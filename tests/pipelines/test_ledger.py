"""The ledger's laws: a step that loses or invents a document without saying so fails its task.

rows = rejected + sampled out + dropped + kept, and kept + repeated = written = lines in the file.
"""

import gzip
import io
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters.base_filter import BaseFilter
from hypothesis import given
from hypothesis import strategies as st

from filters import LengthFilter
from filters.sampling import EpochRepeater, IntervalSampler, lay_out
from pipelines.histograms import OTHER, Drawn, Kept, Measured, measured
from pipelines.ledger import CommitStep, LedgerError, TaskRecord, account, find_record, write_atomically
from pipelines.reader_bytes import ReadFile
from pipelines.readers import SourceReader
from pipelines.writers import DocumentWriter, Sink, WrittenFile
from tests.pipelines.corpus import rows, write_jsonl

NUMBER = 80


class Loses(PipelineStep):
    """Passes on all but one document; `counts` as a filter would."""

    def __init__(self, counts: bool) -> None:
        super().__init__()
        self.counts = counts

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> Any:
        for number, doc in enumerate(data):
            if self.counts:
                self.stat_update("total", "forwarded")
            if number != 5:
                yield doc


class Invents(PipelineStep):
    """Passes one document on twice, counted once."""

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> Any:
        for number, doc in enumerate(data):
            self.stat_update("total", "forwarded")
            yield doc
            if number == 5:
                yield doc


class BatchLoses(BaseFilter):
    """A batch filter that answers for fewer documents than it was given; datatrove's zip drops the rest in silence."""

    def __init__(self) -> None:
        super().__init__(batch_size=10)

    def filter(self, doc: Document) -> bool:
        return True

    def filter_batch(self, batch: list[Document]) -> list[Any]:
        return [True] * (len(batch) - 1)


class WriterLoses(DocumentWriter):
    """A writer that counts a document which it does not write."""

    def write(self, document: Document, rank: int = 0, **kwargs: Any) -> None:
        if document.id.endswith("-5"):
            self.stat_update("total")
        else:
            super().write(document, rank, **kwargs)


def chain(folder: Path, middle: Sequence[PipelineStep], *, end: float = 2.0) -> list[PipelineStep]:
    """Reader, sampler (everything twice), `middle`, epochs, writer."""
    path = folder / "only.jsonl"
    write_jsonl(path, rows("only", 0, NUMBER), b"no json\n")
    size = path.stat().st_size
    return [
        SourceReader(source="s", tasks=[[ReadFile(path="only.jsonl", uri=str(path), size=size)]], id_field="id"),
        IntervalSampler(interval=(0.0, end), slots=lay_out("s", [("only.jsonl", size)], 0)),
        *middle,
        EpochRepeater(),
        DocumentWriter(folder / "work" / "documents"),
    ]


def run(folder: Path, steps: Sequence[PipelineStep], counts: Measured | None = None) -> None:
    """As an executor does, with the ledger as the last step."""
    counted = [step for step in steps if not isinstance(step, (Drawn, Kept))]
    commit = CommitStep(
        steps=counted, measured=counts, source="s", language="en", output_folder=folder / "out", output_dir="s/default",
        records_dir=folder / "records", dropped_dir=folder / "out" / "_run" / "dropped",
    )  # fmt: skip
    data: Any = None
    for step in [*steps, commit]:
        data = step.run(data, 0, 1)
    deque(data, maxlen=0)


def test_a_task_is_accounted_for_to_the_last_row(tmp_path: Path) -> None:
    steps = chain(tmp_path, [LengthFilter(min_chars=450)])
    run(tmp_path, steps)
    record = find_record(tmp_path / "records" / "00000.json")
    assert record is not None
    assert record.rows == NUMBER + 1
    assert record.rejected == {"reader.invalid_json": 1}
    assert set(record.dropped) == {"length.too_few_chars"}
    assert 0 < record.num_dropped < NUMBER
    assert record.repeated == NUMBER - record.num_dropped
    assert record.written == 2 * record.repeated
    assert record.file is not None
    lines = gzip.decompress((tmp_path / "out" / record.file.path).read_bytes()).splitlines()
    assert len(lines) == record.written
    assert record.problems() == []


@pytest.mark.parametrize(
    "step",
    [Loses(counts=False), Loses(counts=True), Invents(), BatchLoses()],
    ids=["silent", "counted", "invents", "batch"],
)
def test_a_step_that_loses_or_invents_documents_fails_the_task(tmp_path: Path, step: PipelineStep) -> None:
    steps = chain(tmp_path, [LengthFilter(min_chars=1), step, LengthFilter(min_chars=1)])
    with pytest.raises(LedgerError, match="documents"):
        run(tmp_path, steps)
    assert not list((tmp_path / "out").rglob("*.gz")), "nothing of a task that does not add up may be seen"
    assert not list((tmp_path / "records").rglob("*")), "and it has no record"


def test_a_writer_that_does_not_write_what_it_counts_fails_the_task(tmp_path: Path) -> None:
    steps = chain(tmp_path, [])
    steps[-1] = WriterLoses(tmp_path / "work" / "documents")
    with pytest.raises(LedgerError, match="lines in the file"):
        run(tmp_path, steps)
    assert not list((tmp_path / "out").rglob("*.gz"))


def test_drops_by_language_that_do_not_add_up_fail_the_task(tmp_path: Path) -> None:
    """Law: over the languages, drops are the task's, by reason; a filter that tells of none is noticed."""
    filters = [LengthFilter(min_chars=450)]
    counts = measured(filters)
    filters[0].when_dropped = None
    steps = chain(tmp_path, filters)
    with pytest.raises(LedgerError, match="dropped by language"):
        run(tmp_path, [steps[0], steps[1], counts.drawn, *steps[2:-2], counts.kept, *steps[-2:]], counts)
    assert not list((tmp_path / "out").rglob("*.gz"))


def test_a_task_has_its_drops_by_language(tmp_path: Path) -> None:
    filters = [LengthFilter(min_chars=450)]
    counts = measured(filters)
    steps = chain(tmp_path, filters)
    run(tmp_path, [steps[0], steps[1], counts.drawn, *filters, counts.kept, *steps[-2:]], counts)
    record = find_record(tmp_path / "records" / "00000.json")
    assert record is not None
    assert record.dropped_by_language == {OTHER: record.dropped}
    assert record.histograms is not None
    old = record.model_dump(exclude={"dropped_by_language", "memory_by_step", "histograms"})
    assert TaskRecord.model_validate(old).problems() == [], "a record of a version without them"
    wrong = record.model_copy(update={"dropped_by_language": {"en": record.dropped}})
    assert wrong.problems(), "the right numbers for another language"


def test_an_unknown_last_step_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="does not say what it wrote"):
        account(chain(tmp_path, [])[:-1], source="s", output_dir="s", rank=0, language=None)


def test_the_laws_hold_without_assertions() -> None:
    """`python -O` removes assert statements; the ledger must not depend on them."""
    source = Path(account.__code__.co_filename).read_text(encoding="utf-8")
    assert "\n    assert " not in source


count = st.integers(min_value=0, max_value=10_000)


def record_of(rejected: int, sampled_out: int, dropped: int, kept: int, repeated: int) -> TaskRecord:
    written = kept + repeated
    return TaskRecord(
        source="s",
        output_dir="s/default",
        rank=0,
        rows=rejected + sampled_out + dropped + kept,
        rejected={"reader.invalid_json": rejected},
        sampled_out=sampled_out,
        dropped={"length.too_few_chars": dropped},
        repeated=repeated,
        written=written,
        text_bytes=0,
        tokens=0,
        file=WrittenFile(path="x", size=1, lines=written, sha256="") if written else None,
    )


@given(count, count, count, count, count)
def test_counts_that_add_up_have_no_problems(
    rejected: int, sampled_out: int, dropped: int, kept: int, repeated: int
) -> None:
    assert record_of(rejected, sampled_out, dropped, kept, repeated).problems() == []


@given(
    count, count, count, count, count, st.sampled_from(["rows", "sampled_out", "repeated", "written"]),
    st.integers(-9, 9).filter(bool),
)  # fmt: skip
def test_any_single_count_that_is_off_is_a_problem(
    rejected: int, sampled_out: int, dropped: int, kept: int, repeated: int, field: str, error: int
) -> None:
    record = record_of(rejected, sampled_out, dropped, kept, repeated)
    setattr(record, field, getattr(record, field) + error)
    assert record.problems()


@given(st.lists(st.binary(max_size=2000).map(lambda data: data.replace(b"\n", b"") + b"\n"), max_size=30))
def test_the_same_lines_are_the_same_file_and_can_be_read_back(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    files = []
    for _ in range(2):
        sink = Sink(tmp_path_factory.mktemp("sink") / "x.gz")
        for line in lines:
            sink.write(line)
        files.append(sink.close())
    assert (files[0].sha256, files[0].size) == (files[1].sha256, files[1].size)
    assert gzip.decompress(Path(files[0].path).read_bytes()) == b"".join(lines)
    assert files[0].lines == len(lines)


def test_a_file_that_cannot_be_finished_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is often noticed only at the end, when the last block is written and synced."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    writer = DocumentWriter(tmp_path)
    monkeypatch.setattr("pipelines.writers.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        with writer:
            writer.write(Document(text="some text", id="1", metadata={}))
    assert writer.written == []
    assert list(tmp_path.iterdir()) == []


def test_an_abandoned_file_is_removed_although_closing_it_fails(tmp_path: Path) -> None:
    """Closing writes what is buffered, which fails again on a full disk."""

    class Full(io.BytesIO):
        def close(self) -> None:
            raise OSError(28, "No space left on device")

    sink = Sink(tmp_path / "x.gz")
    sink._raw.close()
    sink._raw = Full()  # type: ignore[assignment]
    sink.abandon()
    assert list(tmp_path.iterdir()) == []


def test_a_small_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "state.json"
    write_atomically(path, "old")
    monkeypatch.setattr("pipelines.ledger.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("content", [None, "", "{", '{"source": 1}', "[]"])
def test_a_record_that_cannot_be_read_is_no_record(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "00000.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    assert find_record(path) is None
