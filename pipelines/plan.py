"""The plan: everything that decides a run's documents, frozen before a document is touched.

`make_plan(config, ...)` answers with a `Plan`: for each source the files at one moment, the interval of its line, the
filters, the tasks. The same plan gives the same documents, wherever and with however many workers it runs. Gives up:
changing one's mind half way; a changed plan is another run.
"""

import hashlib
import math
import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from filters.sampling import assign, lay_out, share_of_files
from pipelines.compression import OutputConfig
from pipelines.config import LoadedConfig, SourceConfig
from pipelines.errors import ConfigError, HubUnreachable, UserError
from pipelines.estimates import TEXT_PER_HTML_BYTE, bytes_per_token, estimate_text_bytes
from pipelines.mixture import allot, epochs_that_fit, weight_that_fits
from pipelines.profiles import FilterSpec, Profile
from pipelines.quantities import show_bytes, show_count
from pipelines.selection import Selected, needed_columns, select_sources
from pipelines.sources import Catalogue, FileInfo, Listing

# A task reads at most about this much when nobody says how many tasks there should be: small enough that a retry costs
# minutes, large enough that starting it costs nothing.
BYTES_PER_TASK = 256 * 1024 * 1024
# For rough numbers of documents: FineWeb-Edu has 1300B tokens in 1.53B documents.
TOKENS_PER_DOCUMENT = 850
# A budget of fewer documents than this may come out as none: with 5 expected, e^-5 = 0.7 % of samples are empty.
HANDFUL = 5
# Written bytes per text byte: gzip level 6 of JSON lines, by `benchmarks/bytes_per_token.py`.
GZIP_RATIO = 1 / 3.5


class PlannedSource(BaseModel):
    """One source as it will be read. Sizes in bytes, `interval` on the source's line (see filters/sampling.py)."""

    model_config = ConfigDict(frozen=True)

    source: SourceConfig
    where: str
    weight: float
    share: float
    budget_tokens: float
    available_tokens: float
    available_how: str
    expected_yield: float
    interval: tuple[float, float]
    filters: tuple[FilterSpec, ...]
    languages: tuple[str, ...]
    max_bad_ratio: float
    listing: Listing
    files: tuple[FileInfo, ...]
    bytes_needed: int
    tasks: tuple[tuple[int, ...], ...]
    tasks_why: str

    @property
    def key(self) -> str:
        """org/name/folder."""
        return self.source.key

    @property
    def epochs(self) -> float:
        """How many times the source is gone through."""
        return self.interval[1] - self.interval[0]

    @property
    def bytes_to_read(self) -> int:
        """Bytes of all files that will be opened."""
        return sum(file.size for file in self.files)

    @property
    def expected_output_bytes(self) -> float:
        """Bytes of gzip JSONL that the budget comes to."""
        return self.budget_tokens * bytes_per_token(self.source.language) * GZIP_RATIO

    @property
    def expected_documents(self) -> float:
        """A rough number of documents out, for judging whether nothing at all is a failure."""
        return self.budget_tokens / TOKENS_PER_DOCUMENT

    @property
    def largest_task_bytes(self) -> int:
        """Bytes of all files of the largest task."""
        return max((sum(self.files[i].size for i in task) for task in self.tasks), default=0)

    def task_files(self, rank: int) -> tuple[FileInfo, ...]:
        """The files of one task."""
        return tuple(self.files[i] for i in self.tasks[rank])


def largest_task_first(sources: Sequence[PlannedSource]) -> list[int]:
    """The order in which sources go to a cluster whose jobs start one by one: that with the largest task first.

    What is long should not begin last. Bytes are what a plan knows; `benchmarks/scaling_curve.py` has what it gains.
    """
    return sorted(range(len(sources)), key=lambda index: -sources[index].largest_task_bytes)


class Plan(BaseModel):
    """A run before it starts. `sources` in the configuration's order; `skipped` says why an entry is not among them."""

    model_config = ConfigDict(frozen=True)

    config_path: str
    stage: int | str
    description: str
    seed: int
    target_tokens: float
    planned_tokens: float
    on_shortage: str
    keep_dropped: bool
    output: OutputConfig = OutputConfig()
    sources: tuple[PlannedSource, ...]
    skipped: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    # What stages before this one were planned on, by `entry_of`, where it is not in `sources`: a run that is continued
    # starts where it did, whatever the Hub has by then.
    earlier: dict[str, Listing] = Field(default_factory=dict)

    @property
    def num_tasks(self) -> int:
        """Tasks of all sources together."""
        return sum(len(source.tasks) for source in self.sources)

    @property
    def expected_output_bytes(self) -> float:
        """Bytes of gzip JSONL that the budget comes to."""
        return sum(source.expected_output_bytes for source in self.sources)


