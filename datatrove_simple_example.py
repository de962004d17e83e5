"""Three short pipelines to read and copy: `python datatrove_simple_example.py simple|vietnamese|multilingual`.

A thin launcher; the pipelines are in examples/. With `--mirror examples/mini_hub` they run without a network.
"""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class Example(str, Enum):
    """Which pipeline to run."""

    simple = "simple"
    vietnamese = "vietnamese"
    multilingual = "multilingual"


def main(
    example: Annotated[Example, typer.Argument(help="Which pipeline to run.")],
    output_folder: Annotated[Path, typer.Option(help="Folder for the documents.")] = Path("datatrove_output/examples"),
    logging_dir: Annotated[Path, typer.Option(help="Folder for logs and completions.")] = Path(
        "datatrove_logs/examples"
    ),
    mirror: Annotated[Path | None, typer.Option(help="Read from this folder instead of the Hub.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Documents per task.")] = 1000,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
) -> None:
    """Run one example from its start, whatever an earlier run has left. (`smoltrove run` is what continues.)

    Example: python datatrove_simple_example.py simple --mirror examples/mini_hub --limit 20
    """
    from importlib import import_module

    run = getattr(import_module(f"examples.{example.value}"), f"run_{example.value}")
    out, logs = output_folder / example.value, logging_dir / example.value
    run(out, logs, mirror=mirror, limit=limit, workers=workers)
    print(f"documents: {out}, logs: {logs}")


if __name__ == "__main__":
    from pipelines.cli import call

    app = typer.Typer(add_completion=False)
    app.command()(main)
    call(app)
