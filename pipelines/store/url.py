"""Which `--output-folder` means an object store, and which is a folder after all.

Options stay paths: `s3://bucket/path` has become `s3:/bucket/path` by the time anybody looks, as no folder is called.
Gives up: accounts in URLs; credentials come from the environment, and a URL ends up in manifests and logs.
"""

import re
from pathlib import Path

from pipelines.errors import UserError

_URL = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)", re.DOTALL)


def store_url(folder: Path) -> str | None:
    """The URL of the store that `folder` means, None for a folder of this machine. Raises UserError for a URL that
    cannot be one."""
    match = _URL.fullmatch(str(folder))
    if match is None or match[1] in ("file", "local"):
        return None
    protocol, rest = match[1], match[2].strip("/")
    # Nothing of what may be a secret is repeated.
    if "@" in rest or "?" in rest or "#" in rest:
        raise UserError(
            f"{protocol}://...: a URL with '@', '?' or '#' in it; give protocol://bucket/path, and credentials in the "
            "environment"
        )
    if protocol in ("http", "https", "hf", "memory"):
        why = "is gone when the process ends" if protocol == "memory" else "cannot be written to"
        raise UserError(f"{protocol}://{rest}: {why}; give a folder or an object store, such as s3://bucket/path")
    if "/" not in rest:
        raise UserError(f"{protocol}://{rest}: a whole bucket; give a path in it, such as {protocol}://{rest}/stage1")
    if ".." in rest.split("/"):
        raise UserError(f"{protocol}://{rest}: has '..' in it; give the path itself")
    return f"{protocol}://{rest}"


def local_folder(folder: Path) -> Path:
    """The folder that a `file://` URL means; any other path as it is."""
    match = _URL.fullmatch(str(folder))
    return Path("/" + match[2]) if match is not None and match[1] in ("file", "local") else folder


def refuse_store(folder: Path, what: str, *, reads: bool = False) -> None:
    """Raises UserError where a command that works on folders is given a store; `what` says which, `reads` that a run
    which was fetched is as good."""
    if (url := store_url(folder)) is not None:
        name = url.rpartition("/")[2]
        more = f"; `smoltrove fetch {url} {name}` brings the run here" if reads else ", not with stores"
        raise UserError(f"{url}: {what} works with folders of this machine only{more}")
