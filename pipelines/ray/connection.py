"""To a Ray cluster that is there, or to one of our own on this machine that ends with this process.

Our own listens on the loopback interface only, behind a token that nobody else knows, has no dashboard, and leaves no
files. Nothing is reported to Ray's makers. Gives up: Ray Client (`ray://`); the command runs on a node of the cluster.
"""

import importlib.util
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pipelines.errors import SourceError, UserError
from pipelines.executors import SECRET_NAMES, without_secrets
from pipelines.slurm.config import check_address

ADDRESS_VARIABLE = "RAY_ADDRESS"
# Ray's least; documents do not go through its object store.
OBJECT_STORE_BYTES = 80 * 2**20
_ANSWER_SECONDS = 5.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def require_ray() -> None:
    """Raises UserError where Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise UserError(
            "--executor ray: Ray is not installed here; run: pip install 'smoltrove[ray]' (in a clone: pip install -e "
            "'.[ray]')"
        )


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Connected to the cluster at `address` (host:port or auto; None: $RAY_ADDRESS, or a cluster of our own).

    A connection that is there already is used, and left as it is. Raises UserError when nobody answers, SourceError
    when a cluster of our own does not start.
    """
    require_ray()
    address = address or _from_environment()
    temp_dir = None
    _set_environment(address)
    import ray

    if ray.is_initialized():
        yield
        return
    try:
        if address is None:
            # Sockets must have short names, so not below TMPDIR.
            temp_dir = tempfile.mkdtemp(prefix="smoltrove-ray-", dir=os.environ.get("RAY_TMPDIR", "/tmp"))
        _start(address, temp_dir)
        try:
            yield
        finally:
            ray.shutdown()
    finally:
        if temp_dir is not None:
            shutil.rmtree(temp_dir, ignore_errors=True)


def _from_environment() -> str | None:
    """`local`, as for Ray itself, is a cluster of our own."""
    address = os.environ.get(ADDRESS_VARIABLE, "")
    if address in ("", "local"):
        return None
    try:
        return check_address(address)
    except ValueError as error:
        raise UserError(f"{ADDRESS_VARIABLE}: {error}") from None


def _set_environment(address: str | None) -> None:
    """Ray reads these when it is imported, and its processes inherit them."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else a warning about GPUs that nobody asks for
    if address is None or _host_of(address) in _LOOPBACK:
        # Named for where Ray needs it; anywhere it means: the address of this node is 127.0.0.1, listen there only.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    if address is None and os.environ.setdefault("RAY_AUTH_MODE", "token") == "token":
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _start(address: str | None, temp_dir: str | None) -> None:
    import ray

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
    if address is None:
        try:
            ray.init(
                address="local", include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, _temp_dir=temp_dir,
                **options,
            )  # fmt: skip
        except Exception as error:  # Ray raises Exception itself, such as after 30 s on a machine that is too busy
            raise SourceError(f"Ray does not start on this machine: {_in_one_line(error)}; see --debug") from error
        return
    if address != "auto":
        _refuse_silent(address)
    try:
        ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise UserError(f"--ray-address {address}: {_why_not(error)}") from error


def _host_of(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")


def _refuse_silent(address: str) -> None:
    """Ray itself tries for 20 seconds and longer."""
    try:
        socket.create_connection((_host_of(address), int(address.rpartition(":")[2])), _ANSWER_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise UserError(
            f"--ray-address {address}: nobody answers there ({error}); give the address that `ray start --head` "
            "printed, from a node of the cluster"
        ) from None


def _why_not(error: BaseException) -> str:
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    if any("uthenticat" in f"{type(cause).__name__} {cause}" for cause in causes):
        return "refuses us: set RAY_AUTH_TOKEN, or RAY_AUTH_MODE=disabled, as the cluster has it"
    return f"no connection ({_in_one_line(causes[-1])})"


def _in_one_line(error: BaseException) -> str:
    lines = without_secrets(str(error)).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def forwarded(environment: Mapping[str, str]) -> dict[str, str]:
    """What workers must have of this process's environment to read the same files: no secrets among them.

    A worker has the environment of its node's Ray, not of this process. Tokens do not go over the network; nodes that
    need them have them in the environment in which Ray was started, or in a file in a shared home.
    """
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(("HF_", "SMOLTROVE_")) and SECRET_NAMES.search(name) is None
    }
