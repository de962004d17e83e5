"""The thresholds of a chain one by one: what each drops alone, what it decides, and what is kept as it moves.

Curves and moves are about the whole chain: a document is kept when every rule keeps it. Gives up: two thresholds that
move together; `--what-if` given twice does that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.audit.judge import Chain, Judged, Scored, Step
from pipelines.audit.rules import Rule, grows, limits_of, parameter_of, rules_of

CURVE_POINTS = 21
MOVES = (-0.2, -0.1, 0.1, 0.2)
"""Shares by which a threshold is moved for the table."""


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """One threshold of one filter.

    Attributes:
        name: how `--what-if` names it: `gopher_quality.min_doc_words`, or with `by_language.vi.` inside.
        label: the filter; key: the parameter, `top_n_grams.2` for a pair.
        now: its value; NaN when it is switched off.
        mine: the documents that it judges (others have a value of their own by `by_language`).
        decided: those of them that every rule without this threshold keeps: only they depend on it.
    """

    name: str
    label: str
    key: str
    now: float
    rules: tuple[Rule, ...]
    mine: np.ndarray
    decided: np.ndarray
    kept_elsewhere: np.ndarray
    columns: dict[str, np.ndarray]
    limits: dict[str, np.ndarray]

    @property
    def grows(self) -> bool:
        """Whether a larger value keeps more."""
        return grows(self.rules[0], self.key)

    @property
    def is_on(self) -> bool:
        """Whether it drops anything at all now."""
        return not np.isnan(self.now)

    def drops_at(self, value: float) -> np.ndarray:
        """Which documents the rules with this threshold would drop at a value, taken alone."""
        limit = self.rules[0].limit(value)
        limits = {**self.limits, self.key: np.where(self.mine, limit, self.limits[self.key])}
        found = np.zeros(len(self.mine), bool)
        for rule in self.rules:
            found |= rule.drops(self.columns, limits)
        return found

    def kept_at(self, value: float) -> int:
        """How many documents the chain would keep at a value."""
        return int((self.kept_elsewhere & ~self.drops_at(value)).sum())

    def values(self, rule: Rule) -> np.ndarray:
        """What a rule compares with it, one number per document."""
        return rule.values(self.columns, self.key)


def thresholds_of(chain: Chain, scored: Scored, judged: Judged) -> list[Threshold]:
    """Every threshold of the chain, in the order of its rules; those of `by_language` after their filter's own."""
    return [found for step in chain.steps for found in _of_step(step, scored, judged)]


def _of_step(step: Step, scored: Scored, judged: Judged) -> list[Threshold]:
    variant = scored.variants[step.label]
    overrides: dict[str, dict[str, Any]] = {"": {}}
    for code, given in (step.spec.params.get("by_language") or {}).items():
        overrides[_code_of(step, code)] = given
    found = []
    for code, one in step.variants.items():
        for key, now in limits_of(one).items():
            parameter = parameter_of(key)
            if code and parameter not in overrides[code]:
                continue
            owners = [code] if code else [c for c, given in overrides.items() if parameter not in given]
            place = f"by_language.{code}." if code else ""
            found.append(
                _threshold(step, f"{step.label}.{place}{key}", key, now, one, np.isin(variant, owners), scored, judged)
            )
    return found


def _code_of(step: Step, written: str) -> str:
    """The code of a variant for a language as the profile writes it."""
    from filters.language import normalise_language

    return written if written in step.variants else normalise_language(written)


def _threshold(
    step: Step, name: str, key: str, now: float, one: Any, mine: np.ndarray, scored: Scored, judged: Judged
) -> Threshold:
    rules = tuple(rule for rule in rules_of(one) if key in rule.keys)
    others = np.zeros(len(scored), bool)
    for label, drops in judged.drops.items():
        for rule, dropped in drops:
            if label != step.label or key not in rule.keys:
                others |= dropped
    return Threshold(
        name=name, label=step.label, key=key, now=now, rules=rules, mine=mine, decided=mine & ~others,
        kept_elsewhere=~others, columns=scored.columns[step.label], limits=judged.limits[step.label],
    )  # fmt: skip


def curve(threshold: Threshold, points: int = CURVE_POINTS) -> list[tuple[float, float]]:
    """(value, share of all documents kept) as the threshold moves over the sample's own values, evenly by rank.

    A value at which the threshold would be switched off is left out.
    """
    if not len(threshold.mine):
        return []
    values = np.concatenate([threshold.values(rule)[threshold.mine] for rule in threshold.rules])
    values = values[np.isfinite(values)]
    places = np.quantile(values, np.linspace(0, 1, points), method="inverted_cdf") if len(values) else []
    grid = sorted({float(place) for place in places} | ({threshold.now} if threshold.is_on else set()))
    rule = threshold.rules[0]
    return [(place, threshold.kept_at(place) / len(threshold.mine)) for place in grid if rule.limit(place) == place]


def moved(threshold: Threshold, share: float) -> float:
    """The value moved by a share of itself; counts stay whole and move by one at least, shares end at 1."""
    rule, by = threshold.rules[0], threshold.now * share
    if rule.is_count(threshold.key):
        by = float(max(1, round(abs(by)))) * (1 if share > 0 else -1)
    value = max(0.0, threshold.now + by)
    return min(1.0, value) if rule.is_share else value


def nearest(threshold: Threshold, scored: Scored, number: int) -> list[dict[str, Any]]:
    """The `number` documents on either side that would be the first to change when the threshold moves."""
    found: list[dict[str, Any]] = []
    if not threshold.is_on or threshold.key == "min_hits":  # a document that is spared by its density says nothing
        return found
    for rule in threshold.rules:
        values = threshold.values(rule)
        dropped = rule.drops(threshold.columns, threshold.limits)
        for side in (True, False):
            # On the dropped side only what nothing else drops; `decided` has that for both.
            rows = np.nonzero(threshold.decided & (dropped == side) & np.isfinite(values))[0]
            order = np.argsort(np.abs(values[rows] - threshold.now), kind="stable")[:number]
            found += [
                {
                    "id": scored.ids[row], "source": scored.sources[row], "signal": rule.signal,
                    "value": float(values[row]), "kept": not side,
                }
                for row in rows[order]
            ]  # fmt: skip
    return found


def only(drops: Sequence[np.ndarray]) -> list[int]:
    """How many documents each of several filters drops that no other of them does."""
    if not drops:
        return []
    number = np.sum(np.array(drops, int), axis=0)
    return [int((mine & (number == 1)).sum()) for mine in drops]
