"""datatrove's executor for one source: its `_run_for_rank` and completion markers, our logs, nothing in the console.

Used inside a worker process, one task at a time; which tasks run when is `pipelines.supervisor`'s affair, because
LocalPipelineExecutor waits for ever when a worker is killed. Gives up: datatrove's own process pool.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

# Before datatrove imports loguru: its default writes the values of variables into every traceback, tokens included.
os.environ.setdefault("LOGURU_DIAGNOSE", "NO")

from datatrove.executor.base import DistributedEnvVars, PipelineExecutor
from datatrove.io import DataFolder
from datatrove.pipeline.base import PipelineStep

_TOKEN = re.compile(r"hf_[A-Za-z0-9]{4,}")
SECRET_NAMES = re.compile(r"TOKEN|SECRET|PASSWORD|API_?KEY", re.IGNORECASE)
_MIN_SECRET_CHARS = 8


def without_secrets(text: str) -> str:
    """`text` without Hub tokens and without the values of environment variables that are named like secrets."""
    for name, value in os.environ.items():
        if len(value) >= _MIN_SECRET_CHARS and SECRET_NAMES.search(name):
            text = text.replace(value, "...")
    return _TOKEN.sub("...", text)


class SafeLog:
    """A text file as loguru wants one, free of secrets whatever a library puts into an error message."""

    def __init__(self, handle: IO[str]) -> None:
        self._handle = handle

    def write(self, text: str) -> None:
        self._handle.write(without_secrets(text))

    def flush(self) -> None:
        self._handle.flush()

    def close(self) -> None:
        self._handle.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handle, name)


class _SplitFolder(DataFolder):
    """A data folder whose `logs/` part lives elsewhere: completions stay with the run, logs go where people look."""

    def __init__(self, path: Path, log_dir: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        log_dir.mkdir(parents=True, exist_ok=True)
        super().__init__(str(path))
        self._log_dir = log_dir

    def open(self, path: str, mode: str = "rb", *args: Any, **kwargs: Any) -> Any:
        if path.startswith("logs/"):
            return SafeLog(open(self._log_dir / Path(path).name, mode, encoding="utf-8"))
        return super().open(path, mode, *args, **kwargs)


class SourceExecutor(PipelineExecutor):
    """Runs single ranks of one source's pipeline in this process."""

    def __init__(self, steps: Sequence[PipelineStep], *, tasks: int, state_dir: Path, log_dir: Path) -> None:
        super().__init__(list(steps), _SplitFolder(state_dir, log_dir))
        self.tasks = tasks

    def run(self) -> None:
        """Every incomplete rank, one after the other."""
        for rank in self.get_incomplete_ranks():
            self.run_rank(rank)

    def run_rank(self, rank: int) -> None:
        """One rank, marked complete when its last step has finished."""
        # local_rank 1 keeps datatrove's own progress lines out of the console; they are in the task's log.
        self._run_for_rank(rank, local_rank=1)

    def get_distributed_env(self, node_rank: int = -1) -> DistributedEnvVars:
        return DistributedEnvVars(
            datatrove_node_ips="localhost",
            datatrove_cpus_per_task="-1",
            datatrove_mem_per_cpu="-1",
            datatrove_gpus_on_node="-1",
            datatrove_executor="LOCAL",
        )

    @property
    def world_size(self) -> int:
        return self.tasks
