"""The body of `smoltrove dedup` and of `run --run-dedup`: parameters from the configuration, and the table at the end.

Gives up: one bar for the whole; each stage has a line and a bar of its own on stderr, and `_run/log/main.log` has all.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError
from rich.console import Console
from rich.table import Table

from pipelines.config import load_config
from pipelines.dedup.config import DedupConfig
from pipelines.dedup.inputs import DedupPlan, default_output
from pipelines.dedup.report import FILE, shown_id
from pipelines.dedup.run import DedupResult, run_dedup
from pipelines.dedup.sentence_report import CUTS_FILE
from pipelines.dedup.writer import FAMILY
from pipelines.errors import ConfigError, UserError, did_you_mean
from pipelines.quantities import show_count
from pipelines.run_layout import RUN_DIR
from pipelines.slurm.config import ClusterConfig
from pipelines.slurm.options import ClusterOptions, Executor
from pipelines.store.store import open_at, open_store
from pipelines.store.url import local_folder, refuse_store, store_url
from pipelines.yaml_source import load_yaml

DEFAULT_WORKERS = 2
_EXAMPLES = 5
_Model = TypeVar("_Model", bound=BaseModel)


def parameters(run: Path, config_path: Path | None, methods: str | None) -> DedupConfig:
    """The `dedup:` block of `config_path`, or of the configuration that the run has kept; `methods` overrides it."""
    if config_path is not None:
        config = load_config(config_path).stage.dedup
    else:
        with _kept_config(run) as kept:
            config = _block(kept, "dedup", DedupConfig) if kept.is_file() else DedupConfig()
    return with_methods(config, methods)


@contextmanager
def _kept_config(run: Path) -> Iterator[Path]:
    """The configuration that a run, also one in a store, has kept; the file may not be there."""
    if (url := store_url(run)) is None:
        yield run / RUN_DIR / "config.yaml"
        return
    with tempfile.TemporaryDirectory(prefix="smoltrove-") as name:
        kept = Path(name) / "config.yaml"
        if (data := open_store(url).read(f"{RUN_DIR}/config.yaml")) is not None:
            kept.write_bytes(data)
        yield kept


def cluster_block(run: Path, config_path: Path | None) -> ClusterConfig:
    """The `cluster:` block of the same configuration."""
    if config_path is not None:
        return load_config(config_path).stage.cluster
    kept = run / RUN_DIR / "config.yaml"
    return _block(kept, "cluster", ClusterConfig) if kept.is_file() else ClusterConfig()


def _block(path: Path, key: str, model: type[_Model]) -> _Model:
    """Only the block: the rest of a run's own copy names files relative to where the original was."""
    origin = load_yaml(path)
    data: Any = origin.data if origin.data is not None else {}
    if not isinstance(data, dict):
        raise ConfigError([f"{path}:1: is no configuration of a run; give one with --config"])
    block = data.get(key)
    try:
        return model.model_validate({} if block is None else block)
    except ValidationError as error:
        where = [origin.where((key, *item["loc"])) for item in error.errors()]
        named = [".".join(map(str, (key, *item["loc"]))) for item in error.errors()]
        said = [item["msg"].removeprefix("Value error, ") for item in error.errors()]
        raise ConfigError(map(": ".join, zip(where, named, said, strict=True))) from None


def with_methods(config: DedupConfig, methods: str | None) -> DedupConfig:
    """The same parameters with the methods of `--dedup-method a,b`. Raises UserError for an unknown one."""
    if methods is None:
        return config
    from pipelines.dedup.methods import METHODS

    names = [name.strip() for name in methods.split(",") if name.strip()]
    if not names:
        raise UserError(f"--dedup-method {methods!r}: names no method; known: {', '.join(METHODS)}")
    for name in names:
        if name not in METHODS:
            raise UserError(
                f"--dedup-method {name}: no such method; known: {', '.join(METHODS)}{did_you_mean(name, METHODS)}"
            )
    try:
        return DedupConfig.model_validate({**config.model_dump(), "methods": names})
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UserError(f"--dedup-method {methods}: {said}") from None


