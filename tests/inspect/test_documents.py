"""What is shown is what the files hold: reading, filters, samples, long lines."""

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.compression import OutputConfig
from pipelines.errors import SourceError, UserError
from pipelines.inspect import lines
from pipelines.inspect.corpus import Corpus, open_corpus
from pipelines.inspect.documents import Found, Wanted, documents_of, sample
from pipelines.inspect.lines import lines_of
from tests.inspect.conftest import HOSTILE
from tests.pipelines.processes import Run


def in_files(run: Run, *, dropped: bool) -> list[tuple[str, str, dict[str, Any]]]:
    """(id, text, metadata) of every document on disk."""
    found = []
    for path in sorted(run.output.rglob("*.jsonl.gz")):
        if (path.relative_to(run.output).parts[:2] == ("_run", "dropped")) == dropped and "stages" not in path.parts:
            rows = map(json.loads, gzip.decompress(path.read_bytes()).decode().split("\n")[:-1])
            found += [(row["id"], row["text"], row["metadata"]) for row in rows]
    return sorted(found, key=str)


def everything(corpus: Corpus, wanted: Wanted | None = None, **asked: Any) -> list[Found]:
    return [found for file in corpus.select(**asked) for found in documents_of(file, wanted or Wanted())]


@pytest.mark.parametrize("dropped", [False, True])
def test_what_is_shown_is_what_the_files_hold(inspected: Run, corpus: Corpus, dropped: bool) -> None:
    """Law: every document of the files once, with its text, id and metadata, and the ledger's number of them."""
    shown = everything(corpus, dropped=dropped)
    assert sorted([(f.line.id, f.line.text, f.line.metadata) for f in shown], key=str) == in_files(
        inspected, dropped=dropped
    )
    assert len(shown) == sum(file.lines for file in corpus.files if bool(file.family) == dropped) > 0


def test_filters_filter(corpus: Corpus) -> None:
    """Law: of all documents exactly those that the option means."""
    dropped = everything(corpus, dropped=True)
    assert {found.reason for found in dropped} == set(corpus.reasons)
    for reason in corpus.reasons:
        mine = everything(corpus, Wanted(reason=reason), dropped=True, reason=reason)
        assert [f.line.id for f in mine] == [f.line.id for f in dropped if f.reason == reason] != []
    family = everything(corpus, Wanted(reason="gopher_quality"), dropped=True, reason="gopher_quality")
    assert {found.file.family for found in family} == {"gopher_quality"}
    kept = everything(corpus, dropped=False)
    assert {f.file.source for f in everything(corpus, dropped=False, source="hostile")} == {"t/hostile/default"}
    english = everything(corpus, Wanted(language="en"), dropped=False)
    assert len(english) == sum(f.language == "en" for f in kept) > 0
    found = everything(corpus, Wanted(search="NOT MARKUP"), dropped=False)
    assert {f.line.text for f in found} == {HOSTILE["markup"]}


def test_a_sample_is_its_seed(corpus: Corpus) -> None:
    """Law: the same seed, the same documents; a larger sample begins with the smaller one; another seed differs."""
    files = corpus.select(dropped=False)

    def ids(number: int, seed: int) -> list[str]:
        return [found.line.id for found in sample(files, Wanted(), number, seed)]

    assert ids(10, 0) == ids(10, 0) == ids(20, 0)[:10]
    assert ids(10, 0) != ids(10, 1)
    assert sorted(ids(1000, 3)) == sorted(f.line.id for f in everything(corpus, dropped=False))


def test_what_is_not_there_is_said(corpus: Corpus, inspected: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--reason gopher_qualty: .* did you mean"):
        corpus.select(dropped=True, reason="gopher_qualty")
    with pytest.raises(UserError, match=r"--source nowhere: .*known: t/en/default"):
        corpus.select(dropped=False, source="nowhere")
    with pytest.raises(UserError, match="no dropped documents"):
        open_corpus(inspected.folder / "out_dedup").select(dropped=True)
    with pytest.raises(UserError, match="no such folder"):
        open_corpus(tmp_path / "no")


def write(path: Path, rows: list[bytes]) -> Path:
    compressor = OutputConfig(compression="zstd" if path.name.endswith("zst") else "gzip").compressor()
    path.write_bytes(compressor.compress(b"".join(row + b"\n" for row in rows)) + compressor.flush())
    return path


def row_of(text: str, ident: str, **metadata: Any) -> bytes:
    return orjson.dumps({"text": text, "id": ident, "metadata": metadata})


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl.zst"])
def test_a_line_of_50_mb_is_cut_in_bounded_memory(tmp_path: Path, suffix: str) -> None:
    """Law: its beginning, id and metadata are there, its neighbours are whole, and memory stays under 32 MB."""
    long = 'dài <b>x</b> \\ " và 🙂\n' * 1_700_000
    rows = [row_of("first", "a"), row_of(long, "b", language="vi"), row_of("last", "c")]
    assert len(rows[1]) > 50_000_000
    path = write(tmp_path / f"x{suffix}", rows)
    start = long[: 1 << 20]
    del long, rows
    tracemalloc.start()
    found = list(lines_of(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32_000_000
    assert [line.id for line in found] == ["a", "b", "c"]
    assert [line.cut for line in found] == [False, True, False]
    assert found[1].size > 50_000_000
    assert found[1].metadata == {"language": "vi"}
    assert len(found[1].text) > 500_000
    assert start.startswith(found[1].text)
    assert [line.id for line in lines_of(path, 2)] == ["c"]


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=80), st.integers(min_value=12, max_value=120))
def test_a_cut_text_is_a_beginning_of_the_text(text: str, at: int) -> None:
    """Law: wherever a line is cut, what is read is where its text begins, and id and metadata are its own."""
    whole = row_of(text, 'i","id":"', a=1) + b"\n"
    head, tail = whole[:at], whole[at:]
    if not tail or b'","id":"' in head + tail[:7]:
        return
    line = lines._parse(0, head, tail, len(whole))
    assert text.startswith(line.text)
    assert len(line.text) >= len(text.encode()[: at - 9].decode(errors="ignore")) // 6 - 2
    assert (line.id, line.metadata) == ('i","id":"', {"a": 1})


def test_metadata_that_is_too_long_is_left_out(tmp_path: Path) -> None:
    """Law: no id out of the middle of metadata; the text and the documents after it are there."""
    metadata = {"a": ["x", {"b": "y", "id": "z"}] * 200_000}
    path = write(tmp_path / "x.jsonl.gz", [row_of("short", "a", **metadata), row_of("last", "b")])
    first, last = lines_of(path)
    assert (first.text, first.id, first.cut) == ("short", "", True)
    assert (last.text, last.id) == ("last", "b")


def test_a_damaged_file_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl.gz", [row_of("a", "a"), b"{no json"])
    with pytest.raises(SourceError, match="after 1 documents"):
        list(lines_of(path))
