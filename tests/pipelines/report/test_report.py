"""The report says what the ledger says, at the end of every run, and fails none."""

import gzip
import json
import shutil
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import pytest

from pipelines.errors import UserError
from pipelines.histograms import Histogram, Histograms
from pipelines.memory import LATER, PROCESS
from pipelines.report.by_language import over_all, reasons, shares
from pipelines.report.data import collect
from pipelines.report.resources import memory
from pipelines.report.write import HTML, MARKDOWN, drawn_once, report_at_the_end, write_report
from tests.pipelines.corpus import write_one_source
from tests.pipelines.processes import Run
from tests.pipelines.report.checks import check_numbers, ledger, read, sums


@pytest.mark.parametrize("which", ["run", "dedup"])
def test_every_number_is_the_ledgers(reported: Run, which: str) -> None:
    """Law: totals, sources and reasons of report.json are sums over ledger.jsonl, for runs and deduplications."""
    folder = reported.output if which == "run" else reported.folder / "out_dedup"
    report = check_numbers(folder)
    assert (report.kind, report.state) == (which, "complete")
    assert sum(source.got_share for source in report.sources) == pytest.approx(1)
    assert sum(source.asked_share for source in report.sources) == pytest.approx(1)


def test_the_run_has_what_the_report_is_about(reported: Run) -> None:
    """The tests of this folder say something only if the run rejects, drops, samples, repeats and has duplicates."""
    totals = read(reported.output).totals
    assert all(totals[name] for name in ("rejected", "dropped", "sampled_out", "repeated", "written"))


def test_histograms_hold_every_document(reported: Run) -> None:
    """Law: drawn and kept of the histograms are the ledger's; kept lengths are those of the files, recounted."""
    for source in read(reported.output).sources:
        assert source.histograms is not None
        drawn, kept = (sum(h.documents for h in part.values()) for part in both(source.histograms))
        assert (drawn, kept) == (source.drawn, source.kept)
        lengths: Counter[int] = Counter()
        for path in (reported.output / source.source.replace("t/", "t_", 1)).glob("*.jsonl.gz"):
            for line in gzip.decompress(path.read_bytes()).splitlines():
                document = json.loads(line)
                if "#epoch" not in document["id"]:
                    lengths[(len(document["text"]) ** 2).bit_length()] += 1
        found: Counter[int] = Counter()
        for histogram in source.histograms.kept.values():
            found.update(histogram.length)
        assert found == lengths


def both(histograms: Histograms) -> tuple[dict[str, Histogram], dict[str, Histogram]]:
    return histograms.drawn, histograms.kept


def test_a_source_of_two_languages_tells_them_apart(reported: Run) -> None:
    source = next(source for source in read(reported.output).sources if source.source == "t/both/default")
    assert source.histograms is not None
    assert {"en", "vi"} <= set(source.histograms.drawn)
    assert list(source.score_limits.values()) == [0.65]


def test_drops_by_language_are_those_of_the_dropped_documents(reported: Run) -> None:
    """Law: for each source, over the languages, drops add up to the source's; and they are the files', recounted."""
    for source in read(reported.output).sources:
        assert source.histograms is not None
        assert source.dropped_by_language is not None
        whole: Counter[str] = Counter()
        for counted_reasons in source.dropped_by_language.values():
            whole.update(counted_reasons)
        assert whole == Counter(source.dropped)
        on_disk: Counter[tuple[str, str]] = Counter()
        folder = reported.output / "_run" / "dropped" / source.source.replace("t/", "t_", 1)
        for path in folder.rglob("*.jsonl.gz"):
            for line in gzip.decompress(path.read_bytes()).splitlines() if path.parent.name != "reader" else ():
                metadata = json.loads(line)["metadata"]
                language = metadata.get("language")
                known = language if language in source.languages else ""
                on_disk[known, metadata["filter_reason"]] += 1
        counted = {(a, b): n for a, found in source.dropped_by_language.items() for b, n in found.items()}
        assert counted == dict(on_disk)
        assert sum(each.drawn for each in shares(source)) == source.drawn
        assert sum(each.kept for each in shares(source)) == source.kept


