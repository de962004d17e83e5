"""Plans of small local files, and samples made by hand, for tests of what is done with them."""

import random
from pathlib import Path
from typing import Any

import yaml

from pipelines.config import LoadedConfig, load_config
from pipelines.estimate.files import FileFacts
from pipelines.estimate.sample import SampledDocument, SampledFile, SourceSample
from pipelines.plan import Plan, make_plan
from pipelines.profiles import FilterSpec, Profile
from pipelines.sources import Catalogue

PROFILES = {
    "none": Profile(name="none"),
    "short": Profile(name="short", filters=(FilterSpec(name="length", params={"min_chars": 10}),)),
    "nothing": Profile(name="nothing", filters=(FilterSpec(name="length", params={"min_chars": 10**9}),)),
}


def entry(name: str, weight: float, **keys: Any) -> dict[str, Any]:
    """A source of the files whose names start with its own."""
    return {"name": name, "path": f"{name}*", "weight": weight, "profile": "none", **keys}


def configured(folder: Path, *datasets: dict[str, Any], **stage: Any) -> LoadedConfig:
    """A configuration of files in `folder`."""
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({"target_tokens": "1B", "max_epochs": 1, **stage, "datasets": list(datasets)}))
    return load_config(path)


def planned(folder: Path, *datasets: dict[str, Any], stage: dict[str, Any] | None = None, **options: Any) -> Plan:
    """The plan of a mixture of files in `folder`."""
    config = configured(folder, *datasets, **(stage or {}))
    return make_plan(config, PROFILES, catalogue=Catalogue(config_dir=folder), **options)


def made_sample(
    source: str = "a/default", *, documents: int = 200, files: int = 4, seed: int = 0, kept: float = 0.5,
    read: float = 2e-5, work: float = 2e-4, rows_per_byte: float | None = 1e-3, **options: object,
) -> SourceSample:  # fmt: skip
    """Documents of log-normal lengths, costs that grow with them, kept at random."""
    dice = random.Random(seed)
    rows = []
    for number in range(documents):
        size = max(1, round(dice.lognormvariate(7.5, 1.0)))
        keeps = dice.random() < kept
        cost = size / 3000 * dice.uniform(0.8, 1.2)
        rows.append(
            SampledDocument(
                file=number % files, text_bytes=size, kept_bytes=size if keeps else 0, read_seconds=read * cost,
                work_seconds=work * cost,
            )
        )  # fmt: skip
    made = tuple(
        SampledFile(
            path=f"{i}.jsonl", size=100_000, rows=sum(row.file == i for row in rows), rejected=0,
            facts=FileFacts(rows_per_byte=rows_per_byte),
        )
        for i in range(files)
    )  # fmt: skip
    kept_bytes = sum(row.kept_bytes for row in rows)
    values = {"written_bytes": kept_bytes // 3, "setup_seconds": 1.0, "peak_bytes": 200_000_000, **options}
    return SourceSample(source=source, documents=tuple(rows), files=made, **values)  # type: ignore[arg-type]
