"""What `smoltrove plan --estimate` does: sample, predict, print.

Gives up: keeping samples for the next time; another budget or cluster for the same sample is a call of `predict`.
"""

import json
import logging
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from pipelines.config import LoadedConfig
from pipelines.estimate.cluster import Cluster
from pipelines.estimate.dedup import dedup_data, predict_dedup
from pipelines.estimate.predict import as_data, predict
from pipelines.estimate.process import sample_sources, start_seconds
from pipelines.estimate.table import estimate_text
from pipelines.plan import Plan
from pipelines.plan_table import plan_json

SAMPLE_ROWS = 1000


def show_estimate(
    plan: Plan, config: LoadedConfig, cluster: Cluster, *, rows: int = SAMPLE_ROWS, mirror: Path | None = None,
    as_json: bool = False,
) -> int:  # fmt: skip
    """Print the estimate; 0 when every source was sampled and every task fits time and memory, else 1."""
    lead = time.process_time()  # what a run does before it starts workers: imports, configuration, plan
    logging.disable(logging.DEBUG)  # the Chinese word splitter says on stderr what it loads
    console = Console(stderr=True, highlight=False)
    with tempfile.TemporaryDirectory(prefix="smoltrove-estimate-") as name:
        samples = sample_sources(
            plan, rows=rows, work_dir=Path(name), mirror=mirror.absolute() if mirror else None,
            say=lambda text: console.print(text, markup=False, soft_wrap=True),
        )  # fmt: skip
        start = start_seconds() + load_seconds(plan)
        prediction = predict(plan, samples, cluster, start_seconds=start, lead_seconds=lead)
        dedup = predict_dedup(plan, prediction, samples, config.stage.dedup)
    if as_json:
        data: dict[str, Any] = {"plan": plan_json(plan), **as_data(prediction), "dedup": dedup_data(dedup)}
        print(json.dumps(data, ensure_ascii=False, indent=1))
    else:
        print(estimate_text(plan, prediction, dedup), end="")
    return 0 if prediction.ok else 1


def load_seconds(plan: Plan) -> float:
    """CPU seconds of reading the plan's file, which every process does before its first task."""
    text = plan.model_dump_json()
    start = time.process_time()
    Plan.model_validate_json(text)
    return time.process_time() - start
