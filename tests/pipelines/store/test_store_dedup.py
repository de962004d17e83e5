"""Deduplication of and into a bucket: the documents of a deduplication in folders, whatever is killed or lost.

Gives up: the methods themselves, which tests/dedup is about.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
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
from pipelines.report.data import collect
from pipelines.slurm.dedup_status import show_dedup_status
from pipelines.store import files
from pipelines.store import lock as lock_module
from pipelines.store.dedup import run_dedup_in_stores
from pipelines.store.lock import take_lock
from pipelines.store.store import Store, StoreError, open_store
from tests.data import ROOT
from tests.pipelines.processes import finish, kill_group, wait_until
from tests.pipelines.store.conftest import ACCOUNT, BUCKET, S3, ledger

CONFIG = DedupConfig(methods=["exact"])


def url_of(prefix: str) -> Path:
    return Path(f"s3://{BUCKET}/{prefix}")


def deduplicate(run: str | Path, output: Path, scratch: Path, **options: Any) -> DedupResult:
    how = {"config": CONFIG, "workers": 0, **options}
    return run_dedup_in_stores(Path(run), output_folder=output, scratch_folder=scratch, **how)


def documents(folder: Path) -> dict[str, bytes]:
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.jsonl.*")}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith("_run/")}


def without_locks(s3: S3, prefix: str) -> dict[str, bytes]:
    return {name: data for name, data in s3.objects(prefix).items() if "/locks/" not in name}


@pytest.fixture(scope="module")
def expected(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The deduplication of the run in a folder; read only."""
    output = tmp_path_factory.mktemp("expected") / "small_dedup"
    assert run_dedup(small, config=CONFIG, output_folder=output, workers=0).ok
    return output


def assert_whole(s3: S3, prefix: str, expected: Path) -> None:
    """The bucket has the documents, the ledger and the tables of the deduplication in a folder."""
    assert s3.documents(prefix) == documents(expected)
    found = s3.objects(prefix)
    assert ledger(found["_run/ledger.jsonl"]) == ledger((expected / "_run" / "ledger.jsonl").read_bytes())
    manifest, other = json.loads(found["_run/manifest.json"]), json.loads((expected / "_run/manifest.json").read_text())
    assert (manifest["state"], manifest["fingerprint"]) == ("complete", other["fingerprint"])
    assert pq.read_table(pa.BufferReader(found[f"_run/{FILE}"])).equals(pq.read_table(expected / "_run" / FILE))
    stages = [
        json.loads(state)["stages"] for state in (found["_run/state.json"], (expected / "_run/state.json").read_bytes())
    ]
    mine, others = ([(stage["stage"], stage["pieces"]) for stage in each] for each in stages)
    assert mine == others != []


def assert_nothing_partial(s3: S3, prefix: str, expected: Path) -> str | None:
    """Every object is whole, every record's file is there, and complete is said only when all are; the state."""
    found, whole = s3.documents(prefix), documents(expected)
    for name, data in found.items():
        assert data == whole[name], f"{name} is visible before it is whole"
    for record in s3.records(prefix).values():
        assert record["file"] is None or len(found[record["file"]["path"]]) == record["file"]["size"]
    state: str | None = json.loads(s3.objects(prefix).get("_run/manifest.json", b"{}")).get("state")
    if state == "complete":
        assert_whole(s3, prefix, expected)
    return state


@pytest.fixture
def stored(in_process: S3, small_url: str, tmp_path: Path) -> Path:
    """The deduplication of the run in the bucket, in the bucket; made by the first test that asks for it."""
    url = url_of("small_dedup")
    if not in_process.keys("small_dedup"):
        assert deduplicate(small_url, url, tmp_path / "scratch").ok
    return url


