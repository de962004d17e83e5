"""The Parquet file of `--signals`: one row per document with every signal; its metadata says what measured them.

Columns: id, source, profile, bytes, kept, verdict, then `<filter>.<signal>` (float64; null where there is none) and
`<filter>:variant` (the `by_language` entry that judged). `smoltrove audit FILE.parquet` judges it again without the
documents. Gives up: texts.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.audit.judge import Chain, Scored
from pipelines.errors import UserError
from pipelines.profiles import FilterSpec

_KEY = b"smoltrove.audit"
_FORMAT = 1
Scores = list[tuple[str, Chain, Scored]]


def write_signals(path: Path, scores: Scores, verdicts: list[list[str | None]], about: dict[str, Any]) -> None:
    """Write the file, whole or not at all. `scores`: (profile, chain, signals); `about`: how the sample was drawn."""
    tables = []
    for (profile, chain, scored), found in zip(scores, verdicts, strict=True):
        columns: dict[str, pa.Array] = {
            "id": pa.array(scored.ids, pa.string()),
            "source": pa.array(scored.sources, pa.string()),
            "profile": pa.array([profile] * len(scored), pa.string()),
            "bytes": pa.array(scored.num_bytes, pa.int64()),
            "kept": pa.array([verdict is None for verdict in found], pa.bool_()),
            "verdict": pa.array(found, pa.string()),
        }
        for step in chain.steps:
            for name, values in scored.columns[step.label].items():
                columns[f"{step.label}.{name}"] = pa.array(values, pa.float64(), mask=np.isnan(values))
            if len(step.variants) > 1:
                columns[f"{step.label}:variant"] = pa.array(scored.variants[step.label].tolist(), pa.string())
        tables.append(pa.table(columns))
    table = pa.concat_tables(tables, promote_options="default")
    chains = [
        {"profile": profile, "filters": [spec.model_dump() for spec in chain.specs]} for profile, chain, _ in scores
    ]
    data = json.dumps({"format": _FORMAT, "about": about, "chains": chains}, ensure_ascii=False)
    partial = path.with_name(f".{path.name}.part")
    try:
        pq.write_table(table.replace_schema_metadata({_KEY: data.encode()}), partial, compression="zstd")
        partial.replace(path)
    except OSError as error:
        raise UserError(f"--signals {path}: cannot be written ({error.strerror or error})") from None


def is_signals(path: Path) -> bool:
    """Whether a path is such a file."""
    if not path.is_file() or path.suffix != ".parquet":
        return False
    try:
        return _KEY in (pq.read_schema(path).metadata or {})
    except (OSError, pa.ArrowInvalid):
        return False


def read_signals(path: Path) -> tuple[Scores, dict[str, Any]]:
    """What `write_signals` wrote. Raises UserError for a file of another version."""
    table = pq.read_table(path)
    data = json.loads(table.schema.metadata[_KEY])
    if data.get("format") != _FORMAT:
        raise UserError(f"{path}: signals of another version of this program; measure again")
    scores: Scores = []
    for number, entry in enumerate(data["chains"]):
        chain = Chain([FilterSpec.model_validate(spec) for spec in entry["filters"]])
        mine = table.filter(pc.equal(table["profile"], entry["profile"]))
        columns: dict[str, dict[str, np.ndarray]] = {}
        variants: dict[str, np.ndarray] = {}
        for step in chain.steps:
            names = [name for name in table.column_names if name.startswith(f"{step.label}.")]
            columns[step.label] = {
                name.partition(".")[2]: mine[name].to_numpy(zero_copy_only=False).astype(np.float64) for name in names
            }
            chosen = f"{step.label}:variant"
            variants[step.label] = np.array(
                mine[chosen].to_pylist() if chosen in table.column_names else [""] * len(mine), object
            )
        scored = Scored(
            ids=mine["id"].to_pylist(), sources=mine["source"].to_pylist(), num_bytes=mine["bytes"].to_numpy(),
            columns=columns, variants=variants,
        )  # fmt: skip
        scores.append((data["chains"][number]["profile"], chain, scored))
    return scores, data["about"]
