"""Options that several commands of the command line share, written once.

Gives up: nothing; a command's own options stand in its own signature.
"""

from pathlib import Path
from typing import Annotated

import typer

Tasks = Annotated[
    int | None, typer.Option(min=1, help="Tasks (= output files) per source; chosen from the files if not given.")
]
Workers = Annotated[int, typer.Option(min=1, help="Worker processes in all.")]
RunWorkers = Annotated[
    int | None, typer.Option(min=1, help="Worker processes in all; 2 if not given, on Ray as many as fit.")
]
LoggingDir = Annotated[Path, typer.Option(help="Folder for main.log and one log per task.")]
ScratchFolder = Annotated[
    Path | None,
    typer.Option(help="Where runs are in a store: for what is under way."),
]
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
