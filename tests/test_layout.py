"""The house stays in order: imports point one way, files stay small and say what they are for."""

import ast
from pathlib import Path

import pytest

from tests.conftest import FIRST, TOGETHER
from tests.data import ROOT

PACKAGES = ("pipelines", "filters", "examples", "tests", "benchmarks")
PYTHON_FILES = sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py")) + sorted(ROOT.glob("*.py"))

# cli -> plan -> {config, sources}; cli -> executors -> stages -> {readers, filters}; nothing points back.
FORBIDDEN = {
    "config": {"plan", "sources", "readers", "stages", "executors", "cli", "commands", "run"},
    "sources": {"plan", "readers", "stages", "executors", "cli", "commands", "run"},
    "readers": {"config", "plan", "sources", "stages", "executors", "cli", "commands", "run"},
    "plan": {"readers", "stages", "executors", "worker", "supervisor", "cli", "commands", "run"},
    "stages": {"executors", "supervisor", "cli", "commands", "run"},
    "executors": {"cli", "commands", "run"},
    "supervisor": {"cli", "commands", "run"},
}


def imported(path: Path) -> set[str]:
    """Full names of all modules that a file imports, wherever the import stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_filters_never_import_pipelines() -> None:
    for path in (ROOT / "filters").glob("*.py"):
        assert not {name for name in imported(path) if name.split(".")[0] == "pipelines"}, path


@pytest.mark.parametrize("module", FORBIDDEN)
def test_imports_point_one_way(module: str) -> None:
    names = {
        name.split(".")[1] for name in imported(ROOT / "pipelines" / f"{module}.py") if name.startswith("pipelines.")
    }
    assert not names & FORBIDDEN[module]


@pytest.mark.parametrize("path", PYTHON_FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_file_says_what_it_is_for(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if text.strip():
        assert ast.get_docstring(ast.parse(text)), f"{path} has no docstring"


@pytest.mark.parametrize("path", PYTHON_FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, f"{path}: one job per file"


@pytest.mark.parametrize("name", sorted({*FIRST, *TOGETHER}))
def test_pieces_of_the_suite_that_are_named_are_there(name: str) -> None:
    """Law: a file that moves takes its place in the queue with it."""
    path = ROOT / "tests" / name
    assert path.is_dir() or path.with_suffix(".py").is_file()
