"""The page of `dedup.py speed`: a table for each language, and which stages are slower than stock's.

Gives up: nothing; every figure is one of the JSON file beside it.
"""

from typing import Any

NAMES = {"en": "English", "vi": "Vietnamese", "corpus": "All of web-en and the near-duplicates"}
APART = "exact: scan"
"""Measured beside the stages of `minhash`, and none of them."""


def whole(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """All stages of a method together; what stock has no stage for is in ours alone."""
    counted = [row for row in rows if row["stage"] != APART and not row["stage"].startswith(" ")]
    return {
        "stage": "**all**",
        "stock_us": round(sum(row["stock_us"] or 0 for row in counted), 2),
        "us": round(sum(row["us"] for row in counted), 2),
    }


def slower(languages: dict[str, Any]) -> list[str]:
    """Every stage that stock has and that takes more time here."""
    return [
        f"{NAMES[language]}, {method}, {row['stage']}: {row['us']:,.1f} us against {row['stock_us']:,.1f}"
        for language, found in languages.items()
        for method, part in found["methods"].items()
        for row in part["rows"]
        if row["stock_us"] is not None and row["us"] > row["stock_us"]
    ]


def as_markdown(found: dict[str, Any]) -> str:
    """The results as Markdown."""
    machine = found["machine"]
    packages = ", ".join(f"{name} {machine['packages'][name]}" for name in ("datatrove", "spacy", "pyvi", "numpy"))
    lines = [
        "# Deduplication beside datatrove, stage by stage",
        "",
        "`python benchmarks/dedup.py speed ../shared/data --output benchmarks/results/dedup_speed.md`: CPU "
        f"microseconds per document, {machine['cpu']}, {machine['cores']} cores, load average "
        f"{machine['load_average']} at the end, Python {machine['python']}, {packages}. Native core: "
        f"{machine['native_core']}.",
    ]
    for language, part in found["languages"].items():
        lines += [
            "",
            f"## {NAMES[language]}: {part['documents']:,} documents of {part['chars']:,} characters on average",
            "",
            "| method | stage | datatrove | ours | datatrove / ours |",
            "|---|---|---:|---:|---:|",
        ]
        for method, results in part["methods"].items():
            lines += [_line(method, row) for row in results["rows"]]
            if language != "corpus":
                lines.append(_line(method, whole(results["rows"])))
        kept = [f"{method} {r['kept']['stock']:,} and {r['kept']['ours']:,}" for method, r in part["methods"].items()]
        lines += ["", f"Documents kept, by datatrove and by us: {'; '.join(kept)}."]
    behind = slower(found["languages"])
    lines += [
        "",
        f"Slower than datatrove's: {'; '.join(behind) if behind else 'no stage'}.",
        "",
        "**Stages** read the files that the stage before has written, and begin and end with JSON lines in gzip. "
        "`index` and `exact: scan` are stages that datatrove has not; the first is counted in **all**, and `minhash` "
        "makes it at the reading for its signatures. `buckets` "
        "finds near misses too, and `cluster` chooses who survives; it checks every file that it reads, which is "
        "most of it with few documents. datatrove's filter of `sentence` splits, cuts, counts and writes; "
        "here the rounds do the first three, and settle who keeps what. Its results differ for the reasons in "
        "docs/decisions.md.",
        "",
        "**How.** One process for a method and a language, both sides in turns, ours first, so that nothing is warm; "
        f"the median of the files for stages of files, of {_turns(found, 'buckets')} rounds for the others, of "
        f"{_turns(found, 'cluster')} for `cluster`. In the last table datatrove "
        "reads the signatures that ours has written, which are its own byte for byte.",
    ]
    return "\n".join(lines) + "\n"


def _line(method: str, row: dict[str, Any]) -> str:
    theirs = row["stock_us"]
    stock, ratio = ("", "") if theirs is None else (f"{theirs:,.1f}", f"{theirs / row['us']:,.1f}")
    stage = row["stage"].replace("  ", "  ") if row["stage"].startswith(" ") else row["stage"]
    return f"| {method} | {stage} | {stock} | {row['us']:,.1f} | {ratio} |"


def _turns(found: dict[str, Any], stage: str) -> int:
    rows = next(iter(found["languages"].values()))["methods"]["minhash"]["rows"]
    turns: int = next(row["turns"] for row in rows if row["stage"] == stage)
    return turns
