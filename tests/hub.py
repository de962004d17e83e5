"""A local Hub: serves a mirror folder over HTTP on loopback, to unmodified Hub clients, through HF_ENDPOINT.

    python -m tests.hub examples/mini_hub --port 8123

`datasets`, `huggingface_hub`, fsspec's `hf://` and datatrove's readers work against it. Every repository of the folder
has one commit, whose sha follows from the content of its files; `move_main` adds another. Gives up: Xet, models and
spaces, HTTPS; uploads and private repositories are in `tests/hub_upload.py`.
"""

import argparse
import contextlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from tests.hub_content import Blob, Commit, blob_of, blocks_of, byte_range, commit_of, repository_info, rotated
from tests.hub_faults import Fault, Hook, Request

PAGE_SIZE = 1000
PAGE = b"<!doctype html><title>Sign in</title><p>Please sign in to this network to go on."
BODY_FAULTS = ("reset", "truncate", "stall", "slow", "drip", "flip")
BLOBS = "softwareheritage/content"


class LocalHub:
    """The server; a context manager. `url` is what HF_ENDPOINT must be.

    root: a folder laid out as <org>/<name>/..., with Software Heritage blobs in softwareheritage/content, if any.
    faults: what goes wrong, see `tests/hub_faults.py`. gated: repositories whose files need one of `tokens`.
    page_size: entries per page of the tree endpoint (the Hub's own: 1000). redirect: data files come from another host,
        as large files do on the Hub; that host refuses requests with a token.
    """

    handler: type["Handler"]

    def __init__(
        self, root: Path, *, port: int = 0, faults: Hook | None = None, gated: Iterable[str] = (),
        tokens: Iterable[str] = (), page_size: int = PAGE_SIZE, redirect: bool = False,
    ) -> None:  # fmt: skip
        self.root = root.resolve()
        self.faults, self.gated, self.tokens, self.page_size = faults, frozenset(gated), frozenset(tokens), page_size
        self.redirect = redirect
        self.requests: list[Request] = []
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self._main: dict[str, Commit] = {}
        self._commits: dict[tuple[str, str], Commit] = {}
        if not self.root.is_dir():
            raise FileNotFoundError(f"{root}: no such folder; give one laid out as <org>/<name>/...")
        self._server = _Server(("127.0.0.1", port), type("Handler", (self.handler,), {"hub": self}))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> "LocalHub":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to read from here."""
        return {"HF_ENDPOINT": self.url, "SMOLTROVE_SWH_ENDPOINT": f"{self.url}/{BLOBS}/"}

    def names(self) -> list[str]:
        """The repositories, as org/name."""
        blobs = self.root / BLOBS.split("/")[0]
        orgs = [org for org in sorted(self.root.iterdir()) if org.is_dir() and org != blobs and org.name[0] != "."]
        return [f"{org.name}/{repo.name}" for org in orgs for repo in sorted(org.iterdir()) if repo.is_dir()]

    def main(self, name: str) -> Commit | None:
        """The commit that main names now, None for a repository that is not there."""
        with self.lock:
            if name not in self._main:
                folder = self.root / name
                if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or ".." in name or not folder.is_dir():
                    return None
                self._set_main(name, commit_of(folder))
            return self._main[name]

    def move_main(self, name: str, folder: Path | None = None) -> str:
        """A new commit on main: the files of `folder`, or the same paths with one another's contents. Its sha.

        The commits before stay readable by their sha, as on the Hub.
        """
        before = self.main(name)
        if before is None:
            raise KeyError(name)
        with self.lock:
            self._set_main(name, commit_of(folder) if folder else rotated(before))
            return self._main[name].sha

    def resolve(self, name: str, revision: str) -> Commit | None:
        """The commit of a branch or sha."""
        main = self.main(name)
        with self.lock:
            return main if revision in ("main", "refs/heads/main") else self._commits.get((name, revision))

    def log(self, **wanted: object) -> list[Request]:
        """The requests so far whose fields have these values: `hub.log(endpoint="resolve", repo="org/name")`."""
        with self.lock:
            return [r for r in self.requests if all(getattr(r, key) == value for key, value in wanted.items())]

    def _set_main(self, name: str, commit: Commit) -> None:
        self._main[name] = self._commits[name, commit.sha] = commit


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Quiet: clients that go away are part of the tests."""


