"""The HTML of `smoltrove inspect --web`: pages of documents without scripts, light and dark, down to a phone's width.

Everything goes through `escape`: what is invisible becomes a visible escape, what is HTML becomes text. Gives up: any
formatting of the texts.
"""

from collections.abc import Mapping, Sequence
from html import escape as html_escape
from urllib.parse import urlencode

from pipelines.inspect.documents import Found
from pipelines.inspect.marks import Span
from pipelines.inspect.terminal import cut_note, pieces, why
from pipelines.inspect.verdict import Verdict
from pipelines.inspect.visible import visible, visible_line

Query = Mapping[str, str]
# Names of the form's fields, which are the addresses' parameters.
FIELDS = ("source", "language", "reason", "search")

CSS = """
:root { color-scheme: light dark; --page: #fff; --card: #f5f7fa; --line: #d9dee5; --ink: #1b2330; --faint: #5f6b7a;
  --link: #0b5cad; --kept: #0072b2; --dropped: #b34a00; --mark: #ffe08a; }
@media (prefers-color-scheme: dark) { :root { --page: #12161c; --card: #1b212a; --line: #323b47; --ink: #e6eaf0;
  --faint: #a3afbf; --link: #7cb8f5; --kept: #4fb0e8; --dropped: #ff8a3d; --mark: #6b5300; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 90rem; padding: 1rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", "Noto Sans", Arial, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.25rem; margin: 0 0 0.5rem; } h2 { font-size: 1.05rem; margin: 0.6rem 0; }
a { color: var(--link); } .faint { color: var(--faint); font-size: 0.87rem; } p { margin: 0.3rem 0; }
nav, form, .next { display: flex; flex-wrap: wrap; gap: 0.5rem 1rem; align-items: end; margin: 0.6rem 0; }
label { display: grid; font-size: 0.87rem; color: var(--faint); min-width: 0; max-width: 100%; }
input, select, button { font: inherit; max-width: 100%; padding: 0.2rem 0.4rem; }
article { border: 1px solid var(--line); border-radius: 0.4rem; padding: 0.6rem 0.8rem; margin: 0.7rem 0; }
.kept { border-left: 4px solid var(--kept); } .dropped { border-left: 4px solid var(--dropped); }
pre { white-space: pre-wrap; margin: 0.5rem 0 0; font: inherit; unicode-bidi: plaintext; max-height: 28rem;
  overflow: auto; }
.whole pre { max-height: none; }
mark { background: var(--mark); color: inherit; }
.both { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 0 1.2rem; }
.both > section { min-width: 0; }
article section { padding-left: 0.6rem; margin-top: 0.5rem; }
article section h2 { font-size: 0.95rem; margin: 0; }
"""


def escape(text: object) -> str:
    """A text on one line of HTML."""
    return html_escape(visible_line(str(text)))


def address(path: str, query: Query) -> str:
    """A link, escaped for an attribute."""
    return html_escape(f"{path}?{urlencode({name: value for name, value in query.items() if value}, errors='replace')}")


def whole_page(title: str, body: str) -> str:
    """A page around its body, which is HTML already."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head><body>{body}</body></html>\n"
    )


def heading(run: str, view: str, query: Query, *, duplicates: bool = False) -> str:
    """The run's name and its views, which keep what is asked for."""
    asked = {name: query.get(name, "") for name in FIELDS}
    no_reason = {**asked, "reason": ""}
    links = [("kept", "/kept", no_reason), ("dropped", "/dropped", asked), ("kept and dropped", "/both", asked)]
    if duplicates:
        links.append(("duplicates", "/duplicates", {"source": asked["source"]}))
    shown = "".join(
        f"<b>{name}</b>" if path == f"/{view}" else f'<a href="{address(path, kept)}">{name}</a>'
        for name, path, kept in links
    )
    return f"<h1>{escape(run)}</h1><nav>{shown}</nav>"


def options(known: Sequence[tuple[str, str]], chosen: str) -> str:
    """The choices (value, text) of a field, `all` first."""
    return "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(text)}</option>'
        for value, text in [("", "all"), *known]
    )


def form(view: str, query: Query, sources: Sequence[str], reasons: Mapping[str, int]) -> str:
    """What is asked for, to be changed; sent by GET, so that every page has an address."""

    fields = [
        f'<label>source<select name="source">{options([(s, s) for s in sources], query.get("source", ""))}'
        "</select></label>"
    ]
    if view != "kept":
        counted = [(name, f"{name} ({number:,})") for name, number in sorted(reasons.items())]
        fields.append(
            f'<label>reason<select name="reason">{options(counted, query.get("reason", ""))}</select></label>'
        )
    fields += [
        f'<label>{name}<input name="{name}" value="{escape(query.get(name, ""))}"></label>'
        for name in ("language", "search")
    ]
    return f'<form action="/{view}" method="get">{"".join(fields)}<button>show</button></form>'


def text_of(text: str, marks: Sequence[Span], most: int) -> str:
    """The first `most` characters with marked places, and how many are left."""
    cut = [(start, min(end, most)) for start, end in marks if start < most]
    shown = "".join(
        f"<mark>{html_escape(visible(piece))}</mark>" if marked else html_escape(visible(piece))
        for piece, marked in pieces(text[:most], cut)
    )
    rest = f'<p class="faint">{len(text) - most:,} more characters</p>' if len(text) > most else ""
    # A newline right after <pre> is swallowed by browsers; this one is there for that.
    return f'<pre dir="auto">\n{shown}</pre>{rest}'


def article(found: Found, verdict: Verdict, most: int, link: str = "") -> str:
    """One document. `link`: the address of the page that has all of it."""
    kind = "dropped" if found.file.family else "kept"
    notes = [visible_line(note) for note in (why(verdict, kept=kind == "kept"), cut_note(found.line)) if note]
    name = escape(found.line.id) or "(no id)"
    title = f'<a href="{link}">{name}</a>' if link else name
    return (
        f'<article class="{kind}"><h2>{title}</h2>'
        f'<p class="faint">{kind} · {escape(found.file.source)} · {escape(found.file.name)}:{found.line.row + 1}</p>'
        + "".join(f"<p>{html_escape(note)}</p>" for note in notes)
        + text_of(found.line.text, verdict.marks, most)
        + "</article>"
    )


def metadata(found: Found) -> str:
    """All that a document's metadata says."""
    rows = "".join(f"<p><b>{escape(key)}</b> {escape(value)}</p>" for key, value in found.line.metadata.items())
    return f"<details><summary>metadata</summary>{rows}</details>"
