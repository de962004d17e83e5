"""`smoltrove inspect --web`: a server on this machine alone that shows the documents of a run page by page.

It binds 127.0.0.1, answers GET for its own name only (another site's page cannot reach it by a name of its own that
leads here), and forbids its pages scripts and requests by a Content-Security-Policy. Nothing is written.
Gives up: other machines (`ssh -L` brings the port there) and other users of this one, who can read the port.
"""

import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import typer

from pipelines.dedup.inputs import default_output
from pipelines.dedup.report import FILE
from pipelines.dedup.verify import is_dedup, open_dedup
from pipelines.errors import SourceError, UserError
from pipelines.inspect.corpus import Corpus, open_corpus
from pipelines.inspect.documents import Found, Wanted
from pipelines.inspect.page import FIELDS, Query, address, article, escape, form, heading, metadata, whole_page
from pipelines.inspect.pages import Pages, Place
from pipelines.inspect.pair_page import pair_article, pair_form
from pipelines.inspect.pairs import Pairs
from pipelines.inspect.verdict import Judge
from pipelines.run_layout import RUN_DIR
from pipelines.verify import open_run

HOST = "127.0.0.1"
POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
# Characters of each text in a list, and on the page of one document.
IN_LIST, ON_ITS_PAGE = 3000, 200_000
VIEWS = ("kept", "dropped", "both")
# Of a list of pairs: how many on a page, rows of the table that it looks at, and bytes that are read for their texts.
PAIRS, MOST_ROWS, MAX_TEXT_BYTES = 10, 100_000, 256 << 20


class Browser:
    """Makes the pages of one run. `get(path, query)` -> (status, HTML)."""

    def __init__(self, corpus: Corpus, pairs: Pairs | None = None) -> None:
        self.corpus = corpus
        self.pairs = pairs
        self._judge = Judge(corpus)
        self._pages = Pages()
        # Word splitters are not made for several threads at once.
        self._judging = threading.Lock()
        self._by_name = {file.name: file for file in corpus.files}

    def get(self, path: str, query: Query) -> tuple[int, str]:
        """The page at an address; what cannot be shown is said on a page."""
        view = path.strip("/") or "kept"
        try:
            if view == "document":
                return self._document(query)
            if view in ("duplicates", "pair") and self.pairs is not None:
                return self._duplicates(view, query, self.pairs)
            if view not in VIEWS:
                return _not_here()
            return HTTPStatus.OK, self._list(view, query)
        except (UserError, SourceError, ValueError) as error:
            return HTTPStatus.BAD_REQUEST, whole_page("error", self._heading(view, {}) + f"<p>{escape(error)}</p>")

    def _heading(self, view: str, query: Query) -> str:
        return heading(str(self.corpus.folder), view, query, duplicates=self.pairs is not None)

    def _duplicates(self, view: str, query: Query, pairs: Pairs) -> tuple[int, str]:
        alone = view == "pair"
        asked = {} if alone else {name: query.get(name, "") for name in ("source", "method")}
        page = pairs.page(
            _number(query.get("n" if alone else "at", "") or "0"), 1 if alone else PAIRS, **asked, most=MOST_ROWS,
            max_bytes=float("inf") if alone else MAX_TEXT_BYTES,
        )  # fmt: skip
        if alone and not page.pairs:
            return _not_here()
        shown = "".join(pair_article(pair, ON_ITS_PAGE if alone else IN_LIST, link=not alone) for pair in page.pairs)
        body = self._heading(view, query)
        if alone:
            return HTTPStatus.OK, whole_page("a pair of duplicates", f'{body}<div class="whole">{shown}</div>')
        body += pair_form(query, pairs.sources, pairs.methods)
        looked = f"{len(page.pairs)} of {page.looked:,} looked at here; {len(pairs):,} pairs in all"
        body += f'<p class="faint">{looked}</p>{shown}'
        if page.next is None:
            body += "<p>No more pairs.</p>"
        else:
            following = address("/duplicates", {**asked, "at": str(page.next)})
            body += f'<p class="next"><a href="{following}">more pairs</a></p>'
        return HTTPStatus.OK, whole_page(f"duplicates: {self.corpus.folder.name}", body)

    def _list(self, view: str, query: Query) -> str:
        kinds = ("kept", "dropped") if view == "both" else (view,)
        columns = "".join(f"<section>{self._column(kind, view, query)}</section>" for kind in kinds)
        body = self._heading(view, query)
        body += form(view, query, self.corpus.sources, self.corpus.reasons)
        return whole_page(f"{view}: {self.corpus.folder.name}", f'{body}<div class="both">{columns}</div>')

    def _column(self, kind: str, view: str, query: Query) -> str:
        dropped = kind == "dropped"
        try:
            files = self.corpus.select(
                dropped=dropped, source=query.get("source", ""), reason=query.get("reason", "") if dropped else ""
            )
        except UserError as error:
            return f"<p>{escape(error)}</p>"
        wanted = Wanted(
            language=query.get("language", ""), reason=query.get("reason", "") if dropped else "",
            search=query.get("search", ""),
        )  # fmt: skip
        page = self._pages.page(files, wanted, _place(query.get(kind, "")))
        shown = "".join(self._article(found, IN_LIST, link=True) for found in page.found)
        total = sum(file.lines for file in files)
        looked = f"{len(page.found)} of {page.looked:,} looked at here; {total:,} in these files"
        note = f'<p class="faint">{kind}: {looked}</p>'
        if page.next is None:
            return f"{note}{shown}<p>No more {kind} documents.</p>"
        following = {**_asked(query), **{k: query.get(k, "") for k in ("kept", "dropped") if view == "both"}}
        following[kind] = f"{page.next[0]}.{page.next[1]}"
        return f'{note}{shown}<p class="next"><a href="{address(f"/{view}", following)}">more {kind}</a></p>'

    def _article(self, found: Found, most: int, *, link: bool) -> str:
        place = {"file": found.file.name, "row": str(found.line.row)}
        with self._judging:
            verdict = self._judge.verdict(found)
        return article(found, verdict, most, address("/document", place) if link else "")

    def _document(self, query: Query) -> tuple[int, str]:
        file = self._by_name.get(query.get("file", ""))
        row = query.get("row", "")
        found = self._pages.one(file, _number(row)) if file is not None else None
        if found is None:
            return _not_here()
        body = self._heading("", {})
        body += f'<div class="whole">{self._article(found, ON_ITS_PAGE, link=False)}</div>{metadata(found)}'
        return HTTPStatus.OK, whole_page(found.line.id, body)


