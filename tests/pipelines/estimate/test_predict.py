"""A prediction is the sample carried over to the plan's own files and tasks, and says what it could not do."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.compression import OutputConfig
from pipelines.dedup.config import DedupConfig
from pipelines.dedup.explain import WORKER_BYTES
from pipelines.estimate.cluster import Cluster
from pipelines.estimate.dedup import predict_dedup
from pipelines.estimate.predict import Prediction, as_data, predict
from pipelines.estimate.rates import rates_of
from pipelines.estimate.sample import SourceSample, sample_source
from pipelines.estimate.table import estimate_text
from pipelines.estimate.tasks import amounts, tasks_of
from pipelines.plan import Plan
from pipelines.run import run_plan
from tests.pipelines.estimate.samples import configured, entry, made_sample, planned
from tests.pipelines.estimate.test_sample import rows_of, write_rows

ENTRIES = (
    entry("many", 0.6, id_field="id", id_scope="file"),
    entry("one", 0.4, id_field="id", profile="short"),
)


def measured(plan: Plan, folder: Path, rows: int = 10_000) -> dict[str, SourceSample]:
    """Samples of every source, in this process."""
    return {
        source.key: sample_source(
            source, rows=rows, seed=0, output=OutputConfig().resolved(), work_dir=folder / f"sample{number}"
        )
        for number, source in enumerate(plan.sources)
    }


def predicted(plan: Plan, samples: dict[str, SourceSample], **cluster: Any) -> Prediction:
    return predict(plan, samples, Cluster(**cluster), start_seconds=2.0, lead_seconds=1.0)


def two_sources(folder: Path, **stage: Any) -> tuple[Any, Plan]:
    """A source of JSON lines in five files, and one of Parquet of which a third is dropped."""
    for i in range(5):
        write_rows(folder / f"many{i}.jsonl.gz", rows_of(40 + 10 * i))
    write_rows(folder / "one.parquet", rows_of(150))
    stage = {"on_shortage": "redistribute", **stage}
    return configured(folder, *ENTRIES, **stage), planned(folder, *ENTRIES, stage=stage, tasks=2)


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_sample_of_everything_predicts_the_run(epochs: int, tmp_path: Path) -> None:
    """Where the sample is the whole source, rows, documents, text, tokens and files of the real run are predicted
    exactly, for one epoch and for two; bytes of gzip to within a few per cent, since files differ."""
    config, plan = two_sources(tmp_path, max_epochs=epochs)
    prediction = predicted(plan, measured(plan, tmp_path))
    result = run_plan(plan, config, output_folder=tmp_path / "out", logging_dir=tmp_path / "logs", workers=1)
    assert result.ok
    for source, outcome in zip(prediction.sources, result.outcomes, strict=True):
        assert source.drawn[0] == pytest.approx(outcome.drawn)
        assert source.documents[0] == pytest.approx(outcome.written)
        assert source.tokens[0] == pytest.approx(outcome.tokens, rel=0.01)
        assert source.fetched_bytes[0] <= outcome.bytes_planned
    size = sum(path.stat().st_size for path in (tmp_path / "out").glob("*/*/*.jsonl.gz"))
    assert prediction.written_bytes[0] == pytest.approx(size, rel=0.5)


def test_tasks_add_up_to_their_source(tmp_path: Path) -> None:
    """What the tasks cost and write, one by one, is what the whole source does, at every replicate."""
    _, plan = two_sources(tmp_path)
    for source in plan.sources:
        for lazy in (False, True):
            sample = made_sample(source.key, lazy=lazy, index_seconds=1e-6, blob_bytes=10.0, wait_seconds=0.1)
            rates, tasks = rates_of(sample, seed=0), tasks_of(source, plan.seed)
            whole = amounts(tasks, rates, sample, whole=True)
            for place in (0, 7):
                each = amounts(tasks, rates.at(place), sample, whole=False)
                for name, values in vars(each).items():
                    total = getattr(whole, name)
                    assert len(values) == len(source.tasks)
                    assert values.sum() == pytest.approx(total[place if len(total) > 1 else 0]), name


def test_rows_that_are_not_drawn_cost_their_reading_only(tmp_path: Path) -> None:
    """A tenth of the budget: a tenth of the documents and their work, while whole files are read."""
    write_rows(tmp_path / "one.jsonl", rows_of(3000))
    entries = (entry("one", 1.0, id_field="id"),)
    full, part = (planned(tmp_path, *entries, stage={"target_tokens": n, "on_shortage": "redistribute"})
                  for n in ("1B", "10k"))  # fmt: skip
    sample = made_sample("one/default", read=1e-3, work=1e-3, kept=1.0)
    a, b = (predicted(plan, {"one/default": sample}) for plan in (full, part))
    share = part.sources[0].epochs
    assert 0.01 < share < 0.5
    assert b.documents[0] == pytest.approx(share * a.documents[0], rel=1e-6)
    # Half of the cost is reading, which is paid for every row.
    assert b.sources[0].cpu_seconds[0] == pytest.approx((0.5 + 0.5 * share) * a.sources[0].cpu_seconds[0], rel=0.05)


def test_missing_sizes_fall_back_on_the_plans_own_estimate(tmp_path: Path) -> None:
    """Files that do not say their rows: the text that the plan expects, by the mean length of the sample's."""
    write_rows(tmp_path / "one.jsonl", rows_of(300))
    plan = planned(tmp_path, entry("one", 1.0, available_tokens="1M"), stage={"on_shortage": "redistribute"})
    sample = made_sample("one/default", rows_per_byte=None, kept=1.0)
    prediction = predicted(plan, {"one/default": sample})
    assert prediction.tokens[0] == pytest.approx(1e6, rel=1e-6)


