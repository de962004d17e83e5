"""Document filters: one document in, a verdict out. Plain datatrove steps, usable in any datatrove pipeline.

`FILTERS` maps the name that a profile uses to the class; the class's keyword arguments are the profile's parameters.
`MinhashDedupSignature` is no filter but datatrove's first MinHash stage, made fast.
Nothing is imported until it is asked for (datatrove's own filters take about a second), which gives up seeing a broken
filter module at `import filters`: it shows when the filter is first used.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datatrove.pipeline.filters.base_filter import BaseFilter

_FAMILIES = {
    "language": "LanguageFilter",
    "gopher_repetition": "GopherRepetitionFilter",
    "gopher_quality": "GopherQualityFilter",
    "spam": "SpamFilter",
    "length": "LengthFilter",
}

_MODULES = {
    "LanguageFilter": "language",
    "GopherRepetitionFilter": "gopher",
    "GopherQualityFilter": "gopher",
    "SpamFilter": "spam",
    "LengthFilter": "length",
    "IntervalSampler": "sampling",
    "MinhashDedupSignature": "minhash",
}

__all__ = [
    "FILTERS",
    "GopherQualityFilter",
    "GopherRepetitionFilter",
    "IntervalSampler",
    "LanguageFilter",
    "LengthFilter",
    "MinhashDedupSignature",
    "SpamFilter",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


class _Filters(Mapping[str, "type[BaseFilter]"]):
    """The filter classes by family; a class is imported when its entry is read."""

    def __getitem__(self, family: str) -> "type[BaseFilter]":
        return __getattr__(_FAMILIES[family])

    def __iter__(self) -> Iterator[str]:
        return iter(_FAMILIES)

    def __len__(self) -> int:
        return len(_FAMILIES)


FILTERS: Mapping[str, "type[BaseFilter]"] = _Filters()
