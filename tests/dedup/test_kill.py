"""kill -9 at random moments, and the same command again: the bytes are those of an undisturbed deduplication.

A lost worker ends the run with exit status 1 and a sentence, never with a hang. Linux only, as the runner's own test.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.dedup.spent import stages_of
from pipelines.dedup.verify import open_dedup
from tests.data import ROOT
from tests.dedup.corpus import doc, files_of, make_run, small_sources
from tests.pipelines.corpus import passages
from tests.pipelines.processes import finish, kill_group, wait_until, wait_until_gone, workers_of

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds processes in /proc")


def start(run: Path, out: Path, *options: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "pipelines", "dedup", str(run), "--output-folder", str(out), *options]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(
        command, cwd=run.parent, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of seven files a source, so that there is something to interrupt."""
    sources = small_sources()
    sources["local/web/en"] += [doc(f"more-{i}", text) for i, text in enumerate(passages()[140:200])]
    return make_run(tmp_path_factory.mktemp("kill") / "run", sources, tasks=7)


@pytest.fixture(scope="module")
def undisturbed(run: Path) -> dict[str, bytes]:
    status, text = finish(start(run, run.parent / "undisturbed", "--workers", "2"))
    assert status == 0, text
    return files_of(run.parent / "undisturbed")


def log_lines(out: Path) -> int:
    path = out / "_run" / "log" / "main.log"
    return path.read_text(encoding="utf-8").count("\n") if path.is_file() else 0


def kill_at(process: "subprocess.Popen[str]", out: Path, lines: int) -> bool:
    """SIGKILL for the whole group when the log has so many lines more; False when the run was over before."""
    lines += log_lines(out)
    while process.poll() is None and log_lines(out) < lines:
        time.sleep(0.002)
    hit = process.poll() is None
    kill_group(process)
    process.communicate()
    return hit


@pytest.fixture(scope="module")
def checked_run(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run with `min_similarity` in its configuration."""
    copied = Path(shutil.copytree(run, tmp_path_factory.mktemp("kill-checked") / "run"))
    (copied / "_run" / "config.yaml").write_text("dedup: {minhash: {min_similarity: 0.8}}\n")
    return copied


def campaign(run: Path, undisturbed: dict[str, bytes], kills: int, seed: int) -> None:
    dice, hits, attempt = random.Random(seed), 0, 0
    while hits < kills:
        out = run.parent / f"killed-{seed}-{attempt}"
        attempt += 1
        assert attempt <= kills + 2, "the kills come too late"
        for _ in range(3):
            hits += kill_at(start(run, out, "--workers", str(dice.choice([1, 2]))), out, dice.randint(1, 30))
            for path in out.glob("*/*/*.jsonl.gz"):
                assert path.read_bytes() == undisturbed[str(path.relative_to(out))], "visible before it is whole"
        status, text = finish(start(run, out, "--workers", "2"))
        assert status == 0, text
        assert files_of(out) == undisturbed
        assert stages_in(out) == stages_in(run.parent / "undisturbed")


def stages_in(out: Path) -> list[tuple[str, int]]:
    """Which stages have said what they took, of how many pieces: also those that a kill hit."""
    return [(stage.stage, stage.pieces) for stage in stages_of(open_dedup(out).layout)]


@pytest.mark.short
def test_a_few_kills_leave_the_same_bytes(run: Path, undisturbed: dict[str, bytes]) -> None:
    campaign(run, undisturbed, kills=3, seed=1)


@pytest.mark.slow
def test_kills_leave_the_same_bytes_when_pairs_are_checked(checked_run: Path) -> None:
    status, text = finish(start(checked_run, checked_run.parent / "undisturbed", "--workers", "2"))
    assert status == 0, text
    assert "minhash.shingles: " in text
    campaign(checked_run, files_of(checked_run.parent / "undisturbed"), kills=4, seed=3)


@pytest.mark.slow
def test_ten_kills_leave_the_same_bytes(run: Path, undisturbed: dict[str, bytes]) -> None:
    campaign(run, undisturbed, kills=10, seed=2)


def test_a_lost_worker_fails_the_run_and_the_same_command_goes_on(run: Path, undisturbed: dict[str, bytes]) -> None:
    out = run.parent / "lost-worker"
    process = start(run, out, "--workers", "2")
    wait_until(lambda: log_lines(out) >= 3 and len(workers_of(process)) == 2, "two workers at work")
    others = workers_of(process)
    os.kill(others[0], signal.SIGKILL)
    status, text = finish(process)
    assert status == 1
    assert "error: a worker died" in text
    wait_until_gone(others)
    status, text = finish(start(run, out, "--workers", "2"))
    assert status == 0, text
    assert files_of(out) == undisturbed


def test_a_job_that_fails_ends_the_run_with_its_reason(run: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(run, tmp_path / "run"))
    damaged = copied / "local_web" / "en" / "00003.jsonl.gz"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    process = start(copied, tmp_path / "out", "--workers", "2")
    status, text = finish(process)
    assert status == 1
    assert text.count("00003.jsonl.gz: cannot be read after") == 1, text
    assert not list((tmp_path / "out").glob("*/*/*.gz"))
    damaged.write_bytes((run / "local_web" / "en" / "00003.jsonl.gz").read_bytes())
    status, text = finish(start(copied, tmp_path / "out", "--workers", "2"))
    assert status == 0, text


def test_workers_end_with_the_parent(run: Path) -> None:
    out = run.parent / "lost-parent"
    process = start(run, out, "--workers", "2")
    wait_until(lambda: log_lines(out) >= 2 and len(workers_of(process)) == 2, "two workers at work")
    workers = workers_of(process)
    process.kill()
    wait_until_gone(workers)
    process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_in_order(run: Path, undisturbed: dict[str, bytes], signum: int) -> None:
    out = run.parent / f"stopped-{signum}"
    process = start(run, out, "--workers", "2")
    wait_until(lambda: log_lines(out) >= 3, "some work")
    os.kill(process.pid, signum)
    status, text = finish(process)
    assert status == 128 + signum, text
    assert "run the same command to go on" in text
    status, text = finish(start(run, out, "--json"))
    assert status == 0, text
    assert json.loads(text[text.index("{") :])["ok"]
    assert files_of(out) == undisturbed
