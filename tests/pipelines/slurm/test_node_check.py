"""Before anything is submitted, a job on a node finds out what would fail there, and says it in one line.

One node of the real Slurm gets mounts of its own, so that it really sees other folders than the machine that submits.
Gives up: a network file system; that its answers come late is tried on folders of this machine.
"""

import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.commands import execute
from pipelines.errors import UserError
from pipelines.slurm import node_check
from pipelines.slurm.client import Job
from pipelines.slurm.config import ClusterConfig
from pipelines.slurm.node_check import NODE_TEST_DIR, Place, _judge_arrival, node_test_script
from pipelines.slurm.node_probe import not_there
from pipelines.slurm.options import ClusterOptions, Executor
from pipelines.slurm.script import own_venv
from tests.pipelines.corpus import write_one_source
from tests.slurm import Slurm

NODE = "n2"


def submit(base: Path, *, out: Path | None = None, logs: Path | None = None, **options: object) -> int:
    """One submission of a run with one task to the node with the mounts."""
    given = {"sbatch": [f"nodelist={NODE}"], **options}
    return execute(
        base / "source" / "config.yaml", output_folder=out or base / "out", logging_dir=logs or base / "logs",
        cluster=ClusterOptions(executor=Executor.slurm, given=given),
    )  # fmt: skip


def leftovers(box: Slurm, base: Path) -> list[str]:
    """What a refused submission left: live jobs, files of the test, a run that was begun."""
    jobs = [f"job {name}" for name in box.run("squeue", "-h", "-o", "%j").split()]
    return jobs + [str(p) for p in base.rglob("*") if p.name in (NODE_TEST_DIR, "plan.json", "jobs.json")]


