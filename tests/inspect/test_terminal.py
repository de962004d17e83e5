"""The terminal view: hostile texts arrive as text, options do what they say, `--json` is JSON."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import UserError
from pipelines.inspect.command import Asked, show
from pipelines.inspect.visible import visible, visible_line
from tests.inspect.conftest import HOSTILE
from tests.pipelines.processes import Run

BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@given(st.text(st.characters(), max_size=200))
def test_nothing_that_commands_a_terminal_is_left(text: str) -> None:
    """Law: no control character but newline and tab, no mark of direction, no surrogate; plain text stays as it is."""
    shown = visible(text)
    for char in shown:
        assert unicodedata.category(char) not in ("Cs", "Co", "Zl", "Zp")
        assert char in "\n\t" or unicodedata.category(char) != "Cc"
        assert unicodedata.bidirectional(char) not in BIDI
    if text.isprintable():
        assert all(a == b for a, b in zip(text, shown, strict=False) if a.isascii())
    assert "\n" not in visible_line(text)


def test_hostile_documents_are_text_on_a_terminal(inspected: Run) -> None:
    """Law: the command's whole output holds no control character, and shows each text's beginning escaped."""
    status, said = inspected.tool("inspect", "--source", "hostile", "--sample", "50")
    assert status == 0, said
    assert {char for char in said if unicodedata.category(char) in ("Cc", "Cs") or char in "\u202e\u2028"} == {"\n"}
    assert "\\x1b[31mred" in said
    assert "a\\x00b\\x0dc" in said
    assert "user \\u202e" in said
    assert "[bold red]not markup[/bold red] :smile:" in said
    assert "<script>document.title='id'</script>" in said
    assert HOSTILE["html"][:40] in said


def said(capsys: pytest.CaptureFixture[str], folder: Path, **asked: Any) -> str:
    """What the command prints."""
    capsys.readouterr()
    show(folder, Asked(**asked))
    return capsys.readouterr().out


def test_json_is_the_documents_in_ascii(inspected: Run, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, inspected.output, source="hostile", sample=50, as_json=True)
    assert text.isascii()
    assert not set(text) & {"\x1b", "\x7f"}
    assert {row["id"]: row["text"] for row in json.loads(text)}["ansi"] == HOSTILE["ansi"]


def test_near_threshold_comes_nearest_first(inspected: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Law: distances grow, and the nearest of all measured documents is the first."""
    rows = json.loads(said(capsys, inspected.output, near_threshold=True, sample=5, as_json=True))
    distances = [row["why"]["distance"] for row in rows]
    assert len(rows) == 5
    assert distances == sorted(distances)
    assert {row["verdict"] for row in rows} == {"kept"}
    everything = json.loads(said(capsys, inspected.output, source="t/en", sample=100, as_json=True))
    assert distances == sorted(row["why"]["distance"] for row in everything)[:5]


def test_marked_places_are_shown(inspected: Run, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, inspected.output, reason="gopher_repetition", sample=3)
    assert "⟦" in text
    assert "threshold" in text


def test_duplicates_are_shown_side_by_side_and_as_json(inspected: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Law: both texts of an exact duplicate are there, and equal; all pairs of the table with a large sample; the words
    that differ are in brackets."""
    folder = inspected.folder / "out_dedup"
    rows = json.loads(said(capsys, folder, duplicates=True, sample=100, as_json=True))
    assert len(rows) == pq.read_metadata(folder / "_run" / "duplicates.parquet").num_rows > 0
    exact = [row for row in rows if row["method"] == "exact" and row["match_id"] == row["kept_id"]]
    assert all(row["removed_text"] == row["kept_text"] for row in exact)
    assert {row["method"] for row in rows} == {"exact", "minhash"}
    text = said(capsys, folder, duplicates=True, source="t/en", sample=1)
    assert "removed p" in text
    assert "kept p" in text
    text = said(capsys, folder, duplicates=True, sample=100, max_chars=100_000)
    assert text.count("⟦") == text.count("⟧") == 2


def test_wrong_options_are_one_clear_line(inspected: Run) -> None:
    """Law: exit status 2 and one line for what is not there or does not go together."""
    status, text = inspected.tool("inspect", "--duplicates")
    assert status == 2
    assert len(text.splitlines()) == 1
    for asked, message in (
        ({"duplicates": True, "dropped": True}, "does not go with --dropped"),
        ({"reason": "nothing"}, "nothing was dropped for it"),
    ):
        with pytest.raises(UserError, match=message):
            show(inspected.output, Asked(**asked))
