"""`smoltrove push`: files of a run or an export onto the Hub in few commits, compared with its listing afterwards.

What is there with the same bytes is not sent again, so the same command goes on after a break. The card comes with the
last commit: a repository without one is not whole. Each commit names the one it builds on, so nothing that somebody
else commits meanwhile is built over. Gives up: changing what is there: other bytes under a name are refused.
"""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from pipelines.errors import SourceError, UserError
from pipelines.hub_http import READING_SECONDS, NoAnswer, Patience, Unlucky
from pipelines.ledger import write_atomically
from pipelines.meter import Meter
from pipelines.publish.card import card
from pipelines.publish.publication import Publication, PublishedFile, check_name
from pipelines.publish.remote import Remote, RemoteFile, RemoteState, token_of_environment
from pipelines.verify import sha256_of

CARD = "README.md"
FILES_PER_COMMIT = 250
"""Where huggingface_hub 2.4's own upload of folders starts (_upload_pipeline.py, INITIAL_COMMIT_SIZE_INDEX)."""
GROUP_FILES = 8
GROUP_BYTES = 1_000_000_000
"""What is sent between two looks at the progress."""
_OTHERS_ALLOWED = (".gitattributes",)  # the Hub makes it with the repository


class PushResult(BaseModel):
    """What a push came to; `problems` are differences between the files here and there afterwards."""

    repo: str
    url: str
    private: bool
    commit: str | None = None
    commits: int = 0
    files: int
    bytes: int
    files_to_send: int
    bytes_to_send: int
    exists: bool
    asked_hub: bool = True
    card: str = "new"  # new, same, replaced
    others: list[str] = Field(default_factory=list)
    problems: list[str] = Field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Nothing differs."""
        return not self.problems


class Push:
    """One publication on its way into one repository."""

    def __init__(
        self, publication: Publication, repo: str, *, private: bool = True, keep_others: bool = False,
        replace_card: bool = False, title: str | None = None, show_progress: bool = False,
    ) -> None:  # fmt: skip
        check_name(repo)
        self.publication, self.repo, self.private = publication, repo, private
        self.keep_others, self.replace_card, self.show_progress = keep_others, replace_card, show_progress
        self.card = card(publication, title=title, repository=repo).encode()
        self.commits = 0

    def plan(self) -> PushResult:
        """What a push would do. Without a token only what is here is looked at."""
        token = token_of_environment()
        if token is None:
            return self._result(None, list(self.publication.files), asked_hub=False)
        remote = Remote(self.repo, token)
        patience = Patience(self.repo, READING_SECONDS)
        _patiently(patience, remote.check_token)
        state = _patiently(patience, remote.state)
        return self._result(state, self._to_send(state), url=remote.url)

    def run(self) -> PushResult:
        """Upload, and compare. Raises UserError before anything is sent where it must not be, SourceError where the Hub
        does not answer or a file is not the ledger's; what is there then stays, and the same call goes on."""
        token = token_of_environment()
        if token is None:
            raise UserError("HF_TOKEN is not set; set it to a token with write access (nothing else is looked at)")
        remote = Remote(self.repo, token)
        patience = Patience(self.repo, READING_SECONDS)
        try:
            _patiently(patience, remote.check_token)
            state = _patiently(patience, remote.state)
            first = self._result(state, self._to_send(state), url=remote.url)
            if state is None:
                _patiently(patience, lambda: remote.create(private=self.private))
                state = self._seen(remote, patience)
            self._check_here(self._to_send(state))
            state = self._send_all(remote, state, patience)
        except NoAnswer as silent:
            raise SourceError(
                f"the Hub does not take {self.repo}: {silent}; what is there stays: run the same command again"
            ) from None
        problems = self._problems(state)
        update = {"commit": state.sha, "commits": self.commits, "problems": problems}
        result = first.model_copy(update=update)
        if not problems:
            place = self.publication.work_dir / "push" / f"{self.repo.replace('/', '--')}.json"
            write_atomically(place, result.model_dump_json(indent=1) + "\n")
        return result

    def _seen(self, remote: Remote, patience: Patience) -> RemoteState:
        state = _patiently(patience, remote.state)
        if state is None:
            raise SourceError(f"{self.repo}: is gone, or its listing is; run the same command again")
        return state

    def _to_send(self, state: RemoteState | None) -> list[PublishedFile]:
        """Files that are not there yet. Raises UserError where the repository must not be pushed to."""
        files = self.publication.files
        if state is None:
            return list(files)
        if state.private != self.private:
            is_now, option = ("private", "--private") if state.private else ("public", "--public")
            raise UserError(f"{self.repo}: exists and is {is_now}; give {option}, or change that on the Hub")
        left = []
        for file in files:
            there = state.files.get(file.path)
            if there is None:
                left.append(file)
            elif not self._is_same(there, file):
                raise UserError(
                    f"{self.repo}: has a {file.path} with other bytes; it stays: push to another repository"
                )
        if (others := self._others(state)) and not self.keep_others:
            shown = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
            raise UserError(
                f"{self.repo}: holds files that are not of this run ({shown}); push to another repository, or beside "
                "them with --keep-others"
            )
        if self._card_state(state) == "other" and not self.replace_card:
            raise UserError(
                f"{self.repo}: has a {CARD} that is not this run's card; --replace-card writes over it (its history "
                "keeps the old one)"
            )
        return left

    def _others(self, state: RemoteState) -> list[str]:
        ours = {file.path for file in self.publication.files}
        return sorted(path for path in state.files if path not in ours and path not in (CARD, *_OTHERS_ALLOWED))

    def _is_same(self, there: RemoteFile, file: PublishedFile) -> bool:
        return there.is_same(size=file.size, sha256=file.sha256, place=self.publication.place(file))

    def _card_state(self, state: RemoteState | None) -> str:
        there = state.files.get(CARD) if state is not None else None
        if there is None:
            return "new"
        import hashlib

        digest = hashlib.sha256(self.card).hexdigest()
        return "same" if there.is_same(size=len(self.card), sha256=digest, content=self.card) else "other"

    def _check_here(self, files: list[PublishedFile]) -> None:
        """What is sent is what the ledger has: read every file once before the first is sent."""
        with Meter("checking", sum(file.size for file in files), "bytes", show=self.show_progress) as meter:
            for file in files:
                place = self.publication.place(file)
                if not place.is_file() or sha256_of(place) != file.sha256:
                    raise SourceError(
                        f"{file.path}: missing or altered: its sha256 is not the one recorded; verify "
                        f"{self.publication.folder}"
                    )
                meter.advance(file.size)

    def _send_all(self, remote: Remote, state: RemoteState, patience: Patience) -> RemoteState:
        """Commit after commit until nothing is left; after an error the listing says where to go on."""
        total = sum(file.size for file in self._to_send(state))
        with Meter("uploading", total, "bytes", show=self.show_progress) as meter:
            while True:
                left = self._to_send(state)
                last = len(left) <= FILES_PER_COMMIT
                if not left and self._card_state(state) == "same":
                    return state
                sending, before = left[:FILES_PER_COMMIT], state.sha
                try:
                    self._send(remote, state, sending, last, meter, patience)
                except Unlucky as error:
                    meter.done = total - sum(file.size for file in left)
                    patience.wait(error)
                    state = self._seen(remote, patience)
                    continue
                while (state := self._seen(remote, patience)).sha == before:
                    patience.wait(Unlucky("its listing does not show the commit"))
                if set(sending) & set(self._to_send(state)):
                    return state  # taken, and not there: sending it again would not end

    def _send(
        self, remote: Remote, state: RemoteState, files: list[PublishedFile], last: bool, meter: Meter,
        patience: Patience,
    ) -> None:  # fmt: skip
        """One commit; the card is in the last one."""
        additions: list[Any] = []
        for group in _groups(files):
            adding = [remote.addition(file.path, self.publication.place(file)) for file in group]
            remote.upload(adding)
            patience.progress()
            additions += adding
            meter.advance(sum(file.size for file in group))
        if last:
            additions.append(remote.addition(CARD, self.card))
        facts = self.publication.facts
        message = f"{len(files)} files of run {facts.fingerprint[:16]}" + (" and their card" if last else "")
        remote.commit(additions, message, parent=state.sha)
        self.commits += 1
        patience.progress()

    def _problems(self, state: RemoteState) -> list[str]:
        """Every difference between what is here and what the Hub lists, one line each."""
        found = []
        for file in self.publication.files:
            there = state.files.get(file.path)
            if there is None:
                found.append(f"{file.path}: is not on the Hub")
            elif not self._is_same(there, file):
                found.append(f"{file.path}: {there.size:,} bytes on the Hub are not the {file.size:,} here")
        if self._card_state(state) != "same":
            found.append(f"{CARD}: is not the card that was sent")
        return found

    def _result(
        self, state: RemoteState | None, left: list[PublishedFile], *, asked_hub: bool = True, url: str = ""
    ) -> PushResult:
        kind = {"other": "replaced"}.get(self._card_state(state), self._card_state(state))
        return PushResult(
            repo=self.repo, url=url, private=self.private, files=len(self.publication.files),
            bytes=self.publication.num_bytes, files_to_send=len(left), bytes_to_send=sum(file.size for file in left),
            exists=state is not None, asked_hub=asked_hub, commit=state.sha if state else None, card=kind,
            others=self._others(state) if state else [],
        )  # fmt: skip


