"""A local Hub that is written to: repositories are made, large files go by git-lfs over HTTP, commits are NDJSON.

The requests are those of huggingface_hub's `create_repo`, `preupload_lfs_files` and `create_commit` without Xet
(HF_HUB_DISABLE_XET=1): /api/repos/create, /api/validate-yaml, .../preupload, <repo>.git/info/lfs/objects/batch with the
transfers basic and multipart, the PUT and verify requests that it answers with, and .../commit. What is refused is what
the Hub refuses: unknown tokens (401), other people's names (403), a parent that is not main (412), an object that was
not uploaded or is not what its name says (400). Gives up: Xet, branches, pull requests, deleting.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from tests.hub import Handler, LocalHub
from tests.hub_content import Blob, Commit, blob_of, pointer_of
from tests.hub_faults import Hook

LARGE_SUFFIXES = (".gz", ".zst", ".parquet")
"""Of the .gitattributes that the Hub puts into a new dataset."""
LARGE_BYTES = 10 * 1024 * 1024
GITATTRIBUTES = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LARGE_SUFFIXES)


class UploadHub(LocalHub):
    """A Hub whose repositories stand in `root` and whose uploads go to `store`.

    tokens: who may write, into the organisations `writable`. private: repositories that others do not see.
    part_bytes: larger files are sent in parts (the Hub's own bound is 5 GB; 0 = never).
    """

    def __init__(
        self, root: Path, store: Path, *, tokens: Iterable[str], writable: Iterable[str] = ("org",),
        private: Iterable[str] = (), faults: Hook | None = None, part_bytes: int = 0,
    ) -> None:  # fmt: skip
        root.mkdir(parents=True, exist_ok=True)
        store.mkdir(parents=True, exist_ok=True)
        super().__init__(root, faults=faults, tokens=tokens)
        self.store, self.writable, self.private, self.part_bytes = store, frozenset(writable), set(private), part_bytes
        self.commits: dict[str, list[dict[str, Any]]] = {}
        self.stored: list[str] = []  # sha256 of every object that came whole, as often as it came
        self.writing = threading.Lock()

    def sees(self, name: str, token: str) -> bool:
        """Whether whoever has `token` knows that a repository exists."""
        return name not in self.private or token in self.tokens

    def make(self, name: str, private: bool) -> None:
        """A new repository, with the one file that the Hub puts into it."""
        folder = self.root / name
        folder.mkdir(parents=True)
        (folder / ".gitattributes").write_text(GITATTRIBUTES, encoding="utf-8")
        if private:
            self.private.add(name)

    def place(self, sha256: str) -> Path:
        """Where an object is kept."""
        return self.store / sha256

    def keep(self, sha256: str, data: bytes) -> bool:
        """Take an object; False for bytes that are not those of its name."""
        if hashlib.sha256(data).hexdigest() != sha256:
            return False
        self.place(sha256).write_bytes(data)
        self.stored.append(sha256)
        return True

    def commit(self, name: str, files: dict[str, Blob], summary: str) -> Commit:
        """A new main with more files; the ones that it had stay."""
        before = self.main(name)
        assert before is not None
        made = Commit({**before.files, **files})
        with self.lock:
            self._set_main(name, made)
            self.commits.setdefault(name, []).append({"summary": summary, "paths": sorted(files), "sha": made.sha})
        return made


class UploadHandler(Handler):
    """Answers what the Handler does, and what writes."""

    hub: UploadHub

    def do_PUT(self) -> None:
        self.do_GET()

    def _enter(self, target: str) -> Any:
        entry = super()._enter(target)
        parts = target.split("?")[0].strip("/").split("/")
        if target.startswith("/api/repos/create"):
            entry.endpoint = "create"
        elif target.startswith("/api/validate-yaml"):
            entry.endpoint = "validate-yaml"
        elif parts[0] == "datasets" and len(parts) > 3 and parts[2].endswith(".git"):
            entry.endpoint, entry.repo = f"lfs-{parts[-1]}", f"{parts[1]}/{parts[2].removesuffix('.git')}"
        elif parts[0] == "storage":
            entry.endpoint, entry.path = "storage", parts[1]
        return entry

    def _answer(self, query: dict[str, str], form: bytes) -> None:
        hub, entry = self.hub, self.entry
        known = self._token() in hub.tokens
        if entry.endpoint == "storage":
            return self._store(query, form)
        if entry.endpoint == "validate-yaml":
            return self._validate(json.loads(form)["content"])
        if entry.endpoint == "create":
            return self._create(json.loads(form), known)
        if entry.endpoint == "lfs-complete":  # its URL is signed; no token comes along
            return self._complete(json.loads(form))
        if entry.repo and not hub.sees(entry.repo, self._token()):
            return self._missing_401()
        if entry.endpoint in ("preupload", "commit") or entry.endpoint.startswith("lfs-"):
            if not known:
                return self._json({"error": "Invalid username or password."}, 401)
            if str(entry.repo).partition("/")[0] not in hub.writable:
                return self._json({"error": "Forbidden: you don't have write access"}, 403)
            if hub.main(str(entry.repo)) is None:
                return self._missing("RepoNotFound", "Repository not found")
            if entry.endpoint == "preupload":
                return self._preupload(json.loads(form))
            if entry.endpoint == "commit":
                return self._commit([json.loads(line) for line in form.splitlines() if line.strip()])
            return self._lfs(json.loads(form))
        return super()._answer(query, form)

    def _json(self, data: Any, status: int = 200, headers: Any = None) -> None:
        if self.entry.endpoint == "info" and isinstance(data, dict) and "private" in data:
            data = {**data, "private": self.entry.repo in self.hub.private}
        super()._json(data, status, headers)

    def _missing_401(self) -> None:
        """What a stranger gets for a private repository: the same as for one that is not there."""
        headers = {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
        self._json({"error": "Repository not found"}, 401, headers)

    def _create(self, asked: dict[str, Any], known: bool) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        if not known:
            return self._json({"error": "Invalid username or password."}, 401)
        if asked["organization"] not in self.hub.writable:
            return self._json({"error": "You don't have the rights to create a dataset under this namespace"}, 403)
        with self.hub.writing:
            if self.hub.main(name) is not None:
                return self._json({"error": "You already created this dataset repo", "url": name}, 409)
            self.hub.make(name, asked.get("visibility") == "private" or bool(asked.get("private")))
        self._json({"url": f"{self.hub.url}/datasets/{name}", "name": name, "id": name})

    def _validate(self, content: str) -> None:
        try:
            head = yaml.safe_load(content.split("---\n")[1])
            wrong = None if isinstance(head, dict) else "metadata is not a mapping"
        except (IndexError, yaml.YAMLError) as error:
            wrong = str(error)
        if wrong:
            return self._json({"errors": [{"message": wrong}], "warnings": []}, 400)
        self._json({"errors": [], "warnings": []})

    def _preupload(self, asked: dict[str, Any]) -> None:
        main = self.hub.main(str(self.entry.repo))
        assert main is not None
        answers = []
        for file in asked["files"]:
            large = file["path"].endswith(LARGE_SUFFIXES) or file["size"] > LARGE_BYTES
            there = main.files.get(file["path"])
            known = {} if there is None else {"oid": there.sha256 or there.oid}
            mode = "lfs" if large else "regular"
            answers.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, **known})
        self._json({"files": answers, "commitOid": main.sha})

    def _lfs(self, asked: dict[str, Any]) -> None:
        if self.entry.endpoint == "lfs-verify":
            there = self.hub.place(asked["oid"])
            ok = there.is_file() and there.stat().st_size == asked["size"]
            return self._json({}, 200 if ok else 404)
        objects, base = [], f"{self.hub.url}/datasets/{self.entry.repo}.git/info/lfs"
        for item in asked["objects"]:
            oid, size = item["oid"], item["size"]
            if self.hub.place(oid).is_file():
                objects.append({"oid": oid, "size": size})
                continue
            verify = {"href": f"{base}/verify"}
            if self.hub.part_bytes and size > self.hub.part_bytes and "multipart" in asked["transfers"]:
                number = -(-size // self.hub.part_bytes)
                urls = {f"{i}": f"{self.hub.url}/storage/{oid}?part={i}" for i in range(1, number + 1)}
                header = {"chunk_size": str(self.hub.part_bytes), **urls}
                actions = {"upload": {"href": f"{base}/complete", "header": header}, "verify": verify}
            else:
                actions = {"upload": {"href": f"{self.hub.url}/storage/{oid}"}, "verify": verify}
            objects.append({"oid": oid, "size": size, "authenticated": True, "actions": actions})
        self._json({"transfer": "basic", "objects": objects})

    def _complete(self, asked: dict[str, Any]) -> None:
        """All parts of an object are there: put them together."""
        folder = self.hub.place(f"parts-{asked['oid']}")
        data = b"".join((folder / str(part["partNumber"])).read_bytes() for part in asked["parts"])
        self._json({}, 200 if self.hub.keep(asked["oid"], data) else 400)

    def _store(self, query: dict[str, str], data: bytes) -> None:
        """A signed URL of another host: a token that comes along is refused, as S3 does."""
        oid = str(self.entry.path)
        if self.entry.authorized:
            return self._json({"error": "Only one auth mechanism allowed"}, 400)
        if "part" in query:
            folder = self.hub.place(f"parts-{oid}")
            folder.mkdir(exist_ok=True)
            (folder / query["part"]).write_bytes(data)
            etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
            return self._json({}, 200, {"ETag": f'"{etag}"'})
        self._json({}, 200 if self.hub.keep(oid, data) else 400)

    def _commit(self, items: list[dict[str, Any]]) -> None:
        hub, name = self.hub, str(self.entry.repo)
        header = items[0]["value"]
        with hub.writing:
            main = hub.main(name)
            assert main is not None
            if header.get("parentCommit", main.sha) != main.sha:
                return self._json({"error": "A commit has happened since. Please refresh and try again."}, 412)
            files: dict[str, Blob] = {}
            for item in items[1:]:
                value = item["value"]
                if item["key"] == "file":
                    data = base64.b64decode(value["content"])
                    place = hub.place(f"small-{hashlib.sha256(data).hexdigest()}")
                    place.write_bytes(data)
                    files[value["path"]] = blob_of(place)
                elif item["key"] == "lfsFile" and hub.place(value["oid"]).is_file():
                    pointer = pointer_of(value["oid"], value["size"])
                    oid = hashlib.sha1(b"blob %d\0" % len(pointer) + pointer, usedforsecurity=False).hexdigest()
                    place = hub.place(value["oid"])
                    files[value["path"]] = Blob(file=place, size=place.stat().st_size, oid=oid, sha256=value["oid"])
                else:
                    return self._json({"error": f"{item['key']} is not possible: {value.get('path')}"}, 400)
            made = hub.commit(name, files, header["summary"])
        self._json(
            {"success": True, "commitOid": made.sha, "commitUrl": f"{hub.url}/datasets/{name}/commit/{made.sha}"}
        )


UploadHub.handler = UploadHandler
