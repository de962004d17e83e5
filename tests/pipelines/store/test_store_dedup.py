"""Deduplication of and into a bucket: the documents of a deduplication in folders, whatever is killed or lost.

Gives up: the methods themselves, which tests/dedup is about.
"""

import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.dedup.command import execute_dedup, parameters
from pipelines.dedup.config import DedupConfig
from pipelines.dedup.report import FILE
from pipelines.dedup.run import DedupResult, run_dedup
from pipelines.dedup.verify import show_dedup_verification
from pipelines.errors import SourceError, UserError
from pipelines.slurm.dedup_status import show_dedup_status
from pipelines.store import files
from pipelines.store import lock as lock_module
from pipelines.store.dedup import run_dedup_in_stores
from pipelines.store.lock import take_lock
from pipelines.store.store import Store, StoreError, open_store
from tests.pipelines.processes import Run, finish, kill_group, wait_until
from tests.pipelines.store.conftest import ACCOUNT, BUCKET, S3, StoreRun, ledger

CONFIG = DedupConfig(methods=["exact", "sentence"])


def url_of(prefix: str) -> Path:
    return Path(f"s3://{BUCKET}/{prefix}")


def deduplicate(run: str | Path, output: Path, scratch: Path, **options: Any) -> DedupResult:
    how = {"config": CONFIG, "workers": 0, **options}
    return run_dedup_in_stores(Path(run), output_folder=output, scratch_folder=scratch, **how)


def documents(folder: Path) -> dict[str, bytes]:
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.jsonl.*")}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith("_run/")}