def execute_dedup(
    run: Path,
    *,
    config: DedupConfig,
    output_folder: Path | None = None,
    against: list[Path] | None = None,
    cache_dir: Path | None = None,
    tasks: int | None = None,
    workers: int | None = None,
    fresh: bool = False,
    explain: bool = False,
    plot: Path | None = None,
    as_json: bool = False,
    before: dict[str, Any] | None = None,
    config_path: Path | None = None,
    cluster: ClusterOptions | None = None,
    scratch_folder: Path | None = None,
) -> int:
    """Deduplicate, or with `explain` say what that would take. Returns the exit status.

    `plot` is a PNG file for `explain`; `before` is what the run before came to, for one JSON text about both;
    `config_path` is whose `cluster:` block counts, where `cluster` says that Slurm or Ray does it. workers: processes
    here, DEFAULT_WORKERS if not given, or actors on Ray, as many as fit if not given.
    """
    for option, folder in (("--dedup-cache", cache_dir), ("--scratch-folder", scratch_folder)):
        if folder is not None:
            refuse_store(folder, option)
    cluster = cluster or ClusterOptions()
    cluster.check()
    output, here = output_folder or default_output(run), workers or DEFAULT_WORKERS
    places = [run, *(against or []), output]
    if cluster.executor is not Executor.local:
        for folder in places:
            refuse_store(folder, f"--executor {cluster.executor.value}")
    in_stores = any(store_url(folder) is not None for folder in places)
    if scratch_folder is not None and not in_stores:
        raise UserError("--scratch-folder: is for runs and outputs in a store, and none is; leave it out")
    if plot is not None and not explain:
        raise UserError("--plot: draws what --explain says; add --explain")
    if explain:
        from pipelines.dedup.explain import explain_text, explanation

        data = explanation(
            run, config=config, against=against or [], output_folder=output, workers=here, cache_dir=cache_dir,
            frozen=_frozen_in_stores(run, against or [], config) if in_stores else None,
        )  # fmt: skip
        if plot is not None:
            from pipelines.dedup.plot import write_plot

            write_plot(data, config.minhash, plot)
        print(json.dumps(data, indent=1) if as_json else explain_text(data), end="\n" if as_json else "")
        return 0
    if cluster.executor is Executor.slurm:
        from pipelines.slurm.dedup_command import execute_dedup_slurm
        from pipelines.slurm.dedup_submit import DedupOrder

        order = DedupOrder(
            run=run, config=config, output_folder=output, cluster=cluster.merged(cluster_block(run, config_path)),
            against=tuple(against or ()), cache_dir=cache_dir, max_jobs=tasks, fresh=fresh,
        )  # fmt: skip
        return execute_dedup_slurm(order, cluster, as_json=as_json)
    hire = None
    if cluster.executor is Executor.ray:
        from pipelines.ray.command import crew_on_ray, warn_of_unused

        block = cluster_block(run, config_path)
        if before is None:  # else the filters' command has said it
            warn_of_unused(block)
        hire = crew_on_ray(cluster.merged(block), workers=workers, most=tasks)
    console = Console(stderr=True, highlight=False)
    how = partial(run_dedup, hire=hire)
    if in_stores:
        from pipelines.store.dedup import run_dedup_in_stores
        from pipelines.store.run import SCRATCH

        how = partial(run_dedup_in_stores, scratch_folder=scratch_folder or SCRATCH)
    result = how(
        run, config=config, output_folder=local_folder(output), against=against or [], cache_dir=cache_dir,
        tasks=tasks, workers=here, fresh=fresh, show_progress=True,
        say=lambda text: console.print(f"dedup {text}", markup=False, soft_wrap=True),
    )  # fmt: skip
    if as_json:
        found = outcome(result, config)
        data = {"ok": result.ok, **found} if before is None else {"ok": result.ok, **before, "dedup": found}
        print(json.dumps(data, ensure_ascii=False, indent=1))
    elif result.ok:
        print_result(result, config)
    return 128 + result.stopped if result.stopped is not None else 0


