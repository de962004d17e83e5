"""`_run/report.html`: one page that needs nothing else, with the pictures of `plots` and the tables of `tables`.

Everything that comes from a run is escaped, and a content policy in the page's head forbids scripts and requests in any
case. Gives up: anything that would need a script.
"""

import html
from collections.abc import Iterable, Sequence

from pipelines.report import by_language, resources, tables
from pipelines.report.data import RunReport, SourceReport
from pipelines.report.pictures import (
    FEW,
    MOST_HISTOGRAMS,
    duplicate_bars,
    families,
    flows,
    histograms,
    kept_bars,
    language_bars,
    memory_bars,
    mixture_bars,
    step_bars,
)
from pipelines.report.plots import style
from pipelines.report.style import CSS
from pipelines.report.tables import Table

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_SECTIONS = (
    ("mixture", "Mixture"), ("flow", "From read to written"), ("sources", "Sources"), ("duplicates", "Duplicates"),
    ("speed", "Time and memory"), ("rejects", "Rejected rows"), ("origin", "Licences and versions"),
)  # fmt: skip


@style()
def page(report: RunReport) -> str:
    """The whole page."""
    name = report.run.rstrip("/").rpartition("/")[2]
    kind = "Deduplication" if report.kind == "dedup" else "Run"
    complete = report.state == "complete"
    parts = [
        f"<h1>{kind} {_text(name)}</h1>",
        f'<p><span class="state {"complete" if complete else "not"}">{_text(report.state)}</span> '
        f"{_text(report.description)}</p>",
        f'<p class="note">{_text(report.run)}; configuration {_text(report.config or "of the run")}; written '
        f"{_text(report.written_at)}, this page {_text(report.reported_at)}</p>",
        _problems(report),
        '<div class="figures">',
        *(
            f'<div><b>{_text(value)}</b><span class="faint">{_text(what)}</span></div>'
            for what, value in tables.headline(report)
        ),
        "</div>",
        "<nav>" + "".join(f'<a href="#{anchor}">{title}</a>' for anchor, title in _SECTIONS) + "</nav>",
        *_mixture(report),
        *_flow(report),
        *_sources(report),
        *_duplicates(report),
        *_speed(report),
        _heading("rejects"),
        _table(tables.rejects(report), empty="Every row could be read."),
        _heading("origin"),
        *(
            f"<h3>{_text(table.title)}</h3>{_table(table)}"
            for table in (tables.licences(report), tables.versions(report))
        ),
        *_left_out(report),
    ]
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{kind} {_text(name)}</title>\n<style>\n{CSS}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _text(value: object) -> str:
    """Anything as text of the page: markup escaped, control characters and text direction marks made visible."""
    shown = "".join(c if c.isprintable() or c in "\n\t" else f"\\u{ord(c):04x}" for c in str(value))
    return html.escape(shown, quote=True)


def _heading(anchor: str) -> str:
    return f'<h2 id="{anchor}">{dict(_SECTIONS)[anchor]}</h2>'


def _table(table: Table, *, empty: str = "None.") -> str:
    if not table.rows:
        return f'<p class="note">{_text(empty)}</p>'

    def cells(row: Sequence[str], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=n' if table.is_number(i) else ''}>{_text(cell)}</{tag}>" for i, cell in enumerate(row)
        )

    rows = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in table.rows)
    note = f'<p class="note">{_text(table.note)}</p>' if table.note else ""
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{cells(table.headings, "th")}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{note}"
    )


def _figure(picture: str, caption: str = "") -> str:
    title = f"<figcaption>{_text(caption)}</figcaption>" if caption else ""
    return f"<figure>{title}{picture}</figure>"


def _legend(items: Iterable[tuple[str, str]]) -> str:
    shown = "".join(f'<span><i style="background:var(--{colour})"></i>{_text(name)}</span>' for name, colour in items)
    return f'<div class="legend">{shown}</div>'


def _problems(report: RunReport) -> str:
    lines = [f"{source.source}: {problem}" for source in report.sources for problem in source.problems]
    if not lines:
        return ""
    return '<div class="problems"><b>Not as planned</b><br>' + "<br>".join(map(_text, lines)) + "</div>"


def _plots(*figures: str) -> str:
    return f'<div class="plots wide">{"".join(figures)}</div>' if figures else ""


def _mixture(report: RunReport) -> Iterable[str]:
    yield _heading("mixture")
    category, sources = mixture_bars(report)
    yield _legend([("asked", "asked"), ("got", "kept")])
    if report.kind == "run":
        yield _plots(_figure(category, "Share of tokens by category"))
        yield _table(tables.by_category(report))
    yield "<h3>Share of tokens by source</h3>" + _plots(*map(_figure, sources))
    yield _table(tables.by_source(report))


def _flow(report: RunReport) -> Iterable[str]:
    yield _heading("flow")
    yield _legend([("kept", "kept"), *((name.replace("_", " "), name) for name in families(report))])
    yield _plots(*map(_figure, flows(report)))
    yield f"<details><summary>As a table</summary>{_table(tables.flow_table(report))}</details>"
    if report.kind == "run":
        yield "<h3>Documents drawn, by source: kept, or dropped by a filter</h3>" + _plots(
            *map(_figure, kept_bars(report))
        )


