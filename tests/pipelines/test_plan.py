"""The plan freezes everything, touches no document, and says what it will cost."""

import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pipelines.config import SourceConfig, load_config
from pipelines.curriculum import profiles_of
from pipelines.errors import ConfigError, UserError
from pipelines.plan import BYTES_PER_TASK, Plan, largest_task_first, make_plan, plan_fingerprint_data
from pipelines.plan_table import plan_text
from pipelines.profiles import FilterSpec, Profile
from pipelines.quantities import show_bytes, show_count
from pipelines.sources import Catalogue, FileInfo, Listing
from tests.data import MINI_HUB, ROOT
from tests.pipelines.test_config import SHIPPED

PROFILES = {
    "none": Profile(name="none"),
    "half": Profile(
        name="half", expected_yield=0.5, filters=(FilterSpec(name="language", params={"languages": ["vi"]}),)
    ),
}


def planned(folder: Path, *datasets: dict[str, Any], stage: dict[str, Any] | None = None, **options: Any) -> Plan:
    """The plan of a mixture of local files."""
    path = folder / "c.yaml"
    path.write_text(yaml.safe_dump({"target_tokens": "1M", **(stage or {}), "datasets": list(datasets)}))
    return make_plan(load_config(path), PROFILES, catalogue=Catalogue(config_dir=folder), **options)


def entry(name: str, weight: float, **keys: Any) -> dict[str, Any]:
    return {"name": name, "path": f"{name}*.jsonl", "weight": weight, "profile": "none", **keys}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files that no reader would accept: a plan looks at names and sizes only."""
    rng = random.Random(0)
    for i in range(40):
        (tmp_path / f"many{i:02d}.jsonl").write_bytes(rng.randbytes(rng.randint(10_000, 20_000)))
    (tmp_path / "one.jsonl").write_bytes(b"\xff" * 100_000)
    return tmp_path


def test_two_plans_are_equal_and_survive_json(folder: Path) -> None:
    """The plan file is the plan; and it decides everything, so planning twice gives the same."""
    mixture = [entry("many", 0.7), entry("one", 0.3, language="vi", license="mit")]
    plan = planned(folder, *mixture)
    assert planned(folder, *mixture) == plan
    assert Plan.model_validate_json(plan.model_dump_json()) == plan
    assert Plan.model_validate(json.loads(plan.model_dump_json())) == plan


def test_budgets_and_intervals(folder: Path) -> None:
    """Reading allows for what the filters drop: twice the budget where half is expected to stay."""
    one = entry("one", 0.3, profile="half", available_tokens="10M")
    plan = planned(folder, entry("many", 0.7, available_tokens="2M"), one)
    many, one_ = plan.sources
    assert many.interval == (0.0, pytest.approx(0.35))
    assert one_.interval == (0.0, pytest.approx(0.3e6 / 10e6 / 0.5))
    assert (one_.languages, one_.available_how) == (("vi",), "known")
    assert plan.planned_tokens == pytest.approx(1e6)
    assert 10 < len(many.files) < 40
    assert {file for task in range(len(many.tasks)) for file in many.task_files(task)} == set(many.files)
    assert many.bytes_needed < many.bytes_to_read == sum(file.size for file in many.files)
    assert many.bytes_needed == pytest.approx(0.35 * sum(file.size for file in many.listing.files), rel=0.2)


def test_tasks_are_chosen_from_sizes_with_the_reason(tmp_path: Path) -> None:
    """256 MiB a task when nobody asks (sparse files: nothing is read), never more tasks than files."""
    for i in range(12):
        with (tmp_path / f"big{i}.jsonl").open("wb") as file:
            file.truncate(BYTES_PER_TASK // 3)
    plan = planned(tmp_path, entry("big", 1.0, available_tokens="1M"))
    assert len(plan.sources[0].tasks) == 4
    assert plan.sources[0].tasks_why == "1.07 GB at 268 MB a task"
    assert {len(task) for task in plan.sources[0].tasks} == {3}
    for asked, number, why in ((5, 5, "5 asked"), (50, 12, "50 asked, 12 files to read")):
        source = planned(tmp_path, entry("big", 1.0, available_tokens="1M"), tasks=asked).sources[0]
        assert (len(source.tasks), source.tasks_why) == (number, why)
        assert sorted(i for task in source.tasks for i in task) == list(range(12))


def test_the_source_with_the_largest_task_goes_first(tmp_path: Path) -> None:
    """Whatever its size in all: many small tasks wait for nothing. Equal ones stay in the configuration's order."""
    for name, sizes in (("even", [10, 10]), ("many", [10] * 6), ("long", [10, 50]), ("last", [10])):
        (tmp_path / name).mkdir()
        for number, size in enumerate(sizes):
            row = json.dumps({"id": "1", "text": "x" * size * 1000})
            (tmp_path / name / f"{number}.jsonl").write_text(row + "\n")
    names = ("even", "many", "long", "last")
    plan = planned(tmp_path, *(entry(name, 0.25, path=f"{name}/*.jsonl") for name in names), tasks=9)
    order = largest_task_first(plan.sources)
    assert [plan.sources[index].source.name for index in order] == [
        "long",
        "even",
        "many",
        "last",
    ]
    assert plan.sources[order[0]].largest_task_bytes == (tmp_path / "long" / "1.jsonl").stat().st_size


