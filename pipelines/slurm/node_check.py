"""One short job before a submission: can a node do what the tasks will do?

It is given what a task is given (partition, CPUs, memory), finds a token of this machine in both folders and leaves one
of its own there, imports what a task imports, and compares package versions. Every finding is one line that says what
to do. Gives up: more than one node; a node that differs from the others is noticed by its own tasks, which fail.
"""

import json
import secrets
import shlex
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import UserError
from pipelines.ledger import write_atomically
from pipelines.manifest import deciding_versions
from pipelines.plan import Plan
from pipelines.run_layout import RunLayout
from pipelines.slurm.client import Job, SlurmSilent, ask, cancel, jobs_named, settings
from pipelines.slurm.config import ClusterConfig, seconds_of
from pipelines.slurm.script import directives, environment, own_venv, python_of, resources

NODE_TEST_DIR = "node_test"
# Imports from a network file system that nobody has read from that day take a minute; this is three.
RUN_SECONDS = 180
# A client of NFS may keep what it knows of a folder for a minute (nfs(5), acdirmax).
ARRIVAL_SECONDS = 65
_POLL_SECONDS = 0.5
# Options of sbatch that say when or how long a job runs, or who is told; the test job has its own answers.
_NOT_FOR_A_TEST = ("hold", "begin", "deadline", "time-min", "signal", "mail-type", "mail-user", "requeue")
# Exit statuses of the job. It needs no Python to say these, and no folder that both sides see.
_NO_FOLDER, _OTHER_FOLDER, _NOT_WRITABLE, _NO_VENV, _NO_PYTHON = 11, 12, 13, 31, 32


InputHere = dict[str, object]  # source, path, size in bytes


@dataclass(frozen=True)
class Place:
    """A folder that both sides must see: the option that named it, the folder, a new one in it for the test."""

    option: str
    folder: Path
    test_dir: Path


def check_on_a_node(
    layout: RunLayout, files: Sequence[InputHere], cluster: ClusterConfig, *, say: Callable[[str], None]
) -> str | None:
    """Run the test job. Returns the node that it ran on; None when there was no test.

    `files`: those that the node must have. `say` is told what is waited for, and why there was no test. Nothing of the
    test stays in the queue or in the folders. Raises UserError with what the node cannot do.
    """
    if not cluster.node_test_seconds:
        return None
    name = f"smoltrove-{layout.fingerprint[:8]}-test-{secrets.token_hex(4)}"
    places = (
        Place("--output-folder", layout.output_folder, layout.run_dir / NODE_TEST_DIR / name),
        Place("--logging-dir", layout.logging_dir, layout.logging_dir / NODE_TEST_DIR / name),
    )
    token = secrets.token_hex(16)
    with _test_dirs(places):
        shared = places[0].test_dir
        for place in places:
            write_atomically(place.test_dir / "from_here", token)
        write_atomically(shared / "request.json", json.dumps({"files": list(files)}))
        write_atomically(shared / "test.sbatch", node_test_script(cluster, name, token, places))
        job_id = _submitted(shared / "test.sbatch", cluster)
        try:
            job = _ended(name, job_id, cluster.node_test_seconds, say)
        finally:
            with suppress(SlurmSilent):
                cancel([job for job in jobs_named([name]) if job.live])
        if job is None:
            return None
        _judge_status(job, places, cluster)
        _judge_arrival(job, places, token)
        _judge_answer(job, json.loads((shared / "answer.json").read_bytes()), cluster)
        return job.node


@contextmanager
def _test_dirs(places: tuple[Place, ...]) -> Iterator[None]:
    try:
        for place in places:
            place.test_dir.mkdir(parents=True)
        yield
    finally:
        for place in places:
            shutil.rmtree(place.test_dir, ignore_errors=True)
            with suppress(OSError):  # the test of another submission is in it
                place.test_dir.parent.rmdir()


def files_of(plan: Plan) -> list[InputHere]:
    """The first planned file of every source that is read from a folder."""
    return [
        {"source": source.key, "path": f"{source.listing.base}/{source.files[0].path}", "size": source.files[0].size}
        for source in plan.sources
        if source.listing.kind != "hub" and source.files
    ]


def node_test_script(cluster: ClusterConfig, name: str, token: str, places: tuple[Place, ...]) -> str:
    """The job: shell for what must work before Python does, then `pipelines.slurm.node_probe`."""
    minutes, seconds = divmod(int(min(seconds_of(cluster.time), RUN_SECONDS)), 60)
    options = {
        "job-name": name,
        "output": "/dev/null",  # a folder that is not there would end the job before its first line
        "no-requeue": "",
        **resources(cluster),
        "time": f"{minutes}:{seconds:02d}",
        **{key: value for key, value in cluster.sbatch.items() if key not in _NOT_FOR_A_TEST},
    }
    lines = ["#!/bin/bash", *directives(options), "cd /"]
    for number, place in enumerate(places):
        extra, test = 10 * number, shlex.quote(str(place.test_dir))
        lines += [
            f"test -d {shlex.quote(str(place.folder))} || exit {_NO_FOLDER + extra}",
            f'test "$(cat {test}/from_here 2>/dev/null)" = {token} || exit {_OTHER_FOLDER + extra}',
            f"(echo {token} > {test}/from_node) 2>/dev/null || exit {_NOT_WRITABLE + extra}",
        ]
    shared = str(places[0].test_dir)
    activate = cluster.venv or own_venv()
    if activate is not None:
        lines.append(f"test -r {shlex.quote(activate)} || exit {_NO_VENV}")
    command = shlex.join([python_of(cluster), "-m", "pipelines.slurm.node_probe", shared])
    errors = shlex.quote(f"{shared}/errors")
    return "\n".join([*lines, f"exec 2> {errors}", *environment(cluster), f"{command} || exit {_NO_PYTHON}", ""])


