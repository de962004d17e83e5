"""An export has every document of the run and nothing else, whatever happens on the way, and says so by its ledger."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from datatrove.pipeline.readers import ParquetReader

from pipelines.dedup.config import DedupConfig
from pipelines.dedup.run import run_dedup
from pipelines.errors import SourceError, UserError
from pipelines.publish.command import show_card
from pipelines.publish.export import default_output, export_run, open_export, verify_export
from pipelines.publish.parquet import document_of, read_documents
from tests.data import ROOT
from tests.pipelines.processes import wait_until


def documents_of_run(run: Path) -> dict[str, list[dict[str, Any]]]:
    """Documents by file, as the run has them."""
    found = {}
    for path in sorted(run.glob("*/*/*.jsonl.gz")):
        name = path.relative_to(run).as_posix().replace(".jsonl.gz", ".parquet")
        found[name] = [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
    return found


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.glob("*/*/*.parquet"))}


def test_every_document_is_there_and_no_other(finished: Path, exported: Path) -> None:
    expected = documents_of_run(finished)
    assert len(expected) == 11
    assert {name: list(read_documents(exported / name)) for name in files_of(exported)} == expected
    ledger = [json.loads(line) for line in (finished / "_run" / "ledger.jsonl").read_text().splitlines()]
    facts, files = open_export(exported)
    assert sum(file.rows for file in files) == facts.num_documents == sum(record["written"] for record in ledger)
    assert verify_export(exported) == []


def test_datasets_streams_the_same_documents(finished: Path, exported: Path, tmp_path: Path) -> None:
    pattern = str(exported / "*" / "*" / "*.parquet")
    rows = load_dataset("parquet", data_files=pattern, split="train", streaming=True, cache_dir=str(tmp_path))
    expected = [document for documents in documents_of_run(finished).values() for document in documents]
    assert [document_of(row) for row in rows] == expected


def test_datatrove_reads_the_same_documents(finished: Path, exported: Path) -> None:
    """Its reader takes `metadata` as JSON by itself, and adds the columns to it."""
    found = [(d.text, d.id, d.metadata) for d in ParquetReader(str(exported), glob_pattern="*/*/*.parquet").run()]
    expected = [document for documents in documents_of_run(finished).values() for document in documents]
    assert [(text, name) for text, name, _ in found] == [(d["text"], d["id"]) for d in expected]
    for (_, _, metadata), document in zip(found, expected, strict=True):
        assert document["metadata"].items() <= metadata.items()


def test_workers_and_attempts_change_no_byte(finished: Path, exported: Path, tmp_path: Path) -> None:
    result = export_run(finished, output_folder=tmp_path / "out", workers=2)
    assert result.ok
    assert files_of(tmp_path / "out") == files_of(exported)


def test_the_same_command_does_only_what_is_missing(finished: Path, exported: Path, tmp_path: Path) -> None:
    """Missing, altered, or without its record: made again; all others stay as they are."""
    output = tmp_path / "out"
    shutil.copytree(exported, output)
    names = sorted(files_of(output))
    (output / names[0]).unlink()
    (output / names[1]).write_bytes((output / names[1]).read_bytes()[:-1] + b"?")
    (output / "_export" / "files" / f"{names[2]}.json").unlink()
    before = {name: (output / name).stat().st_mtime_ns for name in names[3:]}
    result = export_run(finished, output_folder=output, workers=1)
    assert result.num_done_before == len(names) - 3
    assert files_of(output) == files_of(exported)
    assert {name: (output / name).stat().st_mtime_ns for name in names[3:]} == before


def test_a_killed_export_leaves_no_half_file_and_goes_on(finished: Path, exported: Path, tmp_path: Path) -> None:
    """SIGKILL while the first files appear; every file that is there is whole, and the same command does the rest."""
    output = tmp_path / "out"
    command = [sys.executable, "-m", "pipelines", "export", str(finished), "--output", str(output), "--workers", "1"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: list(output.glob("*/*/*.parquet")), "a first file", every=0.0005)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    there = files_of(output)
    assert there.items() <= files_of(exported).items()
    if len(there) < len(files_of(exported)):
        with pytest.raises(UserError, match="the export is not complete"):
            open_export(output)
    assert export_run(finished, output_folder=output, workers=1).ok
    assert files_of(output) == files_of(exported)
    assert verify_export(output) == []


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A run of its own for tests that damage it."""
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def test_an_unfinished_run_is_refused(copy: Path) -> None:
    path = copy / "_run" / "manifest.json"
    path.write_text(path.read_text().replace('"state": "complete"', '"state": "incomplete"'))
    with pytest.raises(UserError, match="the run is not complete; finish it first"):
        export_run(copy, workers=1)
    assert not default_output(copy).exists()


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a run"):
        export_run(tmp_path, output_folder=tmp_path / "out")