def make_plan(
    config: LoadedConfig,
    profiles: dict[str, Profile],
    *,
    catalogue: Catalogue,
    target_tokens: int | None = None,
    tasks: int | None = None,
    datasets: str | None = None,
    max_datasets: int | None = None,
    offsets: dict[str, float] | None = None,
    frozen: dict[str, Listing] | None = None,
    keep_dropped: bool = False,
    output: OutputConfig | None = None,
) -> Plan:
    """Freeze a run.

    Args:
        config: the stage. profiles: its filter profiles. catalogue: where sources are listed (Hub or mirror).
        target_tokens: overrides the configuration's. tasks: per source; None = chosen from the files.
        datasets / max_datasets: take part of the mixture (a glob on source keys; the first N), renormalised.
        offsets: for each source key, where earlier stages stopped on its line.
        frozen: listings of an earlier attempt at the same run; used instead of asking the Hub again.
        output: overrides the configuration's.

    Raises ConfigError with every problem of the mixture at once, UserError for one that concerns the whole run.
    """
    stage = config.stage
    chosen, skipped, notes = select_sources(config, profiles, datasets, max_datasets)
    target = float(target_tokens or stage.target_tokens)
    listings = _list_all(chosen, catalogue, frozen or {})
    sized = _size_all(chosen, listings)
    capacities = [
        tokens * item.expected_yield * (item.source.max_epochs or stage.max_epochs)
        for item, (tokens, _) in zip(chosen, sized, strict=True)
    ]
    shares = [item.share for item in chosen]
    budget = allot(shares, capacities, target, stage.on_shortage)
    warnings = list(config.warnings)
    for i in budget.short:
        warnings.append(_shortage(chosen, i, sized[i][0], capacities[i], target, stage.max_epochs))
    if budget.short and stage.on_shortage == "error":
        raise ConfigError(warnings[len(config.warnings) :])
    if budget.total < target * (1 - 1e-9):
        warnings.append(
            f"{config.path}: target_tokens: asked {show_count(target)}, planned {show_count(budget.total)}: "
            + ("every source is used up" if stage.on_shortage == "redistribute" else "on_shortage is shrink")
            + "; lower target_tokens, or raise max_epochs"
        )
    planned = []
    for item, listing, (available, how), tokens in zip(chosen, listings, sized, budget.tokens, strict=True):
        start = (offsets or {}).get(item.source.key, 0.0)
        planned.append(_plan_source(item, listing, available, how, tokens, start, stage.seed, tasks))
        warnings += _licence(item)
    warnings += _small_budgets(config, chosen, budget.tokens)
    return Plan(
        config_path=str(config.path),
        stage=stage.stage,
        description=stage.description,
        seed=stage.seed,
        target_tokens=target,
        planned_tokens=budget.total,
        on_shortage=stage.on_shortage,
        keep_dropped=keep_dropped,
        output=(output or stage.output).resolved(),
        sources=tuple(planned),
        skipped=tuple(skipped),
        notes=tuple(notes),
        warnings=tuple(warnings),
    )


def _list_all(chosen: Sequence[Selected], catalogue: Catalogue, frozen: dict[str, Listing]) -> list[Listing]:
    listings, problems = [], []
    catalogue.ask_for(item.source for item in chosen if item.source.key not in frozen)
    for item in chosen:
        try:
            listings.append(frozen.get(item.source.key) or catalogue.files(item.source))
        except HubUnreachable:
            raise
        except UserError as error:
            problems.append(f"{item.where}: {error}")
    if problems:
        raise ConfigError(problems)
    return listings


def _size_all(chosen: Sequence[Selected], listings: Sequence[Listing]) -> list[tuple[float, str]]:
    sized, problems = [], []
    for item, listing in zip(chosen, listings, strict=True):
        try:
            sized.append(_size(item, listing))
        except UserError as error:
            problems.append(f"{item.where}: {item.source.key}: {error}")
    if problems:
        raise ConfigError(problems)
    return sized


def _size(item: Selected, listing: Listing) -> tuple[float, str]:
    known = item.source.available_tokens
    # A mirror may hold any part of the dataset, so the published count of the whole says nothing about it.
    if known is not None and listing.kind != "mirror":
        return float(known), "known"
    text_bytes, how = estimate_text_bytes(
        listing, needed_columns(item.source), blobs=item.source.adapter in ("swh", "swh_repo")
    )
    if item.source.adapter == "html":
        text_bytes, how = text_bytes * TEXT_PER_HTML_BYTE, f"{how}, of HTML"
    # Whole tokens, as `available_tokens` has them: a plan with this number written into its configuration is the same.
    return float(max(1, round(text_bytes / bytes_per_token(item.source.language)))), f"estimated {how}"


