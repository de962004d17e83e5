"""A mirror on a bad day: faults of the Hub, kills, a full disk, changed files; the same folder in the end, or exit 1.

Gives up: power cuts, which no test here can make; files are synced before they are renamed.
"""

import json
import random
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import UserError
from pipelines.mirror.command import execute_mirror
from pipelines.mirror.record import MirrorRecord, lock_mirror, read_record
from pipelines.sources import FileInfo, Listing
from tests.data import MINI_HUB
from tests.hub import LocalHub
from tests.hub_faults import Fault, seeded
from tests.pipelines.mirror.conftest import Mirror
from tests.pipelines.processes import kill_group
from tests.pipelines.test_hub_reading import Serve, serve

__all__ = ["serve"]  # a fixture, used by name
LARGE = "org/large"


def contents(folder: Path) -> dict[str, bytes]:
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith("_mirror/")}


@pytest.fixture
def fill(stages: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Serves a Hub with these faults and mirrors the first stage from it: (exit status, the JSON, the Hub)."""

    def call(folder: Path, faults: Any = None, config: Path = stages / "first.yaml", **options: Any) -> Any:
        served = options.pop("root", MINI_HUB)
        hub = serve(served, faults)
        monkeypatch.setenv("SMOLTROVE_SWH_ENDPOINT", hub.environment["SMOLTROVE_SWH_ENDPOINT"])
        options = {"target_tokens": "60k", **options}
        status = execute_mirror(config, folder, as_json=True, **options)
        return status, json.loads(capsys.readouterr().out), hub

    return call


@pytest.fixture
def whole(fill: Any, tmp_path: Path) -> dict[str, bytes]:
    """What a mirror holds when nothing goes wrong."""
    status, _, _ = fill(tmp_path / "whole")
    assert status == 0
    return contents(tmp_path / "whole")


KINDS = ("429", "503", "reset", "truncate", "flip", "move", "html")


@pytest.mark.parametrize("seed", range(3))
def test_faults_leave_the_same_files_or_exit_1(fill: Any, whole: dict[str, bytes], tmp_path: Path, seed: int) -> None:
    """Law: whatever the Hub does to files and blobs, exit 0 means that everything is here as it should be; what is
    visible is always whole; without faults the same command gets the rest, at the same commits."""
    folder = tmp_path / "mirror"
    faults = seeded(seed, 8, kinds=KINDS, endpoints=("resolve", "blob"), spread=12)
    status, summary, _ = fill(folder, faults)
    assert any(faults.committed)
    visible = {name: data for name, data in contents(folder).items() if not name.endswith(".part")}
    assert all(whole[name] == data for name, data in visible.items())
    assert (status == 0) == summary["ok"] == (visible == whole)
    status, summary, _ = fill(folder)
    assert (status, contents(folder)) == (0, whole)
    assert summary["files_fetched"] + summary["blobs_fetched"] == len(whole) - len(visible)


def test_a_rate_limit_is_waited_for(fill: Any, whole: dict[str, bytes], tmp_path: Path) -> None:
    """Law: 429 with Retry-After is asked again after that time, and nothing is lost by it."""
    status, summary, hub = fill(
        tmp_path / "mirror", [Fault(kind="429", at="resolve .*(zst|parquet)$", times=3, seconds=1)]
    )
    assert (status, contents(tmp_path / "mirror")) == (0, whole)
    assert summary["requests"] == len(whole) + 3
    assert [request.status for request in hub.log(fault="429")] == [429] * 3


def test_what_cannot_be_had_is_exit_1_by_name(fill: Any, tmp_path: Path) -> None:
    """Law: the others come, the table has the file, the record has neither it nor a part of it."""
    status, summary, _ = fill(tmp_path / "mirror", [Fault(kind="404", at="resolve .*wiki.*gz$", times=-1)])
    (wrong,) = [source for source in summary["sources"] if source["problems"]]
    assert (status, summary["ok"], wrong["files_held"]) == (1, False, 0)
    assert re.search(r"wiki.*\.gz: the Hub does not have it any more \(HTTP 404", wrong["problems"][0])
    record = read_record(tmp_path / "mirror")
    assert record is not None
    assert not [path for path in record.held if "wiki" in path]


def test_blobs_that_nobody_has_are_on_record(fill: Any, tmp_path: Path, whole: dict[str, bytes]) -> None:
    """Law: 404 for a blob is no failure of the mirror, and a run from it rejects that row as one over the Hub does."""
    blob = next(name for name in whole if name.startswith("softwareheritage/")).rpartition("/")[2]
    status, summary, _ = fill(tmp_path / "mirror", [Fault(kind="404", at=f"blob .*{blob}", times=-1)])
    record = read_record(tmp_path / "mirror")
    assert record is not None
    assert (status, record.lost) == (0, {blob: "blob_missing"})
    assert sum(source["blobs_lost"] for source in summary["sources"]) == 1
    status, _, _ = fill(tmp_path / "mirror")
    found = read_record(tmp_path / "mirror")
    assert found is not None
    assert (status, found.lost, contents(tmp_path / "mirror")) == (0, {}, whole)


def test_damage_is_found_and_mended(fill: Any, whole: dict[str, bytes], tmp_path: Path) -> None:
    """Law: --verify hashes every file and asks nobody; the same command without it gets exactly the damaged again."""
    folder = tmp_path / "mirror"
    assert fill(folder)[0] == 0
    changed, gone = sorted(name for name in whole if "dclm" in name or "wiki" in name)[:2]
    (folder / changed).write_bytes(whole[changed][:-1] + b"!")
    (folder / gone).unlink()
    status, summary, hub = fill(folder, verify=True)
    assert (status, hub.log()) == (1, [])
    assert [line.partition(":")[0] for line in summary["damaged"]] == sorted([changed, gone])
    status, summary, hub = fill(folder)
    assert (status, contents(folder)) == (0, whole)
    assert sorted(f"{request.repo}/{request.path}" for request in hub.log(endpoint="resolve")) == sorted(
        [changed, gone]
    )
    status, summary, hub = fill(folder, verify=True)
    assert (status, summary["ok"], hub.log()) == (0, True, [])


def test_the_commits_stay_until_fresh(fill: Any, whole: dict[str, bytes], tmp_path: Path, serve: Serve) -> None:
    """Law: a mirror goes on at the commits that it began with, wherever main is; --fresh takes those of now."""
    folder = tmp_path / "mirror"
    status, _, hub = fill(folder, datasets="*wiki*")
    assert status == 0
    moved = tmp_path / "moved"
    shutil.copytree(MINI_HUB / "allenai", moved / "allenai")
    for path in (moved / "allenai").rglob("*.gz"):
        path.write_bytes(path.read_bytes() + path.read_bytes())
    status, summary, hub = fill(folder, datasets="*wiki*", root=moved)
    assert (status, hub.log()) == (0, []), "all is on record"
    status, summary, hub = fill(folder, datasets="*wiki*", root=moved, fresh=True)
    assert (status, summary["files_fetched"]) == (0, summary["sources"][0]["files"])
    assert all(data == (moved / name).read_bytes() for name, data in contents(folder).items())


def test_a_full_disk_is_seen_before(fill: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: exit 2 with what is needed and what is free, and no file fetched."""
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match=r"of files and about .* of blobs are to come, 1 kB are free"):
        fill(tmp_path / "mirror")
    assert contents(tmp_path / "mirror") == {}


