"""A push puts the run's files on the Hub, compares them, goes on after a break, and harms nothing that is there.

Over HTTP against the local Hub of tests/hub_upload.py, through the command line. Gives up: Xet, which only the Hub has.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi

from pipelines import cli
from pipelines.publish import push as push_module
from pipelines.publish.publication import open_publication
from tests.data import ROOT
from tests.hub_faults import Fault, Faults, Request
from tests.hub_upload import UploadHub
from tests.pipelines.processes import HANG_SECONDS

TOKEN = "hf_uploadSECRETuploadSECRETuploadSECRET"
REPO = "org/corpus"


class Pushing:
    """A local Hub, and the command that pushes to it: in this process (`call`), or in one of its own (`start`)."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.monkeypatch, self.capsys = folder, monkeypatch, capsys
        self.hub = UploadHub(folder / "hub", folder / "store", tokens=[TOKEN])
        here = {"HF_TOKEN": TOKEN, "HF_HOME": str(folder / "home"), "SMOLTROVE_HUB_PATIENCE": "3"}
        for name, value in here.items():
            monkeypatch.setenv(name, value)
        for name, setting in (("DISABLE_XET", True), ("OFFLINE", False)):
            monkeypatch.setattr(f"huggingface_hub.constants.HF_HUB_{name}", setting)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", self.hub.url)
        monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(folder / "home" / "token"))

    @property
    def env(self) -> dict[str, str]:
        """The environment of a process that pushes here."""
        env = {**os.environ, **self.hub.environment, "PYTHONPATH": str(ROOT), "HF_HUB_DISABLE_XET": "1"}
        env.pop("HF_HUB_OFFLINE", None)
        return env

    def start(self, run: Path, *options: str) -> "subprocess.Popen[str]":
        """The command in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "pipelines", "push", str(run), REPO, *options], cwd=self.folder, env=self.env,
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def call(self, run: Path, *options: str) -> tuple[int, str]:
        """(exit status, everything printed) of the command."""
        self.monkeypatch.setattr(sys, "argv", ["smoltrove", "push", str(run), REPO, *options])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = self.capsys.readouterr()
        text = captured.out + captured.err
        assert TOKEN not in text
        assert "Traceback" not in text
        return int(ended.value.code or 0), text

    def there(self) -> dict[str, bytes]:
        """Every file of the repository but the one that the Hub made."""
        main = self.hub.main(REPO)
        if main is None:
            return {}
        return {path: blob.file.read_bytes() for path, blob in main.files.items() if path != ".gitattributes"}

    def documents(self) -> dict[str, bytes]:
        return {path: data for path, data in self.there().items() if path != "README.md"}


@pytest.fixture
def pushing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Pushing]:
    pushing = Pushing(tmp_path, monkeypatch, capsys)
    with pushing.hub:
        yield pushing


def files_of(folder: Path) -> dict[str, bytes]:
    """The documents of a run or an export."""
    return {file.path: (folder / file.path).read_bytes() for file in open_publication(folder).files}


def test_a_run_is_there_byte_for_byte_in_one_commit(pushing: Pushing, finished: Path) -> None:
    """Private, with its card; a second push sends nothing and commits nothing."""
    status, text = pushing.call(finished, "--json")
    assert status == 0, text
    assert pushing.documents() == files_of(finished)
    assert REPO in pushing.hub.private
    data = json.loads(text)
    assert (data["ok"], data["files"], data["files_to_send"], data["commits"]) == (True, 11, 11, 1)
    assert data["commit"] == pushing.hub.main(REPO).sha  # type: ignore[union-attr]
    assert pushing.there()["README.md"].startswith(b"---\npretty_name:")
    note = json.loads((finished / "_run" / "push" / "org--corpus.json").read_text())
    assert note["commit"] == data["commit"]
    sent = len(pushing.hub.stored)
    status, text = pushing.call(finished)
    assert status == 0, text
    assert "0 were sent in 0 commits" in text
    assert (len(pushing.hub.stored), len(pushing.hub.commits[REPO])) == (sent, 1)
    assert all(request.authorized for request in pushing.hub.log() if request.repo)


def test_an_export_is_read_back_by_datasets(pushing: Pushing, exported: Path) -> None:
    """The configurations of the card stream from the Hub, with the rows that the ledger has."""
    status, text = pushing.call(exported, "--public")
    assert status == 0, text
    assert pushing.documents() == files_of(exported)
    assert REPO not in pushing.hub.private
    code = f"""
