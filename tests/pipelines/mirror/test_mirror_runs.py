"""A mirror in place of the Hub: exactly the planned files, and runs that are the same, without a network."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.commands import build_plan
from pipelines.config import load_config
from pipelines.doctor import diagnose
from pipelines.errors import ConfigError, SourceError
from pipelines.mirror.blobs import HeldBlobs
from tests.data import MINI_HUB
from tests.hub import LocalHub
from tests.hub_faults import Fault, Faults
from tests.pipelines.mirror.conftest import Mirror, heard, report
from tests.pipelines.processes import Run
from tests.pipelines.test_hub_reading import point_at
from tests.pipelines.test_hub_runs import planned


def fingerprint(run: Run) -> str:
    return str(json.loads((run.output / "_run" / "manifest.json").read_text())["fingerprint"])


@pytest.fixture(scope="module")
def filled(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    """A mirror of the first stage; read only."""
    with LocalHub(MINI_HUB) as server:
        mirror = Mirror(tmp_path_factory.mktemp("filled") / "mirror", stages / "first.yaml", server.url)
        status, text = mirror.call("--json")
        assert status == 0, text
        mirror.summary = report(text)
        mirror.requests = [(request.endpoint, request.repo, request.path) for request in server.log()]
    return mirror


def test_a_run_from_a_mirror_is_the_run_over_the_hub(
    filled: Mirror, over_the_hub: Callable[[str], Run], tmp_path: Path
) -> None:
    """Law: the same documents under the same fingerprint, without a connection or a look-up, code included."""
    expected = over_the_hub("first.yaml")
    run = filled.run(tmp_path)
    status, text = run.call()
    assert status == 0, text
    assert run.files() == expected.files()
    assert fingerprint(run) == fingerprint(expected)
    assert len(run.documents()) > 40
    assert heard(run) == ""
    assert sum(line["requests"] for line in map(json.loads, (run.output / "_run/ledger.jsonl").open())) == 0


def test_the_listener_hears(stages: Path, tmp_path: Path, filled: Mirror) -> None:
    """The proof above is one: the same run without the mirror is heard."""
    run = filled.run(tmp_path)
    run.command = [part for part in run.command if part not in ("--mirror", str(filled.folder))]
    run.env["SMOLTROVE_HUB_PATIENCE"] = "0"
    run.env.pop("HF_HUB_OFFLINE")
    assert run.call()[0] == 2
    assert "127.0.0.1" in heard(run)


def test_exactly_the_planned_files_are_fetched(filled: Mirror, over_the_hub: Callable[[str], Run]) -> None:
    """Law: one request for each planned file, and for each blob of the sample; nothing else is in the folder."""
    run = over_the_hub("first.yaml")
    wanted = {f"{name}/{path}" for name, paths in planned(run).items() for path in paths}
    here = filled.files()
    blobs = {path for path in here if path.startswith("softwareheritage/content/")}
    assert here.keys() - blobs == wanted
    fetched = [f"{repo}/{path}" for endpoint, repo, path in filled.requests if endpoint == "resolve"]
    assert sorted(path for path in fetched if not path.endswith("README.md")) == sorted(wanted)
    asked = [path for endpoint, _, path in filled.requests if endpoint == "blob"]
    assert sorted(asked) == sorted(path.rpartition("/")[2] for path in blobs)
    assert len(asked) == filled.summary["blobs_fetched"] > 5
    for path, data in here.items():
        assert data == (MINI_HUB / path).read_bytes(), path


def test_checksums_for_everybody(filled: Mirror) -> None:
    """Law: SHA256SUMS has a line for each file that is no blob, as sha256sum reads it; the manifest names commits."""
    lines = (filled.folder / "_mirror" / "SHA256SUMS").read_text().splitlines()
    sums = {path: digest for digest, path in (line.split("  ", 1) for line in lines)}
    files = {path: data for path, data in filled.files().items() if not path.startswith("softwareheritage/")}
    assert sums == {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}
    manifest = json.loads((filled.folder / "_mirror" / "manifest.json").read_text())
    assert manifest["revisions"].keys() == {"/".join(path.split("/")[:2]) for path in files}
    assert all(re.fullmatch("[0-9a-f]{40}", sha) for sha in manifest["revisions"].values())
    assert {source["revision"] for source in filled.summary["sources"]} == set(manifest["revisions"].values())


@pytest.mark.slow
def test_a_later_stage_plans_after_an_earlier_one_from_the_mirror(
    stages: Path, hub: LocalHub, over_the_hub: Callable[[str], Run], tmp_path: Path
) -> None:
    """Law: listings of the stages before come along, so that the second stage takes the same interval offline."""
    mirror = Mirror(tmp_path / "mirror", stages / "second.yaml", hub.url)
    status, text = mirror.call()
    assert status == 0, text
    run = mirror.run(tmp_path / "run")
    status, text = run.call()
    assert status == 0, text
    expected = over_the_hub("second.yaml")
    assert run.files() == expected.files()
    assert fingerprint(run) == fingerprint(expected)
    assert heard(run) == ""


@pytest.mark.slow
def test_a_run_that_began_over_the_hub_goes_on_from_the_mirror(filled: Mirror, stages: Path, tmp_path: Path) -> None:
    """Law: it is the same run, so the same folder takes both; what was done is kept."""
    faults = Faults([Fault(kind="404", at="resolve .*jsonl.zst", times=-1)])
    with LocalHub(MINI_HUB, faults=faults) as server:
        run = filled.run(tmp_path)
        offline = dict(run.env)
        run.command = [part for part in run.command if part not in ("--mirror", str(filled.folder))]
        run.env |= {"HF_ENDPOINT": server.url, "SMOLTROVE_SWH_ENDPOINT": f"{server.url}/softwareheritage/content/"}
        run.env.pop("HF_HUB_OFFLINE")
        status, text = run.call()
        assert status == 1, text
    (tmp_path / "heard").unlink()
    run.env = offline
    status, text = run.call("--mirror", str(filled.folder))
    assert status == 0, text
    assert re.search(r"\([1-9]\d* tasks were done before\)", text), text
    assert heard(run) == ""
    assert run.verify()[0] == 0


def test_a_larger_plan_than_the_mirror_holds_is_refused(filled: Mirror) -> None:
    """Law: exit 2 with a line for each source whose planned files are not all here; never a smaller sample."""
    config = load_config(filled.config)
    source = r"first\.yaml:\d+: mlfoundations/dclm-baseline-1\.0/default: "
    what = r"\d of \d planned files are not in the mirror .*run `smoltrove mirror` with the same options"
    with pytest.raises(ConfigError, match=source + what):
        build_plan(config, output_folder=None, target_tokens="10M", mirror=filled.folder)


def test_another_entry_of_a_mirrored_repository_is_refused(filled: Mirror, stages: Path, tmp_path: Path) -> None:
    """Law: a folder with a part of a repository is not listed as if it were the whole."""
    config = tmp_path / "other.yaml"
    config.write_text((stages / "first.yaml").read_text().replace("vie_Latn", "fra_Latn"))
    shutil.copy(stages / "profiles.yaml", tmp_path)
    with pytest.raises(ConfigError, match="has epfml/FineWeb2-HQ for other entries"):
        build_plan(load_config(config), output_folder=None, target_tokens="60k", mirror=filled.folder)


@pytest.mark.parametrize("what", ["gone", "damaged"])
def test_a_blob_that_the_mirror_lacks_is_no_rejected_row(filled: Mirror, tmp_path: Path, what: str) -> None:
    """Law: only what Software Heritage itself does not have is a rejected row; anything else ends the task."""
    folder = tmp_path / "content"
    shutil.copytree(filled.folder / "softwareheritage" / "content", folder)
    path = min(folder.iterdir())
    path.unlink() if what == "gone" else path.write_bytes(b"something else")
    lost = {"0" * 40: "blob_missing", "1" * 40: "blob_corrupt"}
    store = HeldBlobs(folder, lost)
    assert [store.get(blob) for blob in lost] == [(None, "blob_missing"), (None, "blob_corrupt")]
    with pytest.raises(SourceError, match=f"{path.name} is {'not there' if what == 'gone' else 'damaged'}; run"):
        store.get(path.name)


def test_a_damaged_file_ends_its_task(filled: Mirror, tmp_path: Path) -> None:
    """Law: a changed byte in a file that is read from start to end is noticed by the run; --verify finds it in any."""
    folder = tmp_path / "mirror"
    shutil.copytree(filled.folder, folder)
    path = min(folder.rglob("*.jsonl.zst"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    copy = Mirror(folder, filled.config, "http://127.0.0.1:9")
    run = copy.run(tmp_path / "run")
    status, text = run.call("--workers", "1", "--datasets", "*dclm*", "--target-tokens", "10k")
    assert status == 1, text
    assert re.search("damaged in the mirror|corrupt zstd data", text), text


def test_the_doctor_knows_mirrors(filled: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: every source of the configuration is usable, and the Hub is not asked."""
    point_at(monkeypatch, "http://127.0.0.1:9")
    monkeypatch.setenv("SMOLTROVE_SWH_ENDPOINT", "http://127.0.0.1:9/nobody")
    found = diagnose(filled.config, mirror=filled.folder).sources
    assert [source.problems for source in found] == [[]] * len(found)
    assert all(source.revision and source.documents and not source.requests for source in found)
    assert [source.blobs for source in found if "stack" in source.source] == [True, True]
