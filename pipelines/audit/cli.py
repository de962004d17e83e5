"""`smoltrove audit` on the command line.

Gives up: nothing; what it does is in pipelines.audit.command.
"""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli_options import AsJson, Datasets, Debug, Mirror


def add_commands(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(audit)


def audit(
    target: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG|FOLDER",
            help="A stage configuration, a run's output folder, a folder of documents, or a file of --signals.",
            show_default=False,
        ),
    ],
    sample: Annotated[int, typer.Option(min=1, help="Documents of each source.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sample.")] = 0,
    what_if: Annotated[
        list[str] | None,
        typer.Option(help="A threshold and another value: filter.parameter=value; repeat for several."),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="Judge by this profile; needed for a folder that is no run.")
    ] = None,
    profiles: Annotated[Path | None, typer.Option(help="File of profiles; the bundled one if not given.")] = None,
    signals: Annotated[Path | None, typer.Option(help="Write every signal to this Parquet file.")] = None,
    text_field: Annotated[
        str | None, typer.Option(help="Column of the text, in a folder of documents; `text` if not given.")
    ] = None,
    id_field: Annotated[str | None, typer.Option(help="Column of the id, in a folder of documents.")] = None,
    mirror: Mirror = None,
    datasets: Datasets = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show what every filter sees in a sample, and what other thresholds would keep or lose.

    Example: smoltrove audit datatrove_output/stage1 --what-if gopher_quality.min_doc_words=50
    """
    from pipelines.audit.command import execute_audit

    raise typer.Exit(
        execute_audit(
            target, sample=sample, seed=seed, what_if=what_if or (), signals=signals, as_json=as_json, profile=profile,
            profiles=profiles, text_field=text_field, id_field=id_field, mirror=mirror, datasets=datasets,
        )
    )  # fmt: skip
