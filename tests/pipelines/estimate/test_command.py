"""`smoltrove plan --estimate` as people type it: on a mirror, over the Hub, and with options that make no sense."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.errors import UserError
from pipelines.estimate.cluster import cluster_of
from pipelines.slurm.config import ClusterConfig
from tests.data import MINI_HUB, ROOT
from tests.hub import LocalHub
from tests.pipelines.estimate.samples import configured, entry
from tests.pipelines.estimate.test_sample import rows_of, write_rows

STAGE_1 = "configs/smollm3_weighted_config.yaml"


def plan(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "pipelines", "plan", *words], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip


def test_over_the_hub_little_is_read(tmp_path: Path) -> None:
    """FineWeb2-HQ's Vietnamese over the local Hub is measured in a few requests, for one source of a repository."""
    with LocalHub(MINI_HUB) as hub:
        environment = {**hub.environment, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
        done = plan(
            STAGE_1, "--datasets", "*vie_Latn", "--target-tokens", "1B", "--estimate", "--json", "--nodes", "3",
            "--cores-per-node", "4", "--bandwidth", "1M", **environment,
        )  # fmt: skip
        asked = sum(request.path is not None for request in hub.requests)
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    (source,) = data["sources"]
    assert source["sampled_documents"] == 120
    assert 0 < source["token_yield"]["value"] <= 1
    assert source["milliseconds_per_document"]["low"] <= source["milliseconds_per_document"]["high"]
    assert data["cluster"] == {
        "nodes": 3, "cores_per_node": 4, "bandwidth": 1e6, "time_limit": 86400.0, "memory_per_core": 2**31,
    }  # fmt: skip
    assert data["network_seconds"] == pytest.approx(data["fetched_bytes"]["value"] / 1e6)
    assert data["dedup"]["documents"] > 0
    assert 0 < asked < 30


def test_a_source_that_cannot_be_measured_ends_in_exit_status_1(tmp_path: Path) -> None:
    """The others are predicted; the table names it, and what is the matter."""
    write_rows(tmp_path / "one.jsonl", rows_of(60))
    (tmp_path / "bad.jsonl").write_text('{"id": "1", "text": ""}\n' * 30)
    config = configured(
        tmp_path,
        entry("one", 0.5, id_field="id", profile="qa"),
        entry("bad", 0.5, available_tokens="1M", profile="qa"),
        on_shortage="redistribute",
        filtering={"profiles": str(ROOT / "configs" / "filter_profiles.yaml")},
    )
    done = plan(str(config.path), "--estimate", "--sample-rows", "50")
    assert done.returncode == 1, done.stderr
    assert " one/default " in done.stdout
    assert "NOT measured: bad/default: none of the first 30 rows can be used" in done.stdout
    assert "sampling 2 of 2: bad/default" in done.stderr


def test_options_of_an_estimate_need_one_and_are_checked() -> None:
    done = plan(STAGE_1, "--mirror", "examples/mini_hub", "--nodes", "3")
    assert (done.returncode, done.stderr) == (2, "error: --nodes: says what an estimate is for; add --estimate\n")
    with pytest.raises(UserError) as error:
        cluster_of(
            nodes=1, cores_per_node=2, bandwidth="fast", time_limit="noon", memory_per_core="-1", block=ClusterConfig()
        )
    assert [line.split(":")[0] for line in str(error.value).splitlines()] == [
        "--bandwidth", "--memory-per-core", "--time-limit",
    ]  # fmt: skip


def test_limits_of_several_nodes_are_those_of_the_configuration() -> None:
    """One node has no limits that were not given; several have the `cluster:` block's, unless they are given."""
    block = ClusterConfig(time="2:00:00", mem_per_cpu_gb=3, cpus_per_task=2)
    options = {"cores_per_node": 4, "bandwidth": None, "time_limit": None, "memory_per_core": None}
    one, several = (cluster_of(nodes=n, block=block, **options) for n in (1, 5))  # type: ignore[arg-type]
    assert (one.time_limit, one.memory_per_core, one.pooled) == (None, None, True)
    assert (several.time_limit, several.memory_per_core, several.pooled) == (7200, 6 * 2**30, False)
    assert several.cores == 20
    given = cluster_of(nodes=5, block=block, **{**options, "time_limit": "30", "memory_per_core": "2G"})  # type: ignore[arg-type]
    assert (given.time_limit, given.memory_per_core) == (1800, 2_000_000_000)
