"""The web page: every document once, hostile texts as text, nobody but this machine, bounded pages."""

import http.client
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from pipelines.inspect.corpus import Corpus, DocumentFile
from pipelines.inspect.documents import Wanted
from pipelines.inspect.page import text_of
from pipelines.inspect.pages import Page, Pages
from pipelines.inspect.visible import visible
from pipelines.inspect.web import Browser, make_server
from tests.browser import PHONE, open_page
from tests.inspect.conftest import HOSTILE
from tests.inspect.test_documents import row_of, write
from tests.pipelines.processes import Run


@pytest.fixture(scope="module")
def address(corpus: Corpus) -> Iterator[str]:
    """Where the run is served."""
    with make_server(corpus) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="module")
def long_corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A file of three lines, the middle one with 50 MB."""
    path = tmp_path_factory.mktemp("long") / "x.jsonl.gz"
    write(path, [row_of("first", "a"), row_of("<b>long</b> " * 4_200_000, "b"), row_of("last", "c")])
    file = DocumentFile(path=path, name="x", source="s", family="", lines=3)
    return Corpus(folder=path.parent, files=(file,), filters={}, reasons={}, is_dedup=False)


def pages(corpus: Corpus, wanted: Wanted, size: int, *, fresh: bool) -> Iterator[Page]:
    files, maker, place = corpus.select(dropped=False), Pages(), (0, 0)
    while place is not None:
        page = (Pages() if fresh else maker).page(files, wanted, place, size)
        yield page
        place = page.next  # type: ignore[assignment]


@pytest.mark.parametrize("fresh", [True, False], ids=["skipping", "waiting reader"])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_pages_hold_every_document_once(corpus: Corpus, size: int, fresh: bool) -> None:
    """Law: all pages after one another are the files; only the last may be short; none is empty."""
    found = list(pages(corpus, Wanted(), size, fresh=fresh))
    places = [(f.file.name, f.line.row) for page in found for f in page.found]
    files = corpus.select(dropped=False)
    assert places == [(file.name, row) for file in files for row in range(file.lines)]
    assert {len(page.found) for page in found[:-1]} <= {size}
    assert found[-1].found
    some = [f.line.id for page in pages(corpus, Wanted(search="the"), size, fresh=fresh) for f in page.found]
    everything = [f for page in found for f in page.found]
    assert some == [f.line.id for f in everything if Wanted(search="the").matches(f)]


def links(html: str) -> Iterator[tuple[str, dict[str, str]]]:
    for href in re.findall(r'href="([^"]*)"', html):
        parts = urlsplit(unescape(href))
        yield parts.path, dict(parse_qsl(parts.query))


@pytest.mark.parametrize("view", ["kept", "dropped", "both"])
def test_more_leads_through_all_documents(corpus: Corpus, view: str) -> None:
    """Law: following `more` shows each document once, and each has a page of its own."""
    browser, seen = Browser(corpus), []
    for kind in ("kept", "dropped"):
        query: dict[str, str] | None = {}
        while query is not None and view in (kind, "both"):
            status, html = browser.get(f"/{view}", query)
            assert status == 200
            places = [(q["file"], int(q["row"])) for path, q in links(html) if path == "/document"]
            seen += [place for place in places if place[0].startswith("_run/") == (kind == "dropped")]
            more = re.findall(rf'<a (href="[^"]*")>more {kind}<', html)
            query = next(links(more[0]))[1] if more else None
    wanted = [file for file in corpus.files if view == "both" or bool(file.family) == (view == "dropped")]
    assert sorted(seen) == sorted((file.name, row) for file in wanted for row in range(file.lines))
    status, html = browser.get("/document", {"file": seen[0][0], "row": str(seen[0][1])})
    assert status == 200
    assert "metadata" in html


def test_only_this_machines_name_is_answered(address: str) -> None:
    """Law: another Host, none, or another method than GET shows nothing; pages forbid scripts and requests."""
    own = {"Host": address}
    for method, headers, expected in (
        ("GET", own, 200), ("GET", {"Host": f"localhost:{address.partition(':')[2]}"}, 200),
        ("GET", {"Host": "evil.example"}, 403), ("GET", {"Host": "127.0.0.1"}, 403), ("GET", {}, 403),
        ("POST", own, 501), ("PUT", own, 501), ("HEAD", own, 501),
    ):  # fmt: skip
        connection = http.client.HTTPConnection(address, timeout=60)
        connection.putrequest(method, "/", skip_host=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status == expected, (method, headers)
        body = answer.read().decode()
        assert ("<article" in body) == (expected == 200)
        if expected == 200:
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; ")
            assert "script" not in policy
        connection.close()


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/kept", {"kept": "x.1"}, 400), ("/kept", {"kept": "-1.0"}, 400), ("/kept", {"kept": "99.0"}, 200),
        ("/document", {"file": "../../etc/passwd", "row": "0"}, 404), ("/document", {"file": "x"}, 404),
        ("/kept", {"source": "<script>"}, 200), ("/etc/passwd", {}, 404), ("/dropped", {"reason": "<b>"}, 200),
    ],
)  # fmt: skip
def test_wrong_addresses_are_said_and_escaped(corpus: Corpus, path: str, query: dict[str, str], expected: int) -> None:
    """Law: no file but those of the run, no markup out of an address."""
    status, html = Browser(corpus).get(path, query)
    assert status == expected
    assert "<script" not in html
    assert "root:" not in html


def test_hostile_documents_are_text_in_chromium(address: str, tmp_path: Path) -> None:
    """Law: each text stands in the page as it is, escapes for what is invisible; nothing runs, nothing is asked for."""
    url = f"http://{address}/kept?source=t/hostile/default"
    with open_page(url, width=PHONE, dark=True) as view:
        shown = view.page.eval_on_selector_all("pre", "all => all.map(e => e.textContent)")
        expected = [visible(text) for text in HOSTILE.values()]
        assert sorted(shown) == sorted(expected)
        titles = view.page.eval_on_selector_all("article h2", "all => all.map(e => e.textContent)")
        assert "<script>document.title='id'</script>" in titles
        assert view.page.title() == "kept: out"
        assert view.page.eval_on_selector_all("script, img, pre *, article style", "all => all.length") == 0
        assert view.overflow() == 0
        view.page.click("article h2 a >> nth=0")
        assert view.page.locator("details").count() == 1
        assert view.errors == []
        assert view.outside == []


def test_the_command_serves_until_it_is_interrupted(inspected: Run) -> None:
    """Law: it prints its address, answers there, and Ctrl-C is exit status 0."""
    command = [sys.executable, "-m", "pipelines", "inspect", str(inspected.output), "--web"]
    kwargs: dict[str, Any] = {"cwd": inspected.folder, "env": inspected.env, "stdout": subprocess.PIPE}
    # Who started the tests in the background has them ignore SIGINT, and their children too.
    kwargs["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, text=True, **kwargs) as server:
        assert server.stdout
        host = server.stdout.readline().split("/")[2]
        connection = http.client.HTTPConnection(host, timeout=60)
        connection.request("GET", "/dropped")
        assert "<article" in connection.getresponse().read().decode()
        connection.close()
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 0


def test_a_long_line_is_cut_with_a_note(long_corpus: Corpus) -> None:
    """Law: list and document pages stay small; the text's beginning is there, as text, and its neighbours whole."""
    browser = Browser(long_corpus)
    status, html = browser.get("/kept", {})
    assert status == 200
    assert len(html) < 30_000
    assert "only the beginning of its text was read" in html
    assert ">first<" in html.replace("\n", "")
    assert ">last<" in html.replace("\n", "")
    assert "<b>long" not in html
    assert len(browser.get("/document", {"file": "x", "row": "1"})[1]) < 500_000


def test_a_long_line_is_text_in_chromium(long_corpus: Corpus) -> None:
    """Law: a line of 50 MB is the beginning of its text on its page, without an error."""
    with make_server(long_corpus) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with open_page(f"http://127.0.0.1:{server.server_port}/document?file=x&row=1") as view:
            assert view.page.locator("pre").text_content() == ("<b>long</b> " * 20_000)[:200_000]
            assert view.page.locator("pre *").count() == 0
            assert view.errors == []
        server.shutdown()


def test_marks_are_around_their_text() -> None:
    assert (
        text_of("a<b>c", [(1, 4)], 3)
        == '<pre dir="auto">\na<mark>&lt;b</mark></pre><p class="faint">2 more characters</p>'
    )