def _submitted(script: Path, cluster: ClusterConfig) -> str:
    """Ask whether a job with the tasks' time limit would be let in, then submit the test, which has a short one."""
    try:
        ask("sbatch", "--test-only", f"--time={cluster.time}", str(script), tries=1)
        return ask("sbatch", "--parsable", str(script), tries=1).strip().partition(";")[0]
    except SlurmSilent as error:
        words = str(error).partition("; see that")[0]
        raise UserError(f"{words}; change the options or the `cluster:` block") from None


def _ended(name: str, job_id: str, seconds: int, say: Callable[[str], None]) -> Job | None:
    """The test job when it has ended; None when no node was free for it in time."""
    say(f"job {job_id} looks at folders and packages on a node; it waits {seconds} s for one at most")
    deadline, runs = time.monotonic() + seconds, False
    last: Job | None = None
    while time.monotonic() < deadline:
        found = jobs_named([name])
        last = found[0] if found else last
        if last is not None and (not found or not last.live):
            return last
        if last is not None and last.state != "PENDING" and not runs:
            deadline, runs = time.monotonic() + RUN_SECONDS, True
        time.sleep(_POLL_SECONDS)
    if last is not None and runs:
        raise UserError(f"node {last.node}: the test job has not ended after {RUN_SECONDS} s; {_AVOID}")
    reason = f" (Slurm's reason: {last.reason})" if last is not None else ""
    say(f"no node was free for the test job in {seconds} s{reason}: submitting without it; each task looks at its own")
    return None


_AVOID = (
    "look at that node and its file systems, leave it out (--sbatch exclude=<node>), or submit without a test "
    "(--node-test-seconds 0)"
)


def _judge_status(job: Job, places: tuple[Place, ...], cluster: ClusterConfig) -> None:
    status = _exit_status(job)
    for number, place in enumerate(places):
        named = f"{place.option} {place.folder}:"
        found = status - 10 * number
        if found == _NO_FOLDER:
            raise UserError(f"{named} node {job.node} has no such folder; choose one that all nodes see")
        if found == _OTHER_FOLDER:
            raise UserError(f"{named} node {job.node} has another folder there; choose one that all nodes share")
        if found == _NOT_WRITABLE:
            raise UserError(f"{named} node {job.node} may not write there; change its permissions or choose another")
    venv = f"--venv {cluster.venv or own_venv() or python_of(cluster)}: node {job.node}"
    if status == _NO_VENV:
        raise UserError(f"{venv} has no such file; give an activate script that all nodes see")
    if status == _NO_PYTHON:
        raise UserError(
            f"{venv}: {_last_line(places[0].test_dir / 'errors')}; give the activate script of an environment with "
            "this project's packages, in a folder that all nodes see"
        )
    if job.state != "COMPLETED":
        raise UserError(f"node {job.node}: the test job ended as {job.state}, exit status {status}; {_AVOID}")


def _exit_status(job: Job) -> int:
    """The exit status of an ended job; -1 when the controller does not know it any more."""
    with suppress(SlurmSilent):
        for row in settings("job", job.job_id):
            code = row.get("ExitCode", "").partition(":")[0]
            return int(code) if code.isdigit() else -1
    return -1


def _last_line(path: Path) -> str:
    with suppress(OSError):
        lines = [line.strip() for line in path.read_text(errors="replace").splitlines() if line.strip()]
        if lines:
            return lines[-1]
    return "Python does not start"


def _judge_arrival(job: Job, places: tuple[Place, ...], token: str) -> None:
    """What the node wrote must be readable here; a network file system may take its time."""
    deadline = time.monotonic() + ARRIVAL_SECONDS
    wanted = [*((place, "from_node") for place in places), (places[0], "answer.json")]
    while True:
        late = [place for place, name in wanted if not _arrived(place.test_dir, name, token)]
        if not late:
            return
        if time.monotonic() > deadline:
            raise UserError(
                f"{late[0].option} {late[0].folder}: what node {job.node} writes there does not arrive here in "
                f"{ARRIVAL_SECONDS} s; choose a folder that all nodes share"
            )
        time.sleep(_POLL_SECONDS)


def _arrived(folder: Path, name: str, token: str) -> bool:
    with suppress(OSError):
        if name in {path.name for path in folder.iterdir()}:  # listing makes a client of NFS ask its server
            return name != "from_node" or (folder / name).read_text().strip() == token
    return False


def _judge_answer(job: Job, answer: dict[str, object], cluster: ClusterConfig) -> None:
    here, there = deciding_versions(), answer["versions"]
    assert isinstance(there, dict)
    differing = [f"{name} {here[name]} here, {there.get(name)} there" for name in here if there.get(name) != here[name]]
    if differing:
        raise UserError(
            f"--venv {cluster.venv or answer['environment']}: node {job.node} has other packages than this machine "
            f"({'; '.join(differing[:5])}); give the environment that this command runs in, or run the command in that"
        )
    if not answer["links"]:
        raise UserError(
            f"--output-folder: node {job.node} cannot make hard links there, which keep two jobs from one task; choose "
            "a folder on a file system with hard links"
        )
    missing = answer["not_there"]
    assert isinstance(missing, list)
    if missing:
        more = f" (and {len(missing) - 1} sources more)" if len(missing) > 1 else ""
        raise UserError(
            f"{missing[0]['source']}: node {job.node} does not have {missing[0]['path']} as it is here{more}; put the "
            "files where all nodes see them"
        )