def test_parquet_footers_are_enough(tmp_path: Path) -> None:
    """The estimate is the text column's bytes, whatever else is in the file; damaged files are left to their task."""
    rng = random.Random(0)
    texts = ["".join(rng.choices("abcdefgh ", k=400)) for _ in range(2000)]
    table = pa.table({"text": texts, "embeddings": [[rng.random()] * 50 for _ in texts]})
    pq.write_table(table, tmp_path / "p0.parquet", compression="zstd")
    source = {"name": "p", "path": "*.parquet", "weight": 1.0, "profile": "none"}
    plan = planned(tmp_path, source, stage={"target_tokens": "1k"})
    assert plan.sources[0].available_tokens == pytest.approx(800_000 / 4, rel=0.05)
    assert plan.sources[0].available_how == "estimated from Parquet footers"
    (tmp_path / "p1.parquet").write_bytes(b"PAR1 not really")
    plan = planned(tmp_path, source, stage={"target_tokens": "1k"})
    assert plan.sources[0].available_how == "estimated from file sizes"
    with pytest.raises(
        ConfigError, match=r"c.yaml:2: p/default: p0.parquet: has no column txt; its columns are"
    ) as error:
        planned(tmp_path, source | {"text_field": "txt"})
    assert error.value.problems[0].endswith("embeddings, text; did you mean 'text'?")


def test_all_missing_sources_at_once(folder: Path) -> None:
    with pytest.raises(ConfigError) as error:
        planned(folder, entry("none", 0.5), entry("one", 0.1), entry("nothing", 0.4))
    assert [line.split(": ")[0].rsplit(":", 1)[1] for line in error.value.problems] == ["2", "10"]


def test_warnings(folder: Path) -> None:
    """Licences that forbid commercial use, and budgets of a handful of documents: a line each, one line for many."""
    many = entry("many", 0.999, license="odc-by", available_tokens="1M")
    assert planned(folder, many, entry("one", 0.001, license="CC BY-NC 4.0")).warnings == (
        f"{folder}/c.yaml:8: one/default: licence CC BY-NC 4.0: not for commercial use",
        f"{folder}/c.yaml:8: one/default: its budget of 1000 tokens is a handful of documents; it may yield none; "
        "raise target_tokens",
    )
    small = planned(folder, *(entry(name, 0.1) | {"label": str(i)} for i, name in enumerate(["many", "one"] * 3)),
                    target_tokens=6000).warnings  # fmt: skip
    (line,) = [line for line in small if "handful" in line]
    assert "6 of 6 sources get a handful of documents (below 4.25k tokens) and may yield none; raise it: many/0" in line


