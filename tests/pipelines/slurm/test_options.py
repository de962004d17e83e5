"""What Slurm is asked for: typed, clean, the command line before the configuration, and no part of the fingerprint."""

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.commands import build_plan, execute
from pipelines.config import load_config
from pipelines.errors import ConfigError, UserError
from pipelines.manifest import fingerprint, fingerprint_data
from pipelines.run_layout import RunLayout
from pipelines.slurm.config import RESERVED, ClusterConfig, seconds_of
from pipelines.slurm.options import ClusterOptions, Executor
from pipelines.slurm.script import array_script
from pipelines.slurm.submission import Array, new_submission, refuse_while_live
from pipelines.verify import open_run
from tests.pipelines.corpus import write_one_source
from tests.pipelines.processes import Run
from tests.slurm import Slurm


def slurm(**given_options: object) -> ClusterOptions:
    return ClusterOptions(executor=Executor.slurm, given=given_options)


@pytest.mark.parametrize("name", ["a; touch x", "$(id)", "`id`", "a b", "", "-x", "a\nb", "a'"])
@pytest.mark.parametrize("key", ["partition", "qos", "account"])
def test_shell_text_is_no_name(key: str, name: str) -> None:
    """datatrove writes a job's name into the script as it is; the node then runs what stands in it."""
    with pytest.raises(UserError, match=f"--{key}: .*is not a name"):
        slurm(**{key: name}).merged(ClusterConfig())


@pytest.mark.parametrize("path", ["$(touch x)/activate", "a b/activate", "`id`", "a;b", "it's", "50%/activate", ""])
def test_shell_text_is_no_activate_script(path: str) -> None:
    """It is read by the shell of every job."""
    with pytest.raises(UserError, match=r"--venv: .*characters that mean something to sbatch or a shell"):
        slurm(venv=path).merged(ClusterConfig())


def test_names_of_jobs_are_clean_and_not_given_out_twice() -> None:
    """No name of a user or a source is in them, and jobs are found by them."""
    layout = RunLayout(output_folder=Path("/o $(id)"), logging_dir=Path("/l"), fingerprint="0" * 64)
    found = {name for _ in range(20) for name in new_submission(layout, ((0, 0),)).job_names}
    assert len(found) == 40
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in found)


@given(st.text())
def test_no_value_ends_its_line(value: str) -> None:
    """A value of --sbatch is refused, or stands in one #SBATCH line and adds no other."""
    try:
        cluster = slurm(sbatch=[f"comment={value}"]).merged(ClusterConfig())
    except UserError:
        return
    lines = script(cluster).splitlines()
    assert len(lines) == len(script(slurm(sbatch=["comment=x"]).merged(ClusterConfig())).splitlines())
    assert (f"#SBATCH --comment={value}" if value else "#SBATCH --comment") in lines


@pytest.mark.parametrize("key", RESERVED)
def test_what_the_toolkit_sets_cannot_be_overridden(key: str) -> None:
    """Another --array or --dependency would lose tasks."""
    with pytest.raises(UserError, match="set by the toolkit"):
        slurm(sbatch=[f"{key}=1"]).merged(ClusterConfig())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 5400), ("1:30", 90), ("24:00:00", 86400), ("2-12", 216000), ("1-00:30", 88200), ("1-1:1:1", 90061),
     ("UNLIMITED", float("inf"))],
)  # fmt: skip
def test_time_limits_are_read_as_sbatch_reads_them(text: str, seconds: float) -> None:
    """sbatch(1), --time."""
    assert seconds_of(text) == seconds


def test_the_command_line_goes_before_the_configuration() -> None:
    """Key by key; options of sbatch are put together."""
    block = ClusterConfig(partition="main", time="60", sbatch={"constraint": "a", "nice": "5"})
    merged = slurm(time="2:00:00", sbatch=["constraint=b", "exclusive"]).merged(block)
    assert (merged.partition, merged.time) == ("main", "2:00:00")
    assert merged.sbatch == {"constraint": "b", "nice": "5", "exclusive": ""}


def test_options_of_a_cluster_need_the_executor() -> None:
    """A local run that silently ignores --partition would surprise."""
    with pytest.raises(UserError, match="--partition: says how to run on a cluster; give --executor slurm"):
        ClusterOptions(given={"partition": "main"}).check()


