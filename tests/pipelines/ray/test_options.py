"""What a command line may ask of Ray, and what goes over the network with it: a line for what cannot work, no secrets.

Gives up: a cluster; what needs one is in test_faults.py.
"""

import importlib.util
import socket
from pathlib import Path

import pytest

from pipelines.commands import execute
from pipelines.errors import SourceError, UserError
from pipelines.ray import connection
from pipelines.ray.actors import why
from pipelines.ray.connection import connected, forwarded
from pipelines.ray.resources import check_resources, num_places
from pipelines.slurm.config import ClusterConfig
from pipelines.slurm.options import ClusterOptions, Executor
from tests.data import ROOT
from tests.pipelines.corpus import write_one_source

GB = 2**30


def on_ray(**given: object) -> ClusterOptions:
    return ClusterOptions(executor=Executor.ray, given=given)


def test_without_ray_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray is optional; the line says how to get it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        UserError, match=r"^--executor ray: Ray is not installed here; run: pip install .*ray"
    ) as caught:
        execute(write_one_source(tmp_path, 5), output_folder=tmp_path / "out", cluster=on_ray())
    assert "\n" not in str(caught.value)


def test_ray_is_an_extra_with_one_bound() -> None:
    """`pip install smoltrove[ray]` and the tests have the same."""

    def bound(name: str) -> str:
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        return next(line.split("#")[0].strip() for line in lines if line.startswith("ray"))

    assert bound("requirements_ray.txt") == bound("requirements_dev.txt")
    assert 'optional-dependencies.ray = { file = ["requirements_ray.txt"] }' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (on_ray(partition="main"), "--partition: is Slurm's; --executor ray takes --cpus-per-task"),
        (ClusterOptions(executor=Executor.ray, wait=True), "--wait: is Slurm's"),
        (ClusterOptions(given={"ray_address": "a:1"}), "--ray-address: .*give --executor ray too"),
        (ClusterOptions(executor=Executor.slurm, given={"ray_address": "a:1"}), "give --executor ray too"),
    ],
)
def test_options_belong_to_their_executor(options: ClusterOptions, message: str) -> None:
    """An option that is silently ignored would surprise."""
    with pytest.raises(UserError, match=message):
        options.check()


@pytest.mark.parametrize("address", ["ray://head:10001", "head", "head:", ":6379", "head:6379; x", "http://a:1", ""])
def test_what_is_no_address_is_refused(address: str) -> None:
    """Ray Client (`ray://`) is another thing, which cannot give back a failed task."""
    with pytest.raises(UserError, match=r"--ray-address: .*is no address of Ray"):
        on_ray(ray_address=address).merged(ClusterConfig())


def test_what_is_no_address_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is taken where --ray-address is not given, and `local` means none, as for Ray."""
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    with pytest.raises(UserError, match=r"RAY_ADDRESS: .*is no address of Ray"), connected(None):
        raise AssertionError
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert connection._from_environment() is None


@pytest.mark.parametrize("address", ["auto", "head:6379", "10.0.0.1:6379", "[fe80::1]:6379"])
def test_addresses_of_ray(address: str) -> None:
    """In a configuration or on the command line; the command line goes before it."""
    assert on_ray(ray_address=address).merged(ClusterConfig(ray_address="b:1")).ray_address == address


@pytest.mark.parametrize("how", ["--ray-address", "RAY_ADDRESS"])
def test_nobody_at_the_address(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said at once; Ray itself tries for 20 seconds and longer."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", "" if how == "--ray-address" else address)
        monkeypatch.setattr("ray.is_initialized", lambda: False)
        with (
            pytest.raises(UserError, match=f"{address}: nobody answers there"),
            connected(address if how == "--ray-address" else None),
        ):
            raise AssertionError


def test_a_refused_token_is_named() -> None:
    """Every process of a cluster needs the same RAY_AUTH_TOKEN; Ray hides that behind `failed to connect`."""

    class AuthenticationError(Exception):
        pass

    error = ConnectionError("Failed to connect to Ray cluster at 127.0.0.1:43199")
    error.__cause__ = AuthenticationError("Invalid bearer token")
    assert "RAY_AUTH_TOKEN" in connection._why_not(error)
    assert connection._why_not(RuntimeError("first\nsecond")) == "no connection (first)"


def test_a_ray_that_does_not_start_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray raises a bare Exception after 30 s on a machine that is too busy; the folder that it began is gone."""
    folders: list[str] = []

    def init(**options: object) -> None:
        folders.append(str(options["_temp_dir"]))
        raise Exception("The current node timed out during startup.\nMore")

    monkeypatch.setenv("RAY_ADDRESS", "")
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.init", init)
    with pytest.raises(SourceError, match=r"does not start on this machine: The current .* startup\.; see --debug$"):
        connected(None).__enter__()
    assert not Path(folders[0]).exists()