def test_a_path_that_leads_out_is_refused(tmp_path: Path) -> None:
    """Law: whatever a server lists, nothing is written outside the folder."""
    for path in ("../out", "/etc/passwd", "a/../../b", "a\\b", "a\nb"):
        listing = Listing(
            kind="hub", base="hf://x", revision="0" * 40, files=(FileInfo(path=path, size=1, identity="0" * 40),)
        )
        entry = '{"name":"org/name","config":null,"split":"train","data_files":null,"path":null,"revision":null}'
        with pytest.raises(UserError, match="no path inside a folder"):
            MirrorRecord(tmp_path).add_listings({entry: listing})


def test_two_commits_of_a_repository_are_refused(tmp_path: Path) -> None:
    """Law: files lie by path, so a mirror has one commit of a repository."""
    entry = '{"name":"org/name","config":%s,"split":"train","data_files":null,"path":null,"revision":null}'
    record = MirrorRecord(tmp_path)
    record.add_listings({entry % '"a"': Listing(kind="hub", base="x", revision="1" * 40, files=())})
    with pytest.raises(UserError, match="holds org/name at commit 111111111111, asked for is 222222222222"):
        record.add_listings({entry % '"b"': Listing(kind="hub", base="x", revision="2" * 40, files=())})


def test_one_download_at_a_time(fill: Any, tmp_path: Path) -> None:
    """Law: a second one into the same folder is refused in one line."""
    with lock_mirror(tmp_path / "mirror"), pytest.raises(UserError, match="another `smoltrove mirror` works in it"):
        fill(tmp_path / "mirror")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve files of 3 MB, so that a kill falls into one."""
    root = tmp_path_factory.mktemp("large")
    (root / LARGE).mkdir(parents=True)
    draw = random.Random(5)
    for i in range(12):
        lines = (json.dumps({"text": draw.randbytes(1500).hex()}) for _ in range(1000))
        (root / LARGE / f"part-{i:02d}.jsonl").write_text("\n".join(lines))
    (root / "profiles.yaml").write_text("profiles:\n  none: {filters: []}\n")
    (root / "config.yaml").write_text(
        "target_tokens: 1T\nmax_epochs: 1\nfiltering: {profiles: profiles.yaml}\n"
        f"datasets: [{{name: {LARGE}, weight: 1, profile: none}}]\n"
    )
    return root


def test_kill_9_and_the_same_command(large: Path, tmp_path: Path) -> None:
    """Law: after kill -9 in the middle of files, everything visible is whole, and the same command asks only for the
    bytes that are not here yet."""
    expected = {f"{LARGE}/{path.name}": path.read_bytes() for path in (large / LARGE).iterdir()}
    size = sum(map(len, expected.values()))
    # A byte in the middle of each answer comes late: every file is under way for a while.
    slow = Fault(kind="slow", at="resolve .*jsonl", times=-1, seconds=2.0)
    dice = random.Random(3)
    with LocalHub(large, faults=lambda request: slow if request.endpoint == "resolve" else None) as hub:
        mirror = Mirror(tmp_path / "mirror", large / "config.yaml", hub.url)
        parts = 0
        for _ in range(3):
            process = mirror.start("--target-tokens", "1T")
            before, due = sum(r.num_bytes for r in hub.log()), dice.uniform(0.1, 0.6) * size
            while process.poll() is None and sum(r.num_bytes for r in hub.log()) - before < due:
                process.poll()
                hub.closing.wait(0.02)
            kill_group(process)
            process.communicate()
            visible = mirror.files()
            parts += sum(name.endswith(".part") for name in visible)
            assert all(expected[n] == data for n, data in visible.items() if not n.endswith(".part"))
        assert parts, "no kill fell into a file"
        held = sum(len(data) for data in mirror.files().values())
        hub.faults = None
        number = len(hub.log(endpoint="resolve"))
        status, text = mirror.call("--target-tokens", "1T")
        assert status == 0, text
        assert mirror.files() == expected
        assert sum(request.num_bytes for request in hub.log(endpoint="resolve")[number:]) == size - held
