"""An audit for people: tables of filters, overlaps and thresholds, the documents at the edge, and the what-ifs.

Gives up: curves (they are in `--json`), and thresholds that drop nothing now or 20 % away.
"""

from typing import Any

from rich.console import Console
from rich.table import Table

from pipelines.audit.thresholds import MOVES

WIDTH = 180
EDGES = 2
"""Documents shown on either side of a threshold; `--json` has more."""


def print_audit(found: dict[str, Any]) -> None:
    """To standard output."""
    console = Console(width=WIDTH, highlight=False)

    def say(text: str = "") -> None:
        console.print(text, markup=False, soft_wrap=True)

    for profile in found["profiles"]:
        total, kept = profile["documents"], profile["kept"]
        say(
            f"{profile['profile']}: {kept:,} of {total:,} documents kept ({_share(kept, total)}), "
            f"{_share(profile['bytes_kept'], profile['bytes'])} of the text"
        )
        if len(profile["sources"]) > 1:
            console.print(_sources(profile))
        if not profile["filters"]:
            say("  no filter")
        else:
            console.print(_filters(profile))
        table, hidden = _thresholds(profile)
        if table.row_count:
            console.print(table)
        if hidden:
            say(f"  {hidden} more thresholds drop nothing, nor would they 20 % away")
        edges = _edges(profile)
        if edges.row_count:
            console.print(edges)
        say()
    for profile in found["profiles"]:
        for one in profile["what_if"]:
            for line in _what_if(profile["profile"], one):
                say(line)
    for source, problem in found["not_audited"]:
        say(f"NOT audited: {source}: {problem}")
    for note in found["notes"]:
        say(f"note: {note}")


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _table(*headings: str, left: int = 1) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number < left else "right", no_wrap=True)
    return table


def _sources(profile: dict[str, Any]) -> Table:
    table = _table("source", "documents", "kept", "")
    for one in profile["sources"]:
        total, kept = one["documents"], one["kept"]
        table.add_row(one["source"], f"{total:,}", f"{kept:,}", _share(kept, total))
    return table


def _filters(profile: dict[str, Any]) -> Table:
    """One row a filter: drops alone, by it only, in its turn, and shared with each of the others."""
    names = [one["filter"] for one in profile["filters"]]
    table = _table("filter", "drops", "", "only it", "in its turn", *(f"and {name}" for name in names))
    for one in profile["filters"]:
        shared = profile["overlap"][one["filter"]]
        both = ["" if name == one["filter"] else f"{shared[name]:,}" for name in names]
        share = _share(one["drops"], profile["documents"])
        table.add_row(one["filter"], f"{one['drops']:,}", share, f"{one['only']:,}", f"{one['first']:,}", *both)
    return table


def _thresholds(profile: dict[str, Any]) -> tuple[Table, int]:
    moves = [f"{share:+.0%}" for share in MOVES]
    half = len(moves) // 2
    table = _table("threshold", "now", "drops", "only it", *(f"kept at {m}" for m in moves[:half]), "kept now",
                   *(f"kept at {m}" for m in moves[half:]))  # fmt: skip
    hidden = 0
    for one in profile["thresholds"]:
        if one["value"] is None:
            continue
        if not one["drops"] and all(kept == profile["kept"] for _, kept in one["moves"]):
            hidden += 1
            continue
        shown = [f"{_share(kept, profile['documents'])} ({value:.4g})" for value, kept in one["moves"]]
        table.add_row(
            one["name"], f"{one['value']:g}", f"{one['drops']:,}", f"{one['only']:,}", *shown[:half],
            _share(profile["kept"], profile["documents"]), *shown[half:],
        )  # fmt: skip
    return table, hidden


def _edges(profile: dict[str, Any]) -> Table:
    table = _table("nearest to", "threshold", "value", "now", "document", left=1)
    table.columns[3].justify = table.columns[4].justify = "left"
    values = {one["name"]: one for one in profile["thresholds"]}
    for name, documents in profile["nearest"].items():
        if not any(not document["kept"] for document in documents):
            continue
        sides = [[d for d in documents if d["kept"] == kept][:EDGES] for kept in (True, False)]
        for document in sides[0] + sides[1]:
            table.add_row(
                name, f"{values[name]['value']:g}", f"{document['value']:.6g}",
                "kept" if document["kept"] else "dropped", document["id"],
            )  # fmt: skip
    return table


def _what_if(profile: str, one: dict[str, Any]) -> list[str]:
    before, after, total = one["kept_before"], one["kept_after"], one["documents"]
    lines = [
        f"what if {' and '.join(one['changes'])} ({profile}): {before:,} -> {after:,} of {total:,} documents kept "
        f"({_share(before, total)} -> {_share(after, total)}); {one['gained']:,} more, {one['lost']:,} lost; "
        f"text {one['bytes_before']:,} -> {one['bytes_after']:,} bytes"
    ]
    for word, ids in (("kept then", one["gained_ids"]), ("lost then", one["lost_ids"])):
        if ids:
            lines.append(f"  {word}: {', '.join(ids[:3])}{', ...' if len(ids) > 3 else ''}")
    return lines