import json
from datasets import get_dataset_config_names, load_dataset
names = get_dataset_config_names("{REPO}")
rows = {{name: sum(1 for _ in load_dataset("{REPO}", name, split="train", streaming=True)) for name in names[:2]}}
print(json.dumps([names, rows]))
"""
    done = subprocess.run([sys.executable, "-c", code], env=pushing.env, capture_output=True, text=True, timeout=120)
    facts = open_publication(exported).facts
    names = ["default", *(source.config_name for source in facts.sources)]
    rows = {"default": facts.num_documents, names[1]: facts.sources[0].documents}
    assert json.loads(done.stdout.splitlines()[-1]) == [names, rows], done.stderr


def test_the_plan_touches_nothing(pushing: Pushing, finished: Path) -> None:
    """Neither the Hub nor the run; without a token it says that the Hub was not asked."""
    status, text = pushing.call(finished, "--plan")
    assert (status, "will be made" in text, "to send: 11 files" in text) == (0, True, True), text
    assert pushing.hub.main(REPO) is None
    assert {request.method for request in pushing.hub.log()} <= {"GET"}
    before = len(pushing.hub.log())
    pushing.monkeypatch.delenv("HF_TOKEN")
    status, text = pushing.call(finished, "--plan", "--json")
    assert (status, json.loads(text)["asked_hub"], len(pushing.hub.log())) == (0, False, before)


class Kills:
    """A hook that kills a process group when the n-th object arrives."""

    def __init__(self, number: int) -> None:
        self.number, self.process = number, None

    def __call__(self, request: Request) -> Fault | None:
        if request.endpoint == "storage" and self.process is not None:
            self.number -= 1
            if self.number == 0:
                os.killpg(self.process.pid, signal.SIGKILL)
        return None


def test_a_killed_push_goes_on_where_it_was(pushing: Pushing, finished: Path) -> None:
    """No object that came whole is sent again; the card is not there before everything is."""
    kills = Kills(5)
    pushing.hub.faults = kills
    process = pushing.start(finished)
    kills.process = process  # type: ignore[assignment]
    process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == -signal.SIGKILL
    first = len(pushing.hub.stored)
    assert 0 < first < 11
    assert "README.md" not in pushing.there()
    pushing.hub.faults = None
    status, text = pushing.call(finished)
    assert status == 0, text
    assert pushing.documents() == files_of(finished)
    assert (
        len(pushing.hub.stored) == len(set(pushing.hub.stored)) == len(set(map(hash_of, files_of(finished).values())))
    )


def hash_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_files_of_earlier_commits_are_not_sent_again(
    pushing: Pushing, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A break between two commits: what the first one has stays, the second has the rest and the card."""
    monkeypatch.setattr(push_module, "FILES_PER_COMMIT", 4)
    pushing.hub.faults = Faults([Fault(kind="404", at="POST commit", skip=1)])
    status, text = pushing.call(finished)
    assert status == 1, text
    assert "HTTP 404" in text
    assert [len(commit["paths"]) for commit in pushing.hub.commits[REPO]] == [4]
    status, text = pushing.call(finished, "--json")
    assert status == 0, text
    assert [len(commit["paths"]) for commit in pushing.hub.commits[REPO]] == [4, 4, 4]
    assert "README.md" in pushing.hub.commits[REPO][-1]["paths"]
    assert json.loads(text)["files_to_send"] == 7


