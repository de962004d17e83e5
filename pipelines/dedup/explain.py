"""`smoltrove dedup RUN --explain`: what parameters find and cost; afterwards, how alike the removed pairs are.

The S-curve, memory and disk come from the parameters, time from a sample (cost.py), similarities from the texts
(sample.py). Gives up: what the check of `min_similarity` will find, which depends on the duplicates there are.
"""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.dedup.config import DedupConfig
from pipelines.dedup.curve import chance, threshold
from pipelines.dedup.freeze import freeze
from pipelines.dedup.inputs import DedupPlan, read_json
from pipelines.quantities import show_bytes
from pipelines.run_layout import RUN_DIR

_BAR = 50
_EXAMPLES = 5
# Bytes a record at the peak of a part, measured by `benchmarks/dedup.py memory` (see docs/decisions.md).
EXACT_BYTES = 90
MINHASH_BYTES_PER_HASH = 24
SIMHASH_BYTES = 110
SENTENCE_BYTES = 70
# Where only ids tell who survives; 100 otherwise.
DUPLICATE_BYTES = 300
# What a worker holds before it reads a document: Python, numpy and the English word splitter.
WORKER_BYTES = 250_000_000
INDEX_BYTES = 60
# A document in the cache (cache.py), with an id of 36 bytes.
CACHE_BYTES = 80


