"""The body of `run` and `plan`: configuration to plan to run to a printed outcome.

Gives up: printing anything while it thinks; progress belongs to `pipelines.progress`.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipelines.compression import parse_compression
from pipelines.config import LoadedConfig, load_config
from pipelines.curriculum import earlier_stages, profiles_of
from pipelines.errors import ConfigError, UserError
from pipelines.mirror.record import MirrorRecord, not_held
from pipelines.native_counts import added, in_one_line
from pipelines.outcome import SourceOutcome
from pipelines.plan import Plan, PlannedSource, make_plan
from pipelines.plan_table import plan_json, plan_text
from pipelines.quantities import parse_quantity, show_bytes, show_count
from pipelines.report.write import drawn_once
from pipelines.run_layout import RUN_DIR
from pipelines.slurm.options import ClusterOptions, Executor
from pipelines.sources import Catalogue, Listing, entry_of
from pipelines.store.look import stored_plan
from pipelines.store.url import local_folder, refuse_store, store_url

# A source is said to be off its budget beyond this, when it drew so many documents that chance is no excuse.
OFF_BUDGET = 0.1
ENOUGH_DOCUMENTS = 100
DEFAULT_WORKERS = 2


@drawn_once()
def execute(
    config_path: Path,
    *,
    output_folder: Path,
    logging_dir: Path | None = None,
    scratch_folder: Path | None = None,
    tasks: int | None = None,
    workers: int | None = None,
    target_tokens: str | None = None,
    max_datasets: int | None = None,
    datasets: str | None = None,
    mirror: Path | None = None,
    after: Sequence[str] | None = None,
    keep_dropped: bool = False,
    fresh: bool = False,
    plan_only: bool = False,
    as_json: bool = False,
    run_dedup: bool = False,
    dedup_method: str | None = None,
    compression: str | None = None,
    cluster: ClusterOptions | None = None,
) -> int:
    """Plan, and unless `plan_only` run. Returns the exit status. Raises UserError for wrong input."""
    config = load_config(config_path)
    url, output_folder = store_url(output_folder), local_folder(output_folder)
    cluster = cluster or ClusterOptions()
    cluster.check()
    if cluster.executor is not Executor.local:
        refuse_store(output_folder, f"--executor {cluster.executor.value}")
    for option, folder in (("--logging-dir", logging_dir), ("--scratch-folder", scratch_folder), ("--mirror", mirror)):
        if folder is not None:
            refuse_store(folder, option)
    if scratch_folder is not None and url is None:
        raise UserError("--scratch-folder: is for runs into a store, and --output-folder is none; leave it out")
    if dedup_method is not None and not run_dedup:
        raise UserError("--dedup-method: says how to deduplicate; give --run-dedup too")
    plan = build_plan(
        config, output_folder=output_folder, tasks=tasks, target_tokens=target_tokens, max_datasets=max_datasets,
        datasets=datasets, mirror=mirror, after=after, keep_dropped=keep_dropped, fresh=fresh,
        compression=compression,
    )  # fmt: skip
    if plan_only:
        if as_json:
            print(json.dumps(plan_json(plan), ensure_ascii=False, indent=1))
        else:
            print(plan_text(plan, url or output_folder), end="")
        return 0
    console = Console(stderr=True, highlight=False)
    for line in plan.warnings:
        console.print(f"warning: {line}", markup=False, soft_wrap=True)
    if cluster.executor is Executor.slurm:
        from pipelines.dedup.command import with_methods
        from pipelines.slurm.command import execute_slurm

        return execute_slurm(
            plan, config, cluster, output_folder=output_folder, logging_dir=logging_dir or Path("datatrove_logs"),
            mirror=mirror, fresh=fresh, as_json=as_json,
            dedup=with_methods(config.stage.dedup, dedup_method) if run_dedup else None,
        )  # fmt: skip
    if cluster.executor is Executor.ray:
        from pipelines.ray.command import run_on_ray

        result = run_on_ray(
            plan, config, cluster, output_folder=output_folder, logging_dir=logging_dir or Path("datatrove_logs"),
            workers=workers, mirror=mirror, fresh=fresh,
        )  # fmt: skip
    elif url is not None:
        from pipelines.store.run import SCRATCH, run_in_store

        result = run_in_store(
            plan, config, url, scratch_folder=scratch_folder or SCRATCH,
            logging_dir=logging_dir or Path("datatrove_logs"), workers=workers or DEFAULT_WORKERS, mirror=mirror,
            fresh=fresh,
        )  # fmt: skip
    else:
        from pipelines.run import run_plan

        result = run_plan(
            plan, config, output_folder=output_folder, logging_dir=logging_dir or Path("datatrove_logs"),
            workers=workers or DEFAULT_WORKERS, mirror=mirror, fresh=fresh,
        )  # fmt: skip
    dedup_follows = run_dedup and result.ok
    if as_json and not dedup_follows:
        print(json.dumps({"ok": result.ok, **result.model_dump()}, ensure_ascii=False, indent=1))
    elif not as_json:
        print_outcome(plan, result.outcomes, url or output_folder, result.num_done_before)
    if result.stopped is not None:
        console.print("stopped: finished tasks are kept; run the same command to go on", markup=False)
        return 128 + result.stopped
    if not dedup_follows:
        if run_dedup:
            console.print("not deduplicated: the run is not complete", markup=False)
        return 0 if result.ok else 1
    from pipelines.dedup.command import execute_dedup, with_methods

    return execute_dedup(
        output_folder, config=with_methods(config.stage.dedup, dedup_method), workers=workers, fresh=fresh,
        as_json=as_json, before=result.model_dump(), config_path=config_path, cluster=cluster,
        scratch_folder=scratch_folder,
    )  # fmt: skip


def build_plan(
    config: LoadedConfig,
    *,
    output_folder: Path | None,
    tasks: int | None = None,
    target_tokens: str | None = None,
    max_datasets: int | None = None,
    datasets: str | None = None,
    mirror: Path | None = None,
    after: Sequence[str] | None = None,
    keep_dropped: bool = False,
    fresh: bool = False,
    compression: str | None = None,
    catalogue: Catalogue | None = None,
) -> Plan:
    """The plan for a configuration and the options of a command line. Raises UserError for wrong input.

    output_folder: of the run that may be there already, whose listings are kept. catalogue: in place of the one that
    `mirror` means; then nothing is said about files that a mirror does not have.
    """
    try:
        target = parse_quantity(target_tokens) if target_tokens is not None else config.stage.target_tokens
    except ValueError as error:
        raise UserError(f"--target-tokens: {error}") from None
    output = None if compression is None else parse_compression(compression)
    before = None if fresh or output_folder is None else _plan_of(output_folder)
    own_catalogue = catalogue is None
    catalogue = catalogue or Catalogue(mirror=mirror, config_dir=config.path.parent, frozen=_frozen_by(before))
    earlier = earlier_stages(
        config, catalogue, scale=target / config.stage.target_tokens, after=after, datasets=datasets,
        max_datasets=max_datasets,
    )  # fmt: skip
    frozen = dict(earlier.listings)
    if before is not None:
        frozen |= {source.key: source.listing for source in before.sources if source.listing.kind == "hub"}
    plan = make_plan(
        config, profiles_of(config), catalogue=catalogue, target_tokens=target, tasks=tasks, datasets=datasets,
        max_datasets=max_datasets, offsets=earlier.ends, frozen=frozen, keep_dropped=keep_dropped, output=output,
    )  # fmt: skip
    notes = [*plan.notes, *earlier.notes]
    if own_catalogue and mirror is not None:
        _refuse_not_mirrored(plan, mirror, catalogue.record)
        if catalogue.record is not None:
            notes.append(f"files listed on the Hub are read from the mirror {mirror}, at the same commits")
    own = {entry_of(source.source): source.listing for source in plan.sources}
    others = {entry: listing for entry, listing in catalogue.given.items() if own.get(entry) != listing}
    return plan.model_copy(update={"notes": tuple(notes), "earlier": others})


def _refuse_not_mirrored(plan: Plan, mirror: Path, record: MirrorRecord | None) -> None:
    """A plan out of the Hub's listings needs all its files; one out of a folder has what is there."""
    problems = []
    for source in plan.sources:
        missing = not_held(record, source.source.name, source.files) if source.listing.kind == "hub" else []
        if missing:
            problems.append(
                f"{source.where}: {source.key}: {len(missing)} of {len(source.files)} planned files are not in the "
                f"mirror {mirror} ({missing[0]}{', ...' if len(missing) > 1 else ''}); run `smoltrove mirror` with the "
                "same options where there is a network"
            )
    if problems:
        raise ConfigError(problems)


