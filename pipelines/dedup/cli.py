"""`smoltrove dedup` on the command line.

Gives up: nothing; what it does is in pipelines.dedup.command.
"""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli_options import AsJson, Debug, DedupMethod, Run, RunWorkers, ScratchFolder
from pipelines.slurm.options import ClusterOptions, with_cluster_options


def add_commands(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(with_cluster_options(dedup))


def dedup(
    run_folder: Run,
    dedup_method: DedupMethod = None,
    output_folder: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the documents, or s3://bucket/path; <RUN>_dedup if not given.", show_default=False
        ),
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(help="Finished run whose documents are kept already; repeat for several.", show_default=False),
    ] = None,
    dedup_cache: Annotated[
        Path | None, typer.Option(help="Folder with hashes of earlier runs' documents; this run adds its own.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Take the `dedup:` block of this configuration, not of the run's own.")
    ] = None,
    tasks: Annotated[int | None, typer.Option(min=1, help="At most so many files or parts at a time.")] = None,
    workers: RunWorkers = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete what is in the output folder first.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say what it finds, and what it costs, and end.")] = False,
    plot: Annotated[
        Path | None, typer.Option(help="With --explain: a PNG file for the picture.", show_default=False)
    ] = None,
    scratch_folder: ScratchFolder = None,
    as_json: AsJson = False,
    debug: Debug = False,
    *,
    cluster: ClusterOptions,
) -> None:
    """Deduplicate a finished run into a folder of its own; the run stays as it is.

    Example: smoltrove dedup datatrove_output/stage1 --dedup-method exact,minhash
    """
    from pipelines.dedup.command import execute_dedup, parameters

    raise typer.Exit(
        execute_dedup(
            run_folder, config=parameters(run_folder, config, dedup_method), config_path=config,
            output_folder=output_folder, against=against, cache_dir=dedup_cache, tasks=tasks, workers=workers,
            fresh=fresh, explain=explain, plot=plot, as_json=as_json, cluster=cluster,
            scratch_folder=scratch_folder,
        )
    )  # fmt: skip
