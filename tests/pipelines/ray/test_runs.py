"""On Ray, stage 1 makes the files of a local run, byte for byte, on a cluster that is there and on one of its own.

Gives up: more sources than one; which rows a source gives is not Ray's affair.
"""

import os
import secrets
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data import MINI_HUB, ROOT
from tests.dedup.corpus import files_of
from tests.pipelines.corpus import write_one_source
from tests.pipelines.processes import Run, finish, wait_until, wait_until_gone
from tests.pipelines.ray.conftest import PATIENCE
from tests.ray_box import Box

STAGE_1 = ROOT / "configs" / "smollm3_weighted_config.yaml"
OPTIONS = ("--mirror", str(MINI_HUB), "--max-datasets", "1", "--target-tokens", "20k", "--tasks", "3")
DEDUP = ("--run-dedup", "--dedup-method", "exact")
# 127.0.0.1, and the same as an IPv6 address: 32-bit words in the byte order of the machine.
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
DASHBOARD_PORT = 8265


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("local"), STAGE_1, *OPTIONS, *DEDUP, script=True)
    status, text = run.call()
    assert status == 0, text
    return run


@pytest.fixture
def box_folder() -> Iterator[Path]:
    """A new folder with a name that is short enough for sockets in it."""
    with tempfile.TemporaryDirectory(prefix="own", dir="/tmp") as folder:
        yield Path(folder)


def test_stage_1_is_the_local_run(box: Box, tmp_path: Path, local: Run) -> None:
    """Same bytes, same ledger, several tasks for a worker; --run-dedup goes on with the deduplication there."""
    run = Run(tmp_path / "run", STAGE_1, *OPTIONS, *DEDUP, script=True)
    run.env["RAY_ADDRESS"] = box.address
    status, text = run.call("--executor", "ray", "--workers", "2")
    assert status == 0, text
    assert run.files() == local.files() != {}
    assert run.ledger() == local.ledger()
    deduplicated = [files_of(one.folder / "out_dedup") for one in (run, local)]
    assert deduplicated[0] == deduplicated[1] != {}
    assert len(list((run.folder / "out_dedup" / "_run" / "log" / "ray").iterdir())) == 2
    assert run.log().count("worker ready") == 2
    assert len(list((run.logs / "ray").iterdir())) == 2


def test_a_ray_of_its_own_is_seen_by_nobody_else(tmp_path: Path, box_folder: Path) -> None:
    """Loopback only, no dashboard, no file and no process left after Ctrl-C."""
    run = Run(tmp_path / "run", write_one_source(tmp_path, 4_000, files=3, profile="sane"), "--tasks", "3")
    run.env.pop("RAY_ADDRESS", None)
    run.env["RAY_AUTH_TOKEN"] = token = secrets.token_hex(32)
    run.env["RAY_TMPDIR"] = str(box_folder)
    process = run.start("--executor", "ray")
    try:
        wait_until(lambda: list(run.output.glob("_run/stages/*/claims/*/*/*.json")), "the first claim", PATIENCE)
        ours = processes_with(f"RAY_AUTH_TOKEN={token}")
        heard = [place for pid in ours for place in listening(pid)]
        folders = list(box_folder.iterdir())
    finally:
        os.killpg(process.pid, signal.SIGINT)
    status, text = finish(process)
    assert len(ours) > 4
    assert heard
    assert {address for address, _ in heard} <= LOOPBACK, "listens beyond the loopback interface"
    assert DASHBOARD_PORT not in [port for _, port in heard]
    assert len(folders) == 1
    assert status == 130, text
    wait_until_gone(ours)
    assert "Traceback" not in text
    assert list(box_folder.iterdir()) == []


def processes_with(variable: str) -> list[int]:
    """All processes that inherited an environment variable."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if variable.encode() in (path / "environ").read_bytes().split(b"\0"):
                found.append(int(path.name))
        except OSError:
            continue
    return found


def listening(pid: int) -> list[tuple[str, int]]:
    """Addresses, as the kernel writes them, and ports on which a process listens."""
    inodes = set()
    try:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            target = os.readlink(descriptor)
            if target.startswith("socket:"):
                inodes.add(target[len("socket:[") : -1])
    except OSError:
        return []
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                address, port = fields[1].split(":")
                found.append((address, int(port, 16)))
    return found