@pytest.fixture(scope="module")
def base(box: Slurm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of which the node sees: no `gone/*`, another `other`, `fixed` read-only, no file of `unseen`."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("mounts for one process only (unshare -m) need root")
    base = tmp_path_factory.mktemp("node")
    write_one_source(base / "source", 5)
    write_one_source(base / "unseen", 5)
    for name in ("gone/there", "other", "fixed"):
        (base / name).mkdir(parents=True)
    quoted = {name: shlex.quote(str(base / name)) for name in ("gone", "other", "fixed", "unseen")}
    tmpfs = [f"mount -t tmpfs none {quoted[name]}" for name in ("gone", "other", "unseen")]
    box.kill(NODE)
    fixed = quoted["fixed"]
    box.start_node(NODE, "\n".join([*tmpfs, f"mount --bind {fixed} {fixed}", f"mount -o remount,ro,bind {fixed}"]))
    box.wait_until_up()
    yield base
    box.kill(NODE)
    box.start_node(NODE)
    box.wait_until_up()


@pytest.fixture(autouse=True)
def _cluster(box: Slurm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CONF", box.env["SLURM_CONF"])


@pytest.mark.parametrize(
    ("option", "folder", "message"),
    [
        (
            "out",
            "gone/there",
            "--output-folder .*gone/there: node n2 has no such folder; choose one that all nodes see",
        ),
        ("logs", "gone/there", "--logging-dir .*gone/there: node n2 has no such folder"),
        ("out", "other", "--output-folder .*other: node n2 has another folder there; choose one that all nodes share"),
        ("logs", "other", "--logging-dir .*other: node n2 has another folder there"),
        ("out", "fixed", "--output-folder .*fixed: node n2 may not write there"),
    ],
)
def test_folders_that_are_not_shared(box: Slurm, base: Path, option: str, folder: str, message: str) -> None:
    """Its documents would be on the node's disk, or nowhere."""
    with pytest.raises(UserError, match=message):
        submit(base, **{option: base / folder})  # type: ignore[arg-type]
    assert leftovers(box, base) == []


def activate_script(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_an_environment_that_is_not_there_or_another(box: Slurm, base: Path) -> None:
    """No activate script, no packages, another version of one: each would make other documents, or none."""
    own = own_venv()
    prefix = f". {shlex.quote(own)}\n" if own else f"PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH\n"
    with pytest.raises(UserError, match=r"--venv .*gone/activate: node n2 has no such file; give an activate script"):
        submit(base, venv=activate_script(base / "gone" / "activate", prefix))
    empty = f'python() {{ {shlex.quote(sys.executable)} -S "$@"; }}\n'
    with pytest.raises(UserError, match=r"--venv .*empty: node n2: ModuleNotFoundError: No module named"):
        submit(base, venv=activate_script(base / "empty", empty))
    with pytest.raises(UserError, match=r"--venv .*broken: node n2: .*command not found"):
        submit(base, venv=activate_script(base / "broken", "PATH=/nowhere\n"))
    (base / "packages" / "xxhash-99.0.dist-info").mkdir(parents=True)
    (base / "packages" / "xxhash-99.0.dist-info" / "METADATA").write_text("Name: xxhash\nVersion: 99.0\n")
    newer = f"{prefix}export PYTHONPATH={shlex.quote(str(base / 'packages'))}\n"
    with pytest.raises(UserError, match=r"node n2 has other packages than this machine \(xxhash .* here, 99.0 there\)"):
        submit(base, venv=activate_script(base / "newer", newer))
    assert leftovers(box, base) == []


def test_inputs_that_the_node_does_not_see(box: Slurm, base: Path) -> None:
    """The plan is made here, the files are read there."""
    with pytest.raises(UserError, match=r"local/only/default: node n2 does not have .*part-0.jsonl.gz as it is here"):
        execute(
            base / "unseen" / "config.yaml", output_folder=base / "out", logging_dir=base / "logs",
            cluster=ClusterOptions(executor=Executor.slurm, given={"sbatch": [f"nodelist={NODE}"]}),
        )  # fmt: skip
    assert leftovers(box, base) == []


def test_a_good_node_and_a_full_queue(box: Slurm, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Where no node is free in time the run is submitted all the same, and says so; a good node is no news."""
    write_one_source(tmp_path / "source", 5)
    filler = box.run("sbatch", "--parsable", "--exclusive", "-N2", "-o", "/dev/null", "--wrap", "sleep 600").strip()
    try:
        assert submit(tmp_path, node_test_seconds=1) == 0
        assert "no node was free for the test job in 1 s (Slurm's reason: " in capfd.readouterr().err
        names = box.run("squeue", "-h", "-o", "%j").split()
        assert not [name for name in names if "-test-" in name]
        assert len([name for name in names if name.startswith("smoltrove-")]) == 2
    finally:
        box.run("scancel", filler)
    deadline = time.monotonic() + 120
    while box.run("squeue", "-h"):
        assert time.monotonic() < deadline, "the run does not end"
        time.sleep(0.2)
    # What is complete needs no node, what is asked for anew does.
    assert submit(tmp_path, node_test_seconds=120) == 0
    assert "looks at folders and packages" not in capfd.readouterr().err
    assert (tmp_path / "out" / "local_only" / "default" / "00000.jsonl.gz").is_file()
    assert submit(tmp_path, out=tmp_path / "again") == 0
    text = capfd.readouterr()
    assert "looks at folders and packages on a node; it waits 120 s for one at most" in text.err
    assert "1 tasks submitted to Slurm" in text.out
    assert not list(tmp_path.rglob(NODE_TEST_DIR))


def test_the_test_job_asks_for_what_a_task_gets_but_not_for_its_time() -> None:
    """It must start early and on the same nodes; bash can read it."""
    cluster = ClusterConfig(partition="main", mem_per_cpu_gb=7, sbatch={"constraint": "a", "hold": "", "begin": "noon"})
    places = tuple(Place(f"--{name}", Path(f"/{name}"), Path(f"/{name}/x")) for name in ("output", "logs"))
    script = node_test_script(cluster, "name", "token", places)
    found = {line.removeprefix("#SBATCH --") for line in script.splitlines() if line.startswith("#SBATCH --")}
    assert {"partition=main", "mem-per-cpu=7G", "constraint=a", "time=3:00"} <= found
    assert not [option for option in found if option.startswith(("hold", "begin", "array"))]
    short = node_test_script(ClusterConfig(time="1:30"), "name", "token", places)
    assert "#SBATCH --time=1:30\n" in short
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


def test_answers_that_do_not_arrive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that writes into a copy of the folder looks fine from there; here nothing comes."""
    monkeypatch.setattr(node_check, "ARRIVAL_SECONDS", 0.0)
    places = tuple(Place(f"--{name}", tmp_path / name, tmp_path / name) for name in ("output", "logs"))
    job = Job("1", None, "COMPLETED", "None", "n7", "test")
    for place in places:
        place.test_dir.mkdir()
        (place.test_dir / "from_node").write_text("token\n")
    with pytest.raises(UserError, match=r"--output .*what node n7 writes there does not arrive here"):
        _judge_arrival(job, places, "token")
    (places[0].test_dir / "answer.json").write_text("{}")
    _judge_arrival(job, places, "token")
    (places[1].test_dir / "from_node").write_text("of an earlier test\n")
    with pytest.raises(UserError, match=r"--logs .*what node n7 writes there does not arrive here"):
        _judge_arrival(job, places, "token")


def test_files_are_compared_by_size(tmp_path: Path) -> None:
    """A half-copied mirror is not the planned one."""
    (tmp_path / "a").write_bytes(b"123")
    files = [
        {"source": "s", "path": str(tmp_path / name), "size": size} for name, size in (("a", 3), ("a", 4), ("b", 0))
    ]
    assert not_there(files) == files[1:]
