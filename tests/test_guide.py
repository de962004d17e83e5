"""The documents tell the truth: their commands run, nothing that exists goes unmentioned, nothing mentioned is missing.

Commands of DATATROVE_GUIDE.md and examples/README.md (```bash) run on the mini hub, in a folder of links, in the order
in which they stand. Blocks that need the Hub or change the machine are ```console and are only counted; those of a
cluster are typed by tests/pipelines/slurm/test_guide_chapter.py. Gives up: judging prose.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.data import ROOT

GUIDE = ROOT / "DATATROVE_GUIDE.md"
TEXT = GUIDE.read_text(encoding="utf-8")
DOCUMENTS = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "examples" / "README.md")
    if path.name != "sources.md"
)
ON_A_CLUSTER = "on a cluster"
# Commands that no test runs must stay few: installing, the Hub itself, and stopping a run by hand.
MOST_NOT_RUN = 12
_FENCE = re.compile(
    r"^(?:<!-- (?P<comment>[^>]*) -->\n)?```(?P<kind>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
_SAVED_AS = re.compile(r"# saved as (\S+)\n")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block of a document: its kind, text and line, the comment before it and the exit status it promises."""

    path: Path
    line: int
    kind: str
    body: str
    comment: str
    status: int

    @property
    def commands(self) -> list[str]:
        """Its commands, continued lines joined, comments left out."""
        lines = self.body.replace("\\\n", " ").splitlines()
        return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def blocks(path: Path) -> Iterator[Block]:
    text = path.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        promised = re.fullmatch(r"exit status (\d+)", match["comment"] or "")
        yield Block(
            path=path,
            line=text.count("\n", 0, match.start("body")) + 1,
            kind=match["kind"],
            body=match["body"],
            comment=match["comment"] or "",
            status=int(promised[1]) if promised else 0,
        )


def folder_of_links(folder: Path) -> Path:
    """A folder that looks like the project to a command, and keeps what it writes."""
    project = folder / "project"
    project.mkdir()
    for path in ROOT.iterdir():
        if not path.name.startswith(".") and path.name not in ("datatrove_output", "datatrove_logs"):
            (project / path.name).symlink_to(path)
    programs = folder / "bin"
    programs.mkdir()
    for name, arguments in (("python", ""), ("smoltrove", " -m pipelines")):
        (programs / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)}{arguments} "$@"\n')
        (programs / name).chmod(0o755)
    return project


@pytest.mark.parametrize("path", [GUIDE, ROOT / "examples" / "README.md"], ids=lambda path: path.name)
def test_commands_do_what_the_text_says(path: Path, tmp_path: Path) -> None:
    project = folder_of_links(tmp_path)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HF_HUB_OFFLINE": "1",
        "HF_TOKEN": "",
    }
    ran = 0
    for block in blocks(path):
        saved = _SAVED_AS.match(block.body)
        if saved:
            (project / saved[1]).write_text(block.body, encoding="utf-8")
        if block.kind != "bash" or block.comment == ON_A_CLUSTER:
            continue
        for command in block.commands:
            done = subprocess.run(
                ["bash", "-c", command], cwd=project, env=environment, capture_output=True, text=True, timeout=300
            )
            assert done.returncode == block.status, (
                f"{path.name}:{block.line}: exit status {done.returncode}, not {block.status}: {command}\n"
                f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
            )
            assert "Traceback" not in done.stderr, f"{path.name}:{block.line}: {command}\n{done.stderr}"
            ran += 1
    assert ran, f"{path.name} has no command that a test runs"


def test_few_commands_are_not_run() -> None:
    """Those that need the network, a cluster or your hand. Targets of make are the tests and benchmarks themselves."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    not_run = [
        f"{path.name}:{block.line}: {command}"
        for path in DOCUMENTS
        for block in blocks(path)
        if block.kind == "console"
        for command in block.commands
        if command.startswith("$ ") and not (command.startswith("$ make ") and command.split()[2] in targets)
    ]
    assert len(not_run) <= MOST_NOT_RUN, "\n".join(not_run)
    assert {block.kind for path in DOCUMENTS for block in blocks(path)} <= {
        "bash", "console", "yaml", "json", "text", "markdown",
    }, "a kind of block that no test knows"  # fmt: skip


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("http"):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), f"{path.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, f"{path.name}: {target}: headings are {sorted(anchors)}"


def test_guide_table_of_contents_is_complete() -> None:
    headings = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
    linked = re.findall(r"^- \[(.+?)\]\(#", TEXT, re.MULTILINE)
    assert linked == headings