def test_ranges_hold_the_value_and_more_of_it_costs_more(tmp_path: Path) -> None:
    _, plan = two_sources(tmp_path)
    samples = {source.key: made_sample(source.key) for source in plan.sources}
    prediction = predicted(plan, samples, cores_per_node=2)
    for name in ("cpu_seconds", "documents", "tokens", "written_bytes", "wall_seconds"):
        value, low, high = getattr(prediction, name)
        assert low <= value <= high, name
    dear = predicted(plan, {k: made_sample(k, work=2e-1) for k in samples}, cores_per_node=2)
    assert dear.cpu_seconds[0] > prediction.cpu_seconds[0]
    assert dear.wall_seconds[0] > prediction.wall_seconds[0]


def test_tasks_that_miss_their_limits_are_counted_with_what_to_do(tmp_path: Path) -> None:
    """Late tasks by source, a number of tasks that would fit, and workers that need more memory than a core has."""
    _, plan = two_sources(tmp_path)
    samples = {source.key: made_sample(source.key, work=1.0) for source in plan.sources}
    free = predicted(plan, samples)
    assert (free.late, free.too_large, free.ok) == (0, [], True)
    limit = free.sources[0].longest_task_seconds[0] * 0.9
    tight = predicted(plan, samples, time_limit=limit, memory_per_core=100_000_000)
    assert tight.sources[0].late[0] >= 1
    assert not tight.ok
    text = estimate_text(plan, tight, None)
    assert "LATE: many/default: " in text
    assert "MEMORY: one/default: a worker takes 200 MB, a core has 100 MB" in text
    fits = tight.sources[0].tasks_that_fit
    assert fits is not None
    more = planned(tmp_path, *ENTRIES, stage={"on_shortage": "redistribute"}, tasks=fits)
    assert predicted(more, samples, time_limit=limit).sources[0].late[0] == 0
    hopeless = predicted(plan, samples, time_limit=1.5)
    assert "one file alone takes longer" in estimate_text(plan, hopeless, None)


def test_zero_yield_and_empty_sources_have_a_clear_line(tmp_path: Path) -> None:
    """A source of which nothing passes predicts nothing and says so; one that has no rows is named and left out."""
    write_rows(tmp_path / "one.jsonl", rows_of(100))
    (tmp_path / "none.jsonl").write_text("")
    entries = (
        entry("one", 0.5, id_field="id", profile="nothing"),
        entry("none", 0.5, available_tokens="1k"),
    )
    plan = planned(tmp_path, *entries, stage={"on_shortage": "redistribute"})
    samples = measured(plan, tmp_path)
    prediction = predicted(plan, samples)
    assert not prediction.ok
    (one,) = prediction.sources
    assert (one.documents, one.tokens, one.written_bytes) == ((0, 0, 0),) * 3
    assert predict_dedup(plan, prediction, samples, DedupConfig()) is None
    text = estimate_text(plan, prediction, None)
    assert "nothing would be written; does the profile belong to the source?" in text
    assert "NOT measured: none/default: none.jsonl: its first rows are none; check `data_files` and `split`" in text
    assert "Deduplication: nothing would be written" in text
    data = json.loads(json.dumps(as_data(prediction), allow_nan=False))
    assert (data["ok"], list(data["problems"])) == (False, ["none/default"])


def test_nothing_at_all_is_still_an_answer(tmp_path: Path) -> None:
    """No source could be sampled: zeros, every source named, and JSON that any reader takes."""
    _, plan = two_sources(tmp_path)
    samples = {source.key: SourceSample(source=source.key, problem="gone") for source in plan.sources}
    prediction = predicted(plan, samples, bandwidth=1e9)
    assert prediction.documents == (0, 0, 0)
    assert estimate_text(plan, prediction, None).count("NOT measured: ") == 2
    json.dumps(as_data(prediction), allow_nan=False)


def test_a_run_over_the_network_takes_at_least_its_bytes(tmp_path: Path) -> None:
    _, plan = two_sources(tmp_path)
    samples = {source.key: made_sample(source.key) for source in plan.sources}
    prediction = predicted(plan, samples, bandwidth=100.0)
    assert prediction.wall_seconds[0] == pytest.approx(1.0 + prediction.fetched_bytes[0] / 100.0)
    assert prediction.schedules[0].work_bound == "network"


def test_memory_and_disk_of_the_deduplication_are_its_own_formulas(tmp_path: Path) -> None:
    """The documents of the prediction, file by file; times from its own sample on what the estimate has written."""
    _, plan = two_sources(tmp_path)
    samples = measured(plan, tmp_path)
    prediction = predicted(plan, samples, cores_per_node=2)
    found = predict_dedup(plan, prediction, samples, DedupConfig(methods=["exact"]))
    assert found is not None
    assert found.documents == pytest.approx(prediction.documents[0], abs=2)
    assert found.text_bytes == pytest.approx(sum(np.sum(a.text_bytes) for a in prediction.by_task.values()), abs=8)
    assert found.disk_bytes == (60 + 20) * found.documents
    assert found.worker_bytes == WORKER_BYTES + 90 * found.documents
    assert found.cpu_seconds is not None
    assert found.wall_seconds is not None
    assert found.cpu_seconds > 0
    assert found.problem is None
