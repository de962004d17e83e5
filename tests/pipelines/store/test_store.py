"""Objects of a store: whole, compared, listed, created once; the same laws for S3, memory and a folder behind fsspec.

Gives up: Google's and Azure's stores, for which there is no server here.
"""

import hashlib
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import SourceError, UserError
from pipelines.store import lock as lock_module
from pipelines.store.lock import fence, is_locked, newest_lock, take_lock
from pipelines.store.store import Store, StoreError, connect, open_store
from pipelines.store.url import local_folder, store_url
from tests.pipelines.store.conftest import ACCOUNT, BUCKET, S3, s3fs


@pytest.fixture(params=["s3", "memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty folder of a store."""
    if request.param == "s3":
        request.getfixturevalue("in_process")
        return open_store(f"s3://{BUCKET}/{tmp_path.name}-{time.monotonic_ns()}")
    if request.param == "memory":
        return connect(f"memory://{BUCKET}/{time.monotonic_ns()}")
    return connect(f"file://{tmp_path / 'store'}")


def file_of(path: Path, data: bytes) -> tuple[Path, str]:
    path.write_bytes(data)
    return path, hashlib.sha256(data).hexdigest()


def test_objects_come_back(store: Store, tmp_path: Path) -> None:
    """Law: what was put is listed with its size, read, fetched and deleted under its key, below its folder only."""
    if store.url.startswith("file:"):
        (tmp_path / "store" / "a").mkdir(parents=True)
        (tmp_path / "store" / "b").mkdir(parents=True)
    path, sha256 = file_of(tmp_path / "file", b"x" * 1000)
    store.put(path, "a/one", sha256)
    store.write("b/two", b"2")
    assert {key: item.size for key, item in store.list().items()} == {"a/one": 1000, "b/two": 1}
    assert list(store.list("b")) == ["b/two"]
    assert store.list("c") == {}
    assert (store.read("b/two"), store.read("b/three")) == (b"2", None)
    assert store.read_all(["b/two", "a/one", "b/three"]) == {"b/two": b"2", "a/one": b"x" * 1000}
    assert store.read_all(["b/three"]) == {}
    assert store.get("a/one", tmp_path / "back" / "one")
    assert (tmp_path / "back" / "one").read_bytes() == b"x" * 1000
    assert not store.get("a/two", tmp_path / "back" / "two")
    assert not (tmp_path / "back" / "two").exists()
    store.delete("a/one")
    store.delete("a/one")
    assert list(store.list()) == ["b/two"]


def test_what_is_there_is_not_created(store: Store, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    assert store.create("key", b"first")
    assert not store.create("key", b"late")
    assert store.read("key") == b"first"


@pytest.mark.parametrize("store", ["s3"], indirect=True)  # fsspec's folders and memory look first and write then
def test_an_object_is_created_once(store: Store) -> None:
    """Law: of any number that create the same key at once, one is told that it did."""
    told: list[bool] = []
    threads = [threading.Thread(target=lambda i=i: told.append(store.create("key", b"%d" % i))) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == [False] * 5 + [True]


@pytest.mark.parametrize("damage", ["cut", "changed", "lost"])
def test_what_arrived_otherwise_is_an_error(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    """Law: an upload counts only when the store has exactly the file, whatever its client says."""
    (tmp_path / "store").mkdir()
    path, sha256 = file_of(tmp_path / "file", b"0123456789" * 100)
    honest = store.fs.put_file

    def put(local: str, remote: str, **options: Any) -> None:
        data = {"cut": b"0123456789", "changed": b"0123456788" * 100, "lost": b""}[damage]
        (tmp_path / "sent").write_bytes(data)
        if damage != "lost":
            honest(str(tmp_path / "sent"), remote, **options)

    monkeypatch.setattr(store.fs, "put_file", put)
    with pytest.raises(StoreError, match=r"what has arrived is not what was sent|cannot be uploaded"):
        store.put(path, "one", sha256)


def test_a_tag_that_is_no_md5_is_read_back(in_process: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: objects in parts, or encrypted, whose tag is no MD5 of the file, are compared byte for byte."""
    store = open_store(f"s3://{BUCKET}/tags")
    path, sha256 = file_of(tmp_path / "file", b"x" * 1000)
    info = store.fs.info
    monkeypatch.setattr(store.fs, "info", lambda key: {**info(key), "ETag": f'"{"0" * 32}-2"'})
    read = []
    monkeypatch.setattr(Store, "sha256", lambda self, key: read.append(key) or sha256)
    store.put(path, "one", sha256)
    assert read == ["one"]
    monkeypatch.setattr(Store, "sha256", lambda self, key: "0" * 64)
    with pytest.raises(StoreError, match="what has arrived"):
        store.put(path, "one", sha256)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "HEARTBEAT_SECONDS", 0.2)
    monkeypatch.setattr(lock_module, "STILL_SECONDS", 3.0)


@pytest.mark.usefixtures("quick")
def test_one_run_at_a_time(in_process: S3) -> None:
    """Law: a folder whose lock beats is refused, one whose run has ended is free at once, and numbers only rise."""
    store = open_store(f"s3://{BUCKET}/locks")
    with take_lock(store, "here") as held:
        assert held.guarded
        assert is_locked(store, 5)
        with pytest.raises(UserError, match=r"another run is writing here \(process \d+ on "):
            take_lock(store, "elsewhere")
        fence(store, held.number)
    assert not is_locked(store, 5)
    with take_lock(store, "elsewhere") as second:
        assert second.number == held.number + 1 == newest_lock(store)
        with pytest.raises(SourceError, match="another run took it over"):
            fence(store, held.number)


@pytest.mark.usefixtures("quick")
def test_a_dead_lock_is_taken_over_by_one(in_process: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: a lock that has stopped beating is taken over after a while by exactly one of two that wait for it; from the
    same scratch folder at once."""
    store = open_store(f"s3://{BUCKET}/dead")
    dead = take_lock(store, "here")
    dead._over.set()  # killed: it neither beats nor ends
    dead._thread.join()
    assert not is_locked(store, 0.5)
    outcomes: list[Any] = []

    def take(token: str) -> None:
        try:
            outcomes.append(take_lock(store, token))
        except UserError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=take, args=(token,)) for token in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held, refused = sorted(outcomes, key=lambda outcome: isinstance(outcome, UserError))
    assert isinstance(refused, UserError)
    assert held.number == dead.number + 1
    held._over.set()
    monkeypatch.setattr(lock_module, "STILL_SECONDS", 1e6)
    again = take_lock(store, held._holder["token"])
    assert again.number == held.number + 1
    again.release()


def test_a_store_without_conditional_puts_is_noticed(in_process: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: where a second put of one key goes through, the lock says that it guards nothing."""
    store = open_store(f"s3://{BUCKET}/unguarded")
    monkeypatch.setattr(Store, "create", lambda self, key, data: self.write(key, data) is None)
    with take_lock(store, "here") as held:
        assert not held.guarded


@pytest.mark.parametrize(
    ("folder", "url"),
    [
        ("s3://bucket/a/b", "s3://bucket/a/b"),
        ("s3://bucket/a/b/", "s3://bucket/a/b"),
        ("gs://bucket/a", "gs://bucket/a"),
        ("out/s3/x", None),
        ("/data/out", None),
        ("file:///data/out", None),
        ("C:/data", None),
    ],
)
def test_what_is_a_store(folder: str, url: str | None) -> None:
    assert store_url(Path(folder)) == url


def test_file_urls_are_folders() -> None:
    assert local_folder(Path("file:///data/out")) == Path("/data/out")
    assert local_folder(Path("data/out")) == Path("data/out")


@pytest.mark.parametrize(
    ("folder", "why"),
    [
        ("s3://key:wordofsecret@bucket/a", "credentials in the environment"),
        ("s3://bucket/a?key=wordofsecret", "credentials in the environment"),
        ("s3://bucket", "a whole bucket"),
        ("s3://bucket/a/../../b", "has '..' in it"),
        ("memory://bucket/a", "gone when the process ends"),
        ("https://host/a", "cannot be written to"),
    ],
)
def test_what_is_refused(folder: str, why: str) -> None:
    """Law: one line that says what to give instead, without what may be a secret."""
    with pytest.raises(UserError, match=why) as error:
        store_url(Path(folder))
    assert "wordofsecret" not in str(error.value)


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    with pytest.raises(UserError, match=r"needs a package that is not installed: pip install 'smoltrove\[s3\]'"):
        connect("s3://bucket/none")


def test_an_unknown_kind_of_store_is_one_line() -> None:
    with pytest.raises(UserError, match=r"nosuch://bucket/a: .*give a folder, or a store that fsspec knows"):
        connect("nosuch://bucket/a")


def test_a_bucket_that_is_not_there_is_one_line(in_process: S3) -> None:
    with pytest.raises(UserError, match="there is no nobucket, or it is not yours"):
        open_store("s3://nobucket/a")


def test_a_server_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: the message has neither key nor secret."""
    for name, value in {**ACCOUNT, "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(UserError, match=r"cannot be used: .*check the credentials in the environment") as error:
        open_store(f"s3://{BUCKET}/unreachable")
    assert not any(value in str(error.value) for value in list(ACCOUNT.values())[:2])
