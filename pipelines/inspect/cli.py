"""`smoltrove inspect` on the command line.

Gives up: nothing; what it does is in pipelines.inspect.command and pipelines.inspect.web.
"""

from typing import Annotated

import typer

from pipelines.cli_options import AsJson, Debug, Run
from pipelines.errors import UserError
from pipelines.store.url import refuse_store


def add_commands(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(inspect)


def inspect(
    run_folder: Run,
    source: Annotated[str, typer.Option(help="Only sources with this in their name; * and ? as in a glob.")] = "",
    language: Annotated[str, typer.Option(help="Only documents of this language, as their metadata has it.")] = "",
    reason: Annotated[str, typer.Option(help="Only documents dropped for this: family.rule, or a family.")] = "",
    search: Annotated[str, typer.Option(help="Only documents with this in their text or id.")] = "",
    dropped: Annotated[bool, typer.Option("--dropped", help="Dropped documents, not the kept ones.")] = False,
    near_threshold: Annotated[
        bool, typer.Option("--near-threshold", help="Those whose verdict was closest, closest first.")
    ] = False,
    duplicates: Annotated[bool, typer.Option("--duplicates", help="Pairs of a deduplication side by side.")] = False,
    sample: Annotated[int, typer.Option(min=1, max=10_000, help="How many documents or pairs.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Another number, another sample.")] = 0,
    max_chars: Annotated[int, typer.Option(min=1, help="Characters of each text to show.")] = 2000,
    web: Annotated[bool, typer.Option("--web", help="Browse all of it in a browser on this machine.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of --web; 0 takes a free one.")] = 0,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Look at documents of a run, with what made their verdicts marked.

    Example: smoltrove inspect datatrove_output/stage1 --dropped --reason gopher_repetition --sample 5
    """
    refuse_store(run_folder, "`smoltrove inspect`", reads=True)
    if web:
        from pipelines.inspect.web import serve

        others = {"--near-threshold": near_threshold, "--json": as_json}
        for option in (name for name, given in others.items() if given):
            raise UserError(f"--web: does not go with {option}; its page has filters of its own")
        serve(run_folder, port, duplicates=duplicates)
        return
    from pipelines.inspect.command import Asked, show

    asked = Asked(
        source=source, language=language, reason=reason, search=search, dropped=dropped, near_threshold=near_threshold,
        duplicates=duplicates, sample=sample, seed=seed, max_chars=max_chars, as_json=as_json,
    )  # fmt: skip
    show(run_folder, asked)