def _shortage(
    chosen: Sequence[Selected], index: int, available: float, capacity: float, target: float, max_epochs: float
) -> str:
    item = chosen[index]
    wanted = item.share * target
    epochs = item.source.max_epochs or max_epochs
    others = sum(other.source.weight for other in chosen) - item.source.weight
    weight = weight_that_fits(others, capacity, target)
    ways = ([f"lower its weight to {weight:g}"] if weight else []) + [
        f"set max_epochs: {epochs_that_fit(wanted, available * item.expected_yield):.10g}"
    ]
    return (
        f"{item.where}: {item.source.key}: needs {show_count(wanted)} tokens, has {show_count(available)} x "
        f"{epochs:g} epochs"
        + (f" x yield {item.expected_yield:g}" if item.expected_yield != 1 else "")
        + f" = {show_count(capacity)}; {' or '.join(ways)}"
    )


def _licence(item: Selected) -> list[str]:
    if is_non_commercial(item.source.license):
        return [f"{item.where}: {item.source.key}: licence {item.source.license}: not for commercial use"]
    return []


def is_non_commercial(licence: str | None) -> bool:
    """Whether a licence, as a configuration names it, forbids commercial use."""
    return re.search(r"\bnc\b|non-?commercial", licence or "", re.IGNORECASE) is not None


def _small_budgets(config: LoadedConfig, chosen: Sequence[Selected], budget: Sequence[float]) -> list[str]:
    """One line each for a few sources whose budget is a handful of documents, one line for many."""
    small = [
        (item, tokens) for item, tokens in zip(chosen, budget, strict=True) if tokens < HANDFUL * TOKENS_PER_DOCUMENT
    ]
    if len(small) <= 3:
        return [
            f"{item.where}: {item.source.key}: its budget of {tokens:.0f} tokens is a handful of documents; it may "
            "yield none; raise target_tokens"
            for item, tokens in small
        ]
    keys = ", ".join(item.source.key for item, _ in small[:3]) + ", ..."
    return [
        f"{config.path}: target_tokens: {len(small)} of {len(chosen)} sources get a handful of documents (below "
        f"{show_count(HANDFUL * TOKENS_PER_DOCUMENT)} tokens) and may yield none; raise it: {keys}"
    ]


def _plan_source(
    item: Selected, listing: Listing, available: float, how: str, tokens: float, start: float, seed: int,
    tasks: int | None,
) -> PlannedSource:  # fmt: skip
    interval = (start, start + tokens / (available * item.expected_yield))
    slots = lay_out(item.source.key, [(file.path, file.size) for file in listing.files], seed)
    shares = share_of_files(slots, *interval)
    files = tuple(file for file in listing.files if file.path in shares)
    dealt, why = _deal(files, tasks)
    return PlannedSource(
        source=item.source,
        where=item.where,
        weight=item.source.weight,
        share=item.share,
        budget_tokens=tokens,
        available_tokens=available,
        available_how=how,
        expected_yield=item.expected_yield,
        interval=interval,
        filters=item.profile.filters,
        languages=tuple(item.profile.languages),
        max_bad_ratio=item.max_bad_ratio,
        listing=listing,
        files=files,
        bytes_needed=round(sum(file.size * shares[file.path] for file in files)),
        tasks=tuple(tuple(indices) for indices in dealt),
        tasks_why=why,
    )


def _deal(files: Sequence[FileInfo], asked: int | None) -> tuple[list[list[int]], str]:
    total = sum(file.size for file in files)
    if asked is None:
        wanted = max(1, math.ceil(total / BYTES_PER_TASK))
        why = f"{show_bytes(total)} at {show_bytes(BYTES_PER_TASK)} a task"
    else:
        wanted, why = asked, f"{asked} asked"
    number = min(wanted, len(files))
    if number < wanted:
        why += f", {len(files)} file{'s' if len(files) != 1 else ''} to read"
    return assign([file.size for file in files], max(1, number)), why


def plan_fingerprint_data(plan: Plan) -> dict[str, Any]:
    """What of a plan decides its documents, as plain JSON data: all but messages, shares shown, and folders.

    The base folder of a mirror is left out, so that a mirror may move; its files are in by path, size and identity.
    """
    data = plan.model_dump(mode="json", exclude={"notes", "warnings", "config_path", "description", "earlier"})
    for source in data["sources"]:
        files = source["listing"].pop("files")
        # The whole listing decides where slots stand, but only its paths and sizes.
        line = "\n".join(f"{file['size']} {file['path']}" for file in files)
        source["listing"] = {
            "revision": source["listing"]["revision"],
            "num_files": len(files),
            "files_sha256": hashlib.sha256(line.encode()).hexdigest(),
        }
        for message in ("where", "tasks_why", "available_how", "bytes_needed"):
            source.pop(message)
    return data
