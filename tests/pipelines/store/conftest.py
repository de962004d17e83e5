"""An S3 server (moto's) on loopback, and runs whose output folder is a bucket there.

Gives up: Amazon itself; moto keeps the protocol, not the delays.
"""

import json
import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.conftest import TASKS
from tests.pipelines.processes import MEASURED, Run, finish
from tests.pipelines.store.proxy import Spoiler

boto3 = pytest.importorskip("boto3", reason="moto[s3,server] is in requirements_dev.txt")
moto_server = pytest.importorskip("moto.server", reason="moto[s3,server] is in requirements_dev.txt")
responses = pytest.importorskip("moto.s3.responses", reason="moto[s3,server] is in requirements_dev.txt")
s3fs = pytest.importorskip("s3fs", reason="s3fs is in requirements_s3.txt")

BUCKET = "corpus"
OPTIONS = (*TASKS, "--workers", "1")
ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "AKIDOFTESTRUNS",
    "AWS_SECRET_ACCESS_KEY": "secretoftestruns",
    "AWS_DEFAULT_REGION": "us-east-1",
}


class S3:
    """The server; `env` is what a process needs to write there, `objects` what is in a folder of the bucket."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.env = {"AWS_ENDPOINT_URL": url, **ACCOUNT, "AWS_EC2_METADATA_DISABLED": "true"}
        self.client: Any = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
        )

    def keys(self, prefix: str) -> list[str]:
        """Every object below a folder of the bucket, relative to it."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
        return [item["Key"].removeprefix(f"{prefix}/") for page in pages for item in page.get("Contents", ())]

    def num_records(self, prefix: str) -> int:
        return sum("/records/" in key for key in self.keys(prefix))

    def objects(self, prefix: str) -> dict[str, bytes]:
        found = {}
        for key in self.keys(prefix):
            # A run removes old locks while we look.
            with suppress(self.client.exceptions.NoSuchKey):
                found[key] = self.client.get_object(Bucket=BUCKET, Key=f"{prefix}/{key}")["Body"].read()
        return found

    def documents(self, prefix: str) -> dict[str, bytes]:
        """The objects outside of `_run`."""
        return {name: data for name, data in self.objects(prefix).items() if not name.startswith("_run/")}

    def records(self, prefix: str) -> dict[str, dict[str, Any]]:
        return {name: json.loads(data) for name, data in self.objects(prefix).items() if "/records/" in name}


class StoreRun(Run):
    """A run into `s3://corpus/<prefix>`, on the machine that `folder` stands for: its own scratch and logs."""

    printed: tuple[int, str]

    def __init__(self, s3: S3, prefix: str, folder: Path, config: Path, *options: str) -> None:
        super().__init__(folder, config, *options, "--scratch-folder", str(folder / "scratch"))
        self.url = f"s3://{BUCKET}/{prefix}"
        self.command = [self.url if part == str(self.output) else part for part in self.command]
        self.output = self.url  # type: ignore[assignment]
        self.env |= s3.env

    def left(self) -> list[Path]:
        """Documents on this machine."""
        return list((self.folder / "scratch").rglob("*.jsonl.*"))


@pytest.fixture(scope="package")
def s3() -> Iterator[S3]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for every request
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    one_by_one, put_object = threading.Lock(), responses.S3Response.put_object

    def put(self: Any) -> Any:
        # moto looks whether there is one, then writes, in a thread for each request; S3 does both at once.
        with one_by_one:
            return put_object(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(responses.S3Response, "put_object", put)
        server.start()
        host, port = server.get_host_and_port()
        made = S3(f"http://{host}:{port}")
        made.client.create_bucket(Bucket=BUCKET)
        yield made
        server.stop()


@pytest.fixture
def in_process(s3: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """The same for code that runs in the test's own process."""
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    return s3


@pytest.fixture(scope="package")
def published(s3: S3, mixture: Path, tmp_path_factory: pytest.TempPathFactory) -> StoreRun:
    """A finished run of the small mixture in the bucket, with its deduplication and reports; read only."""
    dedup = ("--run-dedup", "--dedup-method", "exact")
    run = StoreRun(s3, "published", tmp_path_factory.mktemp("published"), mixture, *OPTIONS, *dedup)
    run.env["SMOLTROVE_REPORT"] = "1"
    run.printed = finish(run.start())
    return run


SOURCES = {"local/gamma/default": "local_gamma", "local/delta/default": "local_delta"}


@pytest.fixture(scope="package")
def small(undisturbed: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two sources with six tasks, cut out of the undisturbed one; read only."""
    whole, folder = undisturbed.output, tmp_path_factory.mktemp("small") / "small"
    places = [Path(name) for name in SOURCES.values()]
    places += [
        path.relative_to(whole) / name for path in whole.glob("_run/stages/*/*") for name in SOURCES.values()
    ]  # fmt: skip
    for place in places:
        shutil.copytree(whole / place, folder / place)
    for name in ("fingerprint.json", "config.yaml"):
        shutil.copy(whole / "_run" / name, folder / "_run" / name)
    manifest = json.loads((whole / "_run" / "manifest.json").read_text())
    manifest["sources"] = [item for item in manifest["sources"] if item["source"] in SOURCES]
    (folder / "_run" / "manifest.json").write_text(json.dumps(manifest))
    plan = json.loads((whole / "_run" / "plan.json").read_text())
    plan["sources"] = [item for item in plan["sources"] if item["source"]["name"] in ("local/gamma", "local/delta")]
    (folder / "_run" / "plan.json").write_text(json.dumps(plan))
    lines = (whole / "_run" / "ledger.jsonl").read_text().splitlines(keepends=True)
    (folder / "_run" / "ledger.jsonl").write_text(
        "".join(line for line in lines if json.loads(line)["source"] in SOURCES)
    )
    return folder


@pytest.fixture(scope="package")
def small_url(s3: S3, small: Path) -> str:
    """The same run in the bucket; read only."""
    for path in small.rglob("*"):
        if path.is_file():
            key = f"small/{path.relative_to(small).as_posix()}"
            s3.client.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())
    return f"s3://{BUCKET}/small"


@pytest.fixture
def spoiler(s3: S3) -> Iterator[Spoiler]:
    proxy = Spoiler(s3.url)
    yield proxy
    proxy.close()


def ledger(data: bytes) -> list[dict[str, Any]]:
    """A ledger without what is measured."""
    return [{k: v for k, v in json.loads(line).items() if k not in MEASURED} for line in data.splitlines()]
