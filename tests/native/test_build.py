"""The package installs with and without a compiler, and the wheel holds what it needs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data import ROOT


def build_wheel(into: Path, compiler: str | None) -> subprocess.CompletedProcess[str]:
    """`setup.py build` of the sources as git knows them, so that nothing of this folder's own build is taken along."""
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    source = into / "source"
    for name in filter(None, map(os.fsdecode, files)):
        if name.split("/")[0] in ("filters", "pipelines", "configs", "native") or "/" not in name:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_file():
                (source / name).write_bytes((ROOT / name).read_bytes())
    environment = dict(os.environ) | ({"CC": compiler, "CXX": compiler} if compiler else {})
    command = [sys.executable, "setup.py", "-q", "build", "--build-lib", str(into / "lib")]
    return subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True)


def test_without_a_compiler_the_package_is_built_without_the_core(tmp_path: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    done = build_wheel(tmp_path, "/bin/false")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "lib" / "filters" / "fast_gopher.py").is_file()
    assert (tmp_path / "lib" / "configs" / "filter_profiles.yaml").is_file()
    assert not list((tmp_path / "lib" / "filters").glob("_native*"))
    # What is there runs, from another folder, and says why it is slow.
    # An editable installation has an import hook that would find its own core for this package too.
    code = "import sys; sys.meta_path = [f for f in sys.meta_path if 'editable' not in getattr(f, '__module__', '')]; "
    code += "import filters.native as n; print(n.__file__); print(n.why_not())"
    environment = dict(os.environ) | {"PYTHONPATH": str(tmp_path / "lib")}
    environment.pop("SMOLTROVE_NATIVE", None)
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
    where, why = found.stdout.splitlines()
    assert where.startswith(str(tmp_path))
    assert why == "filters/_native was not built (no C++17 compiler)"
