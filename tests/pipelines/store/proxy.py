"""Stands before the S3 server and spoils uploads, as a bad line or a full account would.

Gives up: anything but PUT; listings and reads go through.
"""

import re
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Spoiler:
    """`spoil(pattern, how, times)`: of PUTs whose path matches, the first `times` (-1: all) go wrong.

    how: hold (nothing happens before `released` is set; then it goes on, or with `dropped` the connection is gone),
    503 or 403 (answered in the server's place), reset (no answer, after half of the body), flip (a byte arrives
    otherwise), lose (the server takes it, the answer is lost).
    """

    def __init__(self, behind: str) -> None:
        self.faults: list[list] = []
        self.held, self.released, self.dropped = threading.Event(), threading.Event(), False
        self.lock = threading.Lock()
        outer, address = self, urlsplit(behind).netloc

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                how = outer.turn(self.path) if self.command == "PUT" else None
                if how == "reset":
                    self.rfile.read(length // 2)
                    self.close_connection = True
                    return
                body = self.rfile.read(length)
                if how == "hold":
                    outer.held.set()
                    outer.released.wait(120)
                    if outer.dropped:
                        self.close_connection = True
                        return
                if how in ("503", "403"):
                    code = "SlowDown" if how == "503" else "AccessDenied"
                    self.answer(int(how), f"<Error><Code>{code}</Code></Error>".encode(), [])
                    return
                if how == "flip":
                    body = body[:-1] + bytes([body[-1] ^ 1])
                server = HTTPConnection(address, timeout=20)
                kept = {
                    k: v for k, v in self.headers.items() if not re.match("(?i)expect|connection|x-amz-checksum", k)
                }
                server.request(self.command, self.path, body=body, headers=kept)
                found = server.getresponse()
                data = found.read()
                server.close()
                if how == "lose":
                    self.close_connection = True
                    return
                skipped = ("transfer-encoding", "connection", "content-length", "date", "server")
                # A HEAD says how long the body would be.
                length = int(found.getheader("Content-Length") or 0) if self.command == "HEAD" else len(data)
                kept_back = [(k, v) for k, v in found.getheaders() if k.lower() not in skipped]
                self.answer(found.status, data, kept_back, length)

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = handle_any

            def answer(
                self, status: int, body: bytes, headers: list[tuple[str, str]], length: int | None = None
            ) -> None:
                self.send_response(status)
                for name, value in [*headers, ("Content-Length", str(len(body) if length is None else length))]:
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Quiet."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Quiet: clients that go away are part of the tests."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def spoil(self, pattern: str, how: str, times: int = 1, skip: int = 0) -> None:
        """The first `skip` PUTs that match pass."""
        self.faults.append([pattern, how, times, skip])

    def turn(self, path: str) -> str | None:
        with self.lock:
            for fault in self.faults:
                if fault[2] and re.search(fault[0], path):
                    if fault[3]:
                        fault[3] -= 1
                        continue
                    fault[2] -= 1
                    return str(fault[1])
        return None

    def close(self) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