def _plan_of(output_folder: Path) -> Plan | None:
    """The plan of the run that is being continued, if there is one that can be read."""
    if (url := store_url(output_folder)) is not None:
        return stored_plan(url)
    path = output_folder / RUN_DIR / "plan.json"
    try:
        return Plan.model_validate_json(path.read_text(encoding="utf-8")) if path.is_file() else None
    except ValueError:
        return None


def _frozen_by(plan: Plan | None) -> dict[str, Listing]:
    """What a run that is continued found on the Hub, for the stages before it too; local files are listed anew."""
    if plan is None:
        return {}
    own = {entry_of(source.source): source.listing for source in plan.sources if source.listing.kind == "hub"}
    return own | plan.earlier


def print_outcome(plan: Plan, outcomes: Sequence[SourceOutcome], where: Path | str, done_before: int) -> None:
    """The table at the end of a run: what was read and kept of each source, and what did not work."""
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("source", no_wrap=True)
    for heading in ("tasks", "rows", "bad", "drawn", "dropped", "written", "kept", "~tokens", "of budget"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("most dropped as")
    for outcome in outcomes:
        table.add_row(
            outcome.source,
            f"{outcome.tasks_done}/{outcome.tasks}",
            f"{outcome.rows:,}",
            f"{outcome.num_rejected:,}",
            f"{outcome.drawn:,}",
            f"{outcome.num_dropped:,}",
            f"{outcome.written:,}",
            f"{outcome.kept / outcome.drawn:.0%}" if outcome.drawn else "",
            show_count(outcome.tokens),
            f"{outcome.tokens / outcome.budget_tokens:.0%}" if outcome.budget_tokens else "",
            outcome.most_dropped_as,
        )
    console = Console(width=180, highlight=False)
    console.print(table)
    written, tokens = sum(o.written for o in outcomes), sum(o.tokens for o in outcomes)
    console.print(
        f"{written:,} documents, about {show_count(tokens)} tokens of {show_count(plan.planned_tokens)} planned, "
        f"in {where}" + (f" ({done_before} tasks were done before)" if done_before else ""),
        markup=False,
        soft_wrap=True,
    )
    if any(outcome.requests for outcome in outcomes):
        console.print(_fetched(outcomes), markup=False, soft_wrap=True)
    if line := in_one_line(added(outcome.native for outcome in outcomes)):
        console.print(f"note: {line}", markup=False, soft_wrap=True)
    for outcome, source in zip(outcomes, plan.sources, strict=True):
        if line := _off_budget(outcome, source):
            console.print(f"note: {line}", markup=False, soft_wrap=True)
    wrong = [outcome for outcome in outcomes if not outcome.ok]
    if wrong:
        console.print(f"\nNOT complete: {len(wrong)} of {len(outcomes)} sources", markup=False)
        for outcome in wrong:
            for problem in outcome.problems or [f"{outcome.tasks_done} of {outcome.tasks} tasks done"]:
                console.print(f"  {outcome.source}: {problem}", markup=False, soft_wrap=True)


def _fetched(outcomes: Sequence[SourceOutcome]) -> str:
    """What came over the network for the finished tasks, beside what the whole plan has."""
    fetched, requests = sum(o.bytes_fetched for o in outcomes), sum(o.requests for o in outcomes)
    planned, needed = sum(o.bytes_planned for o in outcomes), sum(o.bytes_needed for o in outcomes)
    return (
        f"fetched {show_bytes(fetched)} in {requests:,} requests for {show_bytes(planned)} planned "
        f"(needed {show_bytes(needed)})"
    )


def _off_budget(outcome: SourceOutcome, source: PlannedSource) -> str | None:
    """What to change when the filters kept another share than the plan allowed for; None for small samples."""
    if not outcome.ok or outcome.drawn < ENOUGH_DOCUMENTS or not outcome.tokens:
        return None
    off = outcome.tokens / outcome.budget_tokens
    if abs(off - 1) <= OFF_BUDGET:
        return None
    better = min(1.0, max(0.01, source.expected_yield * off))
    advice = f"set its expected_yield to {better:.2f} (is {source.expected_yield:g})"
    if source.available_how != "known":
        advice += " or available_tokens to what you know"
    return f"{outcome.source}: {off:.0%} of its budget: {advice} and run again for the exact mixture"