def test_a_deduplication_in_a_bucket(
    in_process: S3, small_url: str, stored: Path, expected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Law: the files of a deduplication in a folder under its fingerprint; no document and no account left here, no
    place of this machine's copies there; verify and status say what they say of the folder."""
    assert_whole(in_process, "small_dedup", expected)
    assert documents(tmp_path) == {}
    objects = in_process.objects("small_dedup")
    assert json.loads(objects["_run/manifest.json"])["runs"][0]["path"] == small_url
    assert [(run["path"], run["here"]) for run in json.loads(objects["_run/dedup.json"])["runs"]] == [(small_url, None)]
    secrets = [ACCOUNT["AWS_ACCESS_KEY_ID"].encode(), ACCOUNT["AWS_SECRET_ACCESS_KEY"].encode()]
    left = {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for name, data in {**left, **objects}.items():
        assert not any(secret in data for secret in secrets), name
    said = []
    for place in (expected, stored):
        assert show_dedup_verification(place, as_json=False) == 0
        assert show_dedup_status(place, as_json=False) == 0
        text = capsys.readouterr().out.replace(str(expected), "RUN").replace(f"s3://{BUCKET}/small_dedup", "RUN")
        said.append([line for line in text.splitlines() if "; log: " not in line])
    assert said[0] == said[1]
    # Logs are on the machine that worked; the report of what is in the bucket has its stages from there.
    known = json.loads(objects["_run/state.json"])["stages"]
    assert [stage.model_dump(exclude={"expected_memory_bytes"}) for stage in collect(stored).stages] == known


def test_a_finished_one_is_not_done_again(
    in_process: S3, small_url: str, stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: on another machine the same command fetches no document, puts nothing but locks and answers the same."""
    before = without_locks(in_process, "small_dedup")
    monkeypatch.setattr(Store, "get", lambda *_: pytest.fail("a document was fetched"))
    again = deduplicate(small_url, stored, tmp_path / "two")
    assert again.ok
    assert sum(record.written for record in again.records) > 0
    assert without_locks(in_process, "small_dedup") == before


def test_other_settings_and_other_runs_are_refused(
    in_process: S3, small_url: str, stored: Path, tmp_path: Path
) -> None:
    """Law: what holds another deduplication or a run is refused with what differs, and stays as it is."""
    before = without_locks(in_process, "small_dedup")
    with pytest.raises(UserError, match=r"(?s)small_dedup: holds a run with other settings.*methods: \"exact\" -> "):
        deduplicate(small_url, stored, tmp_path / "two", config=DedupConfig(methods=["exact", "simhash"]))
    assert without_locks(in_process, "small_dedup") == before
    with pytest.raises(UserError, match="is a run that is read"):
        deduplicate(small_url, Path(small_url), tmp_path / "two")
    in_process.client.put_object(Bucket=BUCKET, Key="taken/a.txt", Body=b"mine")
    with pytest.raises(UserError, match=r"holds objects that are no run's \(a\.txt\)"):
        deduplicate(small_url, url_of("taken"), tmp_path / "two")
    with pytest.raises(UserError, match="small: is not the output of a deduplication"):
        deduplicate(stored, Path(small_url), tmp_path / "two", fresh=True)


def test_from_a_bucket_to_a_folder_and_from_a_folder_to_a_bucket(
    in_process: S3, small_url: str, small: Path, expected: Path, tmp_path: Path
) -> None:
    """Law: where input and output are decides nothing; --fresh makes the same anew."""
    folder = tmp_path / "here"
    for fresh in (False, True):
        assert deduplicate(small_url, folder, tmp_path / "scratch", fresh=fresh).ok
        assert documents(folder) == documents(expected)
        assert documents(tmp_path / "scratch") == {}
    assert show_dedup_verification(folder, as_json=True) == 0
    for fresh in (False, True):
        assert deduplicate(small, url_of("from_folder"), tmp_path / "scratch", fresh=fresh).ok
        assert_whole(in_process, "from_folder", expected)


def test_against_a_run_in_a_bucket(
    in_process: S3, small_url: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Law: documents of a stored --against run remove those of a folder, and are named by its URL; verify reads them
    where they are, and sees when one of them has changed, as the deduplication does."""
    output = tmp_path / "out"
    with pytest.raises(UserError, match="both come from the run"):
        deduplicate(small, output, tmp_path / "s", against=[Path(small_url)])
    # Another run that happens to have the same documents.
    other = shutil.copytree(small, tmp_path / "other")
    manifest = json.loads((other / "_run" / "manifest.json").read_text())
    (other / "_run" / "manifest.json").write_text(json.dumps({**manifest, "fingerprint": "f" * 64}))
    found = deduplicate(other, output, tmp_path / "s", against=[Path(small_url)])
    assert sum(record.written for record in found.records) == 0
    assert set(pq.read_table(output / "_run" / FILE)["kept_run"].to_pylist()) == {small_url}
    assert show_dedup_verification(output, as_json=True) == 0
    data = in_process.documents("small")
    name = min(data)
    try:
        in_process.client.put_object(Bucket=BUCKET, Key=f"small/{name}", Body=data[name][:-1] + b"!")
        assert show_dedup_verification(output, as_json=True) == 1
        said = f"{small_url}: holds documents that stand for removed ones, and cannot be read"
        assert said in capsys.readouterr().out
        with pytest.raises(StoreError, match=f"small/{name}: is missing, or not what the run has written"):
            deduplicate(small_url, url_of("never"), tmp_path / "s")
        assert in_process.documents("never") == {}
    finally:
        in_process.client.put_object(Bucket=BUCKET, Key=f"small/{name}", Body=data[name])


def test_sentences_are_verified_in_a_bucket(in_process: S3, small_url: str, tmp_path: Path) -> None:
    """Law: verify compares texts of both runs where they are, and says which is not what was read."""
    url, config = url_of("cut_dedup"), DedupConfig(methods=["sentence"])
    assert deduplicate(small_url, url, tmp_path / "scratch", config=config).ok
    assert show_dedup_verification(url, as_json=True) == 0
    name = min(in_process.documents("cut_dedup"))
    in_process.client.delete_object(Bucket=BUCKET, Key=f"cut_dedup/{name}")
    assert show_dedup_verification(url, as_json=True) == 1


class Cut(SourceError):
    """The machine is gone."""


def test_a_stop_at_every_object(
    in_process: S3, small_url: str, expected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: whatever object was the last one that was put, all that is visible is whole, complete is said last, and the
    same command does the rest."""
    left, cuts, states = 0, [], []
    put, write = Store.put, Store.write
    monkeypatch.setattr(files, "AT_ONCE", 1)

    def count(key: str) -> None:
        nonlocal left
        left -= "/locks/" not in key
        if left < 0 and "/locks/" not in key:
            raise Cut(key)

    def counted_put(store: Store, path: Path, key: str, sha256: str) -> None:
        count(key)
        put(store, path, key, sha256)

    def counted_write(store: Store, key: str, data: bytes) -> None:
        count(key)
        write(store, key, data)

    monkeypatch.setattr(Store, "put", counted_put)
    monkeypatch.setattr(Store, "write", counted_write)
    for number in range(100):
        left = number
        try:
            assert deduplicate(small_url, url_of("cut"), tmp_path / "one").ok
            break
        except Cut as cut:
            cuts.append(str(cut))
            states.append(assert_nothing_partial(in_process, "cut", expected))
    assert states == sorted(states, key=[None, "started"].index)
    assert cuts[-1] == "_run/manifest.json"
    assert any("/records/" in key for key in cuts)
    assert_whole(in_process, "cut", expected)


def test_a_full_disk_is_seen_before(
    in_process: S3, small_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: what does not fit is refused before anything is fetched."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(UserError, match=r"has 1 kB free, and needs .*: files of the run, as many again for the"):
        deduplicate(small_url, url_of("full"), tmp_path)
    assert in_process.keys("full") == ["_run/locks/000001.json"]


def test_one_at_a_time_and_finished_runs_only(
    in_process: S3, small_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: a folder of the bucket that another process writes to is refused, a run that is not there or not finished
    too, by its URL."""
    monkeypatch.setattr(lock_module, "HEARTBEAT_SECONDS", 0.2)
    with (
        take_lock(open_store(f"s3://{BUCKET}/busy"), "elsewhere"),
        pytest.raises(UserError, match=r"busy: another run is writing here \(process \d+ on "),
    ):
        deduplicate(small_url, url_of("busy"), tmp_path)
    with pytest.raises(UserError, match=f"s3://{BUCKET}/nothing: not a run"):
        deduplicate(url_of("nothing"), url_of("free"), tmp_path)
    for name in ("plan.json", "ledger.jsonl", "manifest.json"):
        data = in_process.objects("small")[f"_run/{name}"].replace(b'"complete"', b'"incomplete"')
        in_process.client.put_object(Bucket=BUCKET, Key=f"half/_run/{name}", Body=data)
    with pytest.raises(UserError, match=rf"s3://{BUCKET}/half: the run is not complete.*status s3://{BUCKET}/half"):
        deduplicate(url_of("half"), url_of("free"), tmp_path)


def test_explain_reads_a_bucket(
    in_process: S3, small_url: str, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Law: --explain of a run in a bucket says what it says of the folder, but for times, and leaves nothing there."""
    before, said = in_process.keys("small"), []
    for place in (small, Path(small_url)):
        config = parameters(place, None, "exact")
        assert execute_dedup(place, config=config, explain=True, as_json=True) == 0
        data = json.loads(capsys.readouterr().out)
        said.append({key: value for key, value in data.items() if key not in ("time", "disk_free")})
    assert said[0] == said[1]
    assert in_process.keys("small") == before


def test_kill_9_and_the_same_command(in_process: S3, small_url: str, expected: Path, tmp_path: Path) -> None:
    """Law: after kill -9 of the command nothing partial is visible, and the same command, the last time on another
    machine, ends with the objects of a deduplication in a folder."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", **in_process.env}

    def start(scratch: str) -> "subprocess.Popen[str]":
        command = [
            sys.executable, "-m", "pipelines", "dedup", small_url, "--output-folder", str(url_of("killed")),
            "--scratch-folder", str(tmp_path / scratch), "--dedup-method", "exact", "--workers", "1",
        ]  # fmt: skip
        return subprocess.Popen(
            command, cwd=tmp_path, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip

    def strike(due: Callable[[], Any], what: str) -> None:
        process = start("one")
        wait_until(lambda: process.poll() is not None or due(), what, 110)
        kill_group(process)
        finish(process)
        assert_nothing_partial(in_process, "killed", expected)

    strike(lambda: list((tmp_path / "one").glob("*/inputs/*/*/*/*.gz")), "a fetched file")
    strike(lambda: in_process.num_records("killed"), "a task in the bucket")
    status, text = finish(start("two"))
    assert status == 0, text
    assert_whole(in_process, "killed", expected)
