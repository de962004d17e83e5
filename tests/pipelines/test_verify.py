"""`verify` recounts the files: a run as it was made passes, and every way of damaging it is found and named."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import xxhash

from pipelines.verify import open_run, show_verification, verify_run
from tests.pipelines.processes import Run

VICTIM = "local_beta/default/00001.jsonl.gz"


@pytest.fixture
def copy(undisturbed: Run, tmp_path: Path) -> Path:
    """The output folder of a finished run, to be damaged."""
    return Path(shutil.copytree(undisturbed.output, tmp_path / "out"))


def problems(output: Path) -> list[str]:
    return verify_run(*open_run(output))


def repack(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Valid gzip again, with other lines."""
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    path.write_bytes(gzip.compress(b"".join(change(lines))))


def test_a_run_as_it_was_made_passes(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also after it has been moved; the counts that it prints are those of the files."""
    assert problems(copy) == []
    assert show_verification(copy, as_json=False) == 0
    number = sum(len(gzip.decompress(path.read_bytes()).splitlines()) for path in copy.glob("local_*/**/*.gz"))
    assert f"{number:,} documents in the files" in capsys.readouterr().out


def test_equal_hashes_of_ids_accuse_nobody(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: whatever hashes collide, a sound run has no problem, and an id that is there twice is counted as one."""
    real = xxhash.xxh3_64_intdigest
    monkeypatch.setattr(xxhash, "xxh3_64_intdigest", lambda data: real(data) & 7)
    assert problems(copy) == []
    line_twice(copy)
    assert "local/beta/default: 1 ids occur more than once" in problems(copy)


def missing(output: Path) -> None:
    (output / VICTIM).unlink()


def extra(output: Path) -> None:
    shutil.copy(output / VICTIM, output / "local_beta/default/00007.jsonl.gz")


def truncated(output: Path) -> None:
    data = (output / VICTIM).read_bytes()
    (output / VICTIM).write_bytes(data[: len(data) // 2])


def one_byte(output: Path) -> None:
    data = bytearray((output / VICTIM).read_bytes())
    data[len(data) // 2] ^= 1
    (output / VICTIM).write_bytes(data)


def other_text(output: Path) -> None:
    repack(output / VICTIM, lambda lines: [line.replace(b" the ", b" teh ") for line in lines])


def line_removed(output: Path) -> None:
    repack(output / VICTIM, lambda lines: lines[:-1])


def line_twice(output: Path) -> None:
    repack(output / VICTIM, lambda lines: [*lines, lines[0]])


def not_a_document(output: Path) -> None:
    repack(output / VICTIM, lambda lines: [b'{"id": 1}\n', *lines[1:]])


def emptied(output: Path) -> None:
    (output / VICTIM).write_bytes(b"")


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (missing, f"{VICTIM}: missing; the ledger says 60 documents"),
        (extra, "local_beta/default/00007.jsonl.gz: extra"),
        (truncated, f"{VICTIM}: truncated or damaged"),
        (one_byte, f"{VICTIM}: altered"),
        (other_text, f"{VICTIM}: altered"),
        (line_removed, f"{VICTIM}: 59 documents, the ledger says 60"),
        (line_twice, "local/beta/default: 1 ids occur more than once"),
        (not_a_document, f"{VICTIM}: 1 lines are not documents with text and id"),
        (emptied, f"{VICTIM}: truncated or damaged after 0 lines (empty"),
    ],
)
def test_damage_to_a_file_is_found_and_named(copy: Path, damage: Callable[[Path], None], found: str) -> None:
    damage(copy)
    lines = problems(copy)
    assert any(line.startswith(found) for line in lines), lines
    assert all(line.startswith(("local_beta/default/", "local/beta/default")) for line in lines), lines


def test_one_swapped_letter_of_the_same_length_is_found(copy: Path) -> None:
    """Counts agree; only the hash tells."""
    repack(copy / VICTIM, lambda lines: [lines[0].replace(b"e", b"a", 1), *lines[1:]])
    assert any("altered" in line for line in problems(copy))


def test_work_of_another_plan_is_stale(copy: Path) -> None:
    (copy / "_run" / "stages" / "0123456789abcdef" / "records").mkdir(parents=True)
    assert problems(copy) == ["_run/stages/0123456789abcdef: stale: work of another plan"]


def test_a_task_without_record_or_marker_is_not_done(copy: Path) -> None:
    next(copy.glob("_run/stages/*/records/local_beta/default/00001.json")).unlink()
    lines = problems(copy)
    assert "local/beta/default: 1 of 3 tasks are not done (1)" in lines
    assert f"{VICTIM}: extra: not in the ledger of this run" in lines


def test_a_record_whose_counts_do_not_add_up_is_found(copy: Path) -> None:
    path = next(copy.glob("_run/stages/*/records/local_beta/default/00001.json"))
    record = json.loads(path.read_text(encoding="utf-8"))
    record["rows"] += 1
    path.write_text(json.dumps(record), encoding="utf-8")
    assert any("local/beta/default task 1: 61 rows" in line for line in problems(copy))


@pytest.mark.parametrize("how", ["missing", "line removed", "count changed", "not json"])
def test_a_changed_ledger_is_found(copy: Path, how: str) -> None:
    path = copy / "_run" / "ledger.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    if how == "missing":
        path.unlink()
    elif how == "line removed":
        path.write_text("".join(lines[1:]), encoding="utf-8")
    elif how == "count changed":
        record = json.loads(lines[0])
        record["rows"] += 1
        path.write_text("".join([json.dumps(record) + "\n", *lines[1:]]), encoding="utf-8")
    else:
        path.write_text("".join(lines) + "{", encoding="utf-8")
    found = problems(copy)
    assert len(found) == 1, found
    assert found[0].startswith("_run/ledger.jsonl: ")


def test_dropped_documents_are_checked_too(mixture: Path, tmp_path: Path) -> None:
    run = Run(tmp_path, mixture, "--keep-dropped", "--datasets", "*gamma*", "--tasks", "1")
    status, text = run.call()
    assert status == 0, text
    assert problems(run.output) == []
    kept = sorted(path.relative_to(run.output).as_posix() for path in run.output.glob("_run/dropped/**/*.gz"))
    assert [name.split("/")[-2] for name in kept] == ["length", "reader"]
    (run.output / kept[0]).unlink()
    shutil.copy(run.output / kept[1], run.output / kept[1].replace("00000", "00009"))
    found = problems(run.output)
    assert f"{kept[0]}: missing" in found
    assert any("00009.jsonl.gz: extra" in line for line in found)
    status, text = run.call()
    assert status == 0, f"the task is done again:\n{text}"
    assert (run.output / kept[0]).is_file()


def test_the_command_says_it_by_its_exit_status(undisturbed: Run, copy: Path, tmp_path: Path) -> None:
    """0 whole, 1 damaged, 2 not a run; --json for machines."""
    status, text = undisturbed.verify()
    assert status == 0, text
    damaged = Run(tmp_path, tmp_path)
    truncated(copy)
    status, text = damaged.verify()
    assert status == 1, text
    assert VICTIM in text
    assert "NOT verified" in text
    status, text = damaged.verify("--json")
    data = json.loads(text)
    assert (status, data["ok"]) == (1, False)
    assert any(VICTIM in line for line in data["problems"])
    shutil.rmtree(copy / "_run")
    status, text = damaged.verify()
    assert status == 2, text
    assert "not a run" in text
