"""Pictures of a report: matplotlib draws them as SVG, with text as text and colours that the page decides.

Colours are drawn as stand-ins and become CSS variables, text becomes `currentColor`: one picture suits light and dark
pages. Widths are those of a phone; the page puts several side by side where there is room. Gives up: interaction.
"""

import io
import itertools
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path as Outline

from pipelines.quantities import show_count

# What can be coloured; the page has a CSS variable of each name. "text" and "faint" are the page's own.
COLOURS = (
    "text", "faint", "kept", "dropped", "limit", "asked", "reader", "sampling", "language", "gopher_repetition",
    "gopher_quality", "spam", "length", "dedup", "other",
)  # fmt: skip
_STAND_IN = {name: f"#fe01{number:02x}" for number, name in enumerate(COLOURS)}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "smoltrove",
    "text.parse_math": False,
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "axes.edgecolor": _STAND_IN["faint"],
    "xtick.color": _STAND_IN["faint"],
    "ytick.color": _STAND_IN["faint"],
    "xtick.labelcolor": _STAND_IN["text"],
    "ytick.labelcolor": _STAND_IN["text"],
    "text.color": _STAND_IN["text"],
    "axes.labelcolor": _STAND_IN["text"],
}
WIDTH = 3.7  # inches; 72 units of the picture each
# Characters of 7.5 points side by side in it, in the widest of the page's fonts.
CHARS = 60
_number = itertools.count(1)


@contextmanager
def style() -> Iterator[None]:
    """The look of the pictures; a page sets it once, since setting it copies all of matplotlib's settings."""
    if matplotlib.rcParams["svg.hashsalt"] == _STYLE["svg.hashsalt"]:
        yield
        return
    with matplotlib.rc_context(_STYLE):
        yield


def family_colour(reason: str) -> str:
    """The colour of a reason `family.rule`."""
    family = reason.partition(".")[0]
    return family if family in COLOURS else "other"


def _svg(figure: Figure, label: str) -> str:
    """The picture as an element of an HTML page; `label` says what it shows to those who do not see it."""
    buffer = io.StringIO()
    FigureCanvasSVG(figure)
    with warnings.catch_warnings():
        # The page's font draws the text, not the one that measures it here.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style type=.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r' style="fill: none"(?=/>)', ' fill="none"', text)
    text = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", text)
    text = re.sub(r"<[^>]*>", lambda tag: re.sub(r"\d+\.\d{2,}", lambda n: f"{float(n[0]):.1f}", tag[0]), text)
    # Ids are unique in a picture, and have to be on the page.
    prefix = f"p{next(_number)}"
    text = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}\1"', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}", text)
    for name, stand_in in _STAND_IN.items():
        text = text.replace(stand_in, "currentColor" if name == "text" else f"var(--{name})")
    text = re.sub(r"\s*\n\s*", " ", text)
    shown = label.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    # A function: in a template the backslashes of a name would be escapes.
    return re.sub(
        r'<svg([^>]*?) width="[^"]*" height="[^"]*"',
        lambda tag: f'<svg{tag[1]} role="img" aria-label="{shown}"',
        text,
        count=1,
    )


def _blank(height: float) -> tuple[Figure, Any]:
    """A figure measured in inches, with its origin at the top left."""
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(height, 0)
    axes.axis("off")
    return figure, axes


def histogram(
    title: str, edges: Sequence[float], kept: Sequence[float], dropped: Sequence[float], *,
    limits: Sequence[float] = (), log: bool = False, share: bool = False,
) -> str:  # fmt: skip
    """Kept documents, and dropped ones on top of them, by bin; a dashed line for each limit.

    `share`: the two are shares of samples of their own (0 to 1) and are drawn over each other.
    """
    used = [i for i, (a, b) in enumerate(zip(kept, dropped, strict=True)) if a or b]
    first, last = (used[0], used[-1] + 1) if used else (0, len(kept))
    with style():
        figure = Figure(figsize=(WIDTH, 1.6))
        axes = figure.add_axes((0.12, 0.19, 0.83, 0.57))
        edges, kept, dropped = edges[first : last + 1], list(kept[first:last]), list(dropped[first:last])
        if share:
            axes.stairs(kept, edges, fill=True, color=_STAND_IN["kept"], alpha=0.55)
            axes.stairs(dropped, edges, color=_STAND_IN["dropped"], linewidth=1.3)
        else:
            both = [a + b for a, b in zip(kept, dropped, strict=True)]
            axes.stairs(both, edges, fill=True, color=_STAND_IN["dropped"])
            axes.stairs(kept, edges, fill=True, color=_STAND_IN["kept"])
        if log:
            axes.set_xscale("log")
        else:
            axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(6))
        low, high = edges[0], edges[-1]
        for limit in limits:
            low, high = min(low, limit), max(high, limit)
            axes.axvline(limit, color=_STAND_IN["limit"], linestyle=(0, (3, 2)), linewidth=1.2)
            axes.annotate(
                f" {limit:g}", (limit, 1), xycoords=("data", "axes fraction"), fontsize=7, va="bottom", ha="center"
            )
        axes.set_xlim(low, high)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.3g}" if value < 1000 else show_count(value))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}" if share else show_count(value))
        axes.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
        axes.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(3))
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", linewidth=0.4, color=_STAND_IN["faint"], alpha=0.5)
        axes.set_axisbelow(True)
        axes.set_title(title, loc="left", fontsize=8.5, x=-0.13, pad=14)
        said = ", ".join(f"{limit:g}" for limit in limits)
        return _svg(figure, f"Histogram: {title}" + (f"; limits {said}" if said else ""))


