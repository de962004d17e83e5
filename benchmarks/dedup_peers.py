"""Near-duplicates found here and by text-dedup, datasketch and rensa: precision, recall, speed, memory.

    python benchmarks/dedup_peers.py ../shared/data --output benchmarks/results/dedup_peers.md

On the near-duplicate set of the data pack: 4,088 versions of pages, true Jaccard similarity of lower-cased word 5-grams
as its card measures it. Each package is installed from PyPI into a virtual environment of its own, and every tool runs
in a process of its own, in turns, three times; CPU time is the median, after a warm-up on ten documents. Everything
runs with word 5-grams and 14 bands of 8 hashes. Gives up: corpora that do not fit in memory, where most of the peers
would need another set-up.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pyarrow.parquet as pq

from benchmarks.dedup_corpus import make_run, near_dups, near_dups_run
from benchmarks.dedup_peers_tools import THRESHOLD, TOOLS, measured
from benchmarks.dedup_truth import Truth, f1

OURS = {
    "smoltrove": None,
    "smoltrove, min_similarity 0.8": 0.8,
}
REPEATS = 3


def run_ours(warm_up: Path, run: Path, min_similarity: float | None, result: Path) -> None:
    """Deduplicate `run` by the public call, and write down who went for whom."""
    from pipelines.dedup.config import DedupConfig, MinhashConfig
    from pipelines.dedup.run import run_dedup
    from pipelines.memory import peak_memory_bytes

    config = DedupConfig(methods=["minhash"], minhash=MinhashConfig(min_similarity=min_similarity))

    def call(path: Path) -> list[int]:
        with tempfile.TemporaryDirectory() as name:
            out = Path(name) / "out"
            run_dedup(path, config=config, output_folder=out, workers=0)
            rows = pq.read_table(out / "_run" / "duplicates.parquet").to_pylist()
        places = {name: i for i, name in enumerate(ids(path.parent / "documents" / "000.jsonl.gz"))}
        labels = list(range(len(places)))
        for row in rows:
            labels[places[row["removed_id"]]] = places[row["kept_id"]]
        return labels

    found = measured(call, warm_up, run, peak_memory_bytes)
    result.write_text(json.dumps(found), encoding="utf-8")


def ids(path: Path) -> list[str]:
    """The ids of a JSONL file, in order."""
    import gzip

    with gzip.open(path, "rt", encoding="utf-8") as handle:
        return [json.loads(line)["id"] for line in handle]


def install(distribution: str, folder: Path) -> Path | str:
    """The Python of a virtual environment with a package from PyPI, or why there is none."""
    python = folder / distribution / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder / distribution)], check=True)
    done = subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", distribution],
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        return done.stderr.strip().splitlines()[-1]
    return python


def measure(environments: Path, warm_up: Path, run: Path, scratch: Path) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """(results of each tool, one for each repeat; why a tool could not be measured)."""
    pythons = {name: install(name, environments) for name in dict.fromkeys(entry[0] for entry in TOOLS.values())}
    results: dict[str, list[Any]] = defaultdict(list)
    missing: dict[str, str] = {}
    here = Path(__file__)
    documents = [path.parent / "documents" / "000.jsonl.gz" for path in (warm_up, run)]
    for repeat in range(REPEATS):
        for name in [*OURS, *TOOLS]:
            result = scratch / f"{name}-{repeat}.json"
            if name in OURS:
                command = [sys.executable, str(here), "ours", str(warm_up), str(run), str(OURS[name]), str(result)]
            elif isinstance(python := pythons[TOOLS[name][0]], str):
                missing[name] = python
                continue
            else:
                command = [str(python), str(here.with_name("dedup_peers_tools.py")), name]
                command += [*map(str, documents), str(result)]
            # Hash seeds are fixed so that sets are the same in every repeat.
            done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "0"})
            if done.returncode:
                missing[name] = (done.stderr.strip().splitlines() or ["no message"])[-1]
                continue
            results[name].append(json.loads(result.read_text(encoding="utf-8")))
            print(f"{name}: {results[name][-1]['cpu_seconds']:.2f} s", file=sys.stderr)
    return results, missing


def quality(labels: list[int], truth: Truth) -> dict[str, float]:
    """Pairs of one cluster, and what the removals come to; see the text below the table."""
    members = defaultdict(list)
    for i, label in enumerate(labels):
        members[label].append(i)
    pairs = [pair for group in members.values() for pair in combinations(sorted(group), 2)]
    together = sum(labels[a] == labels[b] for a, b in truth.pairs)
    right = sum(truth.similarity(a, b) >= THRESHOLD for a, b in pairs)
    removed = {i for i, label in enumerate(labels) if label != i}
    covered = sum(any(other not in removed for other in truth.near[i]) for i in removed)
    resolved = sum(a in removed or b in removed for a, b in truth.pairs)
    found = {
        "kept": len(labels) - len(removed),
        "pair_precision": right / len(pairs),
        "pair_recall": together / len(truth.pairs),
        "removal_precision": covered / len(removed),
        "removal_recall": resolved / len(truth.pairs),
        "both_survive": len(truth.pairs) - resolved,
    }
    found["pair_f1"] = f1(found["pair_precision"], found["pair_recall"])
    found["removal_f1"] = f1(found["removal_precision"], found["removal_recall"])
    return found


def table(data: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        "# Near-duplicates: smoltrove beside text-dedup, datasketch and rensa",
        "",
        f"`python benchmarks/dedup_peers.py ../shared/data`: {data['documents']:,} documents of the near-duplicate "
        f"set, {data['pairs']:,} pairs at a true Jaccard similarity of {THRESHOLD} or more; word 5-grams, 14 bands of "
        "8 hashes.",
        "",
        "| tool | kept | pairs: precision | recall | F1 | removals: precision | recall | F1 | both survive | documents "
        "per CPU second | peak memory | of it at the start |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, row in data["tools"].items():
        version = f" {row['version']}" if row["version"] else ""
        lines.append(
            f"| {name}{version} | {row['kept']:,} | {row['pair_precision']:.4f} | {row['pair_recall']:.4f} | "
            f"{row['pair_f1']:.4f} | {row['removal_precision']:.4f} | {row['removal_recall']:.4f} | "
            f"{row['removal_f1']:.4f} | {row['both_survive']} | {row['documents_per_cpu_second']:,.0f} | "
            f"{row['peak_bytes'] / 1e6:.0f} MB | {row['start_bytes'] / 1e6:.0f} MB |"
        )
    lines += [f"\nNot measured: {name}: {why}" for name, why in data["missing"].items()]
    lines += [
        "",
        "**Pairs**: two documents that a tool puts in one cluster; for the checked ones, that go for the same "
        "survivor. **Removals**: precision is the share of removed documents that have a *surviving* document at 0.8 "
        "or more, so that their text is still there; recall is the share of the true pairs of which not both survive. "
        "Clusters chain (A like B, B like C), so that an unchecked tool removes documents for survivors that are "
        "hardly alike. A checked one keeps them; then two removed documents that are alike may have gone for two "
        "survivors, which costs recall of pairs and nothing else.",
        "",
        "CPU time is the median of three runs in turns, after a warm-up on ten documents, all threads and children "
        "counted, from gzip JSON lines to the decision. smoltrove also verifies its input, indexes it, writes the "
        "documents that stay and an account of the others; text-dedup writes the documents too; datasketch and rensa "
        "write nothing. smoltrove splits words as datatrove does, text-dedup at everything that is no letter or digit, "
        "and for the others `\\w+` is matched, which is how the truth was measured.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the data pack")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "dedup_peers.md")
    parser.add_argument("--environments", type=Path, help="keep the virtual environments in this folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = near_dups(options.data)
        run = near_dups_run(options.data, folder / "all")
        warm_up = make_run(((row["id"], row["text"]) for row in rows[:10]), folder / "ten", "near-dups", files=1)
        results, missing = measure(options.environments or folder / "environments", warm_up, run, folder)
    truth = Truth(options.data, rows)
    data: dict[str, Any] = {"documents": len(rows), "pairs": len(truth.pairs), "tools": {}, "missing": missing}
    for tool, found in results.items():
        assert all(one["labels"] == found[0]["labels"] for one in found), f"{tool}: other clusters in another run"
        cpu = median(one["cpu_seconds"] for one in found)
        data["tools"][tool] = {
            "version": found[0].get("version"),
            **quality(found[0]["labels"], truth),
            "cpu_seconds": cpu,
            "documents_per_cpu_second": len(rows) / cpu,
            "peak_bytes": max(one["peak_bytes"] for one in found),
            "start_bytes": max(one["start_bytes"] for one in found),
            "start_cpu_seconds": median(one["start_cpu_seconds"] for one in found),
        }
    options.output.write_text(table(data), encoding="utf-8")
    options.output.with_suffix(".json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    print(table(data))


if __name__ == "__main__":
    if sys.argv[1:2] == ["ours"]:
        _, _, first, second, least, target = sys.argv
        run_ours(Path(first), Path(second), None if least == "None" else float(least), Path(target))
    else:
        main()
