"""What to build: the typed stage configuration, checked as a whole before anything else happens.

`load_config(path)` returns a frozen `StageConfig` or raises one `ConfigError` that lists every problem with its file
and line. Gives up: configuration by environment variables, and defaults that depend on the machine.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from pipelines.compression import OutputConfig
from pipelines.config_problems import explain
from pipelines.dedup.config import DedupConfig, ExactConfig, MinhashConfig, SentenceConfig, SimhashConfig
from pipelines.errors import ConfigError
from pipelines.fields import FieldPath
from pipelines.quantities import parse_quantity
from pipelines.slurm.config import ClusterConfig
from pipelines.yaml_source import Key, YamlSource, load_yaml

NAME_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# A folder's name may have 255 bytes on common file systems; org and name are joined with "_".
MAX_NAME = 100

# Spellings seen in configurations that circulate for this recipe; read as the right key, with a warning.
LEGACY_KEYS = {
    "subset": "config",
    "hf_id": "name",
    "dataset": "name",
    "text_column": "text_field",
    "text_key": "text_field",
    "id_column": "id_field",
    "id_key": "id_field",
    "filter_profile": "profile",
    "tokens": "available_tokens",
}


# Names are text; an unquoted 20231101, 1.10 or 1234e56 is read as it is written, with a warning.
_TEXT_KEYS = (
    "name", "config", "label", "split", "text_field", "id_field", "profile", "language", "path", "revision", "license",
    "reason", "note",
)  # fmt: skip


def _safe_part(value: str) -> str:
    if not NAME_PART.fullmatch(value) or ".." in value or len(value) > MAX_NAME:
        raise ValueError(
            f"{value!r} is not a safe name; use letters, digits, '.', '_', '-', start with a letter or digit, and stay "
            f"below {MAX_NAME} characters"
        )
    return value


def _safe_name(value: str) -> str:
    parts = value.split("/")
    if len(parts) > 2:
        raise ValueError(f"{value!r} has too many parts; a name is org/name")
    for part in parts:
        _safe_part(part)
    return value


def _inside(value: str) -> str:
    if value.startswith("/") or ".." in value.split("/") or "\\" in value or not value.strip():
        raise ValueError(f"{value!r} is not a path inside the source's folder; write one relative to it, with '/'")
    return value


def _field(value: str) -> str:
    FieldPath(value)
    return value


Text = Annotated[str, Field(min_length=1)]
Count = Annotated[
    int,
    BeforeValidator(parse_quantity),
    WithJsonSchema({"type": ["integer", "number", "string"], "description": "a count: 300000, 300k, 10B, 8.1T"}),
]
Name = Annotated[
    str,
    AfterValidator(_safe_name),
    WithJsonSchema({"type": "string", "pattern": f"^{NAME_PART.pattern}(/{NAME_PART.pattern})?$"}),
]
NamePart = Annotated[
    str, AfterValidator(_safe_part), WithJsonSchema({"type": "string", "pattern": f"^{NAME_PART.pattern}$"})
]
Place = Annotated[str, AfterValidator(_field)]
Glob = Annotated[str, AfterValidator(_inside)]
Epochs = Annotated[float, Field(gt=0, le=1e6)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class Substitute(_Frozen):
    """Another source that can stand in for one without public data: what `enabled: substitute` puts in its place."""

    name: Name | None = None
    config: NamePart | None = None
    label: NamePart | None = None
    split: Text | None = None
    data_files: list[Glob] | None = None
    path: Text | None = None
    revision: Text | None = None
    text_field: Place | None = None
    id_field: Place | None = None
    id_scope: Literal["source", "file"] | None = None
    metadata_fields: list[Place] | None = None
    adapter: Literal["template", "swh", "swh_repo", "html"] | None = None
    adapter_options: dict[str, Any] | None = None
    license: str | None = None
    gated: bool | None = None
    available_tokens: Count | None = None
    note: str | None = None


class SourceConfig(_Frozen):
    """One entry of a mixture: which rows, how they become documents, and their share of the output's tokens."""

    name: Name
    config: NamePart | None = None
    label: NamePart | None = None
    split: Text = "train"
    text_field: Place = "text"
    id_field: Place | None = None
    id_scope: Literal["source", "file"] = "source"
    metadata_fields: list[Place] = Field(default_factory=list)
    weight: float = Field(gt=0, le=1e6)
    category: Literal["web-en", "web-multilingual", "code", "math", "qa/reasoning", "other"] = "other"
    profile: Text
    language: Text | None = None
    data_files: list[Glob] | None = None
    path: Text | None = None
    revision: Text | None = None
    adapter: Literal["template", "swh", "swh_repo", "html"] | None = None
    adapter_options: dict[str, Any] = Field(default_factory=dict)
    available_tokens: Count | None = None
    expected_yield: float | None = Field(default=None, gt=0, le=1)
    max_epochs: Epochs | None = None
    max_bad_ratio: float | None = Field(default=None, ge=0, le=1)
    license: str | None = None
    gated: bool = False
    enabled: bool | Literal["substitute"] = True
    reason: str | None = None
    substitute: Substitute | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> "SourceConfig":
        if self.enabled is False and not self.reason:
            raise ValueError("a source that is not enabled needs a `reason`")
        if self.enabled == "substitute" and not (self.substitute and self.substitute.name):
            raise ValueError("`enabled: substitute` needs a `substitute` with a `name`")
        if self.enabled == "substitute":
            self.resolved()
        if self.enabled is True and "/" not in self.name and self.path is None:
            raise ValueError(f"{self.name!r} is not a Hub id; write org/name, or give a `path` to local files")
        if self.path is not None and self.data_files is not None:
            raise ValueError("`path` and `data_files` exclude each other; put the glob into `path`")
        if self.adapter is None and self.adapter_options:
            raise ValueError(
                "`adapter_options` without an `adapter`; name the adapter: template, swh, swh_repo or html"
            )
        if self.adapter == "template" and not isinstance(self.adapter_options.get("template"), str):
            raise ValueError('adapter `template` needs `adapter_options: {template: "{question}\\n\\n{answer}"}`')
        return self

    @property
    def folder(self) -> str:
        """The last folder of the output path: the label, the Hub configuration, or `default`."""
        return self.label or self.config or "default"

    @property
    def key(self) -> str:
        """What the source is called everywhere: `org/name/folder`."""
        return f"{self.name}/{self.folder}"

    @property
    def output_dir(self) -> str:
        """Where its documents go, relative to the output folder: `org_name/folder`."""
        return f"{self.name.replace('/', '_')}/{self.folder}"

    def resolved(self) -> "SourceConfig":
        """Itself, or with its substitute put in its place when `enabled: substitute` asks for that."""
        if self.enabled != "substitute" or self.substitute is None:
            return self
        kept = {"weight", "category", "profile", "language", "max_epochs", "max_bad_ratio", "expected_yield"}
        fields = {k: v for k, v in self.model_dump(exclude_defaults=True).items() if k in kept}
        fields |= {k: v for k, v in self.substitute.model_dump().items() if v is not None and k != "note"}
        try:
            return SourceConfig(**fields)
        except ValidationError as error:
            found = error.errors()[0]
            raise ValueError(f"its substitute: {found.get('ctx', {}).get('error') or found['msg']}") from None


