"""What a run is: its fingerprint over all that decides its documents, and the files in `_run/` that hold the plan.

A run is continued only when the fingerprint of the new plan equals the stored one; otherwise it is refused with a list
of what differs. Gives up: merging the results of two configurations.
"""

import hashlib
import json
import platform
import re
import shutil
import unicodedata
from collections.abc import Iterator
from datetime import datetime, timezone
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pipelines import __version__
from pipelines.config import LoadedConfig
from pipelines.errors import UserError
from pipelines.ledger import write_atomically
from pipelines.plan import Plan, plan_fingerprint_data
from pipelines.run_layout import RUN_DIR, RunLayout
from pipelines.run_lock import RUN_LOCK, WORKERS_LOCK

# Their versions can change a verdict, an id or a byte.
DECIDING_PACKAGES = (
    "datatrove", "spacy", "pyvi", "jieba", "kiwipiepy", "kiwipiepy_model", "pythainlp", "SudachiPy",
    "sudachidict-core", "indic-nlp-library", "fasttext-numpy2-wheel", "xxhash", "orjson", "pyahocorasick",
    "zlib-ng", "zstandard", "trafilatura", "lxml", "jusText", "Brotli", "faust-cchardet", "charset-normalizer",
)  # fmt: skip

# Parts of the fingerprint that the plan works out from others.
_FOLLOWS = re.compile(
    r"\]\.(share|budget_tokens|available_tokens|interval|expected_yield)\b|planned_tokens|files_sha256"
)


def fingerprint_data(plan: Plan) -> dict[str, Any]:
    """Everything that decides the documents of a run, as plain data: the plan, package versions, models and lists."""
    return {
        "plan": plan_fingerprint_data(plan),
        "versions": deciding_versions(),
        "assets": _assets(plan),
    }


