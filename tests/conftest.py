"""Settings of the whole suite, and which tests stay together on one worker of several.

Runs of the tests leave their reports out, which would cost each of them a second; the tests of reports switch them on.
With `--dist loadscope` a file is one piece of work, and so is a package whose tests share a cluster, a server or a run:
each is made once, not once for every worker. Gives up: stealing work from a piece once it has begun; the longest pieces
are therefore the first.
"""

import os
from typing import Any

import pytest
from hypothesis import settings

os.environ["SMOLTROVE_REPORT"] = "0"
# No test asserts on wall time; one of hypothesis would by default, and fail where the machine is busy.
# Elsewhere each run draws other examples; where a change is judged, the same change gets the same answer twice.
settings.register_profile("suite", deadline=None, derandomize=os.environ.get("SMOLTROVE_SAME_EXAMPLES") == "1")
settings.load_profile("suite")

# Packages with a costly fixture for all of their files.
TOGETHER = ("pipelines/slurm", "pipelines/ray", "pipelines/store", "pipelines/mirror", "pipelines/report", "publish",
            "inspect")  # fmt: skip
# The longest pieces: what mostly waits beside what mostly computes.
FIRST = (
    "pipelines/slurm", "test_guide", "pipelines/ray", "pipelines/store", "pipelines/test_kill",
    "pipelines/mirror", "pipelines/test_executor_faults", "dedup/test_kill", "test_local_mixture",
    "pipelines/test_hub_faults", "pipelines/test_resume", "dedup/test_near_dups", "publish", "pipelines/test_html",
    "dedup/test_sentence_kill", "native", "test_bench", "pipelines/test_hub_runs",
)  # fmt: skip


def piece_of(nodeid: str) -> str:
    """The piece of work that a test belongs to: a package, or a file below `tests` without its suffix."""
    path = nodeid.partition("::")[0].removeprefix("tests/").removesuffix(".py")
    return next((package for package in TOGETHER if path.startswith(f"{package}/")), path)


def place_of(piece: str) -> int:
    """Its place in the queue: the longest first, the others as they stand."""
    places = (place for place, name in enumerate(FIRST) if piece == name or piece.startswith(f"{name}/"))
    return next(places, len(FIRST))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The same order in every worker."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: place_of(piece_of(item.nodeid)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """xdist's own `loadscope` on our pieces. (`loadgroup` finds no groups under pytest 9.2 with xdist 3.8.)"""
    if config.getoption("dist") != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Pieces(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return piece_of(nodeid)

    config.option.loadscopereorder = False
    return Pieces(config, log)