def test_a_frozen_listing_is_used_instead_of_asking(folder: Path) -> None:
    frozen = Listing(
        kind="hub", base="hf://x", revision="f" * 40, files=(FileInfo(path="a.jsonl", size=9, identity="b"),)
    )
    plan = planned(folder, entry("one", 1.0), frozen={"one/default": frozen})
    assert plan.sources[0].listing == frozen


def test_a_mirror_may_move(tmp_path: Path, folder: Path) -> None:
    """What decides the documents does not hold the folder's own path."""
    other = tmp_path / "elsewhere"
    shutil.copytree(folder, other, ignore=shutil.ignore_patterns("elsewhere"))
    a, b = (plan_fingerprint_data(planned(place, entry("many", 1.0))) for place in (folder, other))
    assert "elsewhere" not in json.dumps(b)
    assert a["sources"][0]["listing"] == b["sources"][0]["listing"]


@pytest.mark.parametrize(("name", "note"), zip(SHIPPED, [None, "1.00005", "1.00565"], strict=True))
def test_weights_that_do_not_sum_to_one_are_noted(name: str, note: str | None) -> None:
    """The published sums, normalised with a note; disabled sources are named and their weight redistributed."""
    config = load_config(ROOT / "configs" / name)
    plan = make_plan(config, profiles_of(config), catalogue=Catalogue(mirror=MINI_HUB), target_tokens=300_000)
    sums = [line for line in plan.notes if "not 1; each is divided by the sum of those that take part" in line]
    assert [f"weights sum to {note}," in line for line in sums] == ([True] if note else [])
    assert sum(source.share for source in plan.sources) == pytest.approx(1)
    disabled = [entry.key for entry in config.stage.datasets if entry.enabled is False]
    assert [key for key, _ in plan.skipped] == disabled
    assert any(f"the weight of {len(disabled)} sources" in line for line in plan.notes)
    assert plan.planned_tokens == pytest.approx(300_000)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_substitute_resolves(name: str, tmp_path: Path) -> None:
    """`enabled: substitute` on every entry that has one: its files are in the mini hub, in its own layout."""
    data = yaml.safe_load((ROOT / "configs" / name).read_text(encoding="utf-8"))
    entries = [e for e in data["datasets"] if (e.get("substitute") or {}).get("name")]
    assert entries
    for i, item in enumerate(entries):
        item["enabled"] = "substitute"
        # Several stand-ins for one another would write to one folder.
        item["substitute"]["label"] = f"s{i}"
    data |= {"datasets": entries, "after": [], "filtering": {"profiles": str(ROOT / "configs/filter_profiles.yaml")}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    config = load_config(tmp_path / "c.yaml")
    plan = make_plan(config, profiles_of(config), catalogue=Catalogue(mirror=MINI_HUB), target_tokens=10_000)
    assert {source.source.name for source in plan.sources} == {item["substitute"]["name"] for item in entries}
    assert all(source.files for source in plan.sources)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_the_stage_scripts_print_their_plan(stage: int, tmp_path: Path) -> None:
    """`--plan` and `--plan --json` on the mini hub: the same numbers, nothing written, exit 0."""
    command = [sys.executable, f"smollm3_stage{stage}_datatrove_pipeline.py", "--plan", "--mirror", "examples/mini_hub",
               "--target-tokens", "300k", "--output-folder", str(tmp_path / "out")]  # fmt: skip
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    data = json.loads(subprocess.run([*command, "--json"], cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    assert not (tmp_path / "out").exists()
    lines = text.splitlines()
    for source in data["sources"]:
        (row,) = [line for line in lines if line.startswith(f" {source['source']} ")]
        assert f" {source['weight']:g} " in row
        assert f" {source['share']:.3%} " in row
        assert f" {len(source['files_to_open'])} of {source['files_total']} " in row
    assert f"Total: 300k tokens of 300k asked, {len(data['sources'])} sources, {data['num_tasks']} tasks" in text
    assert " free" in text.split("Writing: about ")[1].splitlines()[0]
    assert all(line.strip() in text for line in [*data["notes"], *data["warnings"]])
    assert ("natural_reasoning/default: licence cc-by-nc-4.0: not for commercial use" in text) == (stage == 3)
    assert "\x1b" not in text


def test_a_disk_that_is_too_small_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(folder, entry("many", 1.0))
    assert "may not fit" not in plan_text(plan, folder / "new" / "out")
    monkeypatch.setattr("pipelines.plan_table.disk_free", lambda folder: 1000)
    assert "WARNING: the documents may not fit on that disk; choose another --output-folder" in plan_text(plan, folder)


class SimulatedHub(Catalogue):
    """Lists DCLM as the Hub has it, 27,938 files; every other source is a few files."""

    def ask_for(self, sources: Any) -> None:
        """Nobody is asked."""

    def files(self, source: SourceConfig) -> Listing:
        if source.name != "mlfoundations/dclm-baseline-1.0":
            files = [FileInfo(path=f"data/{i}.parquet", size=10**9, identity=str(i)) for i in range(4)]
        else:
            dice = random.Random(0)
            names = (f"global-shard_{i % 10 + 1:02d}_of_10/local-shard_{i // 10 % 10}_of_10/shard_{i:08d}_processed"
                     for i in range(27_938))  # fmt: skip
            files = [
                FileInfo(path=f"{name}.jsonl.zst", size=dice.randint(150_000_000, 350_000_000), identity="")
                for name in sorted(names)
            ]
        return Listing(kind="hub", base=f"hf://datasets/{source.name}@{'0' * 40}", files=tuple(files))


def test_dclm_at_10b_opens_a_fraction_of_a_per_cent_of_its_files() -> None:
    """Stage 1 as shipped, on a simulated listing of 27,938 files: DCLM's part of the 10B tokens, and all 10B of it.

    The guide (Resources) has these numbers; `-s` prints them.
    """
    config = load_config(ROOT / "configs" / SHIPPED[0])
    for pattern in (None, "*dclm*"):
        started = time.perf_counter()
        plan = make_plan(config, profiles_of(config), catalogue=SimulatedHub(), datasets=pattern)
        seconds = time.perf_counter() - started
        (dclm,) = [source for source in plan.sources if "dclm" in source.key]
        total = sum(file.size for file in dclm.listing.files)
        print(
            f"{show_count(dclm.budget_tokens)} tokens of DCLM: {len(dclm.files)} of {len(dclm.listing.files):,} files "
            f"to open ({len(dclm.files) / len(dclm.listing.files):.2%}), {show_bytes(dclm.bytes_to_read)} of "
            f"{show_bytes(total)} to read for {show_bytes(dclm.bytes_needed)} needed, {len(dclm.tasks)} tasks; "
            f"planned in {seconds:.1f} s"
        )
        assert len(dclm.listing.files) == 27_938
        assert len(dclm.files) < 0.005 * 27_938
        assert dclm.bytes_to_read < 0.005 * total
        # At most the two ends of the interval are read for nothing.
        assert dclm.bytes_to_read - dclm.bytes_needed <= 2 * 350_000_000
        assert seconds < 20


def test_part_of_a_mixture_is_renormalised(folder: Path) -> None:
    plan = planned(folder, entry("many", 0.7), entry("one", 0.3), datasets="one")
    assert [(source.key, source.share) for source in plan.sources] == [("one/default", 1.0)]
    assert plan.skipped == (("many/default", "left out by --datasets or --max-datasets"),)
    with pytest.raises(UserError, match="--datasets none: matches no enabled source"):
        planned(folder, entry("one", 0.3), datasets="none")
