"""What `--executor ray` does on the command line: a run or a deduplication as a local one, its workers on a cluster.

Exit status, table and resume are those of a local one. Gives up: leaving; it ends with the process, as it does locally.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from rich.console import Console

from pipelines.config import LoadedConfig
from pipelines.dedup.run import HireCrew
from pipelines.plan import Plan
from pipelines.ray.connection import connected
from pipelines.run import RunResult, run_plan
from pipelines.run_layout import RunLayout
from pipelines.signals import StopRequest
from pipelines.slurm.config import ClusterConfig
from pipelines.slurm.options import RAY_KEYS, ClusterOptions


def run_on_ray(
    plan: Plan, config: LoadedConfig, options: ClusterOptions, *, output_folder: Path, logging_dir: Path,
    workers: int | None, mirror: Path | None, fresh: bool,
) -> RunResult:  # fmt: skip
    """Run what is left of a plan on Ray. Raises as `run_plan` does, and UserError when no node can run a task."""
    cluster = options.merged(config.stage.cluster)
    warn_of_unused(config.stage.cluster)
    with connected(cluster.ray_address):
        import ray

        from pipelines.ray.resources import check_resources
        from pipelines.ray.supervisor import RaySupervisor

        places = check_resources(ray.nodes(), cluster)
        environment = dict(os.environ)

        def hire(plan: Plan, layout: RunLayout, stop: StopRequest) -> RaySupervisor:
            return RaySupervisor(
                plan, layout, workers=workers or places, cluster=cluster, environment=environment, stop=stop
            )

        return run_plan(
            plan, config, output_folder=output_folder, logging_dir=logging_dir, mirror=mirror, fresh=fresh, hire=hire
        )


@contextmanager
def crew_on_ray(cluster: ClusterConfig, *, workers: int | None, most: int | None) -> Iterator[HireCrew]:
    """Connected to a cluster: what hires the actors of a deduplication there, as many as fit, or `workers`.

    At most `most` at a time. Raises UserError when no node can run a piece.
    """
    with connected(cluster.ray_address):
        import ray

        from pipelines.ray.crew import actors_on_ray
        from pipelines.ray.resources import check_resources

        places = check_resources(ray.nodes(), cluster)
        wanted = workers or places
        yield partial(actors_on_ray, min(wanted, most or wanted), cluster, dict(os.environ))


def warn_of_unused(block: ClusterConfig) -> None:
    """Name the keys of a `cluster:` block that mean nothing to Ray."""
    if unused := sorted(block.model_fields_set - RAY_KEYS):
        console = Console(stderr=True, highlight=False)
        console.print(f"warning: cluster: {', '.join(unused)}: for Slurm only", markup=False, soft_wrap=True)