def test_a_file_in_place_of_the_output_folder_is_the_users_mistake(finished: Path, tmp_path: Path) -> None:
    """Of an export and of a deduplication; not a disk that fails in the middle (exit status 1)."""
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match=r"cannot be used as a folder .*file is a file"):
            export_run(finished, output_folder=place)
        with pytest.raises(UserError, match=r"cannot be used as a folder .*file is a file"):
            run_dedup(finished, config=DedupConfig(), output_folder=place)


@pytest.mark.parametrize("repo", ["name", "a b/c", "a/b/c", "../x", "a/--b"])
def test_a_card_for_a_name_that_no_repository_has_is_refused(finished: Path, repo: str) -> None:
    """As `push` refuses it."""
    with pytest.raises(UserError, match="not a repository's name"):
        show_card(finished, output=None, repo=repo, title=None, as_json=False)


def test_a_file_that_is_not_the_ledgers_is_refused(copy: Path, tmp_path: Path) -> None:
    """Also one that decompresses and parses: its sha256 tells."""
    victim = copy / "local_beta" / "default" / "00001.jsonl.gz"
    lines = gzip.decompress(victim.read_bytes()).splitlines(keepends=True)
    victim.write_bytes(gzip.compress(b"".join(lines[:-1])))
    with pytest.raises(SourceError, match=r"local_beta/default/00001.jsonl.gz: altered"):
        export_run(copy, output_folder=tmp_path / "out", workers=1)
    victim.unlink()
    with pytest.raises(SourceError, match=r"00001.jsonl.gz: missing"):
        export_run(copy, output_folder=tmp_path / "out", workers=1)
    assert not (tmp_path / "out" / "local_beta" / "default" / "00001.parquet").exists()


def test_folders_with_other_things_are_refused(finished: Path, exported: Path, tmp_path: Path) -> None:
    """Strangers' files, another run's export, another library's bytes; nothing is written over."""
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="holds files that are no export's"):
        export_run(finished, output_folder=strange)
    assert sorted(path.name for path in strange.iterdir()) == ["notes.txt"]
    with pytest.raises(UserError, match="is the run itself"):
        export_run(finished, output_folder=finished)
    other = tmp_path / "other"
    shutil.copytree(exported, other)
    (other / "local_beta" / "default" / "00077.parquet").write_bytes(b"")
    with pytest.raises(UserError, match="files that are not of this export"):
        export_run(finished, output_folder=other)
    (other / "local_beta" / "default" / "00077.parquet").unlink()
    manifest = other / "_export" / "export.json"
    data = json.loads(manifest.read_text())
    data["settings"]["pyarrow"] = "1.0"
    manifest.write_text(json.dumps(data))
    with pytest.raises(UserError, match=r"other settings \(pyarrow: 1.0 ->"):
        export_run(finished, output_folder=other)
    data["facts"]["fingerprint"] = "f" * 64
    manifest.write_text(json.dumps(data))
    with pytest.raises(UserError, match="another run's export"):
        export_run(finished, output_folder=other)


def test_verify_finds_what_was_changed(exported: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    shutil.copytree(exported, output)
    names = sorted(files_of(output))
    (output / names[0]).unlink()
    pq.write_table(pq.read_table(output / names[1]), output / names[1])
    shutil.copy(output / names[2], output / "extra.parquet")
    found = verify_export(output)
    assert [line.partition(":")[0] for line in found] == [names[0], names[1], "extra.parquet"]
    assert [line.partition(": ")[2].split()[0].rstrip(":;") for line in found] == ["missing", "altered", "extra"]


def test_a_deduplication_is_exported_with_its_history(finished: Path, tmp_path: Path) -> None:
    """Its counts are its own; filters and licences come from the run that it read."""
    output = tmp_path / "dedup"
    config = DedupConfig.model_validate({"methods": ["exact"]})
    result = run_dedup(finished, config=config, output_folder=output, workers=0)
    assert result.ok
    assert export_run(output, output_folder=tmp_path / "out", workers=1).ok
    facts, _ = open_export(tmp_path / "out")
    assert facts.num_documents == sum(record.written for record in result.records)
    assert [step.what for step in facts.sources[0].steps] == ["filter", "dedup"]
    assert facts.sources[0].steps[0].written == facts.sources[0].steps[1].rows
    assert [spec["name"] for spec in facts.sources[0].filters] == ["length"]
    assert facts.complete_history