class FilteringConfig(_Frozen):
    """Settings of all sources. `profiles` None: filter_profiles.yaml beside the configuration, else the bundled."""

    profiles: str | None = None
    max_bad_ratio: float = Field(default=0.01, ge=0, le=1)


class StageConfig(_Frozen):
    """One stage of a curriculum: a mixture of sources and the number of tokens to make of it."""

    stage: int | str = 1
    description: str = ""
    target_tokens: Count = 10_000_000_000
    max_epochs: Epochs = 4
    on_shortage: Literal["redistribute", "shrink", "error"] = "redistribute"
    seed: int = Field(default=0, ge=0, lt=2**63)
    after: list[str] = Field(default_factory=list)
    filtering: FilteringConfig = Field(default_factory=FilteringConfig)
    dedup: DedupConfig = Field(default_factory=DedupConfig)
    output: OutputConfig = Field(default_factory=OutputConfig)
    cluster: ClusterConfig = Field(default_factory=ClusterConfig)
    datasets: list[SourceConfig] = Field(min_length=1)


class LoadedConfig(BaseModel):
    """A `StageConfig` with where it came from: what error messages and relative paths need."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    stage: StageConfig
    path: Path
    origin: YamlSource
    warnings: tuple[str, ...] = ()

    def where(self, index: int, field: str | None = None) -> str:
        """`file:line` of a source of the mixture (by its place in `datasets`), or of one of its keys."""
        return self.origin.where(("datasets", index) if field is None else ("datasets", index, field))


def load_config(path: str | Path) -> LoadedConfig:
    """Read and check one stage configuration; ConfigError lists all its problems, UserError when it is not there."""
    origin = load_yaml(path)
    data, warnings = _replace_legacy(origin)
    if not isinstance(data, dict):
        raise ConfigError([f"{path}:1: a stage configuration is a mapping with `datasets:`; see configs/"])
    try:
        stage = StageConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError(explain(error, origin, data, _known_keys, LEGACY_KEYS)) from None
    problems = _clashes(stage, origin)
    if problems:
        raise ConfigError(problems)
    return LoadedConfig(stage=stage, path=Path(path), origin=origin, warnings=tuple(warnings))


def _clashes(stage: StageConfig, origin: YamlSource) -> list[str]:
    seen: dict[str, int] = {}
    problems = []
    for i, source in enumerate(stage.datasets):
        if source.enabled is False:
            continue
        folded = source.resolved().output_dir.lower()
        if folded in seen:
            problems.append(
                f"{origin.where(('datasets', i))}: {source.key}: writes to the same folder as the entry at "
                f"{origin.where(('datasets', seen[folded]))}; give one of them a `label`"
            )
        seen.setdefault(folded, i)
    return problems


def _replace_legacy(origin: YamlSource) -> tuple[Any, list[str]]:
    data = origin.data
    warnings: list[str] = []
    if not isinstance(data, dict) or not isinstance(data.get("datasets"), list):
        return data, warnings
    entries = []
    for i, entry in enumerate(data["datasets"]):
        if isinstance(entry, dict):
            entry = dict(entry)
            for old, new in LEGACY_KEYS.items():
                if old in entry and new not in entry:
                    entry[new] = entry.pop(old)
                    origin.rename(("datasets", i), old, new)
                    warnings.append(f"{origin.where(('datasets', i, new))}: {old}: is now called `{new}`; rename it")
            entry = _with_text(entry, ("datasets", i), origin, warnings)
            if isinstance(entry.get("substitute"), dict):
                key = ("datasets", i, "substitute")
                entry["substitute"] = _with_text(entry["substitute"], key, origin, warnings)
        entries.append(entry)
    return {**data, "datasets": entries}, warnings


def _with_text(entry: dict[str, Any], key: Key, origin: YamlSource, warnings: list[str]) -> dict[str, Any]:
    entry = dict(entry)
    for field in _TEXT_KEYS:
        if type(entry.get(field)) in (int, float):
            entry[field] = origin.numbers[(*key, field)]
            warnings.append(f"{origin.where((*key, field))}: {field}: {entry[field]} is read as text; put it in quotes")
    return entry


def _known_keys(loc: tuple[Any, ...]) -> list[str]:
    """The keys that are allowed where an unknown one stands."""
    if loc[0] == "datasets":
        return list(Substitute.model_fields if len(loc) > 3 else SourceConfig.model_fields)
    if loc[0] == "dedup" and len(loc) > 1:
        blocks: dict[Any, type[BaseModel]]
        blocks = {"exact": ExactConfig, "minhash": MinhashConfig, "simhash": SimhashConfig, "sentence": SentenceConfig}
        return list((blocks.get(loc[1], DedupConfig) if len(loc) > 2 else DedupConfig).model_fields)
    if loc[0] == "cluster" and len(loc) > 1:
        return list(ClusterConfig.model_fields)
    if len(loc) > 1:
        return list((OutputConfig if loc[0] == "output" else FilteringConfig).model_fields)
    return list(StageConfig.model_fields)
