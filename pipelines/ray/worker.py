"""What lives on a Ray node: an actor, that is a process, which does one task after the other.

Its models and word splitters load once. This module imports little, because the environment that came along must be
set before the libraries that read it are imported. Gives up: progress inside of a task.
"""

import os
from pathlib import Path
from typing import Any

WORKERS_DIR = "ray"


class TaskWorker:
    """Made on a node by `ray.remote`; its methods answer in plain strings, never with an exception of ours."""

    def __init__(self, run_folder: str, fingerprint: str, environment: dict[str, str]) -> None:
        os.environ.update(environment)
        self._run_folder, self._fingerprint = Path(run_folder), fingerprint
        self._layout: Any = None
        self._plan: Any = None
        self._held: Any = None

    def prepare(self) -> str | None:
        """Read the plan, for the first task. Returns why this node cannot work, None when it can."""
        from pipelines.claimed_task import refuse_other_packages
        from pipelines.errors import UserError
        from pipelines.executors import without_secrets
        from pipelines.run_lock import share_workers_lock
        from pipelines.verify import open_run
        from pipelines.worker import redirect_output

        try:
            self._layout, self._plan = open_run(self._run_folder)
            if self._layout.fingerprint != self._fingerprint:
                raise UserError(f"{self._run_folder}: holds another run here; all nodes must see one folder")
            refuse_other_packages(self._layout, "start Ray on it from the environment of the run")
            folder = self._layout.logging_dir / WORKERS_DIR
            folder.mkdir(parents=True, exist_ok=True)
            redirect_output(str(folder / f"{os.uname().nodename}-{os.getpid()}.out"))
            self._held = share_workers_lock(self._layout)
        except (UserError, OSError) as error:
            return without_secrets(f"node {os.uname().nodename}: {error}")
        return None

    def work(self, index: int, rank: int) -> tuple[str, str]:
        """One task. Returns ("done", ""), ("failed", why), or ("held", who) while another process works on it."""
        import ray

        from pipelines.claim import ClaimHeldError, take
        from pipelines.claimed_task import work_on

        context = ray.get_runtime_context()
        try:
            claim = take(
                self._layout, self._plan.sources[index].source.output_dir, rank, job=f"Ray {context.get_job_id()}",
                node=f"{os.uname().nodename}/{context.get_node_id()[:8]}",
            )  # fmt: skip
        except ClaimHeldError as error:
            return "held", str(error)
        outcome, reason = work_on(self._plan, self._layout, (index, rank), claim)
        return ("failed", reason) if outcome == "failed" else ("done", "")
