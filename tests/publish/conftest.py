"""One finished run of the small mixture and its export, shared by the tests of publishing; read only.

Gives up: sharing anything that a test changes; those copy the folder.
"""

from pathlib import Path

import pytest

from pipelines.publish.export import export_run
from tests.pipelines.corpus import write_corpus
from tests.pipelines.processes import Run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a finished run: four sources, eleven files, two epochs of one source."""
    folder = tmp_path_factory.mktemp("published")
    run = Run(folder / "run", write_corpus(folder / "mixture"), "--tasks", "3", "--workers", "1")
    status, text = run.call()
    assert status == 0, text
    return run.output


@pytest.fixture(scope="session")
def exported(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its export."""
    output = tmp_path_factory.mktemp("exported") / "parquet"
    assert export_run(finished, output_folder=output, workers=1).ok
    return output
