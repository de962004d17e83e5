"""Removals by language: what was read, removed and written of each language, counted as the filters count."""

import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datatrove.data import Document
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.dedup.config import DedupConfig
from pipelines.dedup.inputs import InputSource
from pipelines.dedup.languages import FileCounts
from pipelines.dedup.run import run_dedup
from pipelines.dedup.verify import open_dedup, verify_dedup
from pipelines.histograms import OTHER, Drawn
from pipelines.ledger import TaskRecord, ledger_line, read_record
from pipelines.report.by_language import over_all, reasons
from pipelines.report.data import RunReport, collect
from pipelines.report.write import HTML, JSON, MARKDOWN, write_report
from tests.dedup.corpus import Doc, doc, documents_of, duplicates_of, make_run
from tests.pipelines.corpus import passages

MIXED, PLAIN = "local/mixed/all", "local/plain/en"
LANGUAGES = ("en", "vi")


def sources() -> dict[str, list[Doc]]:
    """One source of three languages, of which both methods remove some, and one of which neither removes any."""
    texts, mixed = passages(), list[Doc]()
    for i in range(36):
        metadata = {"language": ("en", "vi", "xx")[i % 3], "language_score": 0.5 + i / 100}
        text = texts[i]
        mixed += [doc(f"first-{i}", text, **metadata), doc(f"same-{i}", text.replace(" ", "  "), **metadata)]
        if i % 4 == 0:
            mixed.append(doc(f"near-{i}", f"{text} Words were added.", **metadata))
    return {MIXED: mixed, PLAIN: [doc(f"own-{i}", texts[100 + i], language="en") for i in range(3)]}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `run` and what its deduplication makes, `out`."""
    folder = tmp_path_factory.mktemp("languages")
    make_run(folder / "run", sources(), tasks=4, told_apart=LANGUAGES)
    run_dedup(folder / "run", config=DedupConfig(), output_folder=folder / "out", workers=0)
    return folder


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    """The same output to do something to; the run that it was made of stays where it is."""
    return Path(shutil.copytree(made / "out", tmp_path / "out"))


def records_of(out: Path) -> list[TaskRecord]:
    work = open_dedup(out)
    return [read_record(work.layout.record(s.output_dir, r)) for s in work.plan.sources for r in range(s.tasks)]


def language_of(document: Doc) -> str:
    language = document["metadata"].get("language")
    return language if language in LANGUAGES else OTHER


def test_removals_are_those_of_the_texts(made: Path) -> None:
    """Law: by language and reason they are the removed documents', looked up in the run that was read."""
    before = documents_of(made / "run")
    expected = Counter(
        (row["removed_source"], language_of(before[f"{row['removed_source']} {row['removed_id']}"]), row["method"])
        for row in duplicates_of(made / "out")
    )
    found: Counter[tuple[str, str, str]] = Counter()
    for record in records_of(made / "out"):
        assert record.dropped_by_language is not None
        assert record.problems() == []
        for language, by_reason in record.dropped_by_language.items():
            found.update(
                {(record.source, language, reason.removeprefix("dedup.")): n for reason, n in by_reason.items()}
            )
    assert found == expected
    assert {key[1:] for key in found} == {(a, b) for a in ("en", "vi", OTHER) for b in ("exact", "minhash")}
    assert verify_dedup(open_dedup(made / "out")) == []


def test_the_report_shows_them(made: Path) -> None:
    """Law: tables of both pages and report.json have the ledger's numbers by language."""
    write_report(made / "out")
    report = RunReport.model_validate_json((made / "out" / "_run" / JSON).read_bytes())
    mixed = next(source for source in report.sources if source.source == MIXED)
    table = reasons(mixed)
    assert table is not None
    assert [*table.headings] == ["reason", "en", "vi", "others"]
    dropped: Counter[str] = Counter()
    for by_reason in (mixed.dropped_by_language or {}).values():
        dropped.update(by_reason)
    assert dropped == Counter(mixed.dropped)
    languages = over_all(report)
    assert languages.rows[0][:3] == ("en", "2", f"{2 * 12 + 3 + 3:,}")
    markdown = (made / "out" / "_run" / MARKDOWN).read_text(encoding="utf-8")
    page = (made / "out" / "_run" / HTML).read_text(encoding="utf-8")
    for shown in (table, languages):
        for row in shown.rows:
            assert f"| {' | '.join(row)} |" in markdown
            assert all(f">{cell}</td>" in page for cell in row)


def test_what_a_second_deduplication_reads_is_what_the_first_has_written(made: Path, tmp_path: Path) -> None:
    run_dedup(made / "out", config=DedupConfig(), output_folder=tmp_path / "twice", workers=0)
    for first, second in zip(records_of(made / "out"), records_of(tmp_path / "twice"), strict=True):
        assert first.histograms is not None
        assert second.histograms is not None
        assert second.histograms.drawn == first.histograms.kept
    assert verify_dedup(open_dedup(tmp_path / "twice")) == []
    assert [source.told_apart for source in collect(tmp_path / "twice").sources] == [True, True]