def fingerprint(data: dict[str, Any]) -> str:
    """sha256 of the canonical JSON of `fingerprint_data`, hexadecimal."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def deciding_versions() -> dict[str, str]:
    """Versions of this toolkit and of every package that can change a document."""
    return dict(_deciding_versions())


@cache  # what this process has imported does not change; looking it up reads the metadata of every package
def _deciding_versions() -> dict[str, str]:
    found = {"smoltrove": __version__, "unicode": unicodedata.unidata_version, "python": platform.python_version()[:4]}
    for name in DECIDING_PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _assets(plan: Plan) -> dict[str, str]:
    """Content hashes of what filters load from disk: a model retrained under its old name is another model."""
    assets: dict[str, str] = {}
    for spec in {(f.name, json.dumps(f.params, sort_keys=True)) for s in plan.sources for f in s.filters}:
        name, params = spec[0], json.loads(spec[1])
        if name == "language":
            from filters.language_model import model_fingerprint

            assets[f"model {params.get('model') or 'bundled'}"] = model_fingerprint(params.get("model"))
        elif name == "spam":
            from filters.spam import phrases_fingerprint

            assets[f"phrases {params.get('phrases') or 'bundled'}"] = phrases_fingerprint(params.get("phrases"))
    return assets


def start_run(layout: RunLayout, plan: Plan, config: LoadedConfig, data: dict[str, Any], plan_text: str) -> None:
    """Write the files that say what this run is, before its first task."""
    write_atomically(layout.run_dir / "plan.json", plan.model_dump_json())
    write_atomically(layout.run_dir / "plan.txt", plan_text)
    write_atomically(layout.run_dir / "config.yaml", config.path.read_text(encoding="utf-8"))
    write_atomically(
        layout.run_dir / "fingerprint.json", json.dumps(data, sort_keys=True, ensure_ascii=False, indent=1)
    )
    write_manifest(layout, plan, state="started", totals={})


def write_manifest(layout: RunLayout, plan: Plan, *, state: str, totals: dict[str, Any]) -> None:
    """The short description of a run that other tools read first."""
    manifest = {
        "fingerprint": layout.fingerprint,
        "state": state,
        "stage": plan.stage,
        "config": plan.config_path,
        "target_tokens": plan.target_tokens,
        "planned_tokens": plan.planned_tokens,
        "seed": plan.seed,
        "output": plan.output.model_dump(),
        "logging_dir": str(layout.logging_dir),
        "mirror": str(layout.mirror) if layout.mirror else None,
        "versions": deciding_versions(),
        "written_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "sources": [
            {
                "source": source.key,
                "revision": source.listing.revision,
                "license": source.source.license,
                "weight": source.weight,
                "share": source.share,
                "interval": source.interval,
                "tasks": len(source.tasks),
            }
            for source in plan.sources
        ],
        "totals": totals,
    }
    write_atomically(layout.run_dir / "manifest.json", json.dumps(manifest, ensure_ascii=False, indent=1) + "\n")


def read_manifest(layout: RunLayout) -> dict[str, Any] | None:
    """The manifest of the run in this folder, None where there is no run. Raises UserError for a damaged one."""
    path = layout.run_dir / "manifest.json"
    if not path.is_file():
        return None
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        data["fingerprint"], data["logging_dir"], data["mirror"]
        return data
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a manifest ({error}); use --fresh or another --output-folder") from None


def load_plan(layout: RunLayout) -> Plan:
    """The plan that a run was started with."""
    path = layout.run_dir / "plan.json"
    if not path.is_file():
        raise UserError(f"{layout.output_folder}: not a run (there is no {RUN_DIR}/plan.json); give an output folder")
    try:
        return Plan.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: not a plan ({str(error).splitlines()[0]}); remove the folder {layout.output_folder} or choose "
            "another --output-folder"
        ) from None


def check_continues(layout: RunLayout, data: dict[str, Any]) -> bool:
    """True when the folder holds a started run with this very fingerprint, False when it is empty.

    Raises UserError when it holds another run (with the differences) or files that are no run's.
    """
    manifest = read_manifest(layout)
    if manifest is None:
        try:
            present = [path.name for path in layout.output_folder.iterdir()]
        except FileNotFoundError:
            present = []
        foreign = sorted(name for name in present if name != RUN_DIR)
        if foreign:
            raise UserError(
                f"{layout.where}: holds files that are no run's ({', '.join(foreign[:5])}); choose another "
                "--output-folder"
            )
        return False
    if manifest["fingerprint"] == layout.fingerprint:
        return True
    stored_path = layout.run_dir / "fingerprint.json"
    try:
        stored = json.loads(stored_path.read_bytes())
    except (OSError, ValueError):
        stored = {}
    lines = list(_differences(stored, data, ""))
    # What follows from a changed setting only hides the setting: a new weight changes every source's share.
    causes = [line for line in lines if not _FOLLOWS.search(line.partition(": ")[0])]
    lines = causes or lines
    shown = "\n".join(f"  {line}" for line in lines[:20])
    more = f"\n  ... and {len(lines) - 20} more" if len(lines) > 20 else ""
    raise UserError(
        f"{layout.where}: holds a run with other settings; its documents would not be what this configuration "
        f"says:\n{shown}{more}\n  go back to those settings to continue it; or start anew with --fresh, which deletes "
        "it; or choose another --output-folder"
    )


def _differences(old: Any, new: Any, place: str) -> Iterator[str]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _differences(old.get(key), new.get(key), f"{place}.{key}" if place else str(key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from _differences(left, right, f"{place}[{_label(left) or i}]")
    else:
        yield f"{place}: {_short(old)} -> {_short(new)}"


def _label(item: Any) -> str | None:
    """What a person calls an item of a list in the fingerprint: a source or filter by name, a file by path."""
    if not isinstance(item, dict):
        return None
    entry = item.get("source")
    if isinstance(entry, dict):
        return "/".join(str(part) for part in (entry.get("name"), entry.get("label") or entry.get("config")) if part)
    return item.get("name") or item.get("path")


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} items"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def has_run(layout: RunLayout) -> bool:
    """Whether a run was started in this folder, readable or not."""
    return (layout.run_dir / "manifest.json").exists()


def delete_run(layout: RunLayout) -> None:
    """For --fresh: remove the run in this folder, its documents included; refuses a folder that holds no run.

    Records go first and the manifest after the documents, so that a deletion that is cut short leaves a run with tasks
    to do, never one that counts documents which are gone.
    """
    plan = load_plan(layout)
    if (layout.run_dir / "stages").is_dir():
        shutil.rmtree(layout.run_dir / "stages")
    for source in plan.sources:
        folder = layout.output_folder / source.source.output_dir
        for path in folder.glob("[0-9]*.jsonl.*"):
            path.unlink()
        for emptied in (folder, folder.parent):
            if emptied.is_dir() and not any(emptied.iterdir()):
                emptied.rmdir()
    for path in sorted(layout.run_dir.iterdir(), key=lambda path: path.name != "manifest.json"):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in (RUN_LOCK, WORKERS_LOCK):
            path.unlink()