def test_the_cluster_decides_no_document(tmp_path: Path) -> None:
    """A run may go on elsewhere: the `cluster:` block is not in its fingerprint, and is checked with file and line."""
    config = write_one_source(tmp_path, 5)
    text = config.read_text(encoding="utf-8")

    def print_of(extra: str) -> str:
        config.write_text(text + extra, encoding="utf-8")
        return fingerprint(fingerprint_data(build_plan(load_config(config), output_folder=tmp_path / "out")))

    assert print_of("") == print_of("cluster: {partition: main, time: 4:00:00, sbatch: {nice: 5}}\n")
    config.write_text(text + "cluster:\n  partion: main\n  qos: a b\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(config)
    assert "partion" in str(caught.value)
    assert "did you mean 'partition'" in str(caught.value)
    assert "'a b' is not a name" in str(caught.value)


def script(cluster: ClusterConfig, folder: Path = Path("/tmp/x")) -> str:
    layout = RunLayout(output_folder=folder / "out", logging_dir=folder / "logs", fingerprint="0" * 64)
    submission = new_submission(layout, ((0, 0),))
    return array_script(layout, cluster, submission, Array(script="a.sbatch", first=0, count=1))


def test_scripts_are_only_written(tmp_path: Path) -> None:
    """`--script-only` works without Slurm, submits nothing, and writes what bash can read."""
    run = Run(tmp_path / "run", write_one_source(tmp_path, 5, files=3), "--tasks", "3")
    run.env["PATH"] = "/usr/bin-without-slurm"
    options = ("--executor", "slurm", "--script-only", "--max-array-size", "2", "--account", "group1", "--run-dedup")
    status, text = run.call(*options)
    assert status == 0, text
    folder = run.output / "_run" / "slurm_scripts"
    assert sorted(path.name for path in folder.iterdir()) == ["array-000.sbatch", "array-001.sbatch", "finish.sbatch"]
    dedup = tmp_path / "run" / "out_dedup" / "_run" / "slurm_scripts" / "dedup.sbatch"
    assert "#SBATCH --array=0-1\n" in dedup.read_text(encoding="utf-8")
    for path in (*folder.iterdir(), dedup):
        assert subprocess.run(["/bin/bash", "-n", str(path)], check=False).returncode == 0
        assert "#SBATCH --account=group1\n" in path.read_text(encoding="utf-8")
    assert "#SBATCH --array=0-1\n" in (folder / "array-000.sbatch").read_text(encoding="utf-8")
    status, text = run.call("--executor", "slurm")
    assert status == 2
    assert "not on this machine; run the command on a node of the cluster" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"partition": "mian"}, "--partition mian: there is none of that name; did you mean 'main'?"),
        ({"partition": "short"}, "--time 24:00:00: partition short allows 00:05:00"),
        ({"cpus_per_task": 64}, "no node of partition main has 64 CPUs"),
        ({"max_array_size": 5000}, "this cluster allows 1002"),
        ({"venv": "nowhere"}, "no such file; give the activate script"),
        ({"sbatch": ["nodelist=n9"]}, "sbatch: .*Invalid node name"),
        ({"sbatch": ["no-such-option=1"]}, "sbatch: .*unrecognized option"),
    ],
)
def test_what_can_never_run_is_refused(
    box: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, object], message: str
) -> None:
    """One line, nothing of it in the queue, and the run is free for another try: such a job would wait for ever."""
    monkeypatch.setenv("SLURM_CONF", box.env["SLURM_CONF"])
    config = write_one_source(tmp_path, 5)
    out = tmp_path / "out"
    with pytest.raises(UserError, match=message):
        execute(config, output_folder=out, logging_dir=tmp_path / "logs", cluster=slurm(**options))
    assert not set(box.run("squeue", "-h", "-o", "%j").split()) & names(out)
    if names(out):
        refuse_while_live(open_run(out)[0])


def names(out: Path) -> set[str]:
    found = [path.name for path in (out / "_run" / "slurm").glob("*")]
    return {name for base in found for name in (base, f"{base}-finish")}


@pytest.mark.parametrize("folder", ["with blank", "50%", "it's", "a;b"])
def test_folders_that_mean_something_to_sbatch_are_refused(tmp_path: Path, folder: str) -> None:
    """% is a pattern in the name of a log, and a blank ends an option."""
    with pytest.raises(UserError, match=r"--output-folder: .*choose a plain path"):
        execute(write_one_source(tmp_path, 5), output_folder=tmp_path / folder, cluster=slurm())
