"""The guide and the README mention everything there is, and nothing that there is not.

Options, exit statuses, keys, profiles with their thresholds, stages, reasons, messages. Gives up: whether the
explanations are good.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from typing import Any, get_args

import click
import pytest
import typer
import yaml
from datatrove.pipeline.filters import gopher_quality_filter, gopher_repetition_filter

import datatrove_simple_example
from filters import FILTERS
from pipelines import cli
from pipelines.adapters import make_adapter
from pipelines.compression import OutputConfig
from pipelines.config import LEGACY_KEYS, FilteringConfig, SourceConfig, StageConfig, Substitute
from pipelines.slurm.config import ClusterConfig
from tests.data import ROOT

GUIDE = (ROOT / "DATATROVE_GUIDE.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROFILES: dict[str, Any] = yaml.safe_load((ROOT / "configs" / "filter_profiles.yaml").read_text(encoding="utf-8"))[
    "profiles"
]
STAGES = ("smollm3_weighted_config.yaml", "smollm3_stage2_config.yaml", "smollm3_stage3_config.yaml")


def section(title: str) -> str:
    """The guide from one heading to the next of the same rank."""
    match = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL)
    assert match, f"the guide has no section {title!r}"
    return match[1]


def cells(text: str) -> list[list[str]]:
    """The rows of all tables in a text, without headings' rules."""
    rows = [line.strip().strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows if not set("".join(row)) <= set("-: ")]