def _not_here() -> tuple[int, str]:
    return HTTPStatus.NOT_FOUND, whole_page("not here", '<p>Nothing is here. <a href="/">All documents</a></p>')


def _asked(query: Query) -> dict[str, str]:
    return {name: query.get(name, "") for name in FIELDS}


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise ValueError(f"{text!r} is no place in a file")
    return int(text)


def _place(text: str) -> Place:
    """`3.250`: row 250 of the fourth file; "" for the beginning."""
    number, _, row = (text or "0.0").partition(".")
    return _number(number), _number(row)


def pairs_of(corpus: Corpus) -> Pairs | None:
    """The duplicates of a finished deduplication, or of the one beside a run; None where there is none."""
    folder = corpus.folder if corpus.is_dedup else default_output(corpus.folder)
    if not is_dedup(folder) or not (folder / RUN_DIR / FILE).is_file():
        return None
    if not corpus.is_dedup and open_dedup(folder).plan.runs[0].fingerprint != open_run(corpus.folder)[0].fingerprint:
        return None
    return Pairs(folder)


def make_server(corpus: Corpus, port: int = 0) -> ThreadingHTTPServer:
    """The server, bound and not yet serving; port 0 takes a free one. Raises UserError for a port in use.

    It makes the first page once, so that filters and word splitters are loaded before anyone waits for them.
    """
    browser = Browser(corpus, pairs_of(corpus))
    try:
        server = ThreadingHTTPServer((HOST, port), BaseHTTPRequestHandler)
    except OSError as error:
        raise UserError(
            f"--port {port}: cannot be used ({error.strerror}); give another, or 0 for a free one"
        ) from None
    server.daemon_threads = True
    browser.get("/", {})
    server.RequestHandlerClass = _handler(browser.get, server.server_port)
    return server


def _handler(get: Callable[[str, Query], tuple[int, str]], port: int) -> type[BaseHTTPRequestHandler]:
    names = [[f"{host}:{port}"] for host in (HOST, "localhost")]

    class Handler(BaseHTTPRequestHandler):
        """GET alone; the base class answers other methods with 501."""

        server_version, sys_version = "smoltrove", ""
        # A client that says nothing is let go.
        timeout = 30

        def do_GET(self) -> None:
            if self.headers.get_all("Host") not in names:
                self._answer(
                    HTTPStatus.FORBIDDEN, whole_page("refused", "<p>This is not the address of this page.</p>")
                )
                return
            parts = urlsplit(self.path)
            if parts.path == "/favicon.ico":
                self._answer(HTTPStatus.NO_CONTENT, "")
                return
            try:
                query = dict(parse_qsl(parts.query, max_num_fields=20))
            except ValueError:
                query = {}
            self._answer(*get(parts.path, query))

        def _answer(self, status: int, text: str) -> None:
            data = text.encode("utf-8", "replace")
            self.send_response(status)
            for name, value in (
                ("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(data))),
                ("Content-Security-Policy", POLICY), ("X-Content-Type-Options", "nosniff"),
                ("Referrer-Policy", "no-referrer"), ("Cross-Origin-Resource-Policy", "same-origin"),
                ("Cache-Control", "no-store"),
            ):  # fmt: skip
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Searches are nobody's business: requests are not printed."""

    return Handler


def serve(folder: Path, port: int, *, duplicates: bool = False) -> None:
    """Serve until Ctrl-C. Raises UserError where the folder is no run, has no duplicates, or the port is in use."""
    corpus = open_corpus(folder)
    if duplicates and pairs_of(corpus) is None:
        raise UserError(f"{folder}: has no duplicates to show; `smoltrove dedup {folder}` finds them")
    with make_server(corpus, port) as server:
        view = "duplicates" if duplicates else ""
        typer.echo(f"http://{HOST}:{server.server_address[1]}/{view} shows {folder}; Ctrl-C ends it")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            typer.echo("", err=True)