def test_a_run_of_a_version_without_counts_has_none_and_is_verified(tmp_path: Path) -> None:
    make_run(tmp_path / "run", sources())
    run_dedup(tmp_path / "run", config=DedupConfig(), output_folder=tmp_path / "out", workers=0)
    assert {record.dropped_by_language is None for record in records_of(tmp_path / "out")} == {True}
    assert over_all(collect(tmp_path / "out")).rows == []
    assert verify_dedup(open_dedup(tmp_path / "out")) == []


def other_removed(record: dict[str, Any]) -> None:
    """A removed English document is said to be Vietnamese."""
    for language, sign in (("en", -1), ("vi", 1)):
        record["dropped_by_language"][language]["dedup.exact"] += sign
        record["histograms"]["drawn"][language]["documents"] += sign


def other_reasons(record: dict[str, Any]) -> None:
    """Two languages swap a removal by one method for one by the other."""
    for language, sign in (("en", 1), ("vi", -1)):
        reasons = record["dropped_by_language"][language]
        reasons["dedup.exact"] += sign
        reasons["dedup.minhash"] -= sign


def other_language(record: dict[str, Any]) -> None:
    """One document is said to be Vietnamese from end to end."""
    for part in ("drawn", "kept"):
        record["histograms"][part]["en"]["documents"] -= 1
        record["histograms"][part]["vi"]["documents"] += 1


def other_length(record: dict[str, Any]) -> None:
    """A length of what was read is in another bin."""
    lengths = record["histograms"]["drawn"]["en"]["length"]
    place, number = lengths.popitem()
    lengths[str(int(place) + 40)] = number


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_removed, r"en: \d+ documents read, the run's ledger has \d+\n"),
        (other_reasons, r"removed by language: \{'': .* in the texts that were read"),
        (other_language, r"vi: \d+ documents written, its file has \d+\n"),
        (other_length, r"en: (\d+) documents read, the run's ledger has \1, of other lengths or scores"),
    ],
)
def test_verify_sees_a_ledger_that_adds_up_and_is_wrong(
    copied: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    """Law: counts by language are held to the files and to the run that was read, not to themselves."""
    work = open_dedup(copied)
    path = work.layout.record("local_mixed/all", 0)
    data = read_record(path).model_dump(mode="json")
    change(data)
    record = TaskRecord.model_validate(data)
    assert record.problems() == []
    path.write_text(record.model_dump_json(), encoding="utf-8")
    ledger = "".join(ledger_line(record) for record in records_of(copied))
    (copied / "_run" / "ledger.jsonl").write_text(ledger, encoding="utf-8")
    assert re.search(message, "\n".join([*verify_dedup(work), ""]))


def test_a_deduplication_whose_run_is_gone_is_verified(made: Path, tmp_path: Path) -> None:
    """Law: users may delete the run once it is deduplicated; what can still be checked is."""
    shutil.copytree(made / "run", tmp_path / "run")
    run_dedup(tmp_path / "run", config=DedupConfig(), output_folder=tmp_path / "out", workers=0)
    shutil.rmtree(tmp_path / "run")
    assert verify_dedup(open_dedup(tmp_path / "out")) == []


_METADATA = st.fixed_dictionaries(
    {},
    optional={
        "language": st.one_of(st.sampled_from(["en", "vi", "de", ""]), st.integers(), st.none(), st.lists(st.text())),
        "language_score": st.one_of(st.floats(-1, 2), st.integers(0, 1), st.none(), st.text()),
    },
)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.text(max_size=40), _METADATA, st.sampled_from(["", "dedup.exact", "dedup.minhash"]))),
    st.booleans(),
    st.sampled_from([(), ("en",), ("en", "vi")]),
)
def test_counts_are_those_of_a_filters_steps(
    found: list[tuple[str, dict[str, Any], str]], told_apart: bool, languages: tuple[str, ...]
) -> None:
    """Law: whatever a document has as its language, it counts where the steps of a run count it, and the law holds."""
    languages = languages if told_apart else ()
    source = InputSource(
        source="s", output_dir="s/d", language=None, tasks=1, description={}, told_apart=told_apart, languages=languages
    )
    counts, dropped = FileCounts(source), Counter[str]()
    for text, metadata, reason in found:
        document = doc("x", text, **metadata)
        counts.read(document)
        if reason:
            counts.removed(document, reason)
            dropped[reason] += 1
        else:
            counts.written(document)
    steps = Drawn(languages if told_apart else None)
    list(steps.run(Document(text, "x", metadata=metadata) for text, metadata, _ in found))
    fields = counts.fields()
    assert fields["histograms"].drawn == steps.histograms()
    record = TaskRecord(
        source="s", output_dir="s/d", rank=0, rows=len(found), sampled_out=0, repeated=0, dropped=dict(dropped),
        written=len(found) - dropped.total(), text_bytes=0, tokens=0, **fields,
    )  # fmt: skip
    assert [problem for problem in record.problems() if "lines in the file" not in problem] == []
