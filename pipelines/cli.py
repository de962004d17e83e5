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
from pipelines.audit import cli as audit_cli
from pipelines.calibrate import cli as calibrate_cli
from pipelines.cli_options import (
    After,
    AsJson,
    Compression,
    Config,
    Datasets,
    Debug,
    DedupMethod,
    Fresh,
    KeepDropped,
    LoggingDir,
    MaxDatasets,
    Mirror,
    PlanOnly,
    Run,
    RunDedup,
    RunWorkers,
    ScratchFolder,
    TargetTokens,
    Tasks,
)
from pipelines.dedup import cli as dedup_cli
from pipelines.errors import SourceError, UserError
from pipelines.estimate import cli as estimate_cli
from pipelines.inspect import cli as inspect_cli
from pipelines.mirror import cli as mirror_cli
from pipelines.publish import cli as publish_cli
from pipelines.report import cli as report_cli
from pipelines.slurm.options import ClusterOptions, with_cluster_options
from pipelines.store import cli as store_cli

STAGE_CONFIGS = {
    1: "smollm3_weighted_config.yaml",
    2: "smollm3_stage2_config.yaml",
    3: "smollm3_stage3_config.yaml",
}

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
    workers: RunWorkers = None,
    output_folder: Annotated[Path, typer.Option(help="Folder for the documents, or s3://bucket/path.")] = Path(
        "datatrove_output/run"
    ),
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
    scratch_folder: ScratchFolder = None,
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
            dedup_method=dedup_method, compression=compression, scratch_folder=scratch_folder, cluster=cluster,
        )
    )  # fmt: skip


@app.command()
def status(
    run_folder: Run,
    reasons: Annotated[
        bool, typer.Option("--reasons", help="Drops and stock code by source and reason, as Markdown.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until nobody works on it.")] = False,
    every: Annotated[float, typer.Option(min=0.5, help="Seconds between two looks of --watch.")] = 10.0,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show how far a run is; exit status 1 while it is not complete.

    Example: smoltrove status datatrove_output/stage1 --watch
    """
    from pipelines.slurm.dedup_launch import is_dedup_folder
    from pipelines.status import show_status, watch_status

    if watch and (as_json or reasons):
        raise UserError(f"--watch: does not go with {'--json' if as_json else '--reasons'}, which answers once")
    if watch:
        raise typer.Exit(watch_status(run_folder, every))
    if is_dedup_folder(run_folder):
        if reasons:
            raise UserError("--reasons: is for the run that is deduplicated")
        from pipelines.slurm.dedup_status import show_dedup_status

        raise typer.Exit(show_dedup_status(run_folder, as_json=as_json))
    raise typer.Exit(show_status(run_folder, reasons=reasons, as_json=as_json))


@app.command()
def cancel(run_folder: Run, as_json: AsJson = False, debug: Debug = False) -> None:
    """End the Slurm jobs of a run; finished tasks are kept.

    Example: smoltrove cancel datatrove_output/stage1
    """
    from pipelines.status import show_cancel

    raise typer.Exit(show_cancel(run_folder, as_json=as_json))


@app.command()
def verify(run_folder: Run, as_json: AsJson = False, debug: Debug = False) -> None:
    """Recount the files of a run against its ledger; exit status 1 when anything differs.

    Example: smoltrove verify datatrove_output/stage1
    """
    from pipelines.dedup.verify import is_dedup, show_dedup_verification
    from pipelines.publish.command import is_export, show_export_verification
    from pipelines.store.url import store_url
    from pipelines.verify import show_verification

    if store_url(run_folder) is None and is_export(run_folder):
        raise typer.Exit(show_export_verification(run_folder, as_json=as_json))
    if is_dedup(run_folder):
        raise typer.Exit(show_dedup_verification(run_folder, as_json=as_json))
    raise typer.Exit(show_verification(run_folder, as_json=as_json))


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


# Each of these adds commands that have a module of their own.
for module in (
    dedup_cli, report_cli, audit_cli, calibrate_cli, publish_cli, estimate_cli, mirror_cli, inspect_cli, store_cli,
):  # fmt: skip
    module.add_commands(app)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def _stage_help(stage: int) -> str:
    return (
        f"Build the corpus of SmolLM3's stage {stage}, or continue building it.\n\n"
        f"Example: python smollm3_stage{stage}_datatrove_pipeline.py --mirror examples/mini_hub --target-tokens 300k"
    )


def stage_app(stage: int) -> typer.Typer:
    """The command of one stage script: `run` with that stage's configuration and folders as defaults."""
    script = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

    @script.command(help=_stage_help(stage))
    @with_cluster_options
    def command(
        config: Annotated[Path, typer.Option(help="Stage configuration.")] = BUNDLED_CONFIGS / STAGE_CONFIGS[stage],
        tasks: Tasks = None,
        workers: RunWorkers = None,
        output_folder: Annotated[Path, typer.Option(help="Folder for the documents, or s3://bucket/path.")] = Path(
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
        scratch_folder: ScratchFolder = None,
        *,
        cluster: ClusterOptions,
    ) -> None:
        from pipelines.commands import execute

        raise typer.Exit(
            execute(
                config, tasks=tasks, workers=workers, output_folder=output_folder, logging_dir=logging_dir,
                target_tokens=target_tokens, max_datasets=max_datasets, datasets=datasets, mirror=mirror, after=after,
                keep_dropped=keep_dropped, fresh=fresh, plan_only=plan, as_json=as_json, run_dedup=run_dedup,
                dedup_method=dedup_method, compression=compression, scratch_folder=scratch_folder, cluster=cluster,
            )
        )  # fmt: skip

    return script


# What all mistakes on a command line are: click's class, or the copy of it that newer versions of typer have.
_Misused: type[Any] = typer.BadParameter.__mro__[1]


def call(command: Callable[..., Any]) -> None:
    """Run a command line and end the process: errors that the user can mend in plain lines, exit status 2."""
    try:
        status = command(standalone_mode=False)
    except _Misused as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # nothing was asked: the help is the answer
            error.show()
        else:
            _report(_misuse(error))
        sys.exit(2)
    except UserError as error:
        _report(str(error))
        sys.exit(2)
    except SourceError as error:
        _report(str(error))
        sys.exit(1)
    sys.exit(status)


def _misuse(error: Any) -> str:
    """A wrong option, argument or command in one line; typer would draw a box of five."""
    message = " ".join(error.format_message().replace("Value error, ", "").split()).rstrip(".?")
    help_of = f"; see {error.ctx.command_path} --help" if error.ctx is not None else ""
    return message[:1].lower() + message[1:] + help_of


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
