"""Drops and rejects by reason and source, and what stock code judged, as Markdown tables.

What `smoltrove status RUN --reasons` prints.

Gives up: which documents they were; `--keep-dropped` keeps those.
"""

from collections.abc import Sequence

from pipelines.outcome import SourceOutcome


def reasons_table(outcomes: Sequence[SourceOutcome]) -> str:
    """One row per source and reason, largest first within a source; shares are of the documents drawn."""
    lines = ["| source | reason | documents | of drawn |", "|---|---|---:|---:|"]
    for outcome in outcomes:
        lines.append(f"| **{outcome.source}** | kept | {outcome.kept:,} | {_kept(outcome)} |")
        for reason, number in outcome.losses():
            share = "" if reason in outcome.rejected else f"{number / outcome.drawn:.2%}"
            lines.append(f"| | {reason} | {number:,} | {share} |")
    return "\n".join([*lines, *_stock_lines(outcomes)])


def _stock_lines(outcomes: Sequence[SourceOutcome]) -> list[str]:
    """A second table where the native core did not judge every document: one row per source, part and reason."""
    lines = []
    for outcome in outcomes:
        rows = [(number, key, "stock code") for key, number in outcome.native.stock.items()]
        rows += [(number, key, "native rules, datatrove's words") for key, number in outcome.native.given.items()]
        for number, key, by in sorted(rows, key=lambda row: (-row[0], row[1])):
            lines.append(f"| {outcome.source} | {key.replace('|', '&#124;')} | {by} | {number:,} |")
    heading = ["", "| source | not by the native core | judged by | documents |", "|---|---|---|---:|"]
    return [*heading, *lines] if lines else []


def _kept(outcome: SourceOutcome) -> str:
    return f"{outcome.kept / outcome.drawn:.2%}" if outcome.drawn else ""
