"""A dataset repository on the Hub that is written to: what is there, making it, committing files.

Through huggingface_hub, whose own transfer is used: Xet where it is installed, git-lfs over HTTP where it is not. An
error is one of three: the input's (UserError), one that passes (Unlucky), anything else (SourceError). Gives up:
branches; everything happens on main.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from pipelines.errors import SourceError, UserError
from pipelines.executors import without_secrets
from pipelines.hub_http import Unlucky
from pipelines.reader_bytes import describe

TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_PASSES = frozenset({408, 425, 429, 500, 502, 503, 504})


class RemoteFile(BaseModel):
    """A file of the repository. `sha256` where it is stored as a large file; `oid` names it as git does otherwise."""

    model_config = ConfigDict(frozen=True)

    path: str
    size: int
    oid: str
    sha256: str | None

    def is_same(self, *, size: int, sha256: str, place: Path | None = None, content: bytes | None = None) -> bool:
        """Whether it has these bytes; small files have no sha256 on the Hub, and are compared by git's hash."""
        if self.size != size:
            return False
        if self.sha256 is not None:
            return self.sha256 == sha256
        data = content if content is not None else place.read_bytes() if place is not None else b""
        return self.oid == git_oid(data)


class RemoteState(BaseModel):
    """A repository at one commit."""

    model_config = ConfigDict(frozen=True)

    sha: str
    private: bool
    files: dict[str, RemoteFile]


def git_oid(data: bytes) -> str:
    """What git calls a blob with this content: sha1, hexadecimal."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def token_of_environment() -> str | None:
    """The token; never the one that `hf auth login` has left on the disk, so that a push is always meant."""
    return next((value for name in TOKEN_VARIABLES if (value := os.environ.get(name, "").strip())), None)


class Remote:
    """One dataset repository, with the token of the environment."""

    def __init__(self, name: str, token: str) -> None:
        from huggingface_hub import HfApi
        from huggingface_hub.utils import disable_progress_bars

        disable_progress_bars()
        self.name = name
        self._api = HfApi(token=token, library_name="smoltrove")

    @property
    def url(self) -> str:
        """Its page."""
        return f"{self._api.endpoint}/datasets/{self.name}"

    def check_token(self) -> str:
        """The user that the token belongs to. Raises UserError for a token that the Hub does not know."""
        with self._explained("whoami"):
            return str(self._api.whoami().get("name"))

    def state(self) -> RemoteState | None:
        """What is there now; None where there is no such repository (or none that the token may see)."""
        from huggingface_hub.errors import RepositoryNotFoundError
        from huggingface_hub.hf_api import RepoFile

        with self._explained("listing"):
            try:
                info = self._api.repo_info(self.name, repo_type="dataset")
            except RepositoryNotFoundError:
                return None
            files = {}
            for item in self._api.list_repo_tree(self.name, repo_type="dataset", recursive=True, revision=info.sha):
                if isinstance(item, RepoFile):
                    sha256 = item.lfs.sha256 if item.lfs is not None else None
                    files[item.path] = RemoteFile(path=item.path, size=item.size, oid=item.blob_id, sha256=sha256)
            return RemoteState(sha=str(info.sha), private=bool(info.private), files=files)

    def create(self, *, private: bool) -> None:
        """Make the repository. Raises UserError where the token may not."""
        with self._explained("creating"):
            self._api.create_repo(self.name, repo_type="dataset", private=private, exist_ok=True)

    def addition(self, path: str, content: Path | bytes) -> Any:
        """A file that is to be committed at `path`."""
        from huggingface_hub import CommitOperationAdd

        return CommitOperationAdd(path_in_repo=path, path_or_fileobj=content)

    def upload(self, additions: Sequence[Any]) -> None:
        """Send the content of files; they are in no commit yet, and are not sent again."""
        with self._explained("uploading"):
            self._api.preupload_lfs_files(self.name, additions=additions, repo_type="dataset", free_memory=False)

    def commit(self, additions: Sequence[Any], message: str, *, parent: str) -> str:
        """Commit files on top of `parent`; the new commit. Raises Unlucky where main is another commit by now."""
        with self._explained("committing"):
            done = self._api.create_commit(
                self.name, additions, commit_message=message, repo_type="dataset", parent_commit=parent
            )
            return str(done.oid)

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        from huggingface_hub.errors import OfflineModeIsEnabled

        try:
            yield
        except (UserError, SourceError, Unlucky):
            raise
        except OfflineModeIsEnabled:
            raise UserError("offline mode is set; unset HF_HUB_OFFLINE") from None
        except Exception as error:  # noqa: BLE001 - whatever it raises is said in our words
            raise self._explain(error, doing) from None

    def _explain(self, error: BaseException, doing: str) -> Exception:
        """What an error of huggingface_hub means; threads wrap theirs in a RuntimeError."""
        cause: BaseException | None = error
        status = None
        while cause is not None and status is None:
            status = getattr(getattr(cause, "response", None), "status_code", None)
            cause = cause.__cause__
        said = without_secrets(describe(error))
        if status == 401:
            return UserError(
                f"the Hub refuses the token of HF_TOKEN (HTTP 401); make one that may write at "
                f"{self._api.endpoint}/settings/tokens"
            )
        if status == 403:
            return UserError(
                f"{self.name}: the token of HF_TOKEN may not write there (HTTP 403); give it write access to "
                f"{self.name.partition('/')[0]}, or push to another name"
            )
        if status == 412:
            return Unlucky("somebody else has committed meanwhile")
        if status in _PASSES:
            return Unlucky(f"HTTP {status} while {doing}")
        if status is not None:
            return SourceError(f"{self.name}: {doing}: HTTP {status}: {said}")
        if isinstance(error, ValueError):
            return SourceError(f"{self.name}: {doing}: {said}")
        return Unlucky(f"{doing}: {said}")