def test_no_secret_goes_to_the_nodes() -> None:
    """Where to read goes along, with what right does not: Ray's connections are not encrypted by default."""
    environment = {
        "HF_TOKEN": "hf_x", "HF_HUB_TOKEN": "hf_x", "SMOLTROVE_API_KEY": "x", "AWS_SECRET_ACCESS_KEY": "x", "PATH": "x",
        "HF_ENDPOINT": "http://mirror", "HF_HUB_OFFLINE": "1", "SMOLTROVE_SWH_CACHE": "/cache",
    }  # fmt: skip
    assert sorted(forwarded(environment)) == ["HF_ENDPOINT", "HF_HUB_OFFLINE", "SMOLTROVE_SWH_CACHE"]


def node(cpus: float, gigabytes: float, *, alive: bool = True) -> dict[str, object]:
    resources = {"CPU": cpus, "memory": gigabytes * GB}
    return {"Alive": alive, "NodeManagerAddress": "n", "Resources": resources}


def test_places_are_counted_node_by_node() -> None:
    """CPUs of one node and memory of another make no place; a head node without CPUs is common."""
    nodes = [node(8, 5), node(1, 100), node(0, 100), node(64, 999, alive=False)]
    assert num_places(nodes, ClusterConfig(mem_per_cpu_gb=2)) == 2 + 1
    assert num_places(nodes, ClusterConfig(cpus_per_task=2, mem_per_cpu_gb=2)) == 1
    with pytest.raises(UserError, match="no node of this Ray cluster has 4 CPUs and 8 GB for a task; n has 8 CPUs"):
        check_resources(nodes, ClusterConfig(cpus_per_task=4))
    with pytest.raises(UserError, match="it has no live node"):
        check_resources([], ClusterConfig())


def test_what_ray_says_of_a_death_is_one_line() -> None:
    text = (
        "The actor died unexpectedly before finishing this task.\n\tclass_name: A\n\tpid: 7\nThe actor is dead because "
        "its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker unexpectedly exits "
        "with a connection error code 2. End of file. Some common causes include: (1) the process was killed"
    )
    assert why(RuntimeError(text)) == (
        "its worker process has died: Worker unexpectedly exits with a connection error code 2"
    )
    assert why(RuntimeError("The actor is dead because it was killed by `ray.kill`.")) == "it was killed by ray.kill"
    assert why(RuntimeError("")) == "RuntimeError"


def test_keys_of_slurm_are_said_to_be_unused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A `cluster:` block may serve both; what Ray does not take is named."""
    config = write_one_source(tmp_path, 5)
    block = "cluster: {partition: main, time: 4:00:00, ray_address: '127.0.0.1:1'}\n"
    config.write_text(config.read_text(encoding="utf-8") + block, encoding="utf-8")
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with pytest.raises(UserError, match=r"127\.0\.0\.1:1: nobody answers"):
        execute(config, output_folder=tmp_path / "out", cluster=on_ray())
    assert "warning: cluster: partition: for Slurm only" in capsys.readouterr().err
