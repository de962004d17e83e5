"""A native core of other sources than those beside it is not used: stock judges, and it is told why."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import pytest

from filters import native
from filters.native_sources import digest
from tests.data import ROOT
from tests.native.oracle import needs_core

# An editable installation has an import hook that would find its own core for this package too.
_CODE = """
import json, sys
sys.meta_path = [f for f in sys.meta_path if "editable" not in getattr(f, "__module__", "")]
from datatrove.data import Document
from filters import GopherQualityFilter, native
from filters._native import SOURCES
from pipelines.json_line import line_loader
from pipelines.native_paths import native_paths
from pipelines.profiles import Profile
print(json.dumps([
    native.__file__,
    SOURCES,
    native.load() is None,
    GopherQualityFilter(min_doc_words=1).filter(Document(text="the cat of the house and that", id="0")),
    line_loader()(b'{"text": "m\\xe1\\xbb\\x99t"}'),
    [path.note for path in native_paths([Profile.model_validate(PROFILE)])],
]))
"""


def _copy(folder: Path) -> Path:
    """The package in another folder, with the core that is in use here."""
    for name in ("filters", "native", "pipelines", "configs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder / "filters" / f"_native{sysconfig.get_config_var('EXT_SUFFIX')}"


def _ask(folder: Path) -> list[object]:
    code = f'PROFILE = {{"name": "one", "filters": [{{"name": "gopher_quality"}}, {{"name": "spam"}}]}}\n{_CODE}'
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
    )
    assert found.returncode == 0, found.stderr
    answer: list[object] = json.loads(found.stdout)
    assert str(answer[0]).startswith(str(folder))
    return answer


@needs_core
@pytest.mark.parametrize("changed", ["core", "sources"])
def test_a_core_of_other_sources_is_told_and_not_used(changed: str, tmp_path: Path) -> None:
    """Law: wherever core and sources differ, datatrove's own code judges, and the doctor's table says why."""
    core = _copy(tmp_path)
    if changed == "core":
        mine = str(digest(ROOT / "native")).encode()
        content = core.read_bytes()
        assert content.count(mine) == 1
        core.write_bytes(content.replace(mine, b"0" * 64))
    else:
        with (tmp_path / "native" / "bytes.hpp").open("a") as file:
            file.write("// one line more\n")
    _, sources, stock, verdict, line, notes = _ask(tmp_path)
    assert (sources == "0" * 64) == (changed == "core")
    assert stock is True
    assert verdict is True
    assert line == {"text": "một"}
    assert isinstance(notes, list)
    assert notes
    assert all("built from other sources" in note for note in notes), notes


@needs_core
def test_a_core_from_before_the_digest_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: an extension that does not say what it was built from is stale."""
    monkeypatch.setitem(sys.modules, "filters._native", ModuleType("filters._native"))
    native._found.cache_clear()
    try:
        assert native.load() is None
        assert "built from other sources" in str(native.not_there())
    finally:
        native._found.cache_clear()
