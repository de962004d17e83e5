"""A deduplication that was given to Slurm, on disk: what its jobs are to do, beside the submission itself.

    <RUN_dedup>/_run/slurm/<name>/dedup.json    which run, how, and on what it waits; never written twice

The plan cannot stand there: where filters come first, their output is not known yet. Each job freezes it anew from the
finished run; all get the same one. Gives up: nothing.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipelines.dedup.config import DedupConfig
from pipelines.dedup.freeze import freeze
from pipelines.dedup.inputs import KIND, DedupPlan, default_output, plan_fingerprint_data, read_json
from pipelines.errors import UserError
from pipelines.ledger import write_atomically
from pipelines.manifest import deciding_versions, fingerprint
from pipelines.run_layout import RUN_DIR, RunLayout
from pipelines.slurm.submission import SLURM_DIR, Submission, submission_dir, submissions
from pipelines.store.look import stored_manifest
from pipelines.store.url import store_url

LAUNCH_FILE = "dedup.json"


class DedupLaunch(BaseModel):
    """What the jobs of one submission do. `after`: the job that ends the filters; None when the run is finished.

    `fingerprint`: of the deduplication, where it was known when it was submitted. `segments`: of the cache.
    """

    model_config = ConfigDict(frozen=True)

    run: str
    against: tuple[str, ...]
    config: DedupConfig
    versions: dict[str, str]
    cache_dir: str | None = None
    segments: tuple[str, ...] = ()
    fingerprint: str | None = None
    after: str | None = None


def probe(output_folder: Path, print_of: str = "") -> RunLayout:
    """The layout of a deduplication's output; without its fingerprint only for what does not depend on it."""
    folder = output_folder.absolute()
    return RunLayout(output_folder=folder, logging_dir=folder / RUN_DIR / "log", fingerprint=print_of)


def new_launch(
    run: Path, *, config: DedupConfig, against: Sequence[Path] = (), cache_dir: Path | None = None,
    after: str | None = None,
) -> DedupLaunch:  # fmt: skip
    """A launch of a deduplication with the packages of this process."""
    return DedupLaunch(
        run=str(run.absolute()), against=tuple(str(folder.absolute()) for folder in against), config=config,
        cache_dir=str(cache_dir.absolute()) if cache_dir else None, versions=deciding_versions(), after=after,
    )  # fmt: skip


def plan_of(launch: DedupLaunch) -> tuple[DedupPlan, dict[str, object]]:
    """The plan, and the data of its fingerprint. Raises UserError while a run that is read is not finished."""
    plan = freeze(
        Path(launch.run), against=[Path(folder) for folder in launch.against], config=launch.config,
        cache_dir=Path(launch.cache_dir) if launch.cache_dir else None, segments=launch.segments,
    )  # fmt: skip
    return plan, plan_fingerprint_data(plan)


def open_plan(launch: DedupLaunch, output_folder: Path) -> tuple[DedupPlan, dict[str, object], RunLayout]:
    """The plan, the data of its fingerprint, and where it works."""
    plan, data = plan_of(launch)
    return plan, data, probe(output_folder, fingerprint(data))


def record_launch(layout: RunLayout, name: str, launch: DedupLaunch) -> None:
    """Write a launch down, before any of its jobs is submitted."""
    write_atomically(submission_dir(layout, name) / LAUNCH_FILE, launch.model_dump_json(indent=1))


def read_launch(layout: RunLayout, name: str) -> DedupLaunch:
    """A launch back from disk. Raises UserError where there is none."""
    path = submission_dir(layout, name) / LAUNCH_FILE
    try:
        return DedupLaunch.model_validate(json.loads(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a deduplication ({str(error).splitlines()[0]})") from None


def launches(output_folder: Path) -> list[tuple[Submission, DedupLaunch]]:
    """All submissions of a deduplication into this folder, oldest first; [] for any other folder."""
    layout = probe(output_folder)
    if not list((layout.run_dir / SLURM_DIR).glob(f"*/{LAUNCH_FILE}")):
        return []
    return [(found, read_launch(layout, found.name)) for found in submissions(layout)]


def last_launch(output_folder: Path) -> tuple[Submission, DedupLaunch] | None:
    """The last submission of which jobs came; None for a folder that has none."""
    known = [entry for entry in launches(output_folder) if entry[0].was_submitted]
    return known[-1] if known else None


def is_dedup_folder(folder: Path) -> bool:
    """Whether this is, or is to be, the output of a deduplication."""
    if (url := store_url(folder)) is not None:
        return stored_manifest(url).get("kind") == KIND
    manifest = read_json(probe(folder).run_dir / "manifest.json") or {}
    return manifest.get("kind") == KIND or last_launch(folder) is not None


def dedup_of(run: Path) -> Path | None:
    """The output of the deduplication of this run that Slurm was given; None where there is none in its usual place."""
    output = default_output(run)
    found = last_launch(output)
    return output if found is not None and Path(found[1].run).resolve() == run.resolve() else None
