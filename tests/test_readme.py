"""The file tree in README.md is the project's: every file has its line, and every line is a file.

Gives up: tests and results, which have one line together.
"""

import re
from pathlib import Path

import pytest

from tests.data import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def tree() -> dict[str, str]:
    """path -> description, from the tree in README.md: two spaces of indentation a level, folders end in `/`."""
    block = re.search(r"^## Files$.*?^```text\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert block
    found = {}
    folders: list[str] = []
    for line in block[1].splitlines():
        match = re.match(r"( *)(\S+)(?: {2,}(.*))?$", line)
        assert match, f"not a line of a tree: {line!r}"
        depth = len(match[1]) // 2
        folders = [*folders[:depth], match[2]]
        found["".join(folders)] = match[3] or ""
    return found


def test_every_file_is_in_the_tree_and_every_line_is_a_file() -> None:
    listed = tree()
    for path, description in listed.items():
        there = ROOT / path
        assert there.is_dir() if path.endswith("/") else there.is_file(), f"{path} is not there"
        assert description, f"{path} has no description"
    patterns = [f"{folder}/*.*" for folder in ("configs", "examples", "docs")]
    packages = [p.parent.relative_to(ROOT).as_posix() for p in ROOT.glob("pipelines/**/__init__.py")]
    packages += ["filters", "benchmarks"]
    patterns += [f"{package}/*.py" for package in packages]
    patterns += ["*.py", "*.md", "*.toml", "requirements*.txt", "Makefile"]
    present = {p.relative_to(ROOT).as_posix() for pattern in patterns for p in ROOT.glob(pattern) if p.is_file()}
    assert present - set(listed) == set(), "add these to the tree in README.md"


@pytest.mark.parametrize(
    "path", [p for folder in ("", "docs", "examples") for p in sorted((ROOT / folder).glob("*.md"))]
)
def test_no_path_of_a_machine(path: Path) -> None:
    assert not re.search(r"/tmp/|/home/|/root/|/work/", path.read_text(encoding="utf-8"))