class Handler(BaseHTTPRequestHandler):
    """Answers one connection; `hub` is set by the server."""

    hub: LocalHub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and a small body leave in one packet
    timeout = 120

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {key: " ".join(values) for key, values in parse_qs(url.query).items()}
        length = int(self.headers.get("Content-Length") or 0)
        form = self.rfile.read(length) if length else b""
        self.entry = self._enter(unquote(url.path))
        self.spoilt = self.hub.faults(self.entry) if self.hub.faults else None
        if self.spoilt is not None:
            self.entry.fault = self.spoilt.kind
            if self.spoilt.kind == "move" and self.entry.repo and self.hub.main(self.entry.repo):
                self.hub.move_main(self.entry.repo)
            if self.spoilt.kind.isdecimal():
                asked = self.spoilt.kind == "429" and self.spoilt.seconds >= 0
                after = {"Retry-After": f"{self.spoilt.seconds:.0f}"} if asked else {}
                return self._json({"error": "a fault"}, int(self.spoilt.kind), after)
            if self.spoilt.kind == "html":
                return self._send(200, {"Content-Type": "text/html; charset=utf-8"}, iter([PAGE]), len(PAGE))
            if self.spoilt.kind == "loop":
                return self._send(302, {"Location": self.path}, iter(()), 0)
        return self._answer(query, form)

    do_HEAD = do_POST = do_GET

    def _enter(self, target: str) -> Request:
        """The request in the log, with the parts of its path."""
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        fields: dict[str, Any] = {"endpoint": "unknown"}
        if parts[0] == "datasets" and len(parts) > 5 and parts[3] == "resolve":
            fields = {"endpoint": "resolve", "repo": "/".join(parts[1:3]), "revision": parts[4]}
            fields["path"] = "/".join(parts[5:])
        elif parts[0] == "cdn" and len(parts) > 4:
            fields = {
                "endpoint": "cdn",
                "repo": "/".join(parts[1:3]),
                "revision": parts[3],
                "path": "/".join(parts[4:]),
            }
        elif parts[:2] == ["api", "datasets"]:
            rest = parts[4:]
            endpoint = "search" if len(parts) < 4 else rest[0] if rest and rest[0] != "revision" else "info"
            fields = {"endpoint": endpoint, "repo": "/".join(parts[2:4]) or None}
            if len(rest) > 1:
                fields |= {"revision": rest[1], "path": "/".join(rest[2:]) or None}
        elif parts[:2] == ["api", "whoami-v2"]:
            fields["endpoint"] = "whoami"
        elif "/".join(parts[:-1]) == BLOBS:
            fields = {"endpoint": "blob", "path": parts[-1]}
        with self.hub.lock:
            number = len(self.hub.requests)
            entry = Request(number=number, method=self.command, target=target, range=self.headers.get("Range"),
                            authorized="Authorization" in self.headers, **fields)  # fmt: skip
            self.hub.requests.append(entry)
        return entry

    def _answer(self, query: dict[str, str], form: bytes) -> None:
        entry, hub = self.entry, self.hub
        if entry.endpoint == "blob":
            path = hub.root / BLOBS / str(entry.path)
            if not re.fullmatch(r"[0-9a-f]{40}", str(entry.path)) or not path.is_file():
                return self._json({"error": "NoSuchKey"}, 404)
            return self._file(blob_of(path), {})
        if entry.endpoint == "search":
            found = [n for n in hub.names() if n.startswith(query.get("author", "") + "/" * ("author" in query))]
            return self._json([{"id": name} for name in found if query.get("search", "").lower() in name.lower()])
        if entry.endpoint == "whoami":
            known = self._token() in hub.tokens
            return self._json({"name": "local", "type": "user"} if known else {"error": "no"}, 200 if known else 401)
        main = hub.main(entry.repo) if entry.repo else None
        if main is None or entry.repo is None:
            return self._missing("RepoNotFound", "Repository not found")
        commit = hub.resolve(entry.repo, entry.revision) if entry.revision else main
        if commit is None:
            return self._missing("RevisionNotFound", f"Invalid rev id: {entry.revision}")
        closed = entry.repo in hub.gated and self._token() not in hub.tokens
        if closed and entry.endpoint in ("resolve", "auth-check"):
            headers = {"X-Error-Code": "GatedRepo", "X-Error-Message": f"Access to dataset {entry.repo} is restricted"}
            return self._json({"error": "gated"}, 403 if self._token() else 401, headers)
        if entry.endpoint == "resolve":
            blob = commit.files.get(str(entry.path))
            if blob is None:
                return self._missing("EntryNotFound", "Entry not found", commit)
            if hub.redirect and entry.path != "README.md":
                place = f"/cdn/{entry.repo}/{commit.sha}/{quote(str(entry.path))}?signature=secret"
                url, etag = hub.url.replace("127.0.0.1", "localhost"), f'"{blob.oid}"'
                headers = {"Location": url + place, "X-Repo-Commit": commit.sha, "ETag": etag, "X-Linked-ETag": etag}
                return self._json({}, 302, {**headers, "X-Linked-Size": str(blob.size)})
            return self._file(blob, {"X-Repo-Commit": commit.sha, "Accept-Ranges": "bytes"})
        if entry.endpoint == "cdn":
            blob = commit.files.get(str(entry.path))
            if blob is None or entry.authorized or query.get("signature") != "secret":
                return self._json({"error": "Only one auth mechanism allowed"}, 400 if entry.authorized else 403)
            return self._file(blob, {"Accept-Ranges": "bytes"})
        if entry.endpoint == "info":
            return self._json(
                repository_info(entry.repo, commit, entry.repo in hub.gated, query.get("expand", "").split())
            )
        if entry.endpoint == "tree":
            return self._tree(commit, query)
        if entry.endpoint == "paths-info":
            wanted = parse_qs(form.decode()).get("paths", [])
            if form.startswith(b"{"):
                wanted = json.loads(form)["paths"]
            known_paths = {item["path"]: item for item in commit.entries("", True)}
            return self._json([known_paths[path] for path in wanted if path in known_paths])
        if entry.endpoint == "refs":
            refs = [{"name": "main", "ref": "refs/heads/main", "targetCommit": main.sha}]
            return self._json({"branches": refs, "tags": [], "converts": []})
        if entry.endpoint == "auth-check":
            return self._json({})
        return self._missing("EntryNotFound", "No such endpoint")

    def _token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _missing(self, code: str, message: str, commit: Commit | None = None) -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": message}
        self._json({"error": message}, 404, headers | ({"X-Repo-Commit": commit.sha} if commit else {}))

    def _tree(self, commit: Commit, query: dict[str, str]) -> None:
        folder = self.entry.path or ""
        entries = commit.entries(folder, query.get("recursive", "").lower() in ("true", "1"))
        if folder and not entries:
            return self._missing("EntryNotFound", f"{folder} does not exist", commit)
        start = int(query.get("cursor", 0))
        size = min(self.hub.page_size, int(query.get("limit", PAGE_SIZE)))
        headers = {}
        if start + size < len(entries):
            following = urlencode({**query, "cursor": start + size})
            headers["Link"] = f'<{self.hub.url}{quote(urlsplit(self.path).path, safe="/%")}?{following}>; rel="next"'
        return self._json(entries[start : start + size], 200, headers)

    def _json(self, data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps(data).encode()
        self._send(status, {"Content-Type": "application/json", **(headers or {})}, iter([body]), len(body))

    def _file(self, blob: Blob, headers: dict[str, str]) -> None:
        etag = f'"{blob.oid}"'
        headers = {"ETag": etag, "Content-Type": "application/octet-stream", **headers}
        if etag in (self.headers.get("If-None-Match") or ""):
            return self._send(304, headers, iter(()), 0)
        span = byte_range(self.headers.get("Range"), blob.size)
        if self.headers.get("If-Range") not in (None, etag):
            span = None
        if span is None:
            return self._send(200, headers, blocks_of(blob.file, 0, blob.size), blob.size)
        if span[0] >= span[1]:
            return self._send(416, {**headers, "Content-Range": f"bytes */{blob.size}"}, iter(()), 0)
        headers["Content-Range"] = f"bytes {span[0]}-{span[1] - 1}/{blob.size}"
        return self._send(206, headers, blocks_of(blob.file, *span), span[1] - span[0])

    def _send(self, status: int, headers: Mapping[str, str], blocks: Iterator[bytes], length: int) -> None:
        self.entry.status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command == "HEAD":
            blocks, length = iter(()), 0
        fault = self.spoilt if self.spoilt and self.spoilt.kind in BODY_FAULTS else None
        for block in blocks if fault is None else self._spoil(fault, blocks, length):
            self.wfile.write(block)
            self.entry.num_bytes += len(block)

    def _spoil(self, fault: Fault, blocks: Iterator[bytes], length: int) -> Iterator[bytes]:
        """The body with the fault in it; ends the connection where the fault does."""
        at, sent = min(int(length * fault.position), max(length - 1, 0)), 0
        if fault.kind in ("slow", "drip"):
            size = 1 if fault.kind == "drip" else 1 + length // 10
            for block in blocks:
                for piece in (block[i : i + size] for i in range(0, len(block), size)):
                    self.hub.closing.wait(fault.seconds if size == 1 else fault.seconds * len(piece) / length)
                    if self.hub.closing.is_set():
                        return
                    yield piece
                    self.wfile.flush()
            return
        for block in blocks:
            if sent + len(block) > at >= sent:
                if fault.kind == "flip":
                    turned = block[at - sent] ^ 1 << self.entry.number % 8
                    block = block[: at - sent] + bytes([turned]) + block[at - sent + 1 :]
                else:
                    yield block[: at - sent]
                    break
            sent += len(block)
            yield block
        if fault.kind == "flip":
            return
        with contextlib.suppress(OSError):
            self.wfile.flush()
            if fault.kind == "stall":
                self.hub.closing.wait(fault.seconds or 3600)
            if fault.kind == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Quiet: the log is `LocalHub.requests`."""


LocalHub.handler = Handler


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.hub", description="Serve a mirror folder as a local Hub.")
    parser.add_argument("root", type=Path, help="folder laid out as <org>/<name>/..., such as examples/mini_hub")
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--gated", action="append", default=[], metavar="ORG/NAME", help="needs --token to be read")
    parser.add_argument("--token", action="append", default=[], help="a token that opens gated repositories")
    parser.add_argument("--quiet", action="store_true", help="do not print requests")
    options = parser.parse_args()
    with LocalHub(options.root, port=options.port, gated=options.gated, tokens=options.token) as hub:
        print(f"{len(hub.names())} repositories of {hub.root}; stop with Ctrl-C. In another terminal:")
        print("  export " + " ".join(f"{key}={value}" for key, value in hub.environment.items()), flush=True)
        shown = 0
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(0.5)
                for request in [] if options.quiet else hub.log()[shown:]:
                    print(json.dumps({k: v for k, v in asdict(request).items() if v is not None}), flush=True)
                    shown += 1


if __name__ == "__main__":
    _main()
