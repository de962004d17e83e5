"""The command line: the commands of `smoltrove`, and the stage scripts, which are `run` with a stage's defaults.

Exit status: 0 all done, 1 something planned was not done or a check failed, 2 the input is wrong, 130/143 stopped by
SIGINT/SIGTERM. Gives up: options for what belongs into the configuration.
"""

import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines import BUNDLED_CONFIGS, __version__
from pipelines.errors import SourceError, UserError
from pipelines.slurm.options import ClusterOptions, with_cluster_options

STAGE_CONFIGS = {
    1: "smollm3_weighted_config.yaml",
    2: "smollm3_stage2_config.yaml",
    3: "smollm3_stage3_config.yaml",
}

Tasks = Annotated[
    int | None, typer.Option(min=1, help="Tasks (= output files) per source; chosen from the files if not given.")
]
Workers = Annotated[int, typer.Option(min=1, help="Worker processes in all.")]
LoggingDir = Annotated[Path, typer.Option(help="Folder for main.log and one log per task.")]
MaxDatasets = Annotated[int | None, typer.Option(min=1, help="Only the first N enabled sources, renormalised.")]
Datasets = Annotated[str | None, typer.Option(help="Only sources that match this glob, such as '*vie_Latn*'.")]
TargetTokens = Annotated[str | None, typer.Option(help="Token budget: 300k, 10B, 8.1T; overrides the configuration.")]
Mirror = Annotated[Path | None, typer.Option(help="Read from this folder, laid out as <org>/<name>/..., not the Hub.")]
After = Annotated[
    list[str] | None,
    typer.Option(help="Run folder or configuration whose documents are not used again; repeat for several."),
]
KeepDropped = Annotated[
    bool, typer.Option("--keep-dropped", help="Keep dropped documents with reasons in _run/dropped.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Delete the run in the output folder first.")]