# Options and exit statuses ----------------------------------------------------------------------------------------


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command that a person can type."""

    def walk(name: str, command: Any) -> Iterator[tuple[str, click.Command]]:
        yield name, command
        for child, inner in getattr(command, "commands", {}).items():
            yield from walk(f"{name} {child}", inner)

    yield from walk("smoltrove", typer.main.get_command(cli.app))
    for stage in cli.STAGE_CONFIGS:
        yield from walk(f"stage {stage}", typer.main.get_command(cli.stage_app(stage)))
    example = typer.Typer(add_completion=False)
    example.command()(datatrove_simple_example.main)
    yield from walk("example", typer.main.get_command(example))


def options() -> dict[str, str]:
    """Every option of every command, with one command that has it."""
    found = {}
    for name, command in commands():
        for param in command.params:
            for option in (*param.opts, *param.secondary_opts):
                if option.startswith("--"):
                    found[option] = name
    return found


def test_every_option_is_in_the_guide() -> None:
    missing = {option: name for option, name in options().items() if not re.search(rf"`{option}\b", GUIDE)}
    assert not missing


def test_every_command_is_in_the_guide() -> None:
    missing = [name for name, _ in commands() if name.startswith("smoltrove ") and f"`{name}" not in GUIDE]
    assert not missing


@pytest.mark.parametrize("text", [README, GUIDE], ids=["README", "guide"])
def test_no_option_is_invented(text: str) -> None:
    # The Hub's own program, the local Hub and the benchmarks have their own options.
    ours = re.sub(r"^\$ hf .*$|`python (?:-m tests\.hub|benchmarks/)[^`]*`", "", text, flags=re.MULTILINE)
    named = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", ours))
    assert named <= {*options(), "--help"}


def test_every_environment_variable_is_in_the_guide() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "pipelines").glob("*.py"))
    assert {name for name in re.findall(r"\bSMOLTROVE_[A-Z_]+\b", code) if f"`{name}`" not in GUIDE} == set()


@pytest.mark.parametrize("text", [README, GUIDE], ids=["README", "guide"])
def test_every_exit_status_is_explained(text: str) -> None:
    assert cli.__doc__
    statuses = set(re.findall(r"\b\d+\b", cli.__doc__.partition("Exit status")[2]))
    assert {"0", "1", "2", "130", "143"} <= statuses
    assert statuses <= {status for row in cells(text) for status in re.findall(r"`(\d+)`", row[0])}


# Configuration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [StageConfig, FilteringConfig, OutputConfig, SourceConfig, Substitute])
def test_every_key_is_explained(model: Any) -> None:
    explained = {name for row in cells(section("Configuration reference")) for name in re.findall(r"`(\w+)`", row[0])}
    assert set(model.model_fields) <= explained
    models = (StageConfig, FilteringConfig, OutputConfig, SourceConfig, Substitute)
    everything = {key for each in models for key in each.model_fields}
    assert explained <= everything | set(LEGACY_KEYS) | adapters()


def test_every_key_of_the_cluster_is_explained_with_its_option_and_default() -> None:
    """Each row of the table of options is a key of ClusterConfig, and the other way round."""
    rows = {row[1].strip("`"): row for row in cells(section("On a cluster")) if re.fullmatch(r"`\w+`", row[1])}
    assert set(rows) == set(ClusterConfig.model_fields)
    for key, row in rows.items():
        assert row[0] == f"`--{key.replace('_', '-')}`"
        default = ClusterConfig.model_fields[key].default
        if isinstance(default, (str, int)):
            assert row[2] == str(default)


def adapters() -> set[str]:
    kinds = get_args(SourceConfig.model_fields["adapter"].annotation)
    return {name for kind in kinds for name in get_args(kind)}


def test_every_adapter_and_its_options_are_explained() -> None:
    text = section("Configuration reference")
    for name in adapters():
        assert f"`{name}`" in text
        with pytest.raises(ValueError, match="known: ") as caught:
            make_adapter(name, {"no_such_option": 1})
        for option in str(caught.value).partition("known: ")[2].split(", "):
            assert f"`{option}`" in text, f"{name}: {option}"


def test_every_legacy_key_is_listed_with_its_new_name() -> None:
    rows = cells(section("Configuration reference"))
    for old, new in LEGACY_KEYS.items():
        assert any(f"`{old}`" in row[0] and f"`{new}`" in row[1] for row in rows if len(row) > 1), old


def test_every_parameter_of_every_filter_is_in_the_guide() -> None:
    text = section("Filters")
    for name, filter_class in FILTERS.items():
        assert f"`{name}`" in text
        for parameter in inspect.signature(filter_class.__init__).parameters:
            if parameter not in ("self", "exclusion_writer"):
                assert f"`{parameter}`" in text, f"{name}: {parameter}"


def shares(pairs: list[list[float]]) -> str:
    return " ".join(f"{share:g}" for _, share in pairs)


def profile_row(name: str) -> str:
    """The guide's row for a web profile, as configs/filter_profiles.yaml has it now."""
    steps = {family: params for step in PROFILES[name]["filters"] for family, params in step.items()}
    rep, quality = steps["gopher_repetition"], steps["gopher_quality"]
    columns = [
        f"`{name}`",
        " ".join(steps["language"]["languages"]),
        f"{PROFILES[name]['expected_yield']:g}",
        f"{quality['min_doc_words']} to {quality['max_doc_words']:,}",
        f"{quality['min_avg_word_length']:g} to {quality['max_avg_word_length']:g}",
        f"{quality['max_non_alpha_words_ratio']:g}",
        f"{quality['min_stop_words']} of {len(quality['stop_words'])}",
        f"{quality['max_ellipsis_lines_ratio']:g}",
        " ".join(
            f"{rep[key]:g}" for key in ("dup_line_frac", "dup_para_frac", "dup_line_char_frac", "dup_para_char_frac")
        ),
        shares(rep["top_n_grams"]),
        shares(rep["dup_n_grams"]),
    ]
    return f"| {' | '.join(columns)} |"


