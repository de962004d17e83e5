"""What lives on a Ray node: an actor, that is a process, which does one task or piece after the other.

Its models and word splitters load once. This module imports little, because the environment that came along must be
set before the libraries that read it are imported. Gives up: progress inside of a task.
"""

import os
from abc import ABC, abstractmethod
from importlib import import_module
from pathlib import Path
from typing import Any

WORKERS_DIR = "ray"


class Worker(ABC):
    """Made on a node by `ray.remote`; its methods answer in plain strings, never with an exception of ours."""

    def __init__(self, run_folder: str, fingerprint: str, environment: dict[str, str]) -> None:
        os.environ.update(environment)
        self._run_folder, self._fingerprint = Path(run_folder), fingerprint
        self._layout: Any = None
        self._held: Any = None

    def prepare(self) -> str | None:
        """Read what is to be done, before the first time. Returns why this node cannot work, None when it can."""
        if self._held is not None:
            return None
        from pipelines.claimed_task import refuse_other_packages
        from pipelines.errors import UserError
        from pipelines.executors import without_secrets
        from pipelines.run_lock import share_workers_lock
        from pipelines.worker import redirect_output

        try:
            self._layout = self._open()
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

    @abstractmethod
    def _open(self) -> Any:
        """The layout of what is to be done. Raises UserError where this node does not see it."""

    def _take(self, folder: str, number: int) -> Any:
        """Claim a task or piece. Raises ClaimHeldError while another process works on it."""
        import ray

        from pipelines.claim import take

        context = ray.get_runtime_context()
        return take(
            self._layout, folder, number, job=f"Ray {context.get_job_id()}",
            node=f"{os.uname().nodename}/{context.get_node_id()[:8]}",
        )  # fmt: skip


class TaskWorker(Worker):
    """Does tasks of a run."""

    _plan: Any = None

    def _open(self) -> Any:
        from pipelines.verify import open_run

        layout, self._plan = open_run(self._run_folder)
        return layout

    def work(self, index: int, rank: int) -> tuple[str, str]:
        """One task. Returns ("done", ""), ("failed", why), or ("held", who) while another process works on it."""
        from pipelines.claim import ClaimHeldError
        from pipelines.claimed_task import work_on

        try:
            claim = self._take(self._plan.sources[index].source.output_dir, rank)
        except ClaimHeldError as error:
            return "held", str(error)
        outcome, reason = work_on(self._plan, self._layout, (index, rank), claim)
        return ("failed", reason) if outcome == "failed" else ("done", "")


class PieceWorker(Worker):
    """Does pieces of a deduplication."""

    _work: Any = None

    def _open(self) -> Any:
        from pipelines.dedup.verify import open_dedup

        self._work = open_dedup(self._run_folder)
        return self._work.layout

    def work(self, stage: str, module: str, function: str, number: int) -> tuple[str, str]:
        """One piece: `function` of `module` for `number`. Returns what TaskWorker.work does."""
        from pipelines.claim import ClaimHeldError
        from pipelines.dedup.claimed_piece import claims_of, work_on_piece

        try:
            claim = self._take(claims_of(stage), number)
        except ClaimHeldError as error:
            return "held", str(error)
        reason = work_on_piece(self._work, stage, getattr(import_module(module), function), number, claim)
        return ("done", "") if reason is None else ("failed", reason)
