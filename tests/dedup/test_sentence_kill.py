"""kill -9 while sentences are deduplicated, and the same command again: the bytes are those of an undisturbed run."""

import sys
from pathlib import Path

import pytest

from tests.dedup.corpus import doc, files_of, make_run
from tests.dedup.sentences import cuts_of, text_of
from tests.dedup.test_kill import finish, kill_at, start

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds processes in /proc")
OPTIONS = ("--workers", "2", "--dedup-method", "exact,sentence")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents that hold each other's sentences in chains, so that there are several rounds."""
    docs = [doc(f"d{i:02d}", text_of([*range(4 * i, 4 * i + 8), *range(300, 300 + i % 5)])) for i in range(60)]
    return make_run(tmp_path_factory.mktemp("kill") / "run", {"local/web/en": docs}, tasks=6)


@pytest.mark.parametrize("kills", [pytest.param(2, marks=pytest.mark.short), pytest.param(10, marks=pytest.mark.slow)])
def test_kills_leave_the_same_bytes(run: Path, kills: int) -> None:
    good = run.parent / f"undisturbed-{kills}"
    status, text = finish(start(run, good, *OPTIONS))
    assert status == 0, text
    assert len(cuts_of(good)) > 20
    hits, attempt = 0, 0
    while hits < kills:
        out = run.parent / f"killed-{kills}-{attempt}"
        attempt += 1
        assert attempt <= kills + 2, "the kills come too late"
        for turn in range(3):
            hits += kill_at(start(run, out, *OPTIONS), out, 1 + 17 * (attempt + turn) % 46)
            for path in out.glob("*/*/*.jsonl.gz"):
                assert path.read_bytes() == (good / path.relative_to(out)).read_bytes(), "visible before it is whole"
        status, text = finish(start(run, out, *OPTIONS))
        assert status == 0, text
        assert files_of(out) == files_of(good)
        assert cuts_of(out) == cuts_of(good)
