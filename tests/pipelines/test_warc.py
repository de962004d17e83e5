"""WARC files: every page of a crawl is a row with its own text, whatever else is in there; damage is never silent."""

import base64
import gzip
import hashlib
import io
import zlib
from collections import Counter
from itertools import accumulate
from pathlib import Path
from typing import Any

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from pipelines.errors import SourceError
from pipelines.reader_bytes import ReadFile
from pipelines.reader_charset import decode_html
from pipelines.reader_formats import OTHER_RECORD, read_rows
from pipelines.readers import SourceReader
from pipelines.sources import FileInfo
from tests.data import shared_data

PAGE = "<html><head><title>Ledger</title></head><body><p>Cuốn sổ ghi lại từng dòng. Größe, 日本.</p></body></html>"


def rows_of(path: Path, **options: Any) -> list[tuple[Any, str | None]]:
    """All rows, the records that are none left out."""
    file = ReadFile(path=path.name, uri=str(path), size=path.stat().st_size, format="warc")
    return [(row, rule) for row, rule in read_rows(file, **options) if rule != OTHER_RECORD]


def record(body: bytes, *http: tuple[str, str], kind: str = "response", status: str = "200 OK", **warc: str) -> bytes:
    """One uncompressed record as warcio writes it."""
    out = io.BytesIO()
    writer = WARCWriter(out, gzip=False)
    headers = StatusAndHeaders(status, list(http) or [("Content-Type", "text/html; charset=utf-8")], "HTTP/1.1")
    made = writer.create_warc_record(
        "https://example.org/page", kind, payload=io.BytesIO(body), http_headers=headers,
        warc_headers_dict={name.replace("_", "-"): value for name, value in warc.items()},
    )  # fmt: skip
    writer.write_record(made)
    return out.getvalue()


def raw(block: bytes, **headers: str) -> bytes:
    """One record by hand, for what a writer would not write."""
    lines = {"WARC-Type": "response", "WARC-Record-ID": "<urn:uuid:1>", "Content-Type": "application/http"}
    lines |= {"Content-Length": str(len(block))}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return b"WARC/1.0\r\n" + head.encode() + b"\r\n" + block + b"\r\n\r\n"


def one(path: Path, data: bytes) -> tuple[Any, str | None]:
    """The only row of a file."""
    path.write_bytes(data)
    (row,) = rows_of(path)
    return row


@pytest.mark.parametrize(
    ("name", "pages", "others"),
    [("dolma-sample-0000.warc.gz", 22, 26), ("dolma-sample-0001.warc.gz", 15, 19), ("whirlwind.warc.gz", 1, 3)],
)
def test_real_files_equal_an_independent_reading(name: str, pages: int, others: int) -> None:
    """Law: ids, addresses, dates and contents of a crawl's pages are those that warcio reads; the rest is counted."""
    path = shared_data("html-pages") / "warc" / name
    expected = []
    with path.open("rb") as handle:
        for found in ArchiveIterator(handle):
            if found.rec_type == "response":
                get = found.rec_headers.get_header
                text = found.content_stream().read().decode("utf-8", "replace")
                expected.append((get("WARC-Record-ID"), get("WARC-Target-URI"), get("WARC-Date"), text))
    rows = rows_of(path)
    assert [(row["id"], row["url"], row["date"], row["html"]) for row, _ in rows] == expected
    assert len(rows) == pages
    file = ReadFile(path=name, uri=str(path), size=path.stat().st_size, format="warc")
    step = SourceReader(source="a/b", tasks=[[file]], text_field="html", id_field="id", metadata_fields=["url"])
    assert [document.id for document in step.run()] == [row[0] for row in expected]
    counts = {label: int(stat.total) for label, stat in step.stats.stats.items()}
    assert (counts["rows"], counts["documents"], counts["other_records"]) == (pages, pages, others)


def test_only_pages_that_were_served_are_rows(tmp_path: Path) -> None:
    """Law: other records, other statuses, other types are no rows; XHTML and upper case are."""
    html = ("Content-Type", "text/html")
    data = b"".join(
        [
            record(b"a=b", kind="warcinfo"),
            record(b"", ("Host", "example.org"), kind="request"),
            record(PAGE.encode(), html, status="404 Not Found"),
            record(PAGE.encode(), html, status="301 Moved Permanently"),
            record(b"\x89PNG", ("Content-Type", "image/png")),
            record(b"{}", ("Content-Type", "application/json")),
            raw(b"example.org. 300 IN A 192.0.2.1", Content_Type="text/dns"),
            raw(b"x" * 3_000_000, WARC_Type="resource", Content_Type="text/html"),
            record(PAGE.encode(), ("content-type", "Text/HTML")),
            record(PAGE.encode(), ("Content-Type", "application/xhtml+xml;charset=utf-8")),
            record(PAGE.encode(), ("X", "y"), WARC_Identified_Payload_Type="text/html"),
        ]
    )
    path = tmp_path / "a.warc"
    path.write_bytes(data)
    assert [rule for _, rule in rows_of(path)] == [None] * 3
    file = ReadFile(path="a.warc", uri=str(path), format="warc")
    assert Counter(rule for _, rule in read_rows(file)) == {OTHER_RECORD: 8, None: 3}