def _patiently(patience: Patience, ask: Any) -> Any:
    """The answer, asked for again while it may still come. Raises NoAnswer where it does not."""
    while True:
        try:
            found = ask()
        except Unlucky as error:
            patience.wait(error)
            continue
        patience.progress()
        return found


def _groups(files: list[PublishedFile]) -> list[list[PublishedFile]]:
    """Runs of at most GROUP_FILES files and about GROUP_BYTES."""
    groups: list[list[PublishedFile]] = []
    size = 0
    for file in files:
        if not groups or len(groups[-1]) == GROUP_FILES or size + file.size > GROUP_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(file)
        size += file.size
    return groups


def push_plan_lines(publication: Publication, result: PushResult, folder: Path) -> list[str]:
    """What --plan prints."""
    from pipelines.quantities import show_bytes

    where = "public" if not result.private else "private"
    if not result.asked_hub:
        there = "the Hub was not asked: HF_TOKEN is not set"
    else:
        there = "exists" if result.exists else "will be made"
    lines = [
        f"{folder}: {result.files:,} files ({publication.form}), {show_bytes(result.bytes)}, "
        f"{publication.facts.num_documents:,} documents of {len(publication.facts.written)} sources",
        f"{result.repo} ({where}): {there}",
        f"to send: {result.files_to_send:,} files, {show_bytes(result.bytes_to_send)}, in "
        f"{max(1, -(-result.files_to_send // FILES_PER_COMMIT))} commits; card: {result.card}",
    ]
    return lines + ([f"kept as they are: {', '.join(result.others[:5])}"] if result.others else [])