PlanOnly = Annotated[bool, typer.Option("--plan", help="Print the plan and end.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
RunDedup = Annotated[bool, typer.Option("--run-dedup", help="Deduplicate the finished run into <output-folder>_dedup.")]
DedupMethod = Annotated[
    str | None,
    typer.Option(help="Methods of deduplication in order: exact, minhash, simhash, sentence; overrides configuration."),
]
Compression = Annotated[
    str | None, typer.Option(help="gzip or zstd, or with a level: gzip:6, zstd:3; overrides the configuration.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="The output folder of a run.", show_default=False)]
Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="A stage configuration.", show_default=False)]

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="SmolLM3-style pretraining corpora with DataTrove: planned, accounted for, resumable.",
)


@app.command()
@with_cluster_options
def run(
    config: Config,
    tasks: Tasks = None,
    workers: Workers = 2,
    output_folder: Annotated[Path, typer.Option(help="Folder for the documents.")] = Path("datatrove_output/run"),
    logging_dir: LoggingDir = Path("datatrove_logs/run"),
    target_tokens: TargetTokens = None,
    max_datasets: MaxDatasets = None,
    datasets: Datasets = None,
    mirror: Mirror = None,
    after: After = None,
    keep_dropped: KeepDropped = False,
    fresh: Fresh = False,
    plan: PlanOnly = False,
    as_json: AsJson = False,
    debug: Debug = False,
    run_dedup: RunDedup = False,
    dedup_method: DedupMethod = None,
    compression: Compression = None,
    *,
    cluster: ClusterOptions,
) -> None:
    """Build the corpus of a configuration, or continue building it.

    Example: smoltrove run configs/smollm3_weighted_config.yaml --target-tokens 300k --mirror examples/mini_hub
    """
    from pipelines.commands import execute

    raise typer.Exit(
        execute(
            config, tasks=tasks, workers=workers, output_folder=output_folder, logging_dir=logging_dir,
            target_tokens=target_tokens, max_datasets=max_datasets, datasets=datasets, mirror=mirror, after=after,
            keep_dropped=keep_dropped, fresh=fresh, plan_only=plan, as_json=as_json, run_dedup=run_dedup,
            dedup_method=dedup_method, compression=compression, cluster=cluster,
        )
    )  # fmt: skip


@app.command()
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
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show what a run would read, keep and write, without touching a document.

    Example: smoltrove plan configs/smollm3_weighted_config.yaml --target-tokens 300k --mirror examples/mini_hub
    """
    from pipelines.commands import execute

    raise typer.Exit(
        execute(
            config, tasks=tasks, output_folder=output_folder, target_tokens=target_tokens, max_datasets=max_datasets,
            datasets=datasets, mirror=mirror, after=after, compression=compression, plan_only=True, as_json=as_json,
        )
    )  # fmt: skip


@app.command()
def status(
    run_folder: Run,
    reasons: Annotated[
        bool, typer.Option("--reasons", help="Drops and stock code by source and reason, as Markdown.")
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show how far a run is; exit status 1 while it is not complete.

    Example: smoltrove status datatrove_output/stage1
    """
    from pipelines.dedup.command import refuse_dedup_of
    from pipelines.status import show_status

    refuse_dedup_of(run_folder)
    raise typer.Exit(show_status(run_folder, reasons=reasons, as_json=as_json))


@app.command()
def cancel(run_folder: Run, debug: Debug = False) -> None:
    """End the Slurm jobs of a run; finished tasks are kept.

    Example: smoltrove cancel datatrove_output/stage1
    """
    from pipelines.status import show_cancel

    raise typer.Exit(show_cancel(run_folder))


@app.command()
def verify(run_folder: Run, as_json: AsJson = False, debug: Debug = False) -> None:
    """Recount the files of a run against its ledger; exit status 1 when anything differs.

    Example: smoltrove verify datatrove_output/stage1
    """
    from pipelines.dedup.verify import is_dedup, show_dedup_verification
    from pipelines.verify import show_verification

    if is_dedup(run_folder):
        raise typer.Exit(show_dedup_verification(run_folder, as_json=as_json))
    raise typer.Exit(show_verification(run_folder, as_json=as_json))


@app.command()
def dedup(
    run_folder: Run,
    dedup_method: DedupMethod = None,
    output_folder: Annotated[
        Path | None, typer.Option(help="Folder for the documents; <RUN>_dedup if not given.", show_default=False)
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
    workers: Workers = 2,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete what is in the output folder first.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say what it finds, and what it costs, and end.")] = False,
    plot: Annotated[
        Path | None, typer.Option(help="With --explain: a PNG file for the picture.", show_default=False)
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Deduplicate a finished run into a folder of its own; the run stays as it is.

    Example: smoltrove dedup datatrove_output/stage1 --dedup-method exact,minhash
    """
    from pipelines.dedup.command import execute_dedup, parameters

    raise typer.Exit(
        execute_dedup(
            run_folder, config=parameters(run_folder, config, dedup_method), output_folder=output_folder,
            against=against, cache_dir=dedup_cache, tasks=tasks, workers=workers, fresh=fresh, explain=explain,
            plot=plot, as_json=as_json,
        )
    )  # fmt: skip


@app.command()
def doctor(
    config: Config,
    mirror: Mirror = None,
    datasets: Datasets = None,
    rows: Annotated[int, typer.Option(min=1, help="Rows to try to read of each source.")] = 5,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Look whether every source of a configuration can be read; exit status 1 when one cannot.

    Example: smoltrove doctor configs/smollm3_weighted_config.yaml --mirror examples/mini_hub
    """
    from pipelines.doctor import show_diagnosis

    raise typer.Exit(show_diagnosis(config, mirror=mirror, datasets=datasets, rows=rows, as_json=as_json))


@app.command()
def schema(debug: Debug = False) -> None:
    """Print the JSON schema of stage configurations (configs/schema.json is its output).

    Example: smoltrove schema
    """
    from pipelines.config import StageConfig

    typer.echo(json.dumps(StageConfig.model_json_schema(), indent=1, ensure_ascii=False, sort_keys=True))


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def stage_app(stage: int) -> typer.Typer:
    """The command of one stage script: `run` with that stage's configuration and folders as defaults."""
    script = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

    @script.command(help=f"Build the corpus of SmolLM3's stage {stage}, or continue building it.")
    @with_cluster_options
    def command(
        config: Annotated[Path, typer.Option(help="Stage configuration.")] = BUNDLED_CONFIGS / STAGE_CONFIGS[stage],
        tasks: Tasks = None,
        workers: Workers = 2,
        output_folder: Annotated[Path, typer.Option(help="Folder for the documents.")] = Path(
            f"datatrove_output/stage{stage}"
        ),
        logging_dir: LoggingDir = Path("datatrove_logs") if stage == 1 else Path(f"datatrove_logs/stage{stage}"),
        target_tokens: TargetTokens = None,
        max_datasets: MaxDatasets = None,
        datasets: Datasets = None,
        mirror: Mirror = None,
        after: After = None,
        keep_dropped: KeepDropped = False,
        fresh: Fresh = False,
        plan: PlanOnly = False,
        as_json: AsJson = False,
        debug: Debug = False,
        run_dedup: RunDedup = False,
        dedup_method: DedupMethod = None,
        compression: Compression = None,
        *,
        cluster: ClusterOptions,
    ) -> None:
        from pipelines.commands import execute

        raise typer.Exit(
            execute(
                config, tasks=tasks, workers=workers, output_folder=output_folder, logging_dir=logging_dir,
                target_tokens=target_tokens, max_datasets=max_datasets, datasets=datasets, mirror=mirror, after=after,
                keep_dropped=keep_dropped, fresh=fresh, plan_only=plan, as_json=as_json, run_dedup=run_dedup,
                dedup_method=dedup_method, compression=compression, cluster=cluster,
            )
        )  # fmt: skip

    return script


def call(command: Callable[[], Any]) -> None:
    """Run a command line and end the process: errors that the user can mend in plain lines, exit status 2."""
    try:
        command()
    except UserError as error:
        _report(str(error))
        sys.exit(2)
    except SourceError as error:
        _report(str(error))
        sys.exit(1)


def _report(message: str) -> None:
    if "--debug" in sys.argv:
        traceback.print_exc()
    for line in message.splitlines():
        print(line if line.startswith(" ") else f"error: {line}", file=sys.stderr)


def main() -> None:
    """Entry point of `smoltrove`."""
    call(app)


def stage_main(stage: int) -> None:
    """Entry point of the stage scripts."""
    call(stage_app(stage))
