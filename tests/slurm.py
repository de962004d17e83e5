"""A throw-away two-node Slurm on this machine: real daemons, up in a second or two, gone with the `with` block.

    with throw_away_slurm(Path("/tmp/box")) as box:
        subprocess.run(["sinfo"], env=box.env)

From Debian's packages: `apt-get install -y --no-install-recommends slurm-wlm munge`. As root or any user; each daemon
is a child process and ended by its id. `make slurm-test` runs what needs it; `python -m tests.slurm` opens a shell in
one. Gives up: accounting (no sacct), cgroups, more than one machine.
"""

import getpass
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "sinfo")
NODES = ("n1", "n2")
START_SECONDS = 60.0
_ADMIN_PATH = "/usr/local/sbin:/usr/sbin:/sbin"

CONFIG = """\
ClusterName=box
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={box}/munge/sock,cred_expire=5
StateSaveLocation={box}/state
SlurmctldPidFile={box}/slurmctld.pid
SlurmdPidFile={box}/slurmd.%n.pid
SlurmdSpoolDir={box}/spool/%n
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
DependencyParameters=kill_invalid_depend
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
MaxArraySize=1002
KillWait=3
SlurmdTimeout=6
SlurmctldTimeout=15
{nodes}
PartitionName=main Nodes={names} Default=YES MaxTime=INFINITE State=UP
PartitionName=cpu Nodes={names} MaxTime=INFINITE State=UP
PartitionName=short Nodes={names} MaxTime=5 State=UP
"""


def missing_programs() -> list[str]:
    """The programs of Slurm and munge that are not on this machine."""
    return [name for name in PROGRAMS if _find(name) is None]


def why_not() -> str | None:
    """Why there can be no Slurm here, None when there can be one: the reason that a test is skipped with."""
    if not sys.platform.startswith("linux"):
        return "Slurm needs Linux"
    missing = missing_programs()
    if missing:
        return f"no {', '.join(missing)}: apt-get install -y --no-install-recommends slurm-wlm munge"
    return None


@dataclass
class Slurm:
    """A running cluster. `env` is what its clients need; `daemons` are its processes by name."""

    folder: Path
    env: dict[str, str]
    daemons: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def run(self, *command: str) -> str:
        """What a client such as squeue prints. Raises CalledProcessError when it fails."""
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
        return done.stdout

    def start_node(self, name: str, mounts: str = "") -> None:
        """Start the daemon of a node, the first time or again; `mounts` are shell commands that only it sees (root)."""
        command = ["slurmd", "-D", "-f", str(self.folder / "slurm.conf"), "-N", name]
        if mounts:
            path = f"{os.environ.get('PATH', '')}:{_ADMIN_PATH}"
            command = ["unshare", "-m", "sh", "-ec", f"PATH={path}\n{mounts}\nexec {shlex.join(command)}"]
        self._start(name, *command)

    def kill(self, name: str) -> None:
        """kill -9 a daemon; its jobs run on."""
        process = self.daemons.pop(name)
        process.kill()
        process.wait()

    def _start(self, name: str, program: str, *args: str) -> None:
        path = _find(program)
        assert path is not None
        with open(self.folder / f"{name}.out", "ab") as out:
            self.daemons[name] = subprocess.Popen(
                [path, *args], env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )

    def start(self) -> None:
        """All daemons, and both nodes idle. Raises RuntimeError with their last words when that takes too long."""
        munge = self.folder / "munge"
        munge.mkdir(mode=0o711)
        (munge / "key").write_bytes(secrets.token_bytes(1024))
        (munge / "key").chmod(0o400)
        files = {"key-file": "key", "socket": "sock", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        self._start("munged", "munged", "-F", "--force", *(f"--{key}={munge / value}" for key, value in files.items()))
        self._wait(lambda: (munge / "sock").exists(), "munged does not open its socket")
        self._start("slurmctld", "slurmctld", "-D", "-f", str(self.folder / "slurm.conf"))
        for name in NODES:
            self.start_node(name)
        self._wait(self._is_idle, "the nodes do not come up")

    def wait_until_up(self) -> None:
        """Until both nodes take jobs. Raises RuntimeError when they do not."""
        self._wait(lambda: self._states() <= {"idle", "mix", "alloc"}, "a node does not come back")

    def _states(self) -> set[str]:
        """States of the nodes, short; one with a star does not answer."""
        return set(self.run("sinfo", "-h", "-p", "main", "-N", "-o", "%t").split())

    def _is_idle(self) -> bool:
        with suppress(subprocess.CalledProcessError):
            return self._states() == {"idle"}
        return False

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not done():
            dead = [name for name, process in self.daemons.items() if process.poll() is not None]
            if dead or time.monotonic() > deadline:
                words = "".join(path.read_text(errors="replace")[-2000:] for path in self.folder.glob("*.out"))
                raise RuntimeError(f"{what}; ended: {dead or 'nothing'}\n{words}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End jobs and daemons, nodes first."""
        with suppress(subprocess.SubprocessError, OSError):
            self.run("scancel", "--user", getpass.getuser())
            deadline = time.monotonic() + 10
            while self.run("squeue", "-h") and time.monotonic() < deadline:
                time.sleep(0.2)
        for name in (*NODES, "slurmctld", "munged"):
            process = self.daemons.pop(name, None)
            if process is None:
                continue
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def throw_away_slurm(folder: Path) -> Iterator[Slurm]:
    """A cluster of two nodes with two CPUs each, its files in the new folder `folder` (absolute, short path)."""
    folder.mkdir(parents=True)
    for name in ("state", *(f"spool/{node}" for node in NODES)):
        (folder / name).mkdir(parents=True)
    host = socket.gethostname().partition(".")[0]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20 * 9 // 10
    ports = _free_ports(1 + len(NODES))
    nodes = "\n".join(
        f"NodeName={name} NodeAddr=127.0.0.1 NodeHostname={host} Port={port} CPUs=2 RealMemory={memory} State=UNKNOWN"
        for name, port in zip(NODES, ports[1:], strict=True)
    )
    text = CONFIG.format(
        host=host, port=ports[0], user=getpass.getuser(), box=folder, nodes=nodes, names=",".join(NODES)
    )
    (folder / "slurm.conf").write_text(text, encoding="utf-8")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))}
    env["SLURM_CONF"] = str(folder / "slurm.conf")
    slurm = Slurm(folder=folder, env=env)
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.stop()


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _find(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{_ADMIN_PATH}")


def main() -> int:
    """A shell in a cluster of its own; the cluster ends with the shell."""
    if reason := why_not():
        print(f"error: {reason}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="slurm") as folder, throw_away_slurm(Path(folder) / "box") as slurm:
        print(f"Two nodes are up; SLURM_CONF={slurm.env['SLURM_CONF']}. `exit` ends them.", flush=True)
        return subprocess.call([os.environ.get("SHELL", "/bin/bash")], env=slurm.env)


if __name__ == "__main__":
    sys.exit(main())
