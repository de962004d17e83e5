"""YAML as people mean it, with line numbers; what is not plain data is refused in one line."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import ConfigError, UserError
from pipelines.yaml_source import YamlSource, load_yaml


def read(folder: Path, text: str | bytes) -> YamlSource:
    path = folder / "c.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_yaml(path)


def refused(folder: Path, text: str | bytes) -> str:
    """The one line that a file is refused with."""
    with pytest.raises(UserError) as error:
        read(folder, text)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value).removeprefix(str(folder))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5e-05", 5e-05), ("1e3", 1000.0), ("0.333", 0.333), ("4", 4), ("1_000", 1000), ("-1", -1), ("true", True),
        ("False", False), ("null", None), ("~", None), ("", None), ("no", "no"), ("on", "on"), ("yes", "yes"),
        ("12:30", "12:30"), ("2024-01-01", "2024-01-01"), ("0x1F", "0x1F"), (".inf", ".inf"), (".nan", ".nan"),
        ("12e456789", "12e456789"), ("9" * 5000, "9" * 5000), ("'5'", "5"), ('"no"', "no"), ("=", "="), ("<<", "<<"),
        ("10B", "10B"), ("tiếng Việt", "tiếng Việt"),
    ],
)  # fmt: skip
def test_what_a_plain_word_is(tmp_path: Path, text: str, value: object) -> None:
    """Numbers are numbers, true and false are truth values, and everything else is the text that it looks like."""
    found = read(tmp_path, f"key: {text}\n").data["key"]
    assert found == value
    assert type(found) is type(value)


def test_numbers_keep_how_they_are_written(tmp_path: Path) -> None:
    assert read(tmp_path, "a: {b: 1.10}\n").numbers == {("a", "b"): "1.10"}


def test_lines(tmp_path: Path) -> None:
    """Every value knows its line; what is missing has the line of what encloses it."""
    source = read(tmp_path, "a: 1\nlist:\n  - x: 1\n    y:\n      - 2\n  - {z: 3}\n")
    assert source.where(("list", 0, "y", 0)) == f"{tmp_path}/c.yaml:5"
    assert source.where(("list", 1, "z")) == f"{tmp_path}/c.yaml:6"
    assert source.where(("list", 0, "missing", "deeper")) == f"{tmp_path}/c.yaml:3"
    assert source.where(()) == f"{tmp_path}/c.yaml:1"


def test_every_key_that_is_written_twice(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, "a: 1\nb:\n  c: 1\n  c: 2\na: 3\n")
    assert error.value.problems == [
        f"{tmp_path}/c.yaml:4: c: written twice (first at line 3); keep one of them",
        f"{tmp_path}/c.yaml:5: a: written twice (first at line 1); keep one of them",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: !!python/object/apply:os.system [ls]\n", ":1: the tag tag:yaml.org,2002:python/object/apply:os.system is"),
        ("a: 1\nb: !!int abc\n", ":2: the tag tag:yaml.org,2002:int is not allowed; put text in quotes"),
        ("a: !!bool maybe\n", ":1: the tag tag:yaml.org,2002:bool is not allowed"),
        ("a: !x {b: 1}\n", ":1: the tag !x is not allowed"),
        ("a: &anchor [1]\n", ":1: anchors and aliases (& and *) are not allowed; repeat the text"),
        ("a: *anchor\n", ":1: anchors and aliases (& and *) are not allowed; repeat the text"),
        ("a: [1\nb: 2\n", ":2: not valid YAML: "),
        ("a: 1\n b: 2\n", ":2: not valid YAML: mapping values are not allowed here"),
        ("a: 1\n---\nb: 2\n", ":2: not valid YAML: but found another document"),
        ("a: \x07\n", ":1: the character 7 is not allowed in YAML"),
        ("a: 1\n\tb: 2\n", ":2: not valid YAML: "),
        ("{a: 1}: 2\n", ":1: a key must be a plain word; write it on one line"),
        ("[" * 5000, ":1: is nested too deeply"),
        (b"a: \xff\xfe\n", ": is not UTF-8 text (invalid start byte at byte 3); save it as UTF-8"),
    ],
)
def test_what_is_not_plain_data(tmp_path: Path, text: str | bytes, message: str) -> None:
    assert refused(tmp_path, text).startswith(f"/c.yaml{message}")


def test_a_billion_laughs(tmp_path: Path) -> None:
    """A small file that would expand to 10^9 values is refused at once."""
    lines = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    before = time.perf_counter()
    assert "anchors and aliases" in refused(tmp_path, "\n".join(lines))
    assert time.perf_counter() - before < 1


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "none.yaml", "no such file"),
        (tmp_path, "is a folder"),
        (Path("a\0b"), "cannot be read"),
    ):
        with pytest.raises(UserError, match=message) as error:
            load_yaml(path)
        assert len(str(error.value).splitlines()) == 1


def test_a_byte_order_mark_is_not_part_of_the_first_key(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbfa: 1\n").data == {"a": 1}


def test_an_empty_file_is_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, "").data is None
    assert read(tmp_path, "# only a comment\n").data is None


@given(st.text(alphabet=st.sampled_from("ab:-[]{}&*!|>'\"#%@`, \n\t01.e?~<=\\\x00é"), max_size=40))
def test_any_text_is_data_or_one_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Nothing but ConfigError and UserError ever comes out, and each of its lines names the file."""
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8")
    lines: list[str] = []
    try:
        load_yaml(path)
    except UserError as error:
        lines = str(error).splitlines()
    assert all(line.startswith(f"{path}:") for line in lines)