@pytest.mark.parametrize("at", ["PUT storage", "POST commit", "POST lfs-batch", "GET tree"])
def test_a_moment_of_bad_luck_passes(pushing: Pushing, finished: Path, at: str) -> None:
    """503 once, wherever: the push does it again by itself."""
    pushing.hub.faults = faults = Faults([Fault(kind="503", at=at)])
    status, text = pushing.call(finished)
    assert status == 0, text
    assert faults.committed == [1]
    assert pushing.documents() == files_of(finished)


def test_a_commit_whose_answer_was_lost_is_not_made_twice(pushing: Pushing, finished: Path) -> None:
    pushing.hub.faults = faults = Faults([Fault(kind="reset", at="POST commit", position=0.0)])
    status, text = pushing.call(finished)
    assert status == 0, text
    assert faults.committed == [1]
    assert len(pushing.hub.commits[REPO]) == 1
    assert pushing.documents() == files_of(finished)


def test_a_large_file_goes_in_parts(pushing: Pushing, finished: Path) -> None:
    pushing.hub.part_bytes = 5_000
    status, text = pushing.call(finished)
    assert status == 0, text
    assert list(pushing.hub.store.glob("parts-*/2"))
    assert pushing.documents() == files_of(finished)


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("hf_wrongTOKENwrongTOKENwrong", "the Hub refuses the token of HF_TOKEN (HTTP 401); make one that may write"),
        ("", "HF_TOKEN is not set"),
    ],
)
def test_a_wrong_token_is_one_clear_line(pushing: Pushing, finished: Path, token: str, said: str) -> None:
    pushing.monkeypatch.setenv("HF_TOKEN", token)
    status, text = pushing.call(finished)
    assert status == 2, text
    assert text.startswith(f"error: {said}")
    assert len(text.splitlines()) == 1
    assert not token or token not in text


def test_a_name_that_is_not_the_tokens_is_one_clear_line(pushing: Pushing, finished: Path) -> None:
    pushing.hub.writable = frozenset({"others"})
    status, text = pushing.call(finished)
    assert status == 2, text
    assert "may not write there (HTTP 403)" in text


def test_the_token_of_a_login_is_not_used(pushing: Pushing, finished: Path) -> None:
    """A push is meant only by who sets the variable."""
    pushing.monkeypatch.delenv("HF_TOKEN")
    (pushing.folder / "home").mkdir()
    (pushing.folder / "home" / "token").write_text(TOKEN)
    status, text = pushing.call(finished)
    assert (status, pushing.hub.log()) == (2, []), text


def existing(pushing: Pushing, **files: bytes) -> None:
    """A private repository that is there already."""
    pushing.hub.make(REPO, private=True)
    for name, data in files.items():
        path = pushing.hub.root / REPO / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def test_strangers_files_are_refused_or_kept(pushing: Pushing, finished: Path) -> None:
    """Never deleted, never written over."""
    existing(pushing, data__old_dot_txt=b"precious")
    status, text = pushing.call(finished)
    assert status == 2, text
    assert "holds files that are not of this run (data/old.txt)" in text
    assert pushing.there() == {"data/old.txt": b"precious"}
    status, text = pushing.call(finished, "--keep-others")
    assert status == 0, text
    assert pushing.there()["data/old.txt"] == b"precious"
    assert files_of(finished).items() <= pushing.there().items()


def test_other_bytes_under_a_name_are_never_written_over(pushing: Pushing, finished: Path) -> None:
    name = next(iter(files_of(finished)))
    existing(pushing, **{name.replace("/", "__"): b"precious"})
    for options in ([], ["--keep-others", "--replace-card"]):
        status, text = pushing.call(finished, *options)
        assert status == 2, text
        assert f"has a {name} with other bytes" in text
    assert pushing.there() == {name: b"precious"}


def test_a_strangers_card_is_replaced_only_when_asked_for(pushing: Pushing, finished: Path) -> None:
    existing(pushing, README_dot_md=b"# mine\n")
    status, text = pushing.call(finished)
    assert status == 2, text
    assert "--replace-card" in text
    assert pushing.there() == {"README.md": b"# mine\n"}
    status, text = pushing.call(finished, "--replace-card")
    assert status == 0, text
    assert pushing.there()["README.md"].startswith(b"---\n")


