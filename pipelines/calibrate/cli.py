"""`smoltrove calibrate` on the command line.

Gives up: nothing; what it does is in pipelines.calibrate.command.
"""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli_options import AsJson, Debug


def add_commands(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(calibrate)


def calibrate(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="Trusted text: JSON lines, Parquet or CSV.", show_default=False),
    ],
    language: Annotated[str, typer.Option(help="The language of the text: vi, vie or vie_Latn.", show_default=False)],
    sample: Annotated[int, typer.Option(min=1, help="Documents to measure.")] = 5000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sample.")] = 0,
    english: Annotated[
        Path | None,
        typer.Option(help="Trusted English text of the same kind: where do the English thresholds lie in it?"),
    ] = None,
    tail: Annotated[
        float | None,
        typer.Option(min=0, max=0.5, help="Share of the text that each threshold drops, in place of English's shares."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the profile; web-<language> if not given.")] = None,
    output: Annotated[Path | None, typer.Option(help="File to write; <name>.yaml if not given.")] = None,
    text_field: Annotated[str | None, typer.Option(help="Column of the text; `text` if not given.")] = None,
    id_field: Annotated[str | None, typer.Option(help="Column of the id.")] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Derive a language's filter profile from trusted text, as FineWeb-2 did, and show it beside the shipped one.

    Example: smoltrove calibrate --language vi ../trusted/vi --output my_profiles.yaml
    """
    from pipelines.calibrate.command import execute_calibrate

    raise typer.Exit(
        execute_calibrate(
            folder, language=language, sample=sample, seed=seed, english=english, tail=tail, name=name, output=output,
            text_field=text_field, id_field=id_field, as_json=as_json,
        )
    )  # fmt: skip
