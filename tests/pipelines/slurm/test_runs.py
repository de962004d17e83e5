"""On a real Slurm, stage 1 makes the files of a local run, byte for byte, and what follows a run works on it.

Gives up: more sources than three; which rows a source gives is not Slurm's affair.
"""

from pathlib import Path

from pipelines.plan import Plan, largest_task_first
from tests.pipelines.processes import MEASURED, Run
from tests.pipelines.slurm.conftest import OPTIONS, STAGE_1, SlurmRun
from tests.slurm import Slurm


def account(run: Run) -> list[dict[str, object]]:
    return [{key: value for key, value in line.items() if key not in MEASURED} for line in run.ledger()]


def test_stage_1_is_the_local_run_with_an_array_limit_below_the_tasks(box: Slurm, tmp_path: Path, local: Run) -> None:
    """Same bytes, same ledger; 6 tasks in arrays of 4 lose nothing; `verify` and `dedup` go on from there."""
    run = SlurmRun(box, tmp_path / "run", STAGE_1, *OPTIONS, script=True)
    text = run.submit("--max-array-size", "4", "--wait", "--node-test-seconds", "120")
    assert "looks at folders and packages on a node" in text
    assert "waiting for 6 tasks" in text
    arrays = run.submissions()[0]["arrays"]
    assert [(array["first"], array["count"]) for array in arrays] == [(0, 4), (4, 2)]
    assert len({array["job_id"] for array in arrays}) == 2
    tasks = [tuple(task) for task in run.submissions()[0]["tasks"]]
    order = largest_task_first(Plan.model_validate_json((run.output / "_run" / "plan.json").read_bytes()).sources)
    assert tasks == [(source, rank) for source in order for rank in (0, 1)]
    assert run.files() == local.files() != {}
    assert account(run) == account(local)
    assert run.state()["state"] == "complete"
    for verb in ("verify", "dedup"):
        status, text = run.tool(verb)
        assert status == 0, text


def test_a_complete_run_submits_nothing(box: Slurm, tmp_path: Path, local: Run) -> None:
    """The same command on a finished run, whoever ran it, draws up the account once and leaves the queue alone."""
    run = SlurmRun(box, tmp_path / "run", STAGE_1, *OPTIONS, script=True)
    run.command[run.command.index("--output-folder") + 1] = str(local.output)
    before = local.files()
    assert "6 tasks were done before" in run.submit()
    assert local.files() == before
    assert not (local.output / "_run" / "slurm").exists()
    accounts = [line.split()[2] for line in run.log().splitlines() if line.split()[1] == "ok"]
    assert len(accounts) == len(set(accounts)) == 3, run.log()
