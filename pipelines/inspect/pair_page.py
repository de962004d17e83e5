"""The HTML of duplicates: each removed document beside the one that stays, with the places marked where they differ.

Gives up: marks beyond what `differences` compares.
"""

from collections.abc import Sequence

from pipelines.inspect.differences import differences
from pipelines.inspect.lines import Line
from pipelines.inspect.marks import Span
from pipelines.inspect.page import Query, address, escape, options, text_of
from pipelines.inspect.pairs import Pair
from pipelines.inspect.terminal import cut_note, similarity


def pair_form(query: Query, sources: Sequence[str], methods: Sequence[str]) -> str:
    """What is asked for: pairs with a document of a source, found by a method."""
    fields = "".join(
        f'<label>{name}<select name="{name}">{options([(value, value) for value in known], query.get(name, ""))}'
        "</select></label>"
        for name, known in (("source", sources), ("method", methods))
    )
    return f'<form action="/duplicates" method="get">{fields}<button>show</button></form>'


def pair_article(pair: Pair, most: int, *, link: bool) -> str:
    """One pair. `link`: whether its heading leads to the page that has it alone."""
    title = escape(similarity(pair.row))
    if link:
        title = f'<a href="{address("/pair", {"n": str(pair.number)})}">{title}</a>'
    size = pair.row["cluster_size"]
    notes = [f"pair {pair.number + 1:,}; the kept one stands for {size:,} documents"]
    marks: tuple[list[Span], list[Span]] = ([], [])
    if pair.removed is not None and pair.kept is not None:
        marks = differences(pair.removed.text, pair.kept.text)
        same = "the texts are the same" if pair.removed.text == pair.kept.text else "no word differs"
        notes.append("marked: what the other text has not" if any(marks) else same)
    if pair.unread:
        notes.append("a text stands too far back to be read for a list; the page of this pair alone has it")
    sides = "".join(
        _side(pair, side, line, spans, most)
        for side, line, spans in (("removed", pair.removed, marks[0]), ("kept", pair.kept, marks[1]))
    )
    return (
        f"<article><h2>{title}</h2>" + "".join(f'<p class="faint">{escape(note)}</p>' for note in notes)
        + f'<div class="both">{sides}</div></article>'
    )  # fmt: skip


def _side(pair: Pair, side: str, line: Line | None, marks: Sequence[Span], most: int) -> str:
    row = pair.row
    run = f" in {row['kept_run']}" if side == "kept" and row["kept_run"] else ""
    head = (
        f"<h2>{side} {escape(row[f'{side}_id']) or '(no id)'}</h2>"
        f'<p class="faint">{escape(row[f"{side}_source"])}{escape(run)}</p>'
    )
    if line is None:
        body = "<p>(its text is not here)</p>"
    else:
        note = cut_note(line)
        body = (f"<p>{escape(note)}</p>" if note else "") + text_of(line.text, marks, most)
    return f'<section class="{"dropped" if side == "removed" else "kept"}">{head}{body}</section>'
