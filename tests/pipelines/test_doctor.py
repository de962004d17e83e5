"""The doctor says of every source whether a run could read it, quickly, and what to do where it could not."""

import gzip
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pipelines import doctor, needs
from pipelines.doctor import Health, SourceHealth, diagnose, show_diagnosis
from pipelines.errors import UserError
from pipelines.side_by_side import side_by_side
from tests.data import MINI_HUB, ROOT
from tests.hub import BLOBS, LocalHub
from tests.hub_faults import Fault, Faults
from tests.pipelines.test_config import SHIPPED
from tests.pipelines.test_html import page
from tests.pipelines.test_hub_reading import point_at

TOKEN = "hf_" + "secretofthedoctor"
Serve = Callable[..., LocalHub]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Serve]:
    """Starts local Hubs and points this process at the last one, blobs included."""
    from huggingface_hub import constants

    hubs: list[LocalHub] = []
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)

    def start(root: Path = MINI_HUB, faults: list[Fault] | None = None, **options: Any) -> LocalHub:
        hub = LocalHub(root, faults=Faults(faults) if faults else None, **options)
        hubs.append(hub.__enter__())
        point_at(monkeypatch, hub.url)
        monkeypatch.setenv("SMOLTROVE_SWH_ENDPOINT", hub.environment["SMOLTROVE_SWH_ENDPOINT"])
        return hub

    yield start
    for hub in hubs:
        hub.__exit__()


def mixture(folder: Path, *datasets: dict[str, Any]) -> Path:
    """A configuration of these entries."""
    (folder / "filter_profiles.yaml").write_text(
        "profiles:\n  none: {filters: []}\n  vi:\n    filters:\n      - language: {languages: [vi]}\n"
        "      - gopher_quality: {language: vi}\n"
    )
    path = folder / "c.yaml"
    entries = [{"weight": 1, "profile": "none", **entry} for entry in datasets]
    path.write_text(yaml.safe_dump({"datasets": entries}, sort_keys=False))
    return path


def by_name(health: Health) -> dict[str, SourceHealth]:
    return {source.source: source for source in health.sources}


@pytest.mark.parametrize("name", SHIPPED)
def test_all_public_sources_of_the_stages_are_usable(name: str, serve: Serve, capsys: pytest.CaptureFixture) -> None:
    """Over the local Hub, with the gated ones opened by a token that is never shown."""
    gated = ("bigcode/the-stack-v2-train-smol-ids", "LLM360/MegaMath")
    hub = serve(gated=gated, tokens=[TOKEN])
    assert show_diagnosis(ROOT / "configs" / name, as_json=True) == 0
    text = capsys.readouterr().out
    data = json.loads(text)
    assert (data["usable"], data["token"], data["origin"]) == (True, True, hub.url)
    assert TOKEN not in text
    entries = yaml.safe_load((ROOT / "configs" / name).read_text(encoding="utf-8"))["datasets"]
    off = {key for key, _ in data["disabled"]}
    assert off == {f"{e['name']}/default" for e in entries if e.get("enabled") is False}
    assert len(data["sources"]) == len(entries) - len(off)
    for source in data["sources"]:
        repo = source["source"].rpartition("/")[0]
        assert (source["reachable"], source["usable"], source["problems"]) == (True, True, []), source
        assert source["gated"] == (repo in gated)
        assert source["revision"] == hub.main(repo).sha
        assert min(source["files"], source["bytes"]) > 0
        assert 1 <= source["documents"] <= 5
        assert source["blobs"] is (True if "stack-edu" in repo or "stack-v2" in repo else None)
        assert all(source["needs"].values())
        assert 1 <= source["requests"] <= 8
    asked = Counter(request.repo for request in hub.log(endpoint="tree"))
    # Plain HTTP is asked twice for each answer; HTTPS once.
    assert set(asked.values()) == {2}, "each repository is listed once, however many sources share it"
    notes = [note for source in data["sources"] for note in source["notes"] if "licence" in note]
    assert notes == (["licence cc-by-nc-4.0: not for commercial use"] if "stage3" in name else [])


