"""Which code judges documents here: the native core, or stock code and why. For `smoltrove doctor`.

The filters of the profiles are built, models and word splitters loaded, because only then is it known what the core
accepts. Gives up: single documents that leave the core's domain; the ledger of a run counts those.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal

from pydantic import BaseModel, Field

from filters import (
    FILTERS,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
    SpamFilter,
    fast_minhash,
    fast_spam,
    native,
)
from filters.fast_gopher import why_stock
from filters.fast_words import splitter
from filters.text import splitter_available
from pipelines.profiles import Profile

Route = Literal["native", "given", "stock", "none"]


class NativePath(BaseModel):
    """One part of the filters.

    `path`: "native"; "given": datatrove splits the words, the rules on them are native; "stock"; "none": it cannot run.
    `how`: for native words "rules" (spaCy's) or "vietnamese" (pyvi's). `note`: why it is not native.
    """

    part: str
    path: Route
    how: str = ""
    note: str = ""
    profiles: list[str] = Field(default_factory=list)


def native_paths(profiles: Sequence[Profile]) -> list[NativePath]:
    """The parts of these profiles' filters, each once, with the profiles that have it; MinHash signatures last."""
    found: dict[tuple[str, str], NativePath] = {}
    known: dict[str, NativePath] = {}
    for profile in profiles:
        for part, look in _parts(profile):
            path = known[part] if part in known else look()
            if not part.startswith("gopher_"):  # its parameters are the profile's own
                known[part] = path
            entry = found.setdefault((part, path.note), path.model_copy(update={"profiles": []}))
            if profile.name not in entry.profiles:
                entry.profiles.append(profile.name)
    return [*found.values(), _path("minhash", fast_minhash.why_not())]


def _path(part: str, reason: str | None) -> NativePath:
    return NativePath(part=part, path="stock" if reason else "native", note=reason or "")


def _parts(profile: Profile) -> Iterator[tuple[str, Callable[[], NativePath]]]:
    """Parts in the ledger's words, each with what looks at it."""
    for spec in profile.filters:
        step: Any = FILTERS[spec.name](**spec.params)
        if isinstance(step, LanguageFilter):
            model = str(spec.params.get("model") or "")
            yield f"language {model}".strip(), partial(_language, step, model)
        elif isinstance(step, SpamFilter):
            yield "spam", partial(_spam, step)
        elif isinstance(step, (GopherRepetitionFilter, GopherQualityFilter)):
            variants = [step, *step.by_language.values()]
            for one in variants:
                yield f"words {one.language}", partial(_words, one.language)
            yield spec.name, partial(_rules, spec.name, variants)


def _language(step: LanguageFilter, model: str) -> NativePath:
    part = f"language {model}".strip()
    try:
        return _path(part, step.model.fast.note)
    except (ImportError, ValueError) as error:
        return NativePath(part=part, path="none", note=str(error))


def _spam(step: SpamFilter) -> NativePath:
    return _path("spam", fast_spam.why_not(step.phrase_set))


def _rules(name: str, variants: Sequence[Any]) -> NativePath:
    reasons = dict.fromkeys(filter(None, map(why_stock, variants)))
    return _path(name, "; ".join(reasons))


def _words(word_code: str) -> NativePath:
    part = f"words {word_code}"
    if missing := splitter_available(word_code):
        return NativePath(part=part, path="none", note=missing)
    found = splitter(word_code) if native.why_not() is None else None
    if found is None:
        return _path(part, native.why_not())
    if found.mode == "given":
        return NativePath(part=part, path="given", note=found.note)
    return NativePath(part=part, path="native", how=found.mode)
