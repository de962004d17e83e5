"""The guide's chapter "On a cluster", typed into one shell on the throw-away Slurm, ends in the corpus of a local run.

Gives up: the first lines, which clone and install; `make setup` is what made the environment that runs the tests.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data import MINI_HUB
from tests.pipelines.processes import HANG_SECONDS, Run
from tests.pipelines.slurm.test_runs import STAGE_1
from tests.slurm import Slurm
from tests.test_guide import GUIDE, ON_A_CLUSTER, Block, blocks, folder_of_links


def chapter() -> list[Block]:
    """Its blocks, in the order in which they stand."""
    text = GUIDE.read_text(encoding="utf-8")
    first = text.count("\n", 0, text.index("\n## On a cluster\n"))
    last = text.count("\n", 0, text.index("\n## ", text.index("\n## On a cluster\n") + 1))
    return [block for block in blocks(GUIDE) if first < block.line < last]


def as_pattern(line: str, shared: Path) -> str:
    """A line of an answer: numbers may differ, columns may be wider."""
    words = line.replace("$SHARED", str(shared)).split()
    return r"\s+".join(re.sub(r"\d+", r"\\d+", re.escape(word)) for word in words)


@pytest.mark.slow
def test_the_chapter_from_login_to_the_finished_corpus(box: Slurm, tmp_path: Path) -> None:
    """Every command works as it stands there, and answers what is said there."""
    if sys.prefix == sys.base_prefix:
        pytest.skip("the chapter activates a virtual environment, and the tests run in none")
    shared = tmp_path / "shared"
    shared.mkdir()
    folder_of_links(tmp_path).rename(shared / "smoltrove")
    (shared / "smoltrove" / ".venv").symlink_to(sys.prefix)
    found = chapter()
    typed = [block for block in found if block.comment == ON_A_CLUSTER]
    assert {block.kind for block in typed} == {"bash"}
    assert {block.comment for block in found if block.kind == "bash"} == {ON_A_CLUSTER}
    path = os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if not p.startswith(sys.prefix))
    environment = {**os.environ, "PATH": path, "SHARED": str(shared), "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}
    environment["SLURM_CONF"] = box.env["SLURM_CONF"]
    for name in ("VIRTUAL_ENV", "PYTHONPATH"):
        environment.pop(name, None)
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-x"], input="".join(block.body for block in typed), cwd=tmp_path,
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=2 * HANG_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    assert "Traceback" not in done.stdout
    answers = [block for block in found if block.comment == f"answer {ON_A_CLUSTER}"]
    for line in "".join(block.body for block in answers).splitlines():
        assert re.search(as_pattern(line, shared), done.stdout), f"it does not answer {line!r}:\n{done.stdout}"
    assert answers
    assert '{"text":' in done.stdout

    options = ("--mirror", str(MINI_HUB), "--target-tokens", "60k", "--tasks", "2")
    for name, datasets in (("trial", "3"), ("again", "1")):
        local = Run(tmp_path / name, STAGE_1, *options, "--max-datasets", datasets, script=True)
        status, text = local.call()
        assert status == 0, text
        corpus = {path.relative_to(shared / "corpus" / name).as_posix() for path in documents(shared / "corpus" / name)}
        assert corpus == set(local.files())
        assert all((shared / "corpus" / name / file).read_bytes() == data for file, data in local.files().items())


def documents(run: Path) -> list[Path]:
    return [path for path in run.rglob("*.jsonl.gz") if "_run" not in path.parts]
