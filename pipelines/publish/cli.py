"""`smoltrove export`, `card` and `push` on the command line.

Gives up: nothing; what they do is in the modules beside this one.
"""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli_options import AsJson, Debug, Run, Workers
from pipelines.store.url import refuse_store

Published = Annotated[
    Path, typer.Argument(metavar="RUN", help="The folder of a finished run, or of its export.", show_default=False)
]
Title = Annotated[str | None, typer.Option(help="Title of the card, in place of one made of the stage.")]


class Format(str, Enum):
    """What `export` can write."""

    parquet = "parquet"


def add_commands(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (export, card, push):
        app.command()(command)


def export(
    run_folder: Run,
    format: Annotated[Format, typer.Option(help="The format to write.")] = Format.parquet,
    output_folder: Annotated[
        Path | None,
        typer.Option(
            "--output-folder", "--output", help="Folder for the files; <RUN>_parquet if not given.", show_default=False
        ),
    ] = None,
    workers: Workers = 2,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Write the documents of a finished run as Parquet, one folder per source, into a folder of its own.

    Example: smoltrove export datatrove_output/stage1 --format parquet --output datatrove_output/stage1_parquet
    """  # fmt: skip
    from pipelines.publish.command import show_export

    refuse_store(run_folder, "`smoltrove export`", reads=True)
    if output_folder is not None:
        refuse_store(output_folder, "`smoltrove export --output`")
    raise typer.Exit(show_export(run_folder, output_folder=output_folder, workers=workers, as_json=as_json))


def card(
    run_folder: Published,
    output: Annotated[
        Path | None, typer.Option(help="File to write; printed if not given.", show_default=False)
    ] = None,
    repo: Annotated[
        str | None, typer.Option(help="org/name that the card's examples read.", show_default=False)
    ] = None,
    title: Title = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Print the dataset card (README.md) for the Hub: sources, licences, filters, counts, limits.

    Example: smoltrove card datatrove_output/stage1_parquet --repo org/name --output card.md
    """
    from pipelines.publish.command import show_card

    refuse_store(run_folder, "`smoltrove card`", reads=True)
    raise typer.Exit(show_card(run_folder, output=output, repo=repo, title=title, as_json=as_json))


def push(
    run_folder: Published,
    repo: Annotated[str, typer.Argument(metavar="ORG/NAME", help="The dataset repository on the Hub.")],
    private: Annotated[
        bool, typer.Option("--private/--public", help="Who can see the repository; must be what it is, if it exists.")
    ] = True,
    keep_others: Annotated[
        bool, typer.Option("--keep-others", help="Push beside files that are not of this run; they stay as they are.")
    ] = False,
    replace_card: Annotated[
        bool, typer.Option("--replace-card", help="Write over a README.md that is not the card of this run.")
    ] = False,
    title: Title = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be uploaded, and end.")] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Upload a finished run or its export to the Hub, with its card, and compare every file with what is there then.

    The token is HF_TOKEN of the environment. Nothing on the Hub is ever deleted.

    Example: smoltrove push datatrove_output/stage1_parquet org/name --plan
    """
    from pipelines.publish.command import show_push

    refuse_store(run_folder, "`smoltrove push`", reads=True)
    raise typer.Exit(
        show_push(
            run_folder, repo, private=private, keep_others=keep_others, replace_card=replace_card, title=title,
            plan_only=plan, as_json=as_json,
        )
    )  # fmt: skip