def shown(value: Any) -> str:
    """A parameter as the guide writes it."""
    if isinstance(value, list):
        return " ".join(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def plain_row(name: str) -> str:
    """The guide's row for a profile without Gopher rules."""
    profile = PROFILES[name]
    filters = "; ".join(
        f"{family}: {', '.join(f'{key} {shown(value)}' for key, value in params.items())}"
        for step in profile["filters"]
        for family, params in step.items()
    )
    return f"| `{name}` | {profile['description']} | {profile['expected_yield']:g} | {filters or 'none'} |"


@pytest.mark.parametrize("name", PROFILES)
def test_thresholds_in_the_guide_are_those_of_the_profiles(name: str) -> None:
    row = profile_row(name) if name.startswith("web-") else plain_row(name)
    assert row in GUIDE, f"put this row into the guide:\n{row}"


def stage_row(number: int) -> str:
    """The guide's row for a stage: sources, enabled ones, sum of weights, and shares by category in per cent."""
    stage = yaml.safe_load((ROOT / "configs" / STAGES[number - 1]).read_text(encoding="utf-8"))
    sources = stage["datasets"]
    total = sum(source["weight"] for source in sources)
    columns = [
        str(number),
        f"{len(sources)}",
        f"{sum(s.get('enabled', True) is not False for s in sources)}",
        f"{total:.7g}",
    ]
    for category in ("web-en", "web-multilingual", "code", "math", "qa/reasoning", "other"):
        share = sum(source["weight"] for source in sources if source["category"] == category) / total
        columns.append(f"{share:.1%}")
    return f"| {' | '.join(columns)} |"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_stages_in_the_guide_are_those_of_the_configurations(number: int) -> None:
    assert stage_row(number) in GUIDE, f"put this row into the guide:\n{stage_row(number)}"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_disabled_and_gated_sources_are_named(number: int) -> None:
    stage = yaml.safe_load((ROOT / "configs" / STAGES[number - 1]).read_text(encoding="utf-8"))
    text = section("The three stages")
    for source in stage["datasets"]:
        if source.get("enabled", True) is False:
            assert f"`{source['name']}`" in text
            assert f"`{source['substitute']['name']}`" in text
        if source.get("gated"):
            assert f"`{source['name']}`" in text


# Reasons and messages ---------------------------------------------------------------------------------------------


def rules(node: ast.AST) -> Iterator[str]:
    """Texts that a function answers with: `return False, "rule"`, `yield row, "rule"`, `Rejected(text, "rule")`."""

    def texts(value: ast.AST | None) -> Iterator[str]:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield value.value
        elif isinstance(value, ast.IfExp):
            yield from texts(value.body)
            yield from texts(value.orelse)
        elif isinstance(value, ast.Tuple):
            for item in value.elts:
                yield from texts(item)

    for inner in ast.walk(node):
        if isinstance(inner, (ast.Return, ast.Yield)):
            yield from texts(inner.value)
        elif isinstance(inner, ast.Call) and getattr(inner.func, "id", "") == "Rejected":
            for argument in inner.args:
                yield from texts(argument)


def reasons() -> set[str]:
    """Every reason that a document can be dropped or a row rejected for, `<n>` standing for a number."""
    found = set()
    for module, family in ((gopher_quality_filter, "gopher_quality"), (gopher_repetition_filter, "gopher_repetition")):
        for rule in re.findall(r'return False, f?"([^"]+)"', inspect.getsource(module)):
            found.add(f"{family}.{rule.removeprefix('gopher_').replace('{n}', '<n>')}")
    for name in FILTERS:
        tree = ast.parse(inspect.getsource(FILTERS[name]))
        found |= {
            f"{name}.{rule.removeprefix('gopher_')}" for rule in rules(tree) if re.fullmatch(r"[a-z]+(_[a-z]+)*", rule)
        }
    for path in sorted((ROOT / "pipelines").glob("*.py")):
        if path.name.startswith("reader") or path.name in ("adapters.py", "blobs.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found |= {f"reader.{rule}" for rule in rules(tree) if re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", rule)}
    return found - {"reader.not_wanted"}  # not a reason: such rows count as sampled out


def test_every_reason_is_explained_and_none_is_invented() -> None:
    explained = {row[0].strip("`") for row in cells(section("Reasons")) if row[0].startswith("`")}
    assert explained == reasons()


def messages() -> str:
    """All texts of the code, one a line, with a mark where a value is put in."""
    found = []
    for folder in ("pipelines", "filters", "examples"):
        for path in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            for node in ast.walk(tree):
                if isinstance(node, ast.JoinedStr):
                    parts = [str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values]
                    found.append("".join(parts))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                    found.append(node.value)
    return "\n".join(found)


def test_symptoms_are_quoted_from_the_code() -> None:
    texts = messages()
    rows = [row for row in cells(section("Troubleshooting")) if row[0].startswith("`")]
    assert len(rows) >= 10
    for row in rows:
        for piece in row[0].strip("`").split("..."):
            assert piece.strip() in texts, f"no message says {piece.strip()!r}"
