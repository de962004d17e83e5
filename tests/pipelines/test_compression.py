"""The `output:` block: everyone can read both codecs, a killed run ends with the same bytes, wrong values say so."""

import gzip
import io
import json
import shutil
import subprocess
import time
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from datasets import load_dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from isal import igzip

from pipelines.compression import OutputConfig, open_lines, parse_compression
from pipelines.config import load_config
from pipelines.errors import ConfigError, UserError
from pipelines.writers import Sink
from tests.pipelines.corpus import passages, write_one_source
from tests.pipelines.processes import Run, finish, kill_group

EVERY = [OutputConfig(compression="gzip", level=level) for level in range(1, 10)] + [
    OutputConfig(compression="zstd", level=level) for level in (1, 3, 6, 19)
]


def written(folder: Path, output: OutputConfig, lines: list[bytes]) -> Path:
    sink = Sink(folder / f"00000{output.suffix}", output)
    for line in lines:
        sink.write(line)
    return Path(sink.close().path)


def many_lines() -> list[bytes]:
    """More than one block, and more than one window of either codec."""
    return [json.dumps({"text": text, "id": str(i)}).encode() + b"\n" for i, text in enumerate(passages() * 3)]


@pytest.mark.parametrize("output", EVERY, ids=str)
def test_the_same_lines_are_the_same_bytes_at_every_level(tmp_path: Path, output: OutputConfig) -> None:
    lines = many_lines()
    files = [written(tmp_path / str(turn), output, lines) for turn in range(2)]
    assert files[0].read_bytes() == files[1].read_bytes()
    with open_lines(files[0].name, open(files[0], "rb")) as handle:
        assert handle.readlines() == lines