Bar = tuple[str, str, Sequence[tuple[float, str]]]


def bars(title: str, rows: Sequence[Bar], *, thin: bool = False, most: float | None = None) -> str:
    """One bar for each row (label, figures in words, parts as (amount, colour)), the label above it.

    `thin`: the parts are bars of their own, one below the other, and not one bar in parts. `most` is the amount that
    fills the width, the largest bar's if not given.
    """
    step = 0.36 if thin else 0.31
    scale = (WIDTH - 0.1) / (most or largest(rows, thin=thin) or 1.0)
    with style():
        figure, axes = _blank(step * len(rows) + 0.05)
        for number, (label, figures, parts) in enumerate(rows):
            top = number * step
            axes.text(0.05, top + 0.13, shortened(label, CHARS - len(figures)), fontsize=7.5, va="baseline")
            axes.text(WIDTH - 0.05, top + 0.13, figures, fontsize=7.5, va="baseline", ha="right")
            left = 0.05
            for place, (amount, colour) in enumerate(parts):
                tall, below = (0.07, 0.075 * place) if thin else (0.11, 0.0)
                at, wide = (left, top + 0.165 + below), amount * scale
                axes.add_patch(Rectangle(at, wide, tall, color=_STAND_IN[colour], lw=0))
                left += 0.0 if thin else wide
        return _svg(figure, title)


def shortened(label: str, most: int) -> str:
    """A label's end, where names of sources differ, if it is too long to stand beside its figures."""
    return label if len(label) <= most else "…" + label[1 - max(most, 8) :]


def largest(rows: Sequence[Bar], *, thin: bool = False) -> float:
    """The amount of the longest bar."""
    add_up = max if thin else sum
    return max((add_up((amount for amount, _ in parts)) for _, _, parts in rows if parts), default=0.0)


def flow(title: str, start: tuple[str, int], losses: Sequence[tuple[str, int]], end: tuple[str, int]) -> str:
    """A stream of documents from top to bottom, its width their number; each loss leaves it to the right."""
    total = max(1, start[1])
    left, trunk, top, leaves = 0.05, 1.05, 0.24, 1.22
    widths = [trunk * number / total for _, number in losses]
    places: list[float] = []
    middle = top - 0.1
    for width in widths:
        # Room for two lines of text beside each, and none of the streams touches another.
        place = max(middle + 0.28 - width / 2, (places[-1] + widths[len(places) - 1] if places else top) + 0.05)
        places.append(place)
        middle = place + width / 2
    bottom = max(places[-1] + widths[-1] if places else top, middle, top + 0.3) + 0.15
    with style():
        figure, axes = _blank(bottom + 0.25)
        axes.text(left, 0.16, f"{start[0]}: {start[1]:,}", fontsize=8.5, fontweight="bold")
        right = left + trunk
        for (label, number), width, place in zip(losses, widths, places, strict=True):
            inner = right - width
            ribbon = [
                (inner, top), (right, top), (right, place), (leaves, place), (leaves, place + width),
                (inner, place + width), (inner, top),
            ]  # fmt: skip
            axes.add_patch(PathPatch(Outline(ribbon, closed=True), facecolor=_STAND_IN[family_colour(label)], lw=0))
            middle = place + width / 2
            axes.text(leaves + 0.07, middle - 0.005, label, fontsize=7.5, va="bottom")
            said = f"{number:,} ({number / total:.2%})"
            axes.text(leaves + 0.07, middle + 0.005, said, fontsize=6.5, va="top", color=_STAND_IN["faint"])
            right = inner
        axes.add_patch(Rectangle((left, top), right - left, bottom - top, color=_STAND_IN["kept"], lw=0))
        said = f"{end[0]}: {end[1]:,} ({end[1] / total:.2%})"
        axes.text(left, bottom + 0.17, said, fontsize=8.5, fontweight="bold")
        return _svg(figure, title)


def colour_rules(light: Mapping[str, str], dark: Mapping[str, str]) -> str:
    """The CSS variables of the pictures, for light and for dark pages."""

    def rules(values: Mapping[str, str]) -> str:
        return " ".join(f"--{name}: {values[name]};" for name in COLOURS if name != "text")

    return f":root {{ {rules(light)} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {rules(dark)} }} }}"
