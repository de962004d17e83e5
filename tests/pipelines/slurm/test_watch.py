"""`smoltrove status RUN --watch` shows a run as it changes, and ends when nobody works on it any more."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.slurm.dedup_status import DedupView
from pipelines.slurm.pending import meaning
from pipelines.status import watch_status
from tests.pipelines.corpus import write_one_source
from tests.pipelines.processes import HANG_SECONDS, Run
from tests.pipelines.slurm.conftest import SlurmRun, until
from tests.slurm import Slurm


class Watch:
    """A watching process; what it prints goes to a file."""

    def __init__(self, run: Run, path: Path) -> None:
        self.path = path
        command = [sys.executable, "-m", "pipelines", "status", str(run.output), "--watch", "--every", "1"]
        with open(path, "w", encoding="utf-8") as out:
            # Who started the tests in the background has them ignore SIGINT, and their children too.
            self.process = subprocess.Popen(
                command, env=run.env, stdout=out, stderr=subprocess.STDOUT,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )  # fmt: skip

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def shows(self, words: str) -> None:
        until(lambda: words in self.text or self.process.poll() is not None, f"it never shows {words!r}")
        assert words in self.text

    def end(self) -> int:
        return self.process.wait(HANG_SECONDS)


def test_a_run_is_followed_to_its_end(box: Slurm, tmp_path: Path) -> None:
    """Slurm's reason, what runs, the last words of what failed; exit status 1 while something is missing, then 0."""
    source = write_one_source(tmp_path / "source", 300, files=2)
    run = SlurmRun(box, tmp_path / "run", source, "--tasks", "2")
    run.submit("--sbatch", "hold")

    left = Watch(run, tmp_path / "left")
    left.shows("pending: 2 tasks, Slurm's reason: JobHeldUser (held; scontrol release lets it go)")
    left.process.send_signal(signal.SIGINT)
    assert left.end() == 130
    assert "the run goes on" in left.text

    # Nobody can say what a queue does that does not answer; then a run is not called incomplete.
    silent = {**run.env, "PATH": "/usr/bin-without-slurm"}
    asked = [sys.executable, "-m", "pipelines", "status", str(run.output), "--json"]
    done = subprocess.run(asked, env=silent, capture_output=True, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout)["state"]) == (1, "unknown")

    watch = Watch(run, tmp_path / "watch")
    watch.shows("JobHeldUser")
    assert watch.text.count("JobHeldUser") == 1  # it prints what has changed, nothing else
    changed = source.parent / "only" / "part-0.jsonl.gz"
    before = changed.stat().st_mtime_ns
    os.utime(changed, ns=(before, before + 10**9))
    submission = run.submissions()[0]
    box.run("scontrol", "release", submission["arrays"][0]["job_id"])
    box.run("scontrol", "release", submission["finish_id"])
    assert watch.end() == 1
    assert f"{run.output}: incomplete;" in watch.text.strip().splitlines()[-1]
    assert "changed since the run was planned" in watch.text
    assert "    | FAILED local/only/default task " in watch.text
    assert "run the same command again" in watch.text

    os.utime(changed, ns=(before, before))
    run.submit()
    after = Watch(run, tmp_path / "after")
    assert after.end() == 0
    assert f"{run.output}: complete;" in after.text.strip().splitlines()[-1]


def test_a_finished_local_run_ends_the_watching_at_once(tmp_path: Path) -> None:
    """Without any Slurm; and what answers once does not go with it."""
    run = Run(tmp_path / "run", write_one_source(tmp_path / "source", 5))
    assert run.call()[0] == 0
    status, text = run.tool("status", "--watch")
    assert (status, text.count(": complete;")) == (0, 1)
    for once in ("--json", "--reasons"):
        status, text = run.tool("status", "--watch", once)
        assert (status, text) == (2, f"error: --watch: does not go with {once}, which answers once\n")


@pytest.mark.parametrize(("state", "status"), [("complete", 0), ("incomplete", 1)])
def test_a_deduplication_that_failed_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, status: int
) -> None:
    """The filters alone are not what was asked for when their deduplication was put into the queue with them."""
    run = Run(tmp_path / "run", write_one_source(tmp_path, 5))
    assert run.call()[0] == 0
    view = DedupView(output_folder=str(tmp_path), state=state)
    monkeypatch.setattr("pipelines.status._dedup_view_of", lambda _: view)
    assert watch_status(run.output, 1.0) == status


def test_reasons_of_slurm_are_read_with_their_details() -> None:
    """squeue puts brackets around them, blanks or lines into them, and nodes behind a comma."""
    assert meaning("(Resources)") == meaning("Resources") != ""
    assert meaning("ReqNodeNotAvail, UnavailableNodes:n1") == meaning("ReqNodeNotAvail")
    assert meaning("launch failed requeued held").startswith("its node could not start it")
    assert meaning("SomethingOfAPlugin") == ""
