"""A node may do a task only with the packages that the run was planned with."""

import json
from pathlib import Path

import pytest

from pipelines.claimed_task import refuse_other_packages
from pipelines.errors import UserError
from pipelines.manifest import deciding_versions
from pipelines.run_layout import RunLayout


def test_other_packages_are_refused(tmp_path: Path) -> None:
    """Other versions make other documents, with the same plan; the line says which, and what to do."""
    layout = RunLayout(output_folder=tmp_path, logging_dir=tmp_path, fingerprint="f" * 64)
    layout.run_dir.mkdir()
    here = deciding_versions()
    (layout.run_dir / "fingerprint.json").write_text(json.dumps({"versions": here}))
    refuse_other_packages(layout, "give --venv")
    name = sorted(here)[0]
    (layout.run_dir / "fingerprint.json").write_text(json.dumps({"versions": {**here, name: "0.0"}}))
    with pytest.raises(UserError, match=f"{name} 0.0 -> .*; give --venv"):
        refuse_other_packages(layout, "give --venv")