def _frozen_in_stores(run: Path, against: list[Path], config: DedupConfig) -> DedupPlan:
    """The plan out of copies of the runs' states; their documents are read where they are."""
    from pipelines.store.dedup import freeze_stored

    with tempfile.TemporaryDirectory(prefix="smoltrove-") as name:
        return freeze_stored(run, against=against, config=config, home=Path(name))


def outcome(result: DedupResult, config: DedupConfig) -> dict[str, Any]:
    """Counts by source and method, as plain data."""
    sources: dict[str, dict[str, int]] = {}
    for record in result.records:
        entry = sources.setdefault(record.source, dict.fromkeys(("read", *config.methods, "written", "tokens"), 0))
        entry["read"] += record.rows
        entry["written"] += record.written
        entry["tokens"] += record.tokens
        for reason, number in record.dropped.items():
            entry[reason.removeprefix(f"{FAMILY}.")] += number
    found = {"output_folder": result.output_folder, "sources": sources, "skipped": result.skipped}
    return found | ({"cut": cuts(result)} if "sentence" in config.methods else {})


def cuts(result: DedupResult) -> dict[str, int]:
    """What was cut from documents that stay."""
    return {
        "documents": sum(record.cut_documents for record in result.records),
        "sentences": sum(record.cut_sentences for record in result.records),
        "characters": sum(record.cut_chars for record in result.records),
    }


def print_result(result: DedupResult, config: DedupConfig) -> None:
    """The table at the end: what was read, removed by each method and written, for each source and in all."""
    sources = outcome(result, config)["sources"]
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("source", no_wrap=True)
    for heading in ("read", *config.methods, "written", "kept", "~tokens"):
        table.add_column(heading, justify="right", no_wrap=True)
    total = dict.fromkeys(("read", *config.methods, "written", "tokens"), 0)
    for entry in sources.values():
        for key in total:
            total[key] += entry[key]
    read = {name: entry for name, entry in sources.items() if entry["read"]}
    for name, entry in [*read.items(), ("all", total)]:
        removed = [f"{entry[method]:,}" for method in config.methods]
        kept = f"{entry['written'] / entry['read']:.0%}" if entry["read"] else ""
        tokens = show_count(entry["tokens"])
        table.add_row(name, f"{entry['read']:,}", *removed, f"{entry['written']:,}", kept, tokens)
    console = Console(width=180, highlight=False)
    console.print(table)
    for method, reasons in result.skipped.items():
        said = [f"{number:,} {reason}" for reason, number in reasons.items() if number]
        if said:
            console.print(f"{method} cannot compare: {', '.join(said)}", markup=False)
    for line in examples(result.output_folder):
        console.print(line, markup=False, soft_wrap=True)
    if "sentence" in config.methods:
        cut = cuts(result)
        console.print(
            f"sentence has cut {cut['sentences']:,} sentences ({cut['characters']:,} characters) from "
            f"{cut['documents']:,} documents that stay; what was cut for what: {RUN_DIR}/{CUTS_FILE}",
            markup=False,
            soft_wrap=True,
        )
    console.print(
        f"{total['written']:,} of {total['read']:,} documents, about {show_count(total['tokens'])} tokens, in "
        f"{result.output_folder}; what was removed for what: {RUN_DIR}/{FILE}",
        markup=False,
        soft_wrap=True,
    )


def examples(output_folder: Path | str) -> list[str]:
    """The first few removals in words; a store's URL will do."""
    with open_at(output_folder, f"{RUN_DIR}/{FILE}") as handle, pq.ParquetFile(handle) as file:
        batch = next(file.iter_batches(_EXAMPLES), None)
    return [
        f"removed {shown_id(row['removed_id'])} ({row['removed_source']}) for {shown_id(row['kept_id'])} "
        f"({row['kept_source']}{' in ' + row['kept_run'] if row['kept_run'] else ''}): {row['method']}"
        + (
            f", estimated Jaccard {row['estimated_jaccard']:.2f}"
            if row["method"] == "minhash" and row["estimated_jaccard"] is not None
            else ""
        )
        for row in (batch.to_pylist() if batch is not None else ())
    ]
