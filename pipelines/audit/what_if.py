"""`--what-if key=value`: a chain with one threshold changed, judged on the same signals.

The answer equals that of a run with the changed profile on the same documents (tests compare them). Gives up:
parameters that change what is measured: they need another audit with another profile.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml

from pipelines.audit.judge import Chain, Judged, Scored, judge
from pipelines.audit.rules import limits_of, parameter_of
from pipelines.errors import UserError, did_you_mean
from pipelines.profiles import FilterSpec, check_params

EXAMPLE = "write --what-if gopher_quality.min_doc_words=50"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One threshold and its new value; None switches the rule off."""

    name: str
    value: float | None

    def __str__(self) -> str:
        return f"{self.name}={'null' if self.value is None else format(self.value, 'g')}"


def parse_changes(texts: Sequence[str]) -> list[Change]:
    """`key=value` pairs. Raises UserError for anything else, or a key twice."""
    changes: list[Change] = []
    for text in texts:
        name, sign, written = text.partition("=")
        try:
            value = yaml.safe_load(written) if sign else ""
        except yaml.YAMLError:
            value = ""
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or value != value):
            raise UserError(f"--what-if {text}: is not a threshold and a number; {EXAMPLE}")
        if any(change.name == name.strip() for change in changes):
            raise UserError(f"--what-if {text}: {name} is given twice; ask for one value at a time")
        changes.append(Change(name=name.strip(), value=value))
    return changes


def names_of(chain: Chain) -> list[str]:
    """Every name that a change of this chain may have."""
    found: dict[str, None] = {}
    for step in chain.steps:
        for code, one in step.variants.items():
            place = f"by_language.{code}." if code else ""
            found |= {f"{step.label}.{place}{key}": None for key in limits_of(one)}
    return list(found)


def resolve(chain: Chain, change: Change) -> Change | None:
    """The change under its full name: `min_doc_words` will do where one filter has it; None where the chain has none.

    Raises UserError for a name that means several thresholds.
    """
    names = names_of(chain)
    if change.name in names:
        return change
    meant = [name for name in names if name.partition(".")[2] == change.name]
    if len(meant) > 1:
        raise UserError(f"--what-if {change}: may mean {' or '.join(meant)}; write one of them")
    return Change(name=meant[0], value=change.value) if meant else None


def changed(chain: Chain, changes: Sequence[Change]) -> Chain:
    """The chain with other thresholds. Raises UserError for a value that the filter refuses."""
    specs = [FilterSpec(name=spec.name, params=copy.deepcopy(spec.params)) for spec in chain.specs]
    for change in changes:
        label, _, path = change.name.partition(".")
        at = next(i for i, step in enumerate(chain.steps) if step.label == label)
        where: dict[str, Any] = specs[at].params
        judges = chain.steps[at].filter
        if path.startswith("by_language."):
            _, code, path = path.split(".", 2)
            judges = chain.steps[at].variants[code]
            where = _entry(where["by_language"], code)
        _set(where, path, change.value, judges)
        for _, text in check_params(specs[at].name, specs[at].params):
            raise UserError(f"--what-if {change}: {text.lstrip('.: ')}")
    return Chain(specs)


def _entry(by_language: dict[str, dict[str, Any]], code: str) -> dict[str, Any]:
    from filters.language import normalise_language

    return next(given for written, given in by_language.items() if normalise_language(written) == code)


def _set(params: dict[str, Any], path: str, value: float | None, judges: Any) -> None:
    parameter, _, n = path.partition(".")
    if not n:
        params[parameter] = value
        return
    pairs = [[size, share] for size, share in getattr(judges, parameter)]
    params[parameter] = [
        pair if pair[0] != int(n) else [pair[0], value] for pair in pairs if pair[0] != int(n) or value is not None
    ]


def answer(chain: Chain, scored: Scored, judged: Judged, changes: Sequence[Change]) -> dict[str, Any]:
    """What the changes together would keep and lose: counts, bytes and ids, as plain data."""
    other = judge(changed(chain, changes), scored)
    before, after = judged.kept, other.kept
    gained, lost = after & ~before, before & ~after
    reasons: dict[str, int] = {}
    for row, verdict in enumerate(other.verdicts()):
        if lost[row] and verdict is not None:
            reasons[verdict] = reasons.get(verdict, 0) + 1
    return {
        "changes": [str(change) for change in changes],
        "documents": len(scored),
        "kept_before": int(before.sum()),
        "kept_after": int(after.sum()),
        "bytes_before": int(scored.num_bytes[before].sum()),
        "bytes_after": int(scored.num_bytes[after].sum()),
        "gained": int(gained.sum()),
        "lost": int(lost.sum()),
        "lost_as": reasons,
        "gained_ids": _ids(scored, gained),
        "lost_ids": _ids(scored, lost),
    }


def _ids(scored: Scored, rows: np.ndarray, most: int = 10) -> list[str]:
    return [scored.ids[row] for row in np.nonzero(rows)[0][:most]]


def refuse_unknown(chains: Sequence[Chain], changes: Sequence[Change]) -> None:
    """Raises UserError for a name that no chain has."""
    known = list(dict.fromkeys(name for chain in chains for name in names_of(chain)))
    for change in changes:
        if any(resolve(chain, change) for chain in chains):
            continue
        parameter = parameter_of(change.name.partition(".")[2] or change.name)
        taken = {name for chain in chains for spec in chain.specs for name in (*spec.params, spec.name)}
        if parameter in taken:
            raise UserError(f"--what-if {change}: {parameter} is no threshold; audit again with another --profile")
        raise UserError(f"--what-if {change}: no such threshold here{did_you_mean(change.name, known)}")