@pytest.fixture(scope="module")
def expected(undisturbed: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The deduplication of the same run in a folder; read only."""
    output = tmp_path_factory.mktemp("expected") / "published_dedup"
    assert run_dedup(undisturbed.output, config=CONFIG, output_folder=output, workers=0).ok
    return output


def assert_whole(s3: S3, prefix: str, expected: Path) -> None:
    """The bucket has the documents, the ledger and the tables of the deduplication in a folder."""
    assert s3.documents(prefix) == documents(expected)
    found = s3.objects(prefix)
    assert ledger(found["_run/ledger.jsonl"]) == ledger((expected / "_run" / "ledger.jsonl").read_bytes())
    manifest, other = json.loads(found["_run/manifest.json"]), json.loads((expected / "_run/manifest.json").read_text())
    assert (manifest["state"], manifest["fingerprint"]) == ("complete", other["fingerprint"])
    assert pq.read_table(pa.BufferReader(found[f"_run/{FILE}"])).equals(pq.read_table(expected / "_run" / FILE))


def assert_nothing_partial(s3: S3, prefix: str, expected: Path) -> None:
    """Every object is whole, every record's file is there, and complete is said only when all are."""
    found, whole = s3.documents(prefix), documents(expected)
    for name, data in found.items():
        assert data == whole[name], f"{name} is visible before it is whole"
    records = s3.records(prefix)
    for record in records.values():
        assert record["file"] is None or len(found[record["file"]["path"]]) == record["file"]["size"]
    if json.loads(s3.objects(prefix).get("_run/manifest.json", b"{}")).get("state") == "complete":
        assert_whole(s3, prefix, expected)


@pytest.fixture
def stored(in_process: S3, published: StoreRun, tmp_path: Path) -> Path:
    """The deduplication of the run in the bucket, in the bucket; made by the first test that asks for it."""
    url = url_of("published_dedup")
    assert deduplicate(published.url, url, tmp_path / "scratch").ok
    return url


def test_a_deduplication_in_a_bucket(
    in_process: S3, published: StoreRun, stored: Path, expected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    """Law: the files of a deduplication in a folder under its fingerprint; no document and no account left here, no
    path of this machine's copies there; verify and status say what they say of the folder."""
    assert_whole(in_process, "published_dedup", expected)
    assert documents(tmp_path) == {}
    objects = in_process.objects("published_dedup")
    assert json.loads(objects["_run/manifest.json"])["runs"][0]["path"] == published.url
    plan = json.loads(objects["_run/dedup.json"])
    assert [(run["path"], run["here"]) for run in plan["runs"]] == [(published.url, None)]
    secrets = [ACCOUNT["AWS_ACCESS_KEY_ID"].encode(), ACCOUNT["AWS_SECRET_ACCESS_KEY"].encode()]
    left = {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for name, data in {**left, **objects}.items():
        assert not any(secret in data for secret in secrets), name
    said = []
    for place in (expected, stored):
        assert show_dedup_verification(place, as_json=False) == 0
        assert show_dedup_status(place, as_json=False) == 0
        text = capsys.readouterr().out.replace(str(expected), "RUN").replace(f"s3://{BUCKET}/published_dedup", "RUN")
        said.append([line for line in text.splitlines() if "; log: " not in line])
    assert said[0] == said[1]


def test_a_finished_one_is_not_done_again(
    in_process: S3, published: StoreRun, stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: on another machine the same command fetches no document, puts nothing but locks and answers the same."""
    before = {name: data for name, data in in_process.objects("published_dedup").items() if "/locks/" not in name}
    monkeypatch.setattr(Store, "get", lambda *_: pytest.fail("a document was fetched"))
    again = deduplicate(published.url, stored, tmp_path / "two")
    assert again.ok
    assert sum(record.written for record in again.records) > 0
    after = {name: data for name, data in in_process.objects("published_dedup").items() if "/locks/" not in name}
    assert before == after


def test_other_settings_and_other_runs_are_refused(
    in_process: S3, published: StoreRun, stored: Path, tmp_path: Path
) -> None:
    """Law: what holds another deduplication or a run is refused with what differs, and stays as it is."""
    before = {name: data for name, data in in_process.objects("published_dedup").items() if "/locks/" not in name}
    with pytest.raises(UserError, match=r"(?s)published_dedup: holds a run with other settings.*methods.*exact"):
        deduplicate(published.url, stored, tmp_path / "two", config=DedupConfig(methods=["exact"]))
    after = {name: data for name, data in in_process.objects("published_dedup").items() if "/locks/" not in name}
    assert before == after
    with pytest.raises(UserError, match="is a run that is read"):
        deduplicate(published.url, Path(published.url), tmp_path / "two")
    other = url_of("taken")
    in_process.client.put_object(Bucket=BUCKET, Key="taken/a.txt", Body=b"mine")
    with pytest.raises(UserError, match=r"holds objects that are no run's \(a\.txt\)"):
        deduplicate(published.url, other, tmp_path / "two")
    with pytest.raises(UserError, match="published: is not the output of a deduplication"):
        deduplicate(stored, Path(published.url), tmp_path / "two", fresh=True)


def test_from_a_bucket_to_a_folder_and_from_a_folder_to_a_bucket(
    in_process: S3, published: StoreRun, undisturbed: Run, expected: Path, tmp_path: Path
) -> None:
    """Law: where input and output are decides nothing; --fresh makes the same anew."""
    folder = tmp_path / "here"
    for fresh in (False, True):
        assert deduplicate(published.url, folder, tmp_path / "scratch", fresh=fresh).ok
        assert documents(folder) == documents(expected)
        assert documents(tmp_path / "scratch") == {}
    # The run that was read is where it was: in the bucket.
    assert show_dedup_verification(folder, as_json=True) == 0
    for fresh in (False, True):
        assert deduplicate(undisturbed.output, url_of("from_folder"), tmp_path / "scratch", fresh=fresh).ok
        assert_whole(in_process, "from_folder", expected)


def test_against_a_run_in_a_bucket(
    in_process: S3, published: StoreRun, undisturbed: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Law: documents of a stored --against run remove those of a folder, and are named by its URL; verify reads them
    where they are, and sees when one of them is lost."""
    output = tmp_path / "out"
    exact = DedupConfig(methods=["exact"])
    found = deduplicate(undisturbed.output, output, tmp_path / "s", config=exact, against=[Path(published.url)])
    assert sum(record.written for record in found.records) == 0
    assert set(pq.read_table(output / "_run" / FILE)["kept_run"].to_pylist()) == {published.url}
    assert show_dedup_verification(output, as_json=True) == 0
    data = in_process.documents("published")
    name = sorted(data)[0]
    try:
        in_process.client.put_object(Bucket=BUCKET, Key=f"published/{name}", Body=data[name][:-1] + b"!")
        assert show_dedup_verification(output, as_json=True) == 1
        assert f"{published.url}: holds documents that stand for removed ones, and cannot be read" in (
            capsys.readouterr().out
        )
        with pytest.raises(StoreError, match=f"published/{name}: is missing, or not what the run has written"):
            deduplicate(published.url, url_of("never"), tmp_path / "s")
        assert in_process.documents("never") == {}
    finally:
        in_process.client.put_object(Bucket=BUCKET, Key=f"published/{name}", Body=data[name])


class Cut(SourceError):
    """The machine is gone."""


def test_a_stop_at_every_object(
    in_process: S3, published: StoreRun, expected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: whatever object was the last one that was put, all that is visible is whole, complete is said last, and the
    same command does the rest."""
    url, put, left = url_of("cut"), Store.put, [0]
    write = Store.write
    monkeypatch.setattr(files, "AT_ONCE", 1)

    def count(key: str) -> None:
        if "/locks/" not in key:
            left[0] -= 1
            if left[0] < 0:
                raise Cut(key)

    monkeypatch.setattr(Store, "put", lambda self, path, key, sha256: (count(key), put(self, path, key, sha256))[1])
    monkeypatch.setattr(Store, "write", lambda self, key, data: (count(key), write(self, key, data))[1])
    done, cuts, number = False, [], 0
    while not done:
        left[0] = number
        try:
            done = deduplicate(published.url, url, tmp_path / "one").ok
        except Cut as cut:
            cuts.append(str(cut))
            state = json.loads(in_process.objects("cut").get("_run/manifest.json", b"{}")).get("state")
            assert (
                state == (None if len(cuts) <= cuts.index("_run/manifest.json") + 1 else "started")
                if ("_run/manifest.json" in cuts)
                else state is None
            )
            assert_nothing_partial(in_process, "cut", expected)
        number += 1
    assert cuts[-1] == "_run/manifest.json"
    assert any("/records/" in key for key in cuts)
    assert_whole(in_process, "cut", expected)


def test_a_full_disk_is_seen_before(
    in_process: S3, published: StoreRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: what does not fit is refused before anything is fetched."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(UserError, match=r"has 1\.0 kB free, and needs .*: files of the run, as many again for the"):
        deduplicate(published.url, url_of("full"), tmp_path)
    assert in_process.keys("full") == ["_run/locks/000001.json"]


def test_one_deduplication_at_a_time(
    in_process: S3, published: StoreRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: a folder of the bucket that another process writes to is refused, a run that is not there or not finished
    too, by its URL."""
    monkeypatch.setattr(lock_module, "HEARTBEAT_SECONDS", 0.2)
    monkeypatch.setattr(lock_module, "STILL_SECONDS", 3.0)
    with (
        take_lock(open_store(f"s3://{BUCKET}/busy"), "elsewhere"),
        pytest.raises(UserError, match=r"busy: another run is writing here \(process \d+ on "),
    ):
        deduplicate(published.url, url_of("busy"), tmp_path)
    with pytest.raises(UserError, match=f"s3://{BUCKET}/nothing: not a run"):
        deduplicate(url_of("nothing"), url_of("free"), tmp_path)
    manifest = json.loads(in_process.objects("published")["_run/manifest.json"])
    for name, data in in_process.objects("published").items():
        if name.startswith("_run/"):
            in_process.client.put_object(Bucket=BUCKET, Key=f"half/{name}", Body=data)
    body = json.dumps({**manifest, "state": "incomplete"}).encode()
    in_process.client.put_object(Bucket=BUCKET, Key="half/_run/manifest.json", Body=body)
    with pytest.raises(UserError, match=rf"s3://{BUCKET}/half: the run is not complete.*status s3://{BUCKET}/half"):
        deduplicate(url_of("half"), url_of("free"), tmp_path)


def test_explain_reads_a_bucket(
    in_process: S3, published: StoreRun, undisturbed: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Law: --explain of a run in a bucket says what it says of the folder, but for times, and leaves nothing there."""
    before, said = in_process.keys("published"), []
    for place in (undisturbed.output, Path(published.url)):
        config = parameters(place, None, "exact")
        assert execute_dedup(place, config=config, explain=True, as_json=True) == 0
        data = json.loads(capsys.readouterr().out)
        said.append({key: value for key, value in data.items() if key not in ("time", "disk_free")})
    assert said[0] == said[1]
    assert in_process.keys("published") == before


def test_kill_9_and_the_same_command(
    in_process: S3, published: StoreRun, expected: Path, tmp_path: Path
) -> None:  # fmt: skip
    """Law: after kill -9 of the command at random moments nothing partial is visible, and the same command on another
    machine ends with the objects of a deduplication in a folder."""
    dice, prefix = random.Random(5), "killed"

    def command(folder: str) -> list[str]:
        return [
            sys.executable, "-m", "pipelines", "dedup", published.url, "--output-folder", str(url_of(prefix)),
            "--scratch-folder", str(tmp_path / folder), "--dedup-method", "exact,sentence", "--workers", "1",
        ]  # fmt: skip

    def start(folder: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            command(folder), cwd=tmp_path, env=published.env, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    for part in ("inputs", "records"):
        process = start("one")
        wait_until(
            lambda: process.poll() is not None
            or (list((tmp_path / "one").rglob("inputs/*/*/*/*.gz")) if part == "inputs" else in_process.records(prefix)),
            part, 110,
        )  # fmt: skip
        time.sleep(dice.uniform(0, 0.3))
        kill_group(process)
        finish(process)
        assert_nothing_partial(in_process, prefix, expected)
    status, text = finish(start("one"))
    assert status == 0, text
    assert_whole(in_process, prefix, expected)
