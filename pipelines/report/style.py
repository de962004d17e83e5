"""The look of the report's page: light and dark, from the width of a phone on. No scripts, nothing from elsewhere.

Colours of data are after Okabe and Ito (https://jfly.uni-koeln.de/color/), which the colour-blind can tell apart;
lighter in dark pages.
"""

from pipelines.report.plots import colour_rules

_LIGHT = {
    "faint": "#5f6b7a", "kept": "#0072b2", "dropped": "#d55e00", "limit": "#111827", "asked": "#9aa4b2",
    "reader": "#b91c1c", "sampling": "#9aa4b2", "language": "#009e73", "gopher_repetition": "#e69f00",
    "gopher_quality": "#d55e00", "spam": "#cc79a7", "length": "#56b4e9", "dedup": "#7c3aed", "other": "#6b7280",
}  # fmt: skip
_DARK = {
    "faint": "#a3afbf", "kept": "#4fb0e8", "dropped": "#ff8a3d", "limit": "#f3f4f6", "asked": "#6b7686",
    "reader": "#f87171", "sampling": "#6b7686", "language": "#34d3a6", "gopher_repetition": "#ffc247",
    "gopher_quality": "#ff8a3d", "spam": "#e79cc4", "length": "#8fd0f5", "dedup": "#b39bfa", "other": "#9ca3af",
}  # fmt: skip

CSS = (
    colour_rules(_LIGHT, _DARK)
    + """
:root { color-scheme: light dark; --page: #ffffff; --card: #f5f7fa; --line: #d9dee5; --ink: #1b2330; --link: #0b5cad; }
@media (prefers-color-scheme: dark) {
  :root { --page: #12161c; --card: #1b212a; --line: #323b47; --ink: #e6eaf0; --link: #7cb8f5; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 78rem; padding: 1rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", Arial, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0.2rem 0; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 0.6rem; padding-top: 0.6rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.3rem 0 0.4rem; }
a { color: var(--link); }
nav { display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; margin: 0.8rem 0; }
.faint, .note { color: var(--faint); }
.note { font-size: 0.87rem; max-width: 50rem; margin: 0.35rem 0; }
.state { display: inline-block; padding: 0 0.5rem; border-radius: 0.6rem; border: 1px solid; font-weight: 600; }
.state.complete { color: var(--kept); } .state.not { color: var(--reader); }
.problems { border-left: 3px solid var(--reader); padding-left: 0.8rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: 0.6rem; padding: 0; }
.figures div { background: var(--card); border-radius: 0.5rem; padding: 0.6rem 0.8rem; }
.figures b { display: block; font-size: 1.3rem; line-height: 1.3; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(19rem, 100%), 1fr)); gap: 1rem 1.5rem;
  align-items: start; margin: 0.6rem 0; }
.wide { grid-template-columns: repeat(auto-fill, minmax(min(22rem, 100%), 1fr)); }
figure { margin: 0; min-width: 0; }
figure svg { display: block; width: 100%; max-width: 30rem; height: auto; color: var(--ink); }
figure svg text { font-family: inherit; }
figcaption { font-weight: 600; margin-bottom: 0.3rem; }
.legend { display: flex; flex-wrap: wrap; gap: 0.1rem 1rem; margin: 0.3rem 0; font-size: 0.87rem; }
.legend i { display: inline-block; width: 0.8em; height: 0.8em; margin-right: 0.35em; border-radius: 2px; }
.scroll { overflow-x: auto; max-width: 100%; max-height: 36rem; overflow-y: auto; border: 1px solid var(--line);
  border-radius: 0.4rem; }
table { border-collapse: collapse; font-size: 0.87rem; width: 100%; }
th, td { padding: 0.25rem 0.6rem; text-align: left; white-space: nowrap; }
th { position: sticky; top: 0; background: var(--card); border-bottom: 1px solid var(--line); }
tr:nth-child(even) td { background: color-mix(in srgb, var(--card) 55%, transparent); }
.n { text-align: right; font-variant-numeric: tabular-nums; }
details { border: 1px solid var(--line); border-radius: 0.4rem; padding: 0.4rem 0.8rem; margin: 0.5rem 0; }
summary { cursor: pointer; font-weight: 600; }
summary span { font-weight: 400; color: var(--faint); margin-left: 0.5rem; }
@media (max-width: 30rem) {
  body { padding: 0.7rem; font-size: 14px; }
  th, td { padding: 0.25rem 0.4rem; }
  th:first-child, td:first-child { white-space: normal; min-width: 10.5rem; }
}
"""
)
