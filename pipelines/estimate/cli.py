"""`smoltrove plan` on the command line, `--estimate` and what belongs to it included.

Gives up: nothing; the plan is made by pipelines.commands, the estimate by pipelines.estimate.command.
"""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli_options import (
    After,
    AsJson,
    Compression,
    Config,
    Datasets,
    Debug,
    MaxDatasets,
    Mirror,
    TargetTokens,
    Tasks,
)
from pipelines.errors import UserError


def add_commands(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(plan)


def plan(
    config: Config,
    tasks: Tasks = None,
    output_folder: Annotated[Path, typer.Option(help="Folder for the documents.")] = Path("datatrove_output/run"),
    target_tokens: TargetTokens = None,
    max_datasets: MaxDatasets = None,
    datasets: Datasets = None,
    mirror: Mirror = None,
    after: After = None,
    compression: Compression = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Measure a sample of each source, and say what the run will take.")
    ] = False,
    sample_rows: Annotated[
        int | None, typer.Option(min=1, help="--estimate: rows to sample of each source.  [default: 1000]")
    ] = None,
    nodes: Annotated[int | None, typer.Option(min=1, help="--estimate: nodes of the cluster.  [default: 1]")] = None,
    cores_per_node: Annotated[
        int | None, typer.Option(min=1, help="--estimate: cores of a node, one task each.  [default: this machine's]")
    ] = None,
    bandwidth: Annotated[
        str | None, typer.Option(help="--estimate: bytes a second that all nodes share: 1.25G.")
    ] = None,
    time_limit: Annotated[str | None, typer.Option(help="--estimate: time limit of one task, as 24:00:00.")] = None,
    memory_per_core: Annotated[str | None, typer.Option(help="--estimate: bytes of memory for each core: 2G.")] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show what a run would read, keep and write; with --estimate also what it will take, from a sample.

    Example: smoltrove plan configs/smollm3_weighted_config.yaml --target-tokens 300k --mirror examples/mini_hub
    """
    from pipelines.commands import build_plan, execute

    belongs = {
        "--sample-rows": sample_rows, "--nodes": nodes, "--cores-per-node": cores_per_node, "--bandwidth": bandwidth,
        "--time-limit": time_limit, "--memory-per-core": memory_per_core,
    }  # fmt: skip
    if not estimate:
        if named := [option for option, value in belongs.items() if value is not None]:
            raise UserError(f"{named[0]}: says what an estimate is for; add --estimate")
        raise typer.Exit(
            execute(
                config, tasks=tasks, output_folder=output_folder, target_tokens=target_tokens,
                max_datasets=max_datasets, datasets=datasets, mirror=mirror, after=after, compression=compression,
                plan_only=True, as_json=as_json,
            )
        )  # fmt: skip
    from pipelines.config import load_config
    from pipelines.estimate.cluster import cluster_of
    from pipelines.estimate.command import SAMPLE_ROWS, show_estimate

    loaded = load_config(config)
    cluster = cluster_of(
        nodes=nodes or 1, cores_per_node=cores_per_node, bandwidth=bandwidth, time_limit=time_limit,
        memory_per_core=memory_per_core, block=loaded.stage.cluster,
    )  # fmt: skip
    planned = build_plan(
        loaded, output_folder=output_folder, tasks=tasks, target_tokens=target_tokens, max_datasets=max_datasets,
        datasets=datasets, mirror=mirror, after=after, compression=compression,
    )  # fmt: skip
    raise typer.Exit(
        show_estimate(planned, loaded, cluster, rows=sample_rows or SAMPLE_ROWS, mirror=mirror, as_json=as_json)
    )
