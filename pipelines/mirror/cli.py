"""`smoltrove mirror` on the command line.

Gives up: nothing; what it does is in pipelines.mirror.command.
"""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli_options import After, AsJson, Config, Datasets, Debug, MaxDatasets, TargetTokens


def add_commands(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(mirror)


def mirror(
    config: Config,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The mirror: made, or added to.", show_default=False)],
    target_tokens: TargetTokens = None,
    max_datasets: MaxDatasets = None,
    datasets: Datasets = None,
    after: After = None,
    at_once: Annotated[int, typer.Option(min=1, max=64, help="Files, or blobs, fetched at a time.")] = 8,
    verify: Annotated[
        bool, typer.Option("--verify", help="Hash everything that is here and should be; fetch nothing.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Take the Hub's commits of now; files that are the same stay.")
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Download exactly the files and blobs that a run would read, for `--mirror DIR` on a machine without a network.

    Example: smoltrove mirror configs/smollm3_weighted_config.yaml mirror --target-tokens 1B
    """
    from pipelines.mirror.command import execute_mirror

    raise typer.Exit(
        execute_mirror(
            config, folder, target_tokens=target_tokens, max_datasets=max_datasets, datasets=datasets, after=after,
            at_once=at_once, verify=verify, fresh=fresh, as_json=as_json,
        )
    )  # fmt: skip