def test_a_source_of_two_languages_shows_the_drops_of_each(reported: Run) -> None:
    """Law: report.md and the page have every number of a source of several languages, one column for each language."""
    source = next(source for source in read(reported.output).sources if source.source == "t/both/default")
    table = reasons(source)
    assert table is not None
    assert [*table.headings] == ["reason", "en", "vi"]
    shown = (reported.output / "_run" / MARKDOWN).read_text(encoding="utf-8")
    page = (reported.output / "_run" / HTML).read_text(encoding="utf-8")
    for row in table.rows:
        assert f"| {' | '.join(row)} |" in shown
        assert "".join(f"<td{' class=n' if i else ''}>{cell}</td>" for i, cell in enumerate(row)) in page


def test_a_deduplication_reads_the_languages_that_its_run_has_kept(reported: Run) -> None:
    """Law: it tells languages apart as the filters did, lines of later epochs included; no model is loaded for it."""
    run, dedup = read(reported.output), read(reported.folder / "out_dedup")
    repeated = {record["source"] for record in ledger(reported.output) if record["repeated"]}
    assert repeated
    for before, after in zip(run.sources, dedup.sources, strict=True):
        assert before.histograms is not None
        assert after.histograms is not None
        assert (before.told_apart, after.told_apart) == (True, True)
        assert sum(each.drawn for each in shares(after)) == after.rows
        assert sum(each.kept for each in shares(after)) == after.written
        assert after.histograms.drawn.keys() == before.histograms.kept.keys()
        if before.source not in repeated:
            assert after.histograms.drawn == before.histograms.kept
    assert {name for source in dedup.sources for name in (source.dropped_by_language or {})} == {"en", "vi"}


def test_a_run_of_a_version_without_counts_by_language_has_its_report(reported: Run, tmp_path: Path) -> None:
    """Law: records that lack the field are read, and the tables leave out what nobody counted."""
    folder = tmp_path / "out"
    shutil.copytree(reported.output, folder)
    for path in (folder / "_run" / "stages").rglob("records/*/*/*.json"):
        record = json.loads(path.read_bytes())
        del record["dropped_by_language"]
        path.write_text(json.dumps(record), encoding="utf-8")
    write_report(folder, measure=False)
    report = read(folder)
    assert all(source.dropped_by_language is None for source in report.sources)
    assert [reasons(source) for source in report.sources] == [None] * 3
    assert over_all(report).rows


def test_the_parts_of_a_workers_memory_are_its_peak(reported: Run) -> None:
    """Law: the parts add up to each peak, steps have their own names, the report shows the highest."""
    records = ledger(reported.output)
    for record in records:
        assert sum(record["memory_by_step"].values()) == record["peak_memory_bytes"] > 0
        assert set(record["memory_by_step"]) - {PROCESS, LATER} <= {
            step for other in records for step in other["step_seconds"]
        }
    parts = memory(read(reported.output))
    assert sum(size for _, size in parts) == max(record["peak_memory_bytes"] for record in records)
    assert any("Language" in step for step, _ in parts), "the model of the language filter is in memory"


def test_duplicates_are_those_of_the_deduplication(reported: Run) -> None:
    """Law: the run's report has its deduplication's numbers: by method, and within and across sources."""
    found = read(reported.output).duplicates
    assert found is not None
    records = ledger(reported.folder / "out_dedup")
    whole = sums(records)
    assert (found.read, found.written) == (whole["rows"], whole["written"])
    assert {f"dropped dedup.{method}": n for method, n in found.removed.items()} == {
        key: n for key, n in whole.items() if key.startswith("dropped ")
    }
    assert sum(pair.documents for pair in found.pairs) == whole["dropped"] > 0
    for name, entry in found.by_source.items():
        mine = sums([record for record in records if record["source"] == name])
        assert entry["within"] + entry["across"] == mine["dropped"]
    assert sum(entry["across"] for entry in found.by_source.values()) > 0


