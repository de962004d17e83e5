"""Pictures of a report: matplotlib draws them as SVG, with text as text and colours that the page decides.

Colours are drawn as stand-ins and become CSS variables, text becomes `currentColor`: one picture suits light and dark
pages. Widths are those of a phone; the page puts several side by side where there is room. Gives up: interaction.
"""

import io
import itertools
import re
from collections.abc import Mapping, Sequence
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
_STYLE = {
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
_number = itertools.count(1)


def family_colour(reason: str) -> str:
    """The colour of a reason `family.rule`."""
    family = reason.partition(".")[0]
    return family if family in COLOURS else "other"


def _svg(figure: Figure, label: str) -> str:
    """The picture as an element of an HTML page; `label` says what it shows to those who do not see it."""
    buffer = io.StringIO()
    FigureCanvasSVG(figure)
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style type=.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r' style="fill: none"(?=/>)', ' fill="none"', text)
    text = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", text)
    text = re.sub(r"\d+\.\d{2,}", lambda found: f"{float(found[0]):.1f}", text)
    # Ids are unique in a picture, and have to be on the page.
    prefix = f"p{next(_number)}"
    text = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}\1"', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}", text)
    for name, stand_in in _STAND_IN.items():
        text = text.replace(stand_in, "currentColor" if name == "text" else f"var(--{name})")
    text = re.sub(r"\s*\n\s*", " ", text)
    shown = label.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return re.sub(r'<svg([^>]*?) width="[^"]*" height="[^"]*"', rf'<svg\1 role="img" aria-label="{shown}"', text, count=1)


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
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH, 1.55))
        axes = figure.add_axes((0.12, 0.2, 0.85, 0.63))
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
        low, high = edges[0], edges[-1]
        for limit in limits:
            low, high = min(low, limit), max(high, limit)
            axes.axvline(limit, color=_STAND_IN["limit"], linestyle=(0, (3, 2)), linewidth=1.2)
        axes.set_xlim(low, high)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.3g}" if value < 1000 else show_count(value))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}" if share else show_count(value))
        axes.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
        axes.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(3))
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", linewidth=0.4, color=_STAND_IN["faint"], alpha=0.5)
        axes.set_axisbelow(True)
        axes.set_title(title, loc="left", fontsize=8.5, x=-0.11)
        said = ", ".join(f"{limit:g}" for limit in limits)
        return _svg(figure, f"Histogram: {title}" + (f"; limits {said}" if said else ""))


Bar = tuple[str, str, Sequence[tuple[float, str]]]


def bars(title: str, rows: Sequence[Bar], *, thin: bool = False) -> str:
    """One bar for each row (label, figures in words, parts as (amount, colour)), the label above it.

    `thin`: the parts are bars of their own, one below the other, and not one bar in parts.
    """
    step = 0.36 if thin else 0.31
    most = max((max((p[0] for p in parts), default=0) if thin else sum(p[0] for p in parts)) for _, _, parts in rows)
    scale = (WIDTH - 0.1) / most if most > 0 else 0
    with matplotlib.rc_context(_STYLE):
        figure, axes = _blank(step * len(rows) + 0.05)
        for number, (label, figures, parts) in enumerate(rows):
            top = number * step
            axes.text(0.04, top + 0.13, label, fontsize=7.5, va="baseline")
            axes.text(WIDTH - 0.06, top + 0.13, figures, fontsize=7.5, va="baseline", ha="right")
            left = 0.05
            for place, (amount, colour) in enumerate(parts):
                height, below = (0.07, 0.075 * place) if thin else (0.11, 0.0)
                width = amount * scale
                axes.add_patch(
                    Rectangle((0.05 if thin else left, top + 0.165 + below), width, height, color=_STAND_IN[colour], lw=0)
                )
                left += width
        return _svg(figure, title)


def flow(title: str, start: tuple[str, int], losses: Sequence[tuple[str, int]], end: tuple[str, int]) -> str:
    """A stream of documents from top to bottom, its width their number; each loss leaves it to the right."""
    total = max(1, start[1])
    trunk, turn, row, head = 1.05, 0.12, 0.27, 0.3
    widths = [trunk * number / total for _, number in losses]
    heights = [max(row, width + 0.06) for width in widths]
    height = head + sum(heights) + 0.5
    with matplotlib.rc_context(_STYLE):
        figure, axes = _blank(height)
        axes.text(0.05, 0.16, f"{start[0]}: {start[1]:,}", fontsize=8.5, fontweight="bold")
        left, right, top = 0.05, 0.05 + trunk, head - 0.06
        for (label, number), width, tall in zip(losses, widths, heights, strict=True):
            place = head + 0.02
            leaves = trunk + 0.05 + turn
            ribbon = Outline(
                [
                    (right, top), (right, place), (right, place), (leaves, place), (leaves, place + width),
                    (right - width, place + width), (right - width, place + width), (right - width, top), (right, top),
                ],
                [1, 2, 3, 3, 2, 3, 3, 2, 79],
            )  # fmt: skip
            axes.add_patch(PathPatch(ribbon, facecolor=_STAND_IN[family_colour(label)], lw=0))
            middle = place + width / 2
            axes.text(leaves + 0.07, middle, label, fontsize=7.5, va="bottom" if width < 0.2 else "center")
            axes.text(
                leaves + 0.07, middle + (0.005 if width < 0.2 else 0.12), f"{number:,} ({number / total:.2%})",
                fontsize=6.5, va="top" if width < 0.2 else "center", color=_STAND_IN["faint"],
            )  # fmt: skip
            right -= width
            head += tall
        bottom = height - 0.3
        stream = [(left, top), (right, top), (right, bottom), (left, bottom)]
        axes.add_patch(PathPatch(Outline([*stream, stream[0]], closed=True), facecolor=_STAND_IN["kept"], lw=0))
        axes.text(0.05, height - 0.1, f"{end[0]}: {end[1]:,} ({end[1] / total:.2%})", fontsize=8.5, fontweight="bold")
        return _svg(figure, title)


def colour_rules(light: Mapping[str, str], dark: Mapping[str, str]) -> str:
    """The CSS variables of the pictures, for light and for dark pages."""

    def rules(values: Mapping[str, str]) -> str:
        return " ".join(f"--{name}: {values[name]};" for name in COLOURS if name != "text")

    return f":root {{ {rules(light)} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {rules(dark)} }} }}"
