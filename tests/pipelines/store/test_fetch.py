"""`smoltrove fetch` and the report of a run in a bucket: what is brought here is the run, whole or not yet a run.

Gives up: parts of a file; a file is fetched whole or anew.
"""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.dedup.config import DedupConfig
from pipelines.dedup.verify import show_dedup_verification
from pipelines.errors import UserError
from pipelines.publish.facts import facts_of
from pipelines.report.write import report_at_the_end, write_report
from pipelines.store import files
from pipelines.store.dedup import run_dedup_in_stores
from pipelines.store.fetch import fetch_run, show_fetch
from pipelines.store.store import Store, StoreError
from pipelines.verify import show_verification
from tests.pipelines.store.conftest import BUCKET, S3


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def of_the_run(found: dict[str, bytes]) -> dict[str, bytes]:
    """Without what only a folder has: locks, and statistics of datatrove that are not put."""
    return {name: data for name, data in found.items() if not name.endswith(".lock") and "/stats/" not in name}


def test_a_run_that_is_fetched_is_the_run(
    in_process: S3, small_url: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Law: every file of the run and nothing else, stopped after whatever file and gone on with; no run before all of
    it is there; once more fetches nothing, and puts right what is damaged."""
    folder, get = tmp_path / "small", Store.get
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "AT_ONCE", 1)
        for _ in range(5):
            left = [1]

            def cut(store: Store, key: str, path: Path, left: list[int] = left) -> bool:
                left[0] -= 1
                if left[0] < 0:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(b"half of it")
                    raise StoreError(key)
                return get(store, key, path)

            patch.setattr(Store, "get", cut)
            with pytest.raises(StoreError):
                fetch_run(Path(small_url), folder)
            assert not (folder / "_run" / "manifest.json").exists()
    first = fetch_run(Path(small_url), folder)
    assert (first.files, first.fetched) == (6, 1)
    assert of_the_run(contents(folder)) == of_the_run(contents(small))
    assert fetch_run(Path(small_url), folder).fetched == 0
    name = min(name for name in contents(folder) if name.endswith(".gz"))
    (folder / name).write_bytes(b"x" * (folder / name).stat().st_size)
    assert show_fetch(Path(small_url), folder, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["fetched"] == 1
    assert of_the_run(contents(folder)) == of_the_run(contents(small))
    assert show_verification(folder, as_json=True) == show_verification(small, as_json=True)


def test_a_folder_with_something_else_is_refused(in_process: S3, small_url: str, tmp_path: Path) -> None:
    """Law: other files, another run and half of another run stay as they are; a damaged object is named."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds files that are no run's \(a\.txt\)"):
        fetch_run(Path(small_url), tmp_path / "mine")
    for name in ("manifest.json", "fetching.json"):
        run_dir = tmp_path / name / "_run"
        run_dir.mkdir(parents=True)
        (run_dir / name).write_text('{"fingerprint": "another", "logging_dir": "", "mirror": null}')
        with pytest.raises(UserError, match=f"holds another run than {small_url}"):
            fetch_run(Path(small_url), tmp_path / name)
    with pytest.raises(UserError, match="is no store's URL"):
        fetch_run(tmp_path, tmp_path / "two")
    for name, data in in_process.objects("small").items():
        in_process.client.put_object(Bucket=BUCKET, Key=f"altered/{name}", Body=data)
    name = min(in_process.documents("altered"))
    size = len(in_process.documents("altered")[name])
    in_process.client.put_object(Bucket=BUCKET, Key=f"altered/{name}", Body=b"x" * size)
    with pytest.raises(StoreError, match=f"s3://{BUCKET}/altered/{name}: is missing, or not what the run has written"):
        fetch_run(Path(f"s3://{BUCKET}/altered"), tmp_path / "altered")


def test_a_deduplication_and_its_run_side_by_side(in_process: S3, small_url: str, tmp_path: Path) -> None:
    """Law: both fetched under their own names, the deduplication finds the run that it read: a card has the whole
    history, verify compares texts without the bucket."""
    url = Path(f"s3://{BUCKET}/beside_dedup")
    config = DedupConfig(methods=["exact"])
    run_dedup_in_stores(Path(small_url), config=config, output_folder=url, scratch_folder=tmp_path / "s", workers=0)
    fetch_run(url, tmp_path / "beside_dedup")
    assert not facts_of(tmp_path / "beside_dedup")[0].complete_history
    fetch_run(Path(small_url), tmp_path / "small")
    facts, _ = facts_of(tmp_path / "beside_dedup")
    assert facts.complete_history
    assert [step.what for step in facts.sources[0].steps] == ["filter", "dedup"]
    assert show_dedup_verification(tmp_path / "beside_dedup", as_json=True) == 0


def test_a_report_of_a_run_in_a_bucket(
    in_process: S3, small_url: str, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Law: the report says what it says of the folder, but for its place, with the deduplication beside it; it is in
    the bucket; at the end of a run it is announced by its URL."""
    for name, data in in_process.objects("small").items():
        in_process.client.put_object(Bucket=BUCKET, Key=f"told/{name}", Body=data)
    told = f"s3://{BUCKET}/told"
    assert write_report(Path(told), measure=True) == f"{told}/_run/report.html"
    write_report(small, measure=True)
    reports = [json.loads((small / "_run" / "report.json").read_bytes())]
    found = in_process.objects("told")
    assert found["_run/report.html"].startswith(b"<!doctype html>")
    reports.append(json.loads(found["_run/report.json"]))
    assert [report.pop("run") for report in reports] == [str(small), told]
    for report in reports:
        report.pop("reported_at")
    assert reports[0] == reports[1]
    run_dedup_in_stores(
        Path(told), config=DedupConfig(methods=["exact"]), output_folder=Path(f"{told}_dedup"),
        scratch_folder=tmp_path / "s", workers=0,
    )  # fmt: skip
    monkeypatch.setenv("SMOLTROVE_REPORT", "1")
    report_at_the_end(Path(told), tmp_path / "log")
    assert capsys.readouterr().err == f"report: {told}/_run/report.html\n"
    duplicates = json.loads(in_process.objects("told")["_run/report.json"])["duplicates"]
    assert (duplicates["output_folder"], duplicates["read"] > duplicates["written"]) == (f"{told}_dedup", True)


@pytest.mark.parametrize("command", [["inspect"], ["export"], ["card"], ["push", "org/name"], ["inspect", "--web"]])
def test_readers_of_folders_name_fetch(command: list[str]) -> None:
    """Law: a command that reads folders only says in one line how to get one."""
    verb, *options = command
    result = CliRunner().invoke(app, [verb, "s3://corpus/no", *options])
    assert str(result.exception) == (
        f"s3://corpus/no: `smoltrove {verb}` works with folders of this machine only; `smoltrove fetch s3://corpus/no "
        "no` brings the run here"
    )
