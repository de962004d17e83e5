"""`smoltrove report` on the command line.

Gives up: nothing; what it does is in pipelines.report.write.
"""

from typing import Annotated

import typer

from pipelines.cli_options import AsJson, Debug, Run


def add_commands(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(report)


def report(
    run_folder: Run,
    sample: Annotated[
        bool, typer.Option("--sample/--no-sample", help="Measure what filters judge on a sample of each source.")
    ] = True,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Write what a run came to as a page with pictures: _run/report.html, with report.md and report.json beside it.

    Example: smoltrove report datatrove_output/stage1
    """
    from pipelines.report.write import JSON, write_report
    from pipelines.run_layout import RUN_DIR
    from pipelines.store.store import open_at

    page = write_report(run_folder, measure=sample)
    if not as_json:
        typer.echo(page)
        return
    with open_at(run_folder, f"{RUN_DIR}/{JSON}") as handle:
        typer.echo(handle.read().decode(), nl=False)