def test_markdown_and_page_show_the_numbers(reported: Run) -> None:
    """Law: every count of a source and every reason's count stands in report.md and report.html."""
    report = read(reported.output)
    for name in (MARKDOWN, HTML):
        text = (reported.output / "_run" / name).read_text(encoding="utf-8")
        for source in report.sources:
            for number in (source.rows, source.drawn, source.kept, source.written, source.tokens):
                assert f"{number:,}" in text
            for reason, number in {**source.rejected, **source.dropped}.items():
                assert reason in text
                assert f"{number:,}" in text
        assert report.fingerprint in text
        assert "cc-by-4.0" in text


def test_signals_of_kept_documents_are_within_the_limits(reported: Run) -> None:
    """Law: no kept document of a sample breaks a limit, some dropped one does, and samples are the same each time."""
    report = collect(reported.output, measure=True)
    assert report.signals_measured
    samples = [source.signals for source in report.sources if source.signals is not None]
    assert len(samples) == 3
    for sample in samples:
        assert sample.kept > 0
        assert sample.dropped_were_kept
        for signals in sample.languages.values():
            for histogram in signals.values():
                assert histogram.beyond_kept == 0
                assert sum(histogram.kept) <= sample.kept
    found = [h for sample in samples for signals in sample.languages.values() for h in signals.values()]
    assert any(histogram.beyond_dropped for histogram in found)
    again = collect(reported.output, measure=True)
    assert [source.signals for source in again.sources] == [source.signals for source in report.sources]


def test_an_incomplete_run_is_said_to_be_incomplete(reported: Run, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    shutil.copytree(reported.output, folder)
    next(iter((folder / "_run" / "stages").rglob("records/t_en/default/00001.json"))).unlink()
    path = Path(write_report(folder))
    report = read(folder)
    assert report.state == "incomplete"
    assert report.totals["tasks_done"] == report.totals["tasks"] - 1
    assert "incomplete" in path.read_text(encoding="utf-8")


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a run"):
        write_report(tmp_path)


def test_a_report_that_cannot_be_written_is_one_line_and_the_run_is_complete(tmp_path: Path) -> None:
    """Law: a failure to draw fails no run and is not silent."""
    run = Run(tmp_path, write_one_source(tmp_path / "mixture", 20), "--workers", "1")
    run.env["SMOLTROVE_REPORT"] = "1"
    (run.output / "_run" / HTML).mkdir(parents=True)  # a folder where the page would go
    status, text = run.call()
    assert status == 0, text
    warnings = [line for line in text.splitlines() if "no report" in line]
    assert len(warnings) == 1
    assert "the run is not affected" in warnings[0]
    assert "Traceback" not in text
    assert "warning: no report" in run.log()
    assert run.verify()[0] == 0


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_a_report_that_is_due_twice_is_drawn_once_and_also_after_an_error(
    error: type[BaseException] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: a run whose deduplication is stopped has its report; else it is drawn once, at the end."""
    drawn: list[Path] = []
    monkeypatch.setenv("SMOLTROVE_REPORT", "1")
    monkeypatch.setattr("pipelines.report.write.write_report", lambda run, where=None: drawn.append(run))
    out, log = tmp_path / "out", tmp_path / "main.log"
    with pytest.raises(error) if error else nullcontext(), drawn_once():
        report_at_the_end(out, log)
        report_at_the_end(tmp_path / "out_dedup", log)
        report_at_the_end(out, log)
        assert drawn == []
        if error is not None:
            raise error
    assert drawn == [out, tmp_path / "out_dedup"]
    report_at_the_end(out, log)
    assert len(drawn) == 3, "outside, a report is drawn when it is due"


def test_a_run_leaves_its_report_out_when_told_so(tmp_path: Path) -> None:
    run = Run(tmp_path, write_one_source(tmp_path / "mixture", 20), "--workers", "1")
    run.env["SMOLTROVE_REPORT"] = "0"
    status, text = run.call()
    assert status == 0, text
    assert not (run.output / "_run" / HTML).exists()
    status, text = run.tool("report", "--json")
    assert status == 0, text
    assert json.loads(text)["totals"]["written"] == 20
    assert (run.output / "_run" / HTML).is_file()
