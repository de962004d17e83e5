"""The language scores below which a source's filters drop, for its histograms.

Gives up: filters without a number to compare with; the Gopher filters' limits are in `pipelines.report.signals`.
"""

from collections.abc import Sequence

from filters import FILTERS
from pipelines.profiles import FilterSpec


def score_limits(specs: Sequence[FilterSpec]) -> dict[str, float]:
    """Thresholds of the language filters that drop documents, by the place of the filter in the chain."""
    found = {}
    for place, spec in enumerate(specs):
        if spec.name == "language" and not spec.params.get("label_only"):
            found[f"{place} language"] = float(FILTERS[spec.name](**spec.params).language_threshold)
    return found
