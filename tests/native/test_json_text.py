"""Lines of JSON with the native core's strings: orjson's value or orjson's error, whatever the line."""

import json
import unicodedata
from itertools import islice
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import native
from filters.fast_spam import composing
from pipelines.json_line import line_loader, surely_composed
from tests.data import shared_data
from tests.native.corpus import LANGUAGES, every_text

pytestmark = pytest.mark.skipif(native.load() is None, reason="the native core was not built")

LONG = "Cuốn sổ ghi lại từng dòng, “không” thiếu dòng nào: Größe, 日本語。\n\t" * 8


def answer(load: Any, line: bytes) -> Any:
    """The value and its order of keys, or the error."""
    try:
        value = load(line)
    except orjson.JSONDecodeError as error:
        return str(error)
    return value, list(value) if isinstance(value, dict) else None


def test_long_strings_are_taken() -> None:
    """Law: the fast path is used where it is meant to be, in any place of the line."""
    take = native.load().take_string  # type: ignore[union-attr]
    for row in ({"text": LONG}, {"a": [1, {"b": "}"}], "text": LONG, "z": None}, {"é": LONG, "text": "short"}):
        line = json.dumps(row, ensure_ascii=False).encode()
        key, text, rest = take(line)
        assert text == LONG
        assert row[key] == LONG
        assert len(rest) < len(line) - len(LONG)


@pytest.mark.parametrize(
    "line",
    [
        '{{"text": "{}", "text": "{}"}}'.format(LONG[:300], "another" * 40),
        '{"t\\u0065xt": "%s", "text": "ấ"}' % ("ấ" * 200),
        '{"text": "%s", "text": ""}' % ("ấ" * 200),
        '{"text": "%s"} {}' % ("ấ" * 200),
        '{"text": "%s",}' % ("ấ" * 200),
        '{"text": "%s" "a": 1}' % ("ấ" * 200),
        '[{"text": "%s"}]' % ("ấ" * 200),
        '{"a": {"text": "%s"}}' % ("ấ" * 200),
        '{"a": [}, "text": "%s"}' % ("ấ" * 200),
        '{"a": "b\\", "text": "%s"}' % ("ấ" * 200),
        '{"text": "%s\\ud800"}' % ("ấ" * 200),
        '{"text": "%s\\ud83d\\ude00"}' % ("ấ" * 200),
        '{"text": "%s\\u00e9\\u0000\\/\\b\\f"}' % ("ấ" * 200),
        '{"text": "%s\\x"}' % ("ấ" * 200),
        '{"text": "%s\\u12"}' % ("ấ" * 200),
        '{"text": "%s\x01"}' % ("ấ" * 200),
        '{"text": "%s\U0001f600"}' % ("ấ" * 200),
        '{"text": "%s\\' % ("ấ" * 200),
        '{"text": "%s' % ("ấ" * 200),
        '  { "text" : "%s" , "n" : 1.5e3 }\r' % ("ấ" * 200),
        '{"text": "%s", "nan": NaN}' % ("ấ" * 200),
        '{"text": "%s", "n": 01}' % ("ấ" * 200),
        "{{{}}}".format(",".join(f'"{i}": "{"ấ" * 50}"' for i in range(100))),
    ],
)
def test_odd_lines(line: str) -> None:
    """Law: duplicate keys, escapes, broken structure, surrogates: orjson's answer, also for bytearrays."""
    given = line.encode("utf-8", "surrogatepass")
    load = line_loader()
    assert answer(load, given) == answer(orjson.loads, given)
    assert answer(load, bytearray(given)) == answer(orjson.loads, given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "bad",
    [
        b"\xc0\x80",
        b"\xc1\xbf",
        b"\xe0\x9f\xbf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\x80",
        b"\xe1\x80",
        b"\xc3",
        b"\xff",
    ],
)
@pytest.mark.parametrize("place", [0, 1, 61, 62, 63, 64, 65, 66, 127, 128, 200])
def test_malformed_utf8(bad: bytes, place: int) -> None:
    """Law: a malformed byte is refused at every place of a block, as orjson refuses it."""
    body = "ấ".encode() * 40 + b"a" * place + bad
    for tail in (b"", b"a", "ấ".encode() * 3, b"a" * 70):
        line = b'{"text": "' + body + tail + b'"}'
        assert answer(line_loader(), line) == answer(orjson.loads, line)


ROWS = st.dictionaries(
    st.text(max_size=6), st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=9), max_size=4
)
TEXTS = st.text(
    st.sampled_from('aaab ắởđ“日\n\\"/\t\u07ff\u0800\ud7ff\ue000\uffff\0') | st.characters(exclude_categories=["Cs"]),
    max_size=400,
)


@settings(max_examples=400, deadline=None)
@given(row=ROWS, text=TEXTS, ascii_only=st.booleans(), data=st.data())
def test_any_line(row: dict[str, Any], text: str, ascii_only: bool, data: st.DataObject) -> None:
    """Law: equal to orjson for any row, and for the same line with bytes changed, removed or doubled."""
    line = bytearray(json.dumps({**row, "text": "ế" * 50 + text}, ensure_ascii=ascii_only).encode())
    load = line_loader()
    assert answer(load, bytes(line)) == answer(orjson.loads, bytes(line))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(line) - 1))
        line[at : at + 1] = data.draw(
            st.sampled_from([b"", b'"', b"\\", b"}", b",", b"\x80", b"\xe1", b"\xf0", line[at : at + 2]])
        )
    assert answer(load, bytes(line)) == answer(orjson.loads, bytes(line))


def test_real_lines() -> None:
    """Law: thousands of Vietnamese, Chinese and Russian documents of the data pack read as orjson reads them."""
    load = line_loader()
    for language in ("vi", "zh", "ru"):
        for text in islice(every_text(shared_data(LANGUAGES[language])), 3000):
            assert load(orjson.dumps({"id": "1", "text": text, "z": [1]})) == {"id": "1", "text": text, "z": [1]}


def test_surely_composed_is_sure() -> None:
    """Law: no character that it answers for combines, decomposes, or is composed with its neighbour."""
    sure = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000 and surely_composed(chr(code))]
    assert len(sure) > 1000
    for char in sure:
        assert unicodedata.combining(char) == 0
        assert unicodedata.normalize("NFC", char) == char
    assert not composing() & set(sure)


@given(st.text(max_size=200))
def test_surely_composed_is_never_wrong(text: str) -> None:
    if surely_composed(text):
        assert unicodedata.normalize("NFC", text) == text
