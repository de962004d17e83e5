"""The tables of the speed benchmark, out of results.json, between markers in benchmarks/README.md and README.md.

    python benchmarks/tables.py     # write them again from benchmarks/results.json

Gives up: any text outside of the markers `<!-- bench:NAME -->` and `<!-- /bench:NAME -->`.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "benchmarks" / "README.md", ROOT / "README.md")
NAMES = {"en": "English", "vi": "Vietnamese"}
STEPS = {
    "read": "read jsonl.gz", "language": "language", "words": "words", "gopher_repetition": "repetition",
    "gopher_quality": "quality", "spam": "spam", "write": "write jsonl.gz",
}  # fmt: skip
# (gate, aim): the figures that this part of the toolkit was asked to reach, as ratios to stock or to the fastest peer.
PIPELINE_GATES = {
    ("en", "first"): (30, 50), ("vi", "first"): (50, 80), ("en", "second"): (60, 100), ("vi", "second"): (70, 100),
}  # fmt: skip
MINHASH_GATES = {"signatures": (70, 100), "buckets": (6, 10)}
PEER_GATES = {"gopher": (20, 30), "minhash": (1.5, 2)}
STARTUP_GATE = (10, 5)


def gates(details: dict[str, Any]) -> list[dict[str, Any]]:
    """Every gate with what was measured and whether it holds, and the aim beyond it."""
    rows: list[tuple[str, float, tuple[float, float], bool]] = []
    for (name, turn), wanted in PIPELINE_GATES.items():
        if name in details.get("pipeline", {}):
            found = details["pipeline"][name]
            rows.append((f"pipeline, {NAMES[name]}, {turn} pass", found[turn]["ratio"], wanted, True))
    for stage, wanted in MINHASH_GATES.items():
        if "minhash" in details:
            rows.append((f"MinHash {stage}", details["minhash"]["en"][stage]["ratio"], wanted, True))
    for task, wanted in PEER_GATES.items():
        ratios = details.get("peers", {}).get(task, {}).get("ratio", {})
        if ratios:
            fastest = min(ratios, key=ratios.__getitem__)
            label = "Gopher filters" if task == "gopher" else "MinHash"
            rows.append((f"{label}, fastest peer ({fastest})", ratios[fastest], wanted, True))
    if "startup" in details:
        rows.append(("start-up, seconds", details["startup"]["seconds"], STARTUP_GATE, False))
    return [
        {
            "what": what, "measured": value, "gate": gate, "aim": aim,
            "gate_holds": value >= gate if more else value < gate, "aim_reached": value >= aim if more else value < aim,
        }
        for what, value, (gate, aim), more in rows
    ]  # fmt: skip


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _pipeline(details: dict[str, Any]) -> Iterator[str]:
    rows = []
    for name, found in details["pipeline"].items():
        stock = ["stock", f"{found['stock_us']:,.0f}", f"{1e6 / found['stock_us']:,.0f}", f"{found['stock_mb_s']}", "1"]
        rows.append([f"{NAMES[name]}, {found['documents']:,} documents", *stock])
        for turn in ("first", "second"):
            ours = found[turn]
            cost = [f"{ours['us']:,.0f}", f"{ours['documents_s']:,}", f"{ours['mb_s']}"]
            rows.append(["", f"ours, {turn} pass", *cost, f"**{ours['ratio']}**"])
    yield _table(["", "", "us / document", "documents / s", "MB / s", "ratio"], rows)
    for name, found in details["pipeline"].items():
        low, middle, high = found["first"]["ratio_of_pieces"]
        yield (
            f"{NAMES[name]}: {found['mismatches']} of {found['compared']:,} compared documents differ; the ratio of "
            f"single pieces in the first pass is {low} to {high}, median {middle}; the native core left "
            f"{found['sent_to_stock']} verdicts of both passes to datatrove's own code; files are "
            f"{found['size_against_gzip_6']} of the size at gzip level 6. Set-up (imports, models; CPU, "
            f"not in the figures above): stock {found['stock_setup']['seconds']} s, ours "
            f"{found['ours_setup']['seconds']} s. Peak memory: stock {found['stock_setup']['peak_memory_mb']} MB, "
            f"ours {found['ours_setup']['peak_memory_mb']} MB."
        )


def _shares(details: dict[str, Any]) -> Iterator[str]:
    for name, found in details["pipeline"].items():
        costs = {"stock": found["stock_us"]} | {turn: found[turn]["us"] for turn in ("first", "second")}
        rows = []
        for step, label in STEPS.items():
            cells = [
                f"{found['shares'][kind].get(step, 0) * cost:,.1f} ({found['shares'][kind].get(step, 0):.0%})"
                for kind, cost in costs.items()
            ]
            rows.append([label, *cells])
        yield _table([f"{NAMES[name]}, us / document", "stock", "ours, first pass", "ours, second pass"], rows)


def _minhash(details: dict[str, Any]) -> Iterator[str]:
    rows = []
    for name, found in details["minhash"].items():
        for stage in ("signatures", "buckets"):
            cost = found[stage]
            figures = [f"{cost['stock_us']:,.1f}", f"{cost['us']:,.1f}", f"**{cost['ratio']}**"]
            rows.append([f"{NAMES[name]}, {stage}", *figures])
    yield _table(["us / document", "stock", "ours", "ratio"], rows)
    differ = sum(found["mismatches"] for found in details["minhash"].values())
    yield f"{differ} signatures or pairs differ."


def _peers(details: dict[str, Any]) -> Iterator[str]:
    labels = {
        "gopher": "Gopher filters (words, repetition, quality)",
        "minhash": "MinHash signatures (112 permutations, 5-grams)",
    }
    for task, found in details["peers"].items():
        rows = [
            [library, f"{cost:,.0f}", "" if library == "ours" else f"{found['ratio'][library]}"]
            for library, cost in sorted(found["us"].items(), key=lambda item: item[1])
        ]
        rows += [[library, "not measured", why.replace("|", "/")[:80]] for library, why in found["failed"].items()]
        yield _table([f"{labels[task]}, {found['documents']:,} documents", "us / document", "peer / ours"], rows)


def _startup(details: dict[str, Any]) -> Iterator[str]:
    found = details["startup"]
    cpu = found["command_cpu"] + found["imports_cpu"]
    yield _table(
        [f"stage 1 on the mini hub, {found['sources']} sources, {found['workers']} workers", "seconds"],
        [
            ["from the command to the last worker's ready, wall (least of several)", f"{found['ready_seconds']}"],
            ["of it CPU: the command up to its plan, and one worker", f"{cpu:.1f}"],
            ["all sources without loading anything, documents included, CPU", f"{found['sources_cpu']}"],
            ["**start-up**", f"**{found['seconds']}**"],
            ["models and word splitters of all languages, CPU, shared by the workers", f"{found['models_cpu']}"],
            ["start-up with them, shared", f"{found['seconds_with_models']}"],
        ],
    )
    slowest = ", ".join(f"{key} {cost}" for key, cost in list(found["models"].items())[:5])
    yield f"Loads above 0.05 s, largest first: {slowest}. Load average while measuring: {found['load_average']}."


def _gates(results: dict[str, Any]) -> Iterator[str]:
    rows = []
    for row in results["gates"]:
        verdict = "aim reached" if row["aim_reached"] else "gate holds" if row["gate_holds"] else "**below the gate**"
        rows.append([row["what"], f"{row['measured']}", f"{row['gate']}", f"{row['aim']}", verdict])
    yield _table(["", "measured", "gate", "aim", ""], rows)


def _machine(results: dict[str, Any]) -> Iterator[str]:
    found = results["machine"]
    packages = ", ".join(f"{name} {number}" for name, number in found["packages"].items())
    settings = f" Settings: {', '.join(results['settings'])}." if results["settings"] else ""
    yield (
        f"Measured on {found['cpu']}, {found['cores']} cores, load average {found['load_average']} at the end, "
        f"{found['system']}, Python {found['python']}, {packages}. Native core: {found['native_core']}.{settings}"
    )


def _short(results: dict[str, Any]) -> Iterator[str]:
    rows = []
    for name, found in results["details"].get("pipeline", {}).items():
        for turn in ("first", "second"):
            ours = found[turn]
            figures = [f"{found['stock_us']:,.0f}", f"{ours['us']:,.0f}", f"{ours['ratio']}x"]
            rows.append([f"{NAMES[name]}, {turn} pass", *figures])
    for stage, label in (("signatures", "MinHash signatures"), ("buckets", "MinHash buckets")):
        if "minhash" in results["details"]:
            cost = results["details"]["minhash"]["en"][stage]
            rows.append([label, f"{cost['stock_us']:,.0f}", f"{cost['us']:,.1f}", f"{cost['ratio']}x"])
    yield _table(["us / document, one core", "stock datatrove", "here", ""], rows)


def sections(results: dict[str, Any]) -> dict[str, str]:
    """Text by the name of its marker; only what was measured."""
    details = results["details"]
    found = {"gates": _gates(results), "machine": _machine(results)}
    if "pipeline" in details:
        found |= {"pipeline": _pipeline(details), "shares": _shares(details), "short": _short(results)}
    makers = {"minhash": _minhash, "peers": _peers, "startup": _startup}
    found |= {part: make(details) for part, make in makers.items() if part in details}
    return {name: "\n\n".join(parts) for name, parts in found.items()}


def everything(results: dict[str, Any]) -> str:
    """All tables, for the terminal."""
    return "\n\n".join(text for name, text in sections(results).items() if name != "short")


def filled(page: str, results: dict[str, Any]) -> str:
    """A page with the text between its markers made anew. A marker that nothing was measured for stays as it is."""
    for name, text in sections(results).items():
        pattern = re.compile(rf"(<!-- bench:{name} -->\n).*?(<!-- /bench:{name} -->)", re.DOTALL)
        page = pattern.sub(lambda match, text=text: f"{match[1]}{text}\n{match[2]}", page)
    return page


def publish(results: dict[str, Any]) -> None:
    """Write the tables into the pages."""
    for path in PAGES:
        path.write_text(filled(path.read_text(encoding="utf-8"), results), encoding="utf-8")


if __name__ == "__main__":
    publish(json.loads((ROOT / "benchmarks" / "results.json").read_text(encoding="utf-8")))
