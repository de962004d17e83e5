"""Stages one after another: where earlier stages stopped on each source's line, so that no document is used again.

An earlier stage is named by its configuration (planned anew, at the same scale as this run) or, exactly, by the output
folder of its run. Gives up: knowing about runs that were not named.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipelines import BUNDLED_CONFIGS
from pipelines.config import LoadedConfig, SourceConfig, load_config
from pipelines.errors import ConfigError, UserError
from pipelines.plan import Plan, make_plan
from pipelines.profiles import Profile, load_profiles
from pipelines.quantities import show_count
from pipelines.run_layout import RUN_DIR
from pipelines.selection import matches
from pipelines.sources import Catalogue, Listing
from pipelines.store.url import local_folder, store_url

PROFILES_NAME = "filter_profiles.yaml"


@dataclass(kw_only=True)
class Earlier:
    """What earlier stages have used: `ends[key]` on each source's line, and the listings their runs have frozen."""

    ends: dict[str, float] = field(default_factory=dict)
    listings: dict[str, Listing] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, plan: Plan, config: LoadedConfig, catalogue: Catalogue, name: str) -> None:
        """Take a stage's intervals in, for the sources that `config` has too.

        An interval means something only on the same line, that is on the same files: a listing pinned at a commit is
        kept, and one of a folder as long as its files are there; any other difference is noted.
        """
        wanted = {source.resolved().key: source.resolved() for source in config.stage.datasets if source.enabled}
        for source in plan.sources:
            self.ends[source.key] = max(self.ends.get(source.key, 0.0), source.interval[1])
            mine = wanted.get(source.key)
            if mine is None:
                continue
            same_entry = _same_files(mine, source.source)
            if source.listing.kind == "hub" and catalogue.mirror is None and same_entry:
                self.listings[source.key] = source.listing
                continue
            try:
                now = catalogue.files(mine)
            except UserError:
                continue  # the plan says it, with all others
            then_files, now_files = _line(source.listing), _line(now)
            if then_files == now_files:
                continue
            if same_entry and now.base == source.listing.base and then_files < now_files:
                self.listings[source.key] = source.listing
                new = len(now_files) - len(then_files)
                self.notes.append(
                    f"{source.key}: {new} files came after {name} and are not read, so that no document is used again"
                )
            else:
                self.notes.append(
                    f"{source.key}: its files differ from those of {name} ({len(now_files)} now, {len(then_files)} "
                    "then): documents may be used again"
                )


def _same_files(a: SourceConfig, b: SourceConfig) -> bool:
    return all(
        getattr(a, field) == getattr(b, field)
        for field in ("name", "config", "split", "data_files", "path", "revision")
    )


def _line(listing: Listing) -> set[tuple[str, int]]:
    return {(file.path, file.size) for file in listing.files}


def profiles_of(config: LoadedConfig) -> dict[str, Profile]:
    """The filter profiles that a configuration names, relative to its own file.

    Without a name: `filter_profiles.yaml` beside the configuration, else the bundled one.
    """
    named = config.stage.filtering.profiles
    beside = config.path.parent / (named or PROFILES_NAME)
    path = beside if named is not None or beside.is_file() else BUNDLED_CONFIGS / PROFILES_NAME
    try:
        return load_profiles(path)
    except ConfigError:
        raise
    except UserError as error:
        raise UserError(f"{config.origin.where(('filtering', 'profiles'))}: filtering.profiles: {error}") from None


def earlier_stages(
    config: LoadedConfig,
    catalogue: Catalogue,
    *,
    scale: float,
    after: Sequence[str] | None = None,
    datasets: str | None = None,
    max_datasets: int | None = None,
    _asked_by: tuple[Path, ...] = (),
) -> Earlier:
    """Everything that the stages in `after` (default: the configuration's own list) have used, in their order.

    `scale` is this run's budget over its configuration's: an earlier configuration is taken at the same scale, and with
    the same part of its mixture. Raises UserError for a stage that cannot be found, has another seed, or comes after
    itself.
    """
    earlier = Earlier()
    asked_by = (*_asked_by, config.path.resolve())
    base = Path() if after is not None else config.path.parent
    where = "--after" if after is not None else f"{config.origin.where(('after',))}: after"
    for name in after if after is not None else config.stage.after:
        path = base / local_folder(Path(name)).expanduser()
        if (url := store_url(Path(name))) is not None or (path / RUN_DIR / "plan.json").is_file():
            plan = _plan_of_run(path, config) if url is None else _plan_in_store(url, config)
            earlier.notes.append(f"after the run {url or path}: its documents are not used again")
            earlier.add(plan, config, catalogue, url or str(path))
        elif path.is_file():
            if path.resolve() in asked_by:
                raise UserError(f"{where}: {name}: a stage cannot come after itself; take it out of the list")
            plan_or_none = _plan_of_config(path, config, catalogue, earlier, scale, datasets, max_datasets, asked_by)
            if plan_or_none is not None:
                earlier.add(plan_or_none, config, catalogue, str(path))
        else:
            raise UserError(f"{where}: {name}: neither a configuration nor the output folder of a run ({path})")
    return earlier


def _plan_of_run(path: Path, config: LoadedConfig) -> Plan:
    file = path / RUN_DIR / "plan.json"
    try:
        plan = Plan.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(f"{file}: is not the plan of a run made by this version; run that stage again") from None
    _check_seed(plan.seed, config, str(path))
    return plan


def _plan_in_store(url: str, config: LoadedConfig) -> Plan:
    from pipelines.store.look import stored_plan

    plan = stored_plan(url)
    if plan is None:
        raise UserError(f"{url}: has no plan of a run made by this version; run that stage again")
    _check_seed(plan.seed, config, url)
    return plan


def _plan_of_config(
    path: Path, config: LoadedConfig, catalogue: Catalogue, earlier: Earlier, scale: float, datasets: str | None,
    max_datasets: int | None, asked_by: tuple[Path, ...],
) -> Plan | None:  # fmt: skip
    stage = load_config(path)
    _check_seed(stage.stage.seed, config, str(path))
    if datasets is not None and not any(
        source.enabled and matches(source.resolved(), datasets) for source in stage.stage.datasets
    ):
        return None
    catalogue = catalogue.beside(path.parent)
    before = earlier_stages(
        stage, catalogue, scale=scale, datasets=datasets, max_datasets=max_datasets, _asked_by=asked_by
    )
    ends = {key: max(before.ends.get(key, 0.0), earlier.ends.get(key, 0.0)) for key in before.ends | earlier.ends}
    target = max(1, round(stage.stage.target_tokens * scale))
    earlier.notes.append(
        f"after {path}, planned at {show_count(target)} tokens: what it would use is not used again; "
        "give the folder of its run with --after for what it did use"
    )
    return make_plan(
        stage, profiles_of(stage), catalogue=catalogue, target_tokens=target, datasets=datasets,
        max_datasets=max_datasets, offsets=ends, frozen=earlier.listings,
    )  # fmt: skip


def _check_seed(seed: int, config: LoadedConfig, name: str) -> None:
    if seed != config.stage.seed:
        raise UserError(
            f"{config.origin.where(('seed',))}: seed: {config.stage.seed}, but {name} has {seed}; stages share "
            "documents unless their seeds are equal"
        )