def test_a_public_repository_is_not_pushed_to_as_private(pushing: Pushing, finished: Path) -> None:
    existing(pushing)
    pushing.hub.private.clear()
    status, text = pushing.call(finished)
    assert status == 2, text
    assert "exists and is public; give --public" in text
    assert pushing.there() == {}


def test_a_file_that_is_not_the_ledgers_is_not_sent(pushing: Pushing, finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    victim = run / "local_beta" / "default" / "00001.jsonl.gz"
    victim.write_bytes(victim.read_bytes()[:-1] + b"?")
    status, text = pushing.call(run)
    assert status == 1, text
    assert "local_beta/default/00001.jsonl.gz: missing or altered" in text
    assert pushing.documents() == {}


def test_what_the_hub_lists_is_compared(pushing: Pushing, finished: Path) -> None:
    """A Hub that takes the files and then lists other ones: exit status 1, each difference by name."""
    commit = pushing.hub.commit

    def spoilt(name: str, files: dict[str, Any], summary: str) -> Any:
        names = sorted(path for path in files if path.endswith(".gz"))
        files = {path: blob for path, blob in files.items() if path != names[0]}
        return commit(name, files, summary)

    pushing.hub.commit = spoilt  # type: ignore[method-assign]
    status, text = pushing.call(finished)
    assert status == 1, text
    assert text.startswith("local_alpha/default/00000.jsonl.gz: is not on the Hub\n")
    assert "NOT as here, 1 problems" in text


def test_somebody_elses_commit_in_between_is_not_built_over(pushing: Pushing, finished: Path) -> None:
    """412 for the parent; the listing is read again, and the new file is a stranger's: refused."""
    commit_of_hub = pushing.hub.faults

    def intrudes(request: Request) -> Fault | None:
        if request.endpoint == "commit" and REPO not in pushing.hub.commits:
            place = pushing.hub.store / "intruder"
            place.write_bytes(b"theirs")
            from tests.hub_content import blob_of

            pushing.hub.commit(REPO, {"theirs.txt": blob_of(place)}, "theirs")
        return commit_of_hub(request) if commit_of_hub else None

    pushing.hub.faults = intrudes
    status, text = pushing.call(finished)
    assert status == 2, text
    assert "theirs.txt" in text
    assert pushing.there() == {"theirs.txt": b"theirs"}


def test_no_file_holds_the_token(pushing: Pushing, finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    status, text = pushing.call(run, "--debug")
    assert status == 0, text
    holding = [path for path in run.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert holding == []
    assert TOKEN not in repr(pushing.hub.log())


def test_the_local_hub_takes_what_huggingface_hub_sends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own upload of a folder, as other people's programs call it; and its listing has git's and git-lfs's names."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.parquet").write_bytes(b"large" * 100)
    (folder / "b.txt").write_bytes(b"small")
    with UploadHub(tmp_path / "hub", tmp_path / "store", tokens=[TOKEN], part_bytes=200) as hub:
        api = HfApi(endpoint=hub.url, token=TOKEN)
        api.create_repo("org/x", repo_type="dataset", private=True)
        api.upload_folder(repo_id="org/x", folder_path=folder, repo_type="dataset")
        tree = {item.path: item for item in api.list_repo_tree("org/x", repo_type="dataset")}
        assert tree["a.parquet"].lfs.sha256 == hash_of(b"large" * 100)
        assert tree["b.txt"].lfs is None
        assert tree["b.txt"].blob_id == hashlib.sha1(b"blob 5\0small", usedforsecurity=False).hexdigest()
        place = api.hf_hub_download("org/x", "a.parquet", repo_type="dataset", cache_dir=tmp_path / "cache")
        assert Path(place).read_bytes() == b"large" * 100
        assert api.repo_info("org/x", repo_type="dataset").private is True