def explanation(
    run: Path, *, config: DedupConfig, against: list[Path], output_folder: Path, workers: int = 2,
    cache_dir: Path | None = None, frozen: DedupPlan | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Curve, time, memory and disk as plain data. Raises UserError when a run or the cache cannot be read.

    frozen: the plan, where runs are not at their places.
    """
    from pipelines.dedup.cache import check_cache, files_of_plan, list_segments
    from pipelines.dedup.cost import expected_cost
    from pipelines.dedup.sample import similarities, tenths

    check_cache(config, cache_dir)
    plan = frozen or freeze(run, against=against, config=config)
    if cache_dir is not None:
        segments = list_segments(cache_dir, config.exact, plan.runs[0])
        plan = plan.model_copy(update={"cache_dir": str(cache_dir), "segments": segments})
    num_cached = sum(item.documents for item in files_of_plan(plan))
    cost = expected_cost(plan, workers, num_cached)
    done = read_json(output_folder / RUN_DIR / "manifest.json") or {}
    own = [run.get("fingerprint") for run in done.get("runs", ())][:1] == [plan.runs[0].fingerprint]
    # What was removed of another run says nothing about this one.
    removed, near = similarities(output_folder) if own else ({}, [])
    there = next(path for path in (output_folder.absolute(), *output_folder.absolute().parents) if path.exists())
    return {
        "documents": plan.num_documents,
        "cached_documents": num_cached,
        "cache_bytes_at_most": cache_bytes(plan),
        "text_bytes": sum(file.text_bytes for file in plan.files),
        "methods": config.methods,
        "threshold": round(threshold(config.minhash), 3),
        "curve": {f"{s / 20:.2f}": round(chance(s / 20, config.minhash), 6) for s in range(6, 21)},
        "min_similarity": config.minhash.min_similarity,
        "time": asdict(cost),
        "disk_bytes": disk_bytes(plan),
        "disk_free": shutil.disk_usage(there).free,
        "output_bytes_at_most": sum(file.size for file in plan.files if not plan.is_against(file)),
        "worker_bytes": worker_bytes(plan, num_cached),
        "bytes_per_million_duplicates": DUPLICATE_BYTES * 1_000_000,
        "removed_by_tenths": {name: tenths(values) for name, values in removed.items()},
        "near_misses_by_tenths": {
            name: tenths([row["jaccard"] for row in near if row["method"] == name])
            for name in dict.fromkeys(row["method"] for row in near)
        },
        "near_misses": near,
        "similarities_with_these_parameters": done.get("config") == config.model_dump(mode="json"),
    }


def disk_bytes(plan: DedupPlan) -> int:
    """Work files at the end of the last method, before they are removed."""
    from pipelines.dedup import sentence, simhash

    config = plan.config.minhash
    each = INDEX_BYTES
    if "exact" in plan.config.methods:
        each += 20
    if "simhash" in plan.config.methods:
        each += 12 * simhash.num_bands(plan.config.simhash)
    if "minhash" in plan.config.methods:
        each += config.num_buckets * (config.hashes_per_bucket * config.precision // 8 + 4)
    total = each * plan.num_documents
    text = sum(file.text_bytes for file in plan.files)
    if "sentence" in plan.config.methods:
        total += sentence.DISK_BYTES * text // sentence.BYTES_PER_WINDOW
    if "minhash" in plan.config.methods and config.min_similarity is not None:
        # 8 bytes for each n-gram of a candidate, at most all documents, where a word has 5 bytes or more.
        total += 8 * text // 5
    return total + cache_bytes(plan)


def cache_bytes(plan: DedupPlan) -> int:
    """What this run adds to the cache if it writes all of its documents."""
    own = sum(file.lines for file in plan.files if not plan.is_against(file))
    return CACHE_BYTES * own if plan.cache_dir is not None else 0


def worker_bytes(plan: DedupPlan, num_cached: int = 0) -> int:
    """Peak of one worker, long documents apart: a part in memory, which has an upper bound.

    num_cached: documents of earlier runs in the cache. Given and not looked up: once a deduplication is done, its cache
    may be elsewhere, or hold other segments.
    """
    return max(stage_bytes(plan, num_cached).values())


def stage_bytes(plan: DedupPlan, num_cached: int = 0) -> dict[str, int]:
    """The same by stage, of those that go file by file or part by part."""
    from pipelines.dedup import exact, minhash, sentence, simhash
    from pipelines.dedup.methods import method

    more = dict.fromkeys(("index", *(f"{name}.scan" for name in plan.config.methods), "write"), 0)
    if "exact" in plan.config.methods:
        more["exact.match"] = EXACT_BYTES * min(plan.num_documents + num_cached, exact.PART_RECORDS)
    if "minhash" in plan.config.methods:
        record = MINHASH_BYTES_PER_HASH * plan.config.minhash.hashes_per_bucket
        more["minhash.match"] = record * min(plan.num_documents, minhash.PART_RECORDS)
        # The signatures of one file, which grow with it.
        hashes = plan.config.minhash.num_buckets * plan.config.minhash.hashes_per_bucket
        lines = max(f.lines for f in plan.files)
        more["minhash.scan"] = hashes * plan.config.minhash.precision // 8 * 5 // 4 * lines
    if "simhash" in plan.config.methods:
        more["simhash.match"] = SIMHASH_BYTES * min(plan.num_documents, simhash.PART_RECORDS)
    if "sentence" in plan.config.methods:
        windows = sum(file.text_bytes for file in plan.files) // sentence.BYTES_PER_WINDOW
        more["sentence.match"] = SENTENCE_BYTES * min(windows, sentence.PART_RECORDS)
    first = plan.config.methods[0]
    if hasattr(method(first), "Scan"):  # at the same reading as the index
        more["index"] = more.pop(f"{first}.scan")
    return {stage: WORKER_BYTES + num_bytes for stage, num_bytes in more.items()}


def explain_text(data: dict[str, Any]) -> str:
    """`explanation` for people."""
    from pipelines.dedup.cost import cost_lines
    from pipelines.dedup.report import shown_id

    lines = [
        f"{data['documents']:,} documents, {show_bytes(data['text_bytes'])} of text; {', then '.join(data['methods'])}"
    ]
    if "minhash" in data["methods"]:
        lines.append("\nchance that two documents of a Jaccard similarity are found as duplicates (minhash):")
        lines += [f"  {s}  {p:8.4f}  {'#' * round(p * _BAR)}" for s, p in data["curve"].items()]
        lines.append(f"  steepest at {data['threshold']}")
        if data["min_similarity"] is not None:
            lines.append(f"  of what is found, only what has {data['min_similarity']} with its survivor is removed")
    lines += ["", *cost_lines(data["time"])]
    lines += [
        f"work files: up to {show_bytes(data['disk_bytes'])} until the end (free: {show_bytes(data['disk_free'])})",
        f"output: at most {show_bytes(data['output_bytes_at_most'])}",
        f"memory: about {show_bytes(data['worker_bytes'])} a worker, more for the word splitters of many languages",
        f"        and {show_bytes(data['bytes_per_million_duplicates'])} for each million documents with duplicates",
    ]
    if data["cache_bytes_at_most"]:
        lines.append(
            f"cache: {data['cached_documents']:,} documents of earlier runs are compared with; this one adds at most "
            f"{show_bytes(data['cache_bytes_at_most'])}"
        )
    if not data["similarities_with_these_parameters"] and (data["removed_by_tenths"] or data["near_misses"]):
        lines.append(
            "\nwhat follows was found with other parameters; see `config` in the manifest of the output folder"
        )
    for name, counts in data["removed_by_tenths"].items():
        lines += _by_tenths(f"of what {name} has removed and what stays for it in the end", counts)
    for name, counts in data["near_misses_by_tenths"].items():
        lines += _by_tenths(f"that {name} has nearly removed, and are still there", counts)
        rows = [row for row in data["near_misses"] if row["method"] == name]
        lines += [
            f"  {row['jaccard']:.2f} ({_by_method(row)})  {shown_id(row['left_id'])} "
            f"({row['left_source']}) and {shown_id(row['right_id'])} ({row['right_source']})"
            for row in rows[:_EXAMPLES]
        ]
    return "\n".join(lines) + "\n"


def _by_method(row: dict[str, Any]) -> str:
    if row["estimated_jaccard"] is not None:
        return f"estimated {row['estimated_jaccard']:.2f}"
    return f"{row['different_bits']} bits differ"


def _by_tenths(what: str, counts: list[int]) -> list[str]:
    lines = [f"\ntrue Jaccard similarity of {(n := sum(counts)):,} {'pair' if n == 1 else 'pairs'} {what}:"]
    return lines + [f"  {i / 10:.1f} to {(i + 1) / 10:.1f}  {n:6,}" for i, n in enumerate(counts) if n]
