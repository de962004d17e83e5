"""`--plot FILE`: the S-curve as a picture, and once a deduplication is complete what it removed and nearly removed.

matplotlib without its global state, so that no display is asked for. Gives up: other pictures than PNG.
"""

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipelines.dedup.config import MinhashConfig
from pipelines.dedup.curve import chance, threshold
from pipelines.errors import UserError

_TENTHS = [i / 10 for i in range(10)]


def write_plot(data: dict[str, Any], config: MinhashConfig, path: Path) -> None:
    """Draw `explanation`'s data. Raises UserError when the file cannot be written."""
    if path.suffix.lower() != ".png":
        raise UserError(f"--plot {path}: is a PNG file; give it a name that ends in .png")
    removed, near = data["removed_by_tenths"], data["near_misses_by_tenths"]
    pairs = {f"removed by {name}": counts for name, counts in removed.items() if sum(counts)}
    pairs |= {f"near misses of {name}": counts for name, counts in near.items() if sum(counts)}
    figure = Figure(figsize=(8, 8 if pairs else 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2 if pairs else 1, 1, sharex=True, squeeze=False)[:, 0]
    _curve(axes[0], config)
    if pairs:
        width = 0.09 / len(pairs)
        for i, (name, counts) in enumerate(pairs.items()):
            left = [tenth + 0.005 + i * width for tenth in _TENTHS]
            axes[1].bar(left, counts, width=width, align="edge", label=f"{name} ({sum(counts):,} pairs)")
        axes[1].set_ylabel("pairs in the sample")
        axes[1].legend(loc="upper left")
        axes[1].grid(axis="y", alpha=0.3)
    axes[-1].set_xlabel(f"true Jaccard similarity of {config.n_grams}-grams")
    try:
        figure.savefig(path, format="png", dpi=120)
    except OSError as error:
        raise UserError(f"--plot {path}: cannot be written ({error.strerror or error})") from None


def _curve(axes: Any, config: MinhashConfig) -> None:
    places = [i / 200 for i in range(201)]
    label = f"{config.num_buckets} buckets of {config.hashes_per_bucket} hashes"
    axes.plot(places, [chance(place, config) for place in places], label=label)
    axes.axvline(threshold(config), linestyle=":", color="gray", label=f"steepest at {threshold(config):.2f}")
    if config.min_similarity is not None:
        axes.axvspan(0, config.min_similarity, color="tab:red", alpha=0.1)
        axes.axvline(config.min_similarity, color="tab:red", label=f"min_similarity {config.min_similarity:g}")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xticks([i / 10 for i in range(11)])
    axes.set_ylabel("chance to be found as duplicates")
    axes.set_title("MinHash: two documents of this similarity")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
