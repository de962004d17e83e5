"""What `--executor ray` does on the command line: a run as a local one, with the workers on a cluster.

Exit status, table and resume are those of a local run, and so is `--run-dedup`, which works where the command was
typed. Gives up: leaving; the run ends with the process, as it does locally.
"""

import os
from pathlib import Path

from rich.console import Console

from pipelines.config import LoadedConfig
from pipelines.plan import Plan
from pipelines.ray.connection import connected
from pipelines.run import RunResult, run_plan
from pipelines.run_layout import RunLayout
from pipelines.signals import StopRequest
from pipelines.slurm.options import RAY_KEYS, ClusterOptions


def run_on_ray(
    plan: Plan, config: LoadedConfig, options: ClusterOptions, *, output_folder: Path, logging_dir: Path,
    workers: int | None, mirror: Path | None, fresh: bool,
) -> RunResult:  # fmt: skip
    """Run what is left of a plan on Ray. Raises as `run_plan` does, and UserError when no node can run a task."""
    block = config.stage.cluster
    cluster = options.merged(block)
    unused = sorted(block.model_fields_set - RAY_KEYS)
    console = Console(stderr=True, highlight=False)
    if unused:
        console.print(f"warning: cluster: {', '.join(unused)}: for Slurm only", markup=False, soft_wrap=True)
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
