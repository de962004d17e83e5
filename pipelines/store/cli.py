"""`smoltrove fetch` on the command line.

Gives up: nothing; what it does is in pipelines.store.fetch.
"""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli_options import AsJson, Debug


def add_commands(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(fetch)


def fetch(
    url: Annotated[Path, typer.Argument(metavar="URL", help="A finished run in a store.", show_default=False)],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where it goes.", show_default=False)],
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Bring a finished run from an object store to a folder, each file compared with the run's ledger.

    Example: smoltrove fetch s3://corpus/stage1 datatrove_output/stage1
    """
    from pipelines.store.fetch import show_fetch

    raise typer.Exit(show_fetch(url, folder, as_json=as_json))
