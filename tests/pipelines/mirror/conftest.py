"""What the tests of mirrors share: a small mixture with code in it, the command, and a run over the local Hub.

Gives up: the Hub itself; the local Hub answers in its place.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.data import MINI_HUB, ROOT
from tests.hub import LocalHub
from tests.pipelines.processes import HANG_SECONDS, Run
from tests.pipelines.test_hub_runs import BUDGET, MIXTURE, hub_run, measured

CODE = """\
  - name: HuggingFaceTB/stack-edu
    config: Python
    id_field: blob_id
    adapter: swh
    adapter_options: {blob_field: blob_id, encoding_field: src_encoding}
    weight: 0.4
    profile: none
    language: code:Python
  - name: bigcode/the-stack-v2-train-smol-ids
    label: Java
    adapter: swh_repo
    adapter_options: {languages: [Java]}
    weight: 0.4
    profile: none
    language: code:Java
"""
# Tells of every address that a process, or a worker of it, connects to or looks up.
LISTENER = """\
import os, sys
def _heard(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        if not (event == "socket.connect" and isinstance(args[1], str)):  # a path: between our own processes
            with open(os.environ["HEARD"], "a") as handle:
                handle.write(f"{event} {args[-1] if event == 'socket.connect' else args[0]}\\n")
sys.addaudithook(_heard)
"""


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `first.yaml`, and `second.yaml` after it; sizes are those that the mini hub's files have."""
    folder = tmp_path_factory.mktemp("stages")
    (folder / "profiles.yaml").write_text("profiles:\n  none: {filters: []}\n")
    (folder / "first.yaml").write_text(MIXTURE + CODE)
    (folder / "second.yaml").write_text((MIXTURE + CODE).replace("stage: 1\n", "stage: 2\nafter: [first.yaml]\n"))
    measured(folder, ("first.yaml", "second.yaml"))
    return folder


class Mirror:
    """One mirror folder and the command that fills it from a local Hub."""

    def __init__(self, folder: Path, config: Path, url: str) -> None:
        self.folder, self.config = folder, config
        self.env = {
            **os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "HF_ENDPOINT": url,
            "HF_HOME": str(folder.parent / "hf"), "SMOLTROVE_SWH_ENDPOINT": f"{url}/softwareheritage/content/",
        }  # fmt: skip
        self.env.pop("HF_HUB_OFFLINE", None)

    def start(self, *options: str) -> "subprocess.Popen[str]":
        command = [
            sys.executable,
            "-m",
            "pipelines",
            "mirror",
            str(self.config),
            str(self.folder),
            *BUDGET[:2],
            *options,
        ]
        return subprocess.Popen(
            command, env=self.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )

    def call(self, *options: str) -> tuple[int, str]:
        """(exit status, everything it printed)."""
        process = self.start(*options)
        out, err = process.communicate(timeout=HANG_SECONDS)
        return process.returncode, out + err

    def files(self) -> dict[str, bytes]:
        """Everything that is not the record, by path."""
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and path.relative_to(self.folder).parts[0] != "_mirror"
        }

    def run(self, folder: Path, *options: str) -> Run:
        """A run from the mirror, without a network: what it connects to is in `heard`."""
        run = Run(folder, self.config, *BUDGET, "--workers", "1", "--mirror", str(self.folder), *options)
        (folder / "site").mkdir()
        (folder / "site" / "sitecustomize.py").write_text(LISTENER)
        run.env |= {
            "HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9", "HEARD": str(folder / "heard"),
            "SMOLTROVE_SWH_ENDPOINT": "http://127.0.0.1:9/nobody",
            "PYTHONPATH": f"{folder / 'site'}{os.pathsep}{ROOT}",
        }  # fmt: skip
        return run


def heard(run: Run) -> str:
    """What the run's processes connected to or looked up."""
    path = run.folder / "heard"
    return path.read_text() if path.is_file() else ""


def report(text: str) -> dict[str, Any]:
    """The JSON at the start of what a command printed."""
    return json.JSONDecoder().raw_decode(text)[0]


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    with LocalHub(MINI_HUB) as server:
        yield server


@pytest.fixture(scope="session")
def over_the_hub(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """A finished run of a stage over the local Hub; each is made once."""
    made: dict[str, Run] = {}

    def get(name: str) -> Run:
        if name not in made:
            with LocalHub(MINI_HUB) as server:
                made[name] = hub_run(tmp_path_factory.mktemp("hub"), stages / name, server.url)
                status, text = made[name].call("--workers", "1")
            assert status == 0, text
        return made[name]

    return get