def test_http_codings_come_off(tmp_path: Path) -> None:
    """Law: chunks and compression come off, also where a crawler took them off and left the header."""
    html, body = ("Content-Type", "text/html; charset=utf-8"), PAGE.encode()
    gz, chunked = ("Content-Encoding", "gzip"), ("Transfer-Encoding", "chunked")
    packed = gzip.compress(body)
    raw_deflate = zlib.compressobj(wbits=-15)

    def chunks(data: bytes) -> bytes:
        pieces = [data[i : i + 50] for i in range(0, len(data), 50)]
        return b"".join(b"%X;x=1\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"

    for headers, sent in (
        ([], body), ([gz], packed), ([gz], body), ([chunked], chunks(body)), ([chunked], body),
        ([gz, chunked], chunks(packed)), ([("Content-Encoding", "deflate")], zlib.compress(body)),
        ([("Content-Encoding", "deflate")], raw_deflate.compress(body) + raw_deflate.flush()),
        ([("Content-Encoding", "br")], brotli.compress(body)),
    ):  # fmt: skip
        row, rule = one(tmp_path / "a.warc", record(sent, html, *headers))
        assert (row["html"], rule) == (PAGE, None), headers


def test_a_page_that_does_not_come_out_costs_that_page(tmp_path: Path) -> None:
    """Law: broken chunks, compression, digests and HTTP headers are counted, each under its rule; others read on."""
    html, body = ("Content-Type", "text/html; charset=utf-8"), PAGE.encode()
    gz = ("Content-Encoding", "gzip")
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
    digest = "sha1:" + base64.b32encode(hashlib.sha1(http + body).digest()).decode()
    bad = [
        (record(gzip.compress(body)[:-20], html, gz), "bad_http_body"),
        (record(gzip.compress(body)[:30] + b"junk" * 9, html, gz), "bad_http_body"),
        (record(b"40\r\n" + body[:20], html, ("Transfer-Encoding", "chunked")), "bad_http_body"),
        (record(body, html, ("Content-Encoding", "no-such-coding")), "bad_http_body"),
        (record(brotli.compress(body)[:-9], html, ("Content-Encoding", "br")), "bad_http_body"),
        (record(body, html, ("Content-Encoding", "br")), "bad_http_body"),
        (raw(b"Not HTTP at all"), "bad_http_header"),
        (raw(b""), "bad_http_header"),
        (raw(http + body.replace(b"ghi", b"xxx"), WARC_Block_Digest=digest), "bad_digest"),
    ]
    good = record(body, html)
    path = tmp_path / "a.warc.gz"
    path.write_bytes(b"".join(gzip.compress(data) + gzip.compress(good) for data, _ in bad))
    found = rows_of(path)
    assert [rule for _, rule in found] == [rule for _, expected in bad for rule in (expected, None)]
    assert {row["html"] for row, rule in found if rule is None} == {PAGE}
    row, rule = one(tmp_path / "b.warc", raw(http + body, WARC_Block_Digest=digest))
    assert (row["html"], rule) == (PAGE, None)


def test_a_page_that_the_crawler_cut_short_is_used(tmp_path: Path) -> None:
    """Law: a record with WARC-Truncated gives what there is of its page, and says so."""
    headers = ("Content-Type", "text/html"), ("Content-Encoding", "gzip")
    packed = gzip.compress(PAGE.encode() * 50)
    row, rule = one(tmp_path / "a.warc", record(packed[: len(packed) // 2], *headers, WARC_Truncated="length"))
    assert rule is None
    assert row["html"].startswith(PAGE[:20])
    assert row["truncated"] == "length"


def test_damaged_files_are_errors(tmp_path: Path) -> None:
    """Law: cut, padded, wrongly measured or empty files raise SourceError and never look like shorter ones."""
    page = record(PAGE.encode())
    path = tmp_path / "a.warc"
    for data, message in (
        (page + page[:-40], "cut short"),
        (page + page[:60], "header does not end"),
        (page + b"garbage\r\n" + page, "after record 1: expected a WARC record, found b'garbage"),
        (b"<html>", "at the start: expected a WARC record"),
        (b"\r\n\r\n", "at least one record"),
        (page + raw(b"12345", Content_Length="3"), "after record 2"),
        (page + raw(b"12345", Content_Length="99"), "cut short"),
        (page + raw(b"12345", Content_Length="-5"), "Content-Length is '-5'"),
        (page + raw(b"12345", Content_Length="five"), "Content-Length is 'five'"),
    ):
        path.write_bytes(data)
        with pytest.raises(SourceError, match=message):
            rows_of(path)
    packed = tmp_path / "a.warc.gz"
    whole = gzip.compress(page) * 2
    for data in (whole[:-5], whole[:40], whole[:60] + b"\xff" + whole[61:], b"", page):
        packed.write_bytes(data)
        with pytest.raises(SourceError, match=r"a\.warc\.gz"):
            rows_of(packed)


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(min_value=1, max_value=1200))
def test_no_cut_goes_unnoticed(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    """Law: a gzip WARC that lost its last bytes, however many, raises."""
    path = tmp_path_factory.getbasetemp() / "cut.warc.gz"
    members = [gzip.compress(record(PAGE.encode() + bytes([65 + i]))) for i in range(4)]
    whole = b"".join(members)
    keep = max(1, len(whole) - cut)
    path.write_bytes(whole[:keep])
    if keep in accumulate(map(len, members)):
        return  # a cut between two members is a shorter file in every respect; the plan's size is what notices it
    with pytest.raises(SourceError):
        rows_of(path)


def test_the_largest_pages_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: a page above the limit, stored or inflated, is counted and not loaded."""
    monkeypatch.setattr("pipelines.reader_warc.MAX_PAGE_BYTES", 100_000)
    html = ("Content-Type", "text/html")
    big = b"<html>" + b"x" * 200_000
    br = ("Content-Encoding", "br")
    data = (
        record(big, html)
        + record(brotli.compress(big), html, br)
        + record(gzip.compress(big), html, ("Content-Encoding", "gzip"))
        + record(b"<html>", html)
    )
    path = tmp_path / "a.warc"
    path.write_bytes(data)
    assert [rule for _, rule in rows_of(path)] == ["html_too_large"] * 3 + [None]


def test_columns_and_names(tmp_path: Path) -> None:
    """Law: .warc and its compressions are data files, WET and WAT are not; a text field that is no column is named."""
    formats = {name: FileInfo(path=name, size=1, identity="").format for name in (
        "a.warc", "b/a.warc.gz", "A.WARC.GZ", "a.warc.wet.gz", "a.warc.wat.gz", "a.arc.gz")}  # fmt: skip
    assert list(formats.values()) == ["warc", "warc", "warc", None, None, None]
    path = tmp_path / "a.warc"
    path.write_bytes(record(PAGE.encode()))
    with pytest.raises(SourceError, match="has no column 'text'; its columns: html, url"):
        rows_of(path, required=["text"])


def test_charsets() -> None:
    """Law: mark, then UTF-8 where it fits, then header, then <meta>; what does not decode never fails."""
    german, japanese = "<p>Größe und Maß – für alle</p>", "<p>日本語のページ</p>"
    meta = '<meta http-equiv="Content-Type" content="text/html; charset={}">'
    assert decode_html(german.encode("cp1252"), "text/html; charset=ISO-8859-1") == german
    assert decode_html(german.encode(), "text/html; charset=ISO-8859-1") == german
    assert decode_html((meta.format("shift_jis") + japanese).encode("cp932")).endswith(japanese)
    assert decode_html(japanese.encode("euc-jp"), 'text/html; charset="EUC-JP"') == japanese
    assert decode_html(japanese.encode("iso-2022-jp"), "text/html; charset=iso-2022-jp") == japanese
    assert decode_html(b"\xff\xfe" + japanese.encode("utf-16-le"), "text/html; charset=utf-8") == japanese
    assert decode_html(b"\xef\xbb\xbf" + german.encode(), "text/html; charset=cp1251") == german
    assert (
        decode_html("<p>обычная страница о погоде и природе</p>".encode("cp1251"), "text/html; charset=windows-1251")[
            3:10
        ]
        == "обычная"
    )
    assert decode_html(("<meta charset=gbk>" + japanese).encode("gbk")).endswith(japanese)
    assert decode_html(b"caf\xe9 \x81", "text/html; charset=no-such-charset")
    for label in ("utf-7", "idna", "unicode_escape", "hex", "zip", "punycode", "undefined", "x" * 40):
        decode_html(rb"\ud800 +2AA- caf\xe9", f"text/html; charset={label}").encode("utf-8")
    assert decode_html("<p>ö</p>".encode() * 9 + b"\xff", "text/html; charset=utf-8").count("ö") == 9


@given(st.binary(max_size=300), st.sampled_from([None, "utf-8", "utf-16", "gbk", "latin1", "hz", "cp949"]))
@settings(deadline=None)
def test_decoded_pages_can_always_be_written(data: bytes, label: str | None) -> None:
    """Law: whatever the bytes and the declared charset, the page is text without lone surrogates."""
    decode_html(data, f"text/html; charset={label}" if label else None).encode("utf-8")