def _sources(report: RunReport) -> Iterable[str]:
    yield _heading("sources")
    yield _table(tables.overview(report))
    languages = by_language.over_all(report)
    if languages.rows or report.kind == "run":
        yield f"<h3>Languages</h3>{_table(languages)}"
    if report.kind == "dedup":
        for source in report.sources:
            if (columns := by_language.reasons(source)) is not None:
                yield f"<h3>{_text(columns.title)}</h3>{_table(columns)}"
        return
    yield "<h3>Each source</h3>"
    yield _legend([("kept", "kept"), ("dropped", "dropped"), ("limit of a filter (dashed)", "limit")])
    yield _legend([(f"dropped by {name.replace('_', ' ')}", name) for name in families(report)])
    yield (
        '<p class="note">Lengths and language scores are of all documents drawn, counted while the run read them. '
        + (
            "Other quantities are measured on a sample of each source, and drawn where a limit drops something."
            if report.signals_measured
            else "Quantities that filters judge (words, repetitions) are measured on samples by <code>smoltrove report"
            "</code>; this page was written without."
        )
        + "</p>"
    )
    pictures = histograms(report)
    for source in report.sources:
        yield _source(source, language_bars(report, source), *pictures.get(source.source, ((), ())))


def _source(source: SourceReport, bars: str, shapes: Sequence[str], signals: Sequence[str]) -> str:
    kept = tables.percent(source.kept, source.drawn)
    facts = f"{source.drawn:,} drawn, {kept + ' kept' if kept else 'nothing drawn'}; profile {source.profile or 'none'}"
    parts = [f"<details><summary>{_text(source.source)}<span>{_text(facts)}</span></summary>"]
    if shapes:
        parts.append(f'<div class="plots">{"".join(map(_figure, shapes))}</div>')
    elif source.drawn:
        parts.append(
            f'<p class="note">No histograms: fewer than {FEW} documents, behind the first {MOST_HISTOGRAMS} here, '
            "or a run of a version that counted none.</p>"
        )
    if shapes and source.signals is not None:
        found = source.signals
        dropped = f"{found.dropped:,} dropped" if found.dropped_were_kept else "no dropped (run with --keep-dropped)"
        missing = f"; {found.not_measured:,} more have no words" if found.not_measured else ""
        parts.append(
            f'<p class="note">Sample: {found.kept:,} kept and {_text(dropped)} documents{missing}. Shares of each; '
            "filled: kept, line: dropped.</p>"
        )
        parts.append(f'<div class="plots">{"".join(map(_figure, signals))}</div>')
    if bars:
        parts.append(_plots(_figure(bars, "Kept, or dropped by a filter, by language")))
    shown = (by_language.of_source(source), by_language.reasons(source), tables.reasons(source))
    parts.append("<br>".join(_table(table) for table in shown if table is not None))
    return "".join([*parts, "</details>"])


def _duplicates(report: RunReport) -> Iterable[str]:
    yield _heading("duplicates")
    found = report.duplicates
    if found is None:
        yield '<p class="note">No complete deduplication of this run lies beside it (<code>smoltrove dedup</code>).</p>'
        return
    removed = ", ".join(f"{number:,} by {method}" for method, number in found.removed.items()) or "none"
    cut = (
        f"; {found.cut_sentences:,} sentences cut from {found.cut_documents:,} documents" if found.cut_sentences else ""
    )
    yield (
        f"<p>{found.read:,} documents read, removed: {_text(removed)}{cut}; {found.written:,} left, in "
        f"{_text(found.output_folder)}</p>"
    )
    if pictures := duplicate_bars(report):
        yield _legend([("removed within the source", "dedup"), ("removed for another source", "dropped")])
        yield _plots(*map(_figure, pictures))
    for table in tables.duplicates(report):
        yield f"<h3>{_text(table.title)}</h3>{_table(table)}"


def _speed(report: RunReport) -> Iterable[str]:
    yield _heading("speed")
    figures = ((step_bars(report), "Time by step"), (memory_bars(report), "Peak memory of a worker by step"))
    yield _plots(*(_figure(picture, caption) for picture, caption in figures if picture))
    shown = (
        resources.stages,
        resources.steps,
        resources.memory_by_step,
        resources.slowest_steps,
        resources.slowest_tasks,
        resources.throughput,
    )
    for table in (make(report) for make in shown):
        if table.rows:
            yield f"<h3>{_text(table.title)}</h3>{_table(table)}"


def _left_out(report: RunReport) -> Iterable[str]:
    lines = [f"{key}: {why}" for key, why in report.left_out]
    for title, found in (("Left out", lines), ("Notes", report.notes), ("Warnings of the plan", report.warnings)):
        if found:
            yield f"<h3>{title}</h3><ul>" + "".join(f"<li>{_text(line)}</li>" for line in found) + "</ul>"
