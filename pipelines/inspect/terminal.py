"""Documents and pairs on a terminal: where each stands, why its verdict, and its text with the places marked.

Everything out of the data goes through `visible`, and into rich as text without markup. Gives up: the whole of long
texts; `--max-chars` shows more.
"""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.inspect.differences import differences
from pipelines.inspect.documents import Found
from pipelines.inspect.lines import Line
from pipelines.inspect.marks import Span
from pipelines.inspect.pairs import Pair
from pipelines.inspect.verdict import Verdict
from pipelines.inspect.visible import visible, visible_line

MARK = "black on yellow"
OPEN, CLOSE = "⟦", "⟧"


def pieces(text: str, marks: Sequence[Span]) -> list[tuple[str, bool]]:
    """The text in pieces, each with whether it is marked."""
    found, at = [], 0
    for start, end in marks:
        found += [(text[at:start], False), (text[start:end], True)]
        at = end
    return [piece for piece in [*found, (text[at:], False)] if piece[0]]


def shown_text(text: str, marks: Sequence[Span], most: int, *, colours: bool = True) -> Text:
    """The first `most` characters; marked places in colour, or in brackets where there is none."""
    cut = [(start, min(end, most)) for start, end in marks if start < most]
    shown = Text()
    for piece, marked in pieces(text[:most], cut):
        if marked and not colours:
            shown.append(f"{OPEN}{visible(piece)}{CLOSE}")
        else:
            shown.append(visible(piece), style=MARK if marked else None)
    if len(text) > most:
        shown.append(f"\n[... {len(text) - most:,} more characters]", style="dim")
    return shown


def why(verdict: Verdict, *, kept: bool) -> str:
    """One line about what decided, or came nearest to it."""
    parts, near = [], "nearest rule " if kept else ""
    if verdict.value is not None and verdict.threshold is not None:
        parts.append(
            f"{near}{verdict.rule}: {verdict.signal} {verdict.value:.4g}, threshold {verdict.threshold:.4g} "
            f"({verdict.distance:.1%} away)"
        )
    elif verdict.rule:
        parts.append(verdict.rule)
    return "; ".join([*parts, *verdict.facts])


def cut_note(line: Line) -> str:
    """What to say about a line that was too long; "" for others."""
    return f"a line of {line.size:,} bytes: only the beginning of its text was read" if line.cut else ""


def print_documents(console: Console, shown: Sequence[tuple[Found, Verdict]], most: int) -> None:
    """Documents one after the other."""
    for found, verdict in shown:
        line = found.line
        kept = not found.file.family
        console.rule(style="green" if kept else "red", characters="─")
        head = Text("kept" if kept else "dropped", style="bold green" if kept else "bold red")
        head.append(f"  {visible_line(line.id)}", style="bold")
        head.append(f"  {visible_line(found.file.source)}  {visible_line(found.file.name)}:{line.row + 1}", style="dim")
        console.print(head, soft_wrap=True)
        for note in filter(None, (why(verdict, kept=kept), cut_note(line))):
            console.print(Text(visible_line(note), style="cyan"), soft_wrap=True)
        console.print(shown_text(line.text, verdict.marks, most, colours=bool(console.color_system)), soft_wrap=False)


def print_pairs(console: Console, pairs: Sequence[Pair], most: int) -> None:
    """Pairs side by side, with the places marked where they differ."""
    for pair in pairs:
        row = pair.row
        marks: tuple[list[Span], list[Span]] = ([], [])
        if pair.removed is not None and pair.kept is not None:
            marks = differences(pair.removed.text, pair.kept.text)
        table = Table(title=visible_line(similarity(row)), title_justify="left", expand=True, show_lines=True)
        for side in ("removed", "kept"):
            run = f" in {row['kept_run']}" if side == "kept" and row["kept_run"] else ""
            name = visible_line(f"{side} {row[f'{side}_id']} ({row[f'{side}_source']}{run})")
            table.add_column(Text(name), ratio=1, overflow="fold")
        colours = bool(console.color_system)
        sides = zip((pair.removed, pair.kept), marks, strict=True)
        table.add_row(*(_side(line, spans, most, colours=colours) for line, spans in sides))
        console.print(table)


def similarity(row: dict[str, Any]) -> str:
    """How a pair was found."""
    like = row["estimated_jaccard"]
    return f"{row['method']}" + (f", estimated similarity {like:.2f}" if like is not None else "")


def _side(line: Line | None, marks: Sequence[Span], most: int, *, colours: bool) -> Text:
    if line is None:
        return Text("(its text is not here)", style="dim")
    return shown_text(line.text, marks, most, colours=colours)
