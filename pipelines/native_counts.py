"""Who answered the filters of a task: the native core, or stock code, and why.

A unit is one document asked about by one part ("language", "spam", "words eng"): a document that went through three
parts counts three times. Gives up: deduplication, whose signatures are made outside of the tasks of a run.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from pydantic import BaseModel, Field

from filters import native

Key = tuple[str, str, str]


class NativeCounts(BaseModel):
    """Documents by who answered.

    `fast`: the native core, by part. `given`: native rules on words that datatrove split, `stock`: all by stock code;
    both by "part: why".
    """

    fast: dict[str, int] = Field(default_factory=dict)
    given: dict[str, int] = Field(default_factory=dict)
    stock: dict[str, int] = Field(default_factory=dict)


def counts_now() -> Counter[Key]:
    """What this process has counted so far, to be given to `counts_since`."""
    return Counter(native.counts)


def counts_since(before: Mapping[Key, int]) -> NativeCounts:
    """What was counted after `before`."""
    found = NativeCounts()
    for (path, part, why), number in sorted(native.counts.items()):
        new = number - before.get((path, part, why), 0)
        if new:
            kind = found.stock if path == "stock" else found.given if why else found.fast
            kind[f"{part}: {why}" if kind is not found.fast else part] = new
    return found


def added(parts: Iterable[NativeCounts]) -> NativeCounts:
    """The sum of several."""
    total = NativeCounts()
    for part in parts:
        for kind in NativeCounts.model_fields:
            mine = getattr(total, kind)
            for key, number in getattr(part, kind).items():
                mine[key] = mine.get(key, 0) + number
    return total


def in_one_line(counts: NativeCounts) -> str | None:
    """How much stock code had to answer, and most often why; None when the native core answered everything."""
    fast, given, stock = (sum(getattr(counts, kind).values()) for kind in ("fast", "given", "stock"))
    if not given and not stock:
        return None
    most = max(both := {**counts.stock, **counts.given}, key=lambda key: both[key])
    return (
        f"of {fast + given + stock:,} answers of filters {fast:,} are the native core's, {stock:,} stock code's, "
        f"{given:,} native rules on datatrove's words; most often {most} ({both[most]:,}); "
        "`smoltrove status RUN --reasons` has all"
    )