def test_every_trouble_is_one_line_that_says_what_to_do(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Gated, missing repository, configuration, split, column, file, blob, splitter; sound sources beside them stay."""
    web = {"name": "epfml/FineWeb2-HQ", "config": "vie_Latn"}
    config = mixture(
        tmp_path,
        {**web, "id_field": "id"},
        {"name": "wikimedia/wikipedia", "config": "20231101.vi", "label": "gated"},
        {"name": "epfml/FineWeb2-QH", "config": "vie_Latn", "label": "repository"},
        {**web, "config": "vie_Latin", "label": "configuration"},
        {**web, "split": "tarin", "label": "split"},
        {**web, "text_field": "txt", "label": "column"},
        {"name": "mlfoundations/dclm-baseline-1.0", "text_field": "txet", "label": "key"},
        {**web, "id_field": "idd", "label": "id"},
        {**web, "config": None, "data_files": ["vie_Latin/*.parquet"], "label": "file"},
        {"name": "HuggingFaceTB/stack-edu", "config": "Python", "adapter": "swh", "label": "blob"},
        {**web, "profile": "vi", "label": "splitter"},
        {"name": "org/off", "enabled": False, "reason": "never published"},
    )
    hub = serve(gated=["wikimedia/wikipedia"])
    monkeypatch.setenv("SMOLTROVE_SWH_ENDPOINT", f"{hub.url}/{BLOBS}/none/")
    monkeypatch.setattr(
        needs, "splitter_available", lambda code: f"splitting {code!r} into words needs: pip install pyvi"
    )
    health = diagnose(config)
    assert not health.usable
    found = {key.rpartition("/")[2]: source.problems for key, source in by_name(health).items()}
    assert {label: len(problems) for label, problems in found.items()} == {
        label: int(label != "vie_Latn") for label in found
    }
    for label, text in {
        "gated": "gated; accept its terms at https://huggingface.co/datasets/wikimedia/wikipedia",
        "repository": "no such dataset on the Hub, or it is private; check the id",
        "configuration": "did you mean 'vie_Latn'?",
        "split": "split 'tarin' is not in the card of epfml/FineWeb2-HQ (it has train); did you mean 'train'?",
        "column": "has no column 'txt'; its columns: ",
        "key": "text_field 'txet' is missing in 5 of 5 rows; columns: ",
        "id": "has no column 'idd'; its columns: ",
        "file": "did you mean 'vie_Latn'?",
        "blob": f"none of its first 5 blobs is in {hub.url}/{BLOBS}/none/; check SMOLTROVE_SWH_ENDPOINT",
        "splitter": "profile vi: splitting 'vi' into words needs: pip install pyvi",
    }.items():
        assert text in found[label][0], label
        assert "\n" not in found[label][0]
    assert "did you mean 'text'?" in found["key"][0]
    sources = by_name(health)
    gated = sources["wikimedia/wikipedia/gated"]
    assert (gated.gated, gated.reachable) == (True, True)
    assert sources["HuggingFaceTB/stack-edu/blob"].blobs is False
    assert sources["epfml/FineWeb2-HQ/splitter"].needs == {"language model": True, "words of vi": False}
    assert show_diagnosis(config) == 1
    text = capsys.readouterr().out
    section = text.partition("NOT usable:\n")[2].partition("\n\n")[0].splitlines()
    assert len(section) == 10, text
    assert "org/off/default: not enabled: never published" in text
    assert TOKEN not in text


def test_one_missing_blob_is_a_note(serve: Serve, tmp_path: Path) -> None:
    """Software Heritage has lost some contents; a source is not usable only when none of its first blobs is there."""
    config = mixture(tmp_path, {"name": "HuggingFaceTB/stack-edu", "config": "Python", "adapter": "swh"})
    hub = serve()
    assert diagnose(config).sources[0].notes == []
    first = hub.log(endpoint="blob")[0].path
    assert len(hub.log(endpoint="blob")) == 1, "one blob is enough"
    serve(faults=[Fault(kind="404", at=f"blob .*{first}", times=-1)])
    (source,) = diagnose(config).sources
    assert (source.usable, source.blobs) == (True, True)
    assert source.notes == ["1 of its first 5 blobs are missing"]


def test_only_the_beginning_of_large_files_is_fetched(serve: Serve, tmp_path: Path) -> None:
    """12 MB of Parquet in one row group, 6 MB of gzip: first rows cost a small part of them, in few requests."""
    dice = random.Random(0)
    texts = [dice.randbytes(2000).hex() for _ in range(6000)]
    (tmp_path / "hub" / "org" / "parquet").mkdir(parents=True)
    (tmp_path / "hub" / "org" / "jsonl").mkdir()
    table = pa.table({"text": texts, "id": [str(i) for i in range(len(texts))]})
    path = tmp_path / "hub" / "org" / "parquet" / "rows.parquet"
    pq.write_table(table, path, compression="zstd", row_group_size=len(texts))
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts[:3000]).encode()
    (tmp_path / "hub" / "org" / "jsonl" / "rows.jsonl.gz").write_bytes(gzip.compress(lines, 1))
    assert path.stat().st_size > 10e6
    serve(tmp_path / "hub")
    health = diagnose(mixture(tmp_path, {"name": "org/parquet", "id_field": "id"}, {"name": "org/jsonl"}))
    for source in health.sources:
        assert (source.usable, source.documents, source.rows) == (True, 5, 5), source.problems
        assert source.bytes_fetched < 0.5 * source.bytes
        assert source.requests <= 12


def test_an_unreachable_hub_is_a_table_within_half_a_minute(tmp_path: Path) -> None:
    """A port that accepts and never answers, the slowest way of not being there: exit 1, every source in the table,
    one line that says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        env = {**os.environ, "HF_ENDPOINT": url, "HF_HOME": str(tmp_path), "HF_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)}
        env.pop("HF_HUB_OFFLINE", None)
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "pipelines", "doctor", str(ROOT / "configs" / SHIPPED[0])],
            env=env, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert time.monotonic() - start < 30
    said = [line for line in done.stderr.splitlines() if not line.startswith("looking: ")]
    assert (done.returncode, said) == (1, []), done.stderr
    assert done.stdout.count("no answer") == 39
    (line,) = done.stdout.partition("NOT usable:\n")[2].partition("\n\n")[0].splitlines()
    assert line.startswith("  39 sources (HuggingFaceFW/fineweb-edu/default, ")
    assert f": the Hub ({url}) does not answer: ReadTimeout, tried " in line
    assert line.endswith("check the network and HF_ENDPOINT, or use --mirror DIR")
    assert TOKEN not in done.stdout


def test_a_rate_limit_is_not_waited_for(serve: Serve, tmp_path: Path) -> None:
    """A run waits for a server that asks to be left alone for a minute; a look says so and goes on."""
    serve(faults=[Fault(kind="429", at="tree .*dclm", times=-1, seconds=60)])
    start = time.monotonic()
    health = diagnose(
        mixture(tmp_path, {"name": "HuggingFaceFW/fineweb-edu"}, {"name": "mlfoundations/dclm-baseline-1.0"})
    )
    assert time.monotonic() - start < 15
    good, limited = health.sources
    assert good.usable
    assert "does not answer" in limited.problems[0]
    assert "HTTP 429" in limited.problems[0]


def test_a_mirror_and_local_files(tmp_path: Path) -> None:
    """The same look without a Hub: nothing is fetched; an empty first file is passed over."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.jsonl").write_text("")
    (tmp_path / "mine" / "b.jsonl").write_text('{"text": "one"}\n{"text": "two", "url": "x"}\nnot json\n')
    local = {"name": "mine", "path": "mine", "metadata_fields": ["url", "date"]}
    config = mixture(tmp_path, local, {"name": "epfml/FineWeb2-HQ", "config": "vie_Latn"}, {"name": "epfml/none"})
    health = diagnose(config, mirror=MINI_HUB)
    mine, web, none = health.sources
    assert (mine.usable, mine.documents, mine.rows, mine.files) == (True, 2, 3, 2)
    assert mine.columns == {"text": True, "url": True, "date": False}
    assert mine.notes == ["metadata_fields: 'date' is missing or empty in its first rows"]
    assert (web.usable, web.revision, web.requests, web.bytes_fetched) == (True, None, 0, 0)
    assert none.problems == [f"the mirror {MINI_HUB} has no folder epfml/none"]
    (tmp_path / "mine" / "b.jsonl").write_text("\n")
    assert diagnose(config, datasets="mine").sources[0].problems == [
        "its first files hold no rows; check `data_files` and `split`"
    ]


def test_pages_of_two_sources_do_not_mix(tmp_path: Path) -> None:
    """One process extracts pages for all threads; sources take turns."""
    for name in ("one", "two"):
        rows = "".join(json.dumps({"html": page(i), "id": f"{name}-{i}"}) + "\n" for i in range(8))
        (tmp_path / f"{name}.jsonl").write_text(rows)
    entries = [{"name": name, "path": f"{name}.jsonl", "adapter": "html", "id_field": "id"} for name in ("one", "two")]
    for source in diagnose(mixture(tmp_path, *entries)).sources:
        assert (source.problems, source.documents, source.rows) == ([], 5, 5)
        assert source.columns == {"html": True, "id": True}


def test_wrong_input_is_refused(tmp_path: Path) -> None:
    """What the configuration or the options get wrong is exit status 2, as everywhere."""
    config = mixture(tmp_path, {"name": "org/set"})
    with pytest.raises(UserError, match="--datasets x: matches no enabled source"):
        diagnose(config, datasets="x")
    with pytest.raises(UserError, match="no such folder"):
        diagnose(config, mirror=tmp_path / "none")
    with pytest.raises(UserError):
        diagnose(tmp_path / "none.yaml")


def test_what_takes_too_long_is_given_up() -> None:
    """Jobs are done a few at a time; one that never ends holds up neither the others nor the answer."""
    lock, never = threading.Lock(), threading.Event()
    busy = most = 0

    def job(number: int) -> int:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.01)
        with lock:
            busy -= 1
        return number

    jobs: list[Callable[[], Any]] = [partial(job, i) for i in range(30)]
    jobs[3] = jobs[17] = never.wait
    start = time.monotonic()
    found = side_by_side(jobs, at_once=4, seconds=0.5, order=[*reversed(range(30))])
    assert time.monotonic() - start < 5
    assert found == [None if i in (3, 17) else i for i in range(30)]
    assert 1 < most <= 4
    never.set()
    jobs[5] = lambda: 1 // 0
    with pytest.raises(ZeroDivisionError):
        side_by_side(jobs, at_once=4)
    assert side_by_side([], at_once=4) == []


def test_a_source_that_takes_too_long_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "SOURCE_SECONDS", 0.2)
    monkeypatch.setattr(doctor._Look, "at", lambda *_: time.sleep(2))
    health = diagnose(mixture(tmp_path, {"name": "org/set"}))
    assert health.sources[0].problems == ["no result within 0.2 s; look at it alone with --datasets org/set/default"]
