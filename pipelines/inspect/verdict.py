"""Why a document was kept or dropped: the number that decided, its threshold, how near they are, and the marked places.

Numbers are those of filters/signals.py, rules and thresholds those of the audit. For a dropped document the rule of its
reason decides, for a kept one the rule whose threshold it came nearest to. Distances are shares of the threshold, so
that rules can be compared. Gives up: texts above `marks.MAX_CHARS` and rows that no filter judged (the reader's).
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from datatrove.data import Document

from pipelines.audit.judge import LANGUAGE, Chain, Scored, Step, score
from pipelines.audit.rules import limits_of, rules_of
from pipelines.inspect.corpus import READER, Corpus
from pipelines.inspect.documents import Found
from pipelines.inspect.marks import MAX_CHARS, Span, marks_of
from pipelines.writers import reason_name

FAR = float("inf")
# Reasons that the language filter gives where its score is not above the threshold.
_OF_SCORE = ("not_wanted", "empty")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What decided. `rule`: `family.rule`; `distance`: |value - threshold| / threshold, infinite where there is none;
    `marks`: spans of the text; `facts`: one line each."""

    rule: str = ""
    signal: str = ""
    value: float | None = None
    threshold: float | None = None
    distance: float = FAR
    marks: list[Span] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain data; no distance is null."""
        return {**asdict(self), "distance": None if self.distance == FAR else self.distance}


class Judge:
    """The filters of a corpus, made once for each profile."""

    def __init__(self, corpus: Corpus) -> None:
        self._filters = corpus.filters
        self._chains: dict[str, Chain] = {}

    def verdict(self, found: Found) -> Verdict:
        """What decided about one document."""
        facts = _language(found)
        specs = self._filters.get(found.file.source, ())
        if not specs or found.file.family == READER:
            return Verdict(rule=found.reason, facts=facts)
        text = found.line.text
        if found.line.cut or len(text) > MAX_CHARS:
            return Verdict(rule=found.reason, facts=[*facts, f"not measured: longer than {MAX_CHARS:,} characters"])
        profile = "".join(spec.model_dump_json() for spec in specs)
        if profile not in self._chains:
            self._chains[profile] = Chain(specs)
        chain = self._chains[profile]
        document = Document(text=text, id=found.line.id, metadata=dict(found.line.metadata))
        scored = score(chain, [(found.file.source, document)])
        best = Verdict(rule=found.reason, facts=facts)
        for step in chain.steps:
            variant = step.variants[scored.variants[step.label][0]]
            for rule, key, value, limit in _compared(step, variant, scored):
                name = reason_name(step.spec.name, rule)
                if found.reason and not _is_reason(found.reason, step, name):
                    continue
                distance = abs(value - limit) / max(abs(limit), 1e-9)
                if best.value is None or distance < best.distance:
                    best = Verdict(
                        rule=found.reason or name, signal=key, value=value, threshold=limit, distance=distance,
                        facts=facts, marks=marks_of(variant, rule, text),
                    )  # fmt: skip
            if best.value is None and found.reason.startswith(f"{step.spec.name}."):
                places = marks_of(variant, found.reason.partition(".")[2], text)
                best = Verdict(rule=found.reason, facts=facts, marks=places)
        return best


def _compared(step: Step, variant: Any, scored: Scored) -> Iterator[tuple[str, str, float, float]]:
    """(reason, signal, value, threshold) of each rule of a filter that is on and has a number here."""
    limits = limits_of(variant)
    for rule in rules_of(variant):
        for key in rule.keys:
            value = float(rule.values(scored.columns[step.label], key)[0])
            limit = limits[key]
            # How many phrases a text may hold is a second condition of the density, no threshold of its own.
            if key != "min_hits" and np.isfinite(value) and np.isfinite(limit):
                yield rule.reason, rule.signal, value, limit


def _is_reason(reason: str, step: Step, name: str) -> bool:
    if step.spec.name == LANGUAGE and reason in [reason_name(LANGUAGE, short) for short in _OF_SCORE]:
        return name == reason_name(LANGUAGE, "low_score")
    return name == reason


def _language(found: Found) -> list[str]:
    score_of = found.line.metadata.get("language_score")
    if not found.language:
        return []
    shown = f", score {score_of:.3f}" if isinstance(score_of, (int, float)) else ""
    return [f"language {found.language}{shown}"]