@settings(deadline=None)
@given(st.lists(st.binary(max_size=400).map(lambda data: data.replace(b"\n", b"") + b"\n"), max_size=9))
def test_any_lines_come_back(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    for output in (OutputConfig(), OutputConfig(compression="zstd")):
        path = written(tmp_path_factory.mktemp("x"), output, lines)
        assert open_lines(path.name, io.BytesIO(path.read_bytes())).readlines() == lines


def test_levels_are_used(tmp_path: Path) -> None:
    lines = many_lines()
    for codec, low, high in (("gzip", 1, 9), ("zstd", 1, 19)):
        sizes = [
            written(tmp_path / f"{codec}{level}", parse_compression(f"{codec}:{level}"), lines).stat().st_size
            for level in (low, high)
        ]
        assert sizes[1] < 0.95 * sizes[0]


def test_the_default_is_within_five_percent_of_gzip_level_6(tmp_path: Path) -> None:
    lines = many_lines()
    assert written(tmp_path, OutputConfig(), lines).stat().st_size < 1.05 * len(gzip.compress(b"".join(lines), 6))


def test_gzip_is_one_member_that_every_reader_reads(tmp_path: Path) -> None:
    """One member: a reader that stops after the first, as some do, still has everything."""
    lines = many_lines()
    whole = b"".join(lines)
    path = written(tmp_path, OutputConfig(), lines)
    data = path.read_bytes()
    assert data[4:8] == bytes(4), "the time of day is in the header"
    assert gzip.decompress(data) == igzip.decompress(data) == whole
    with pa.CompressedInputStream(pa.OSFile(str(path)), "gzip") as stream:
        assert stream.read() == whole
    import zlib

    member = zlib.decompressobj(31)
    assert member.decompress(data) == whole
    assert (member.eof, member.unused_data) == (True, b"")
    if tool := shutil.which("gzip"):
        assert subprocess.run([tool, "-cd", str(path)], capture_output=True, check=True).stdout == whole


def test_zstd_is_one_frame_with_a_checksum(tmp_path: Path) -> None:
    lines = many_lines()
    path = written(tmp_path, OutputConfig(compression="zstd"), lines)
    data = path.read_bytes()
    assert zstandard.get_frame_parameters(data).has_checksum
    with pa.CompressedInputStream(pa.OSFile(str(path)), "zstd") as stream:
        assert stream.read() == b"".join(lines)
    broken = bytearray(data)
    broken[-1] ^= 1
    with pytest.raises(zstandard.ZstdError):
        open_lines(path.name, io.BytesIO(bytes(broken))).read()


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_datasets_reads_it(tmp_path: Path, codec: str) -> None:
    lines = many_lines()
    path = written(tmp_path, parse_compression(codec), lines)
    rows = load_dataset("json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    assert [row["id"] for row in rows] == [str(i) for i in range(len(lines))]


# Configurations


@pytest.mark.parametrize(
    ("block", "says"),
    [
        ("{level: 99}", "level 99 is none of gzip's; give 1 to 9, or leave it out for 4"),
        ("{level: 0}", "level 0 is none of gzip's"),
        ("{compression: zstd, level: 20}", "level 20 is none of zstd's; give 1 to 19, or leave it out for 3"),
        ("{level: 6.0}", "6.0 is not a whole number"),
        ("{level: fast}", "'fast' is not a whole number"),
        ("{compression: gz}", "'gz' is not one of"),
        ("{codec: zstd}", "unknown key"),
        ("gzip", "is not a mapping"),
    ],
)
def test_a_wrong_value_is_one_line_with_its_place(tmp_path: Path, block: str, says: str) -> None:
    config = write_one_source(tmp_path, 1)
    config.write_text(f"output: {block}\n" + config.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(config)
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(f"{config}:1: output")
    assert says in caught.value.problems[0]


@pytest.mark.parametrize(
    "value", ["", "gz", "gzip:", "gzip:x", "gzip:99", "gzip:-1", "zstd:0", "zstd:1:2", "gzip:²", "zip:1"]
)
def test_a_wrong_option_is_one_line(value: str) -> None:
    with pytest.raises(UserError, match="--compression: ") as caught:
        parse_compression(value)
    assert "\n" not in str(caught.value)


# Runs


@pytest.mark.parametrize("compression", ["gzip:1", "zstd"])
def test_a_killed_run_ends_with_the_bytes_of_an_undisturbed_one(tmp_path: Path, compression: str) -> None:
    config = write_one_source(tmp_path / "mixture", 300, files=6)
    options = ("--tasks", "6", "--keep-dropped", "--compression", compression)
    undisturbed = Run(tmp_path / "a", config, *options)
    status, text = undisturbed.call()
    assert status == 0, text
    run = Run(tmp_path / "b", config, *options)
    process = run.start()
    while process.poll() is None and len(run.markers()) < 2:
        time.sleep(0.005)
    kill_group(process)
    finish(process)
    status, text = run.call()
    assert status == 0, text
    assert run.files() == undisturbed.files()
    assert {Path(name).suffix for name in run.files()} == {".zst" if compression == "zstd" else ".gz"}
    status, text = run.verify()
    assert status == 0, text


def test_verify_and_dedup_take_zstd_and_another_level_is_another_run(tmp_path: Path) -> None:
    config = write_one_source(tmp_path / "mixture", 120)
    config.write_text("output: {compression: zstd, level: 5}\n" + config.read_text(encoding="utf-8"), encoding="utf-8")
    run = Run(tmp_path / "run", config)
    status, text = run.call("--run-dedup", "--dedup-method", "exact")
    assert status == 0, text
    deduplicated = tmp_path / "run" / "out_dedup"
    files = list(deduplicated.glob("*/*/*.jsonl.*"))
    assert files
    assert all(path.name.endswith(".jsonl.zst") for path in files)
    victim = next(run.output.glob("*/*/*.zst"))
    whole = victim.read_bytes()
    for damaged in (whole[:-1], whole[: len(whole) // 2], b""):
        victim.write_bytes(damaged)
        status, text = run.verify()
        assert status == 1, text
        assert "truncated or damaged" in text
    victim.write_bytes(whole)
    (victim.parent / "00009.jsonl.zst").write_bytes(whole)
    status, text = run.verify()
    assert (status, "00009.jsonl.zst: extra" in text) == (1, True)
    (victim.parent / "00009.jsonl.zst").unlink()
    assert run.verify()[0] == 0
    status, text = run.call("--compression", "gzip")
    assert status == 2
    assert 'plan.output.compression: "zstd" -> "gzip"' in text
    status, text = run.call("--compression", "gzip", "--fresh")
    assert status == 0, text
    assert {Path(name).suffix for name in run.files()} == {".gz"}
