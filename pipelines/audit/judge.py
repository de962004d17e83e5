"""A chain of filters judged from signals: every filter's verdict on every document, with no early stop.

`Chain(specs)` builds a profile's filters and measures documents; `judge(chain, scored)` compares the signals with the
chain's thresholds. The same signals can be judged by a chain with other thresholds. Gives up: chains that would
measure something else (another language, other stop words).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datatrove.data import Document

from filters import FILTERS
from filters.gopher import variant_of
from filters.signals import signals_of
from pipelines.audit.rules import OFF, Columns, Rule, limits_of, rules_of
from pipelines.profiles import FilterSpec
from pipelines.writers import reason_name

LANGUAGE = "language"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One filter of a chain. `label`: its name, numbered where it comes twice; `variants`: the filter that judges, by
    the code of the `by_language` entry ("" for the parameters of all other documents)."""

    label: str
    spec: FilterSpec
    variants: Mapping[str, Any]

    @property
    def filter(self) -> Any:
        """The filter itself."""
        return self.variants[""]


class Chain:
    """A profile's filters, ready to measure and to judge.

    Args:
        specs: as a profile lists them; checked already.
    """

    def __init__(self, specs: Sequence[FilterSpec]) -> None:
        self.specs = tuple(specs)
        labels: list[str] = []
        self.steps: list[Step] = []
        for spec in specs:
            number = sum(label.partition("#")[0] == spec.name for label in labels) + 1
            labels.append(spec.name if number == 1 else f"{spec.name}#{number}")
            step: Any = FILTERS[spec.name](**spec.params)
            variants = {"": step, **getattr(step, "by_language", {})}
            self.steps.append(Step(label=labels[-1], spec=spec, variants=variants))

    def measure(self, document: Document) -> tuple[dict[str, float], list[str]]:
        """(signals as `label.signal`, the variant of each step) of a document, whose metadata may be written to."""
        signals: dict[str, float] = {}
        variants = []
        for step in self.steps:
            found = signals_of(step.filter, document)
            signals |= {f"{step.label}.{name}": value for name, value in found.items()}
            judge_of = variant_of(getattr(step.filter, "by_language", {}), document)
            variants.append(next((code for code, one in step.variants.items() if code and one is judge_of), ""))
        return signals, variants


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Documents and all their signals: one row each. `columns[label][signal]` and `variants[label]` are arrays."""

    ids: list[str]
    sources: list[str]
    num_bytes: np.ndarray
    columns: dict[str, dict[str, np.ndarray]]
    variants: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.ids)


def score(chain: Chain, documents: Iterable[tuple[str, Document]]) -> Scored:
    """Measure (source, document) pairs. A filter's own metadata goes into copies."""
    ids, sources, sizes, rows, variants = [], [], [], [], []
    for source, document in documents:
        found, chosen = chain.measure(Document(text=document.text, id=document.id, metadata=dict(document.metadata)))
        ids.append(document.id)
        sources.append(source)
        sizes.append(len(document.text.encode("utf-8", "surrogatepass")))
        rows.append(found)
        variants.append(chosen)
    names = dict.fromkeys(name for row in rows for name in row)
    columns: dict[str, dict[str, np.ndarray]] = {step.label: {} for step in chain.steps}
    for name in names:
        label, _, signal = name.partition(".")
        columns[label][signal] = np.array([row.get(name, OFF) for row in rows], np.float64)
    for step in chain.steps:  # signals that no document has
        for one in step.variants.values():
            for rule in rules_of(one):
                columns[step.label].setdefault(rule.signal, np.full(len(ids), OFF))
    return Scored(
        ids=ids, sources=sources, num_bytes=np.array(sizes, np.int64), columns=columns,
        variants={step.label: np.array([row[i] for row in variants], object) for i, step in enumerate(chain.steps)},
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Verdicts on scored documents.

    `drops[label]`: (rule, which documents it drops alone) pairs in order; `limits[label][key]`: the threshold of each
    document; `reasons[label]`: the filter's reason or None for each document.
    """

    drops: dict[str, list[tuple[Rule, np.ndarray]]]
    limits: dict[str, dict[str, np.ndarray]]
    reasons: dict[str, np.ndarray]
    num_documents: int

    def dropped(self, label: str) -> np.ndarray:
        """Which documents one filter drops, whatever the others do."""
        return np.array([reason is not None for reason in self.reasons[label]], bool)

    @property
    def kept(self) -> np.ndarray:
        """Which documents the whole chain keeps."""
        kept = np.ones(self.num_documents, bool)
        for label in self.reasons:
            kept &= ~self.dropped(label)
        return kept

    def verdicts(self) -> list[str | None]:
        """`filter.reason` of the first filter that drops, as a run has it; None for documents that are kept."""
        found: list[str | None] = [None] * self.num_documents
        for label, reasons in self.reasons.items():
            for i, reason in enumerate(reasons):
                if reason is not None and found[i] is None:
                    found[i] = reason_name(label.partition("#")[0], reason)
        return found


def judge(chain: Chain, scored: Scored) -> Judged:
    """Every filter's verdict on every document, from the signals alone."""
    drops, limits, reasons = {}, {}, {}
    for step in chain.steps:
        columns = scored.columns[step.label]
        limits[step.label] = thresholds = limits_by_document(step, scored)
        by_variant = {code: rules_of(one) for code, one in step.variants.items()}
        rules = list(dict.fromkeys(rule for listed in by_variant.values() for rule in listed))
        found = {rule: rule.drops(columns, thresholds) for rule in rules}
        drops[step.label] = list(found.items())
        first = np.full(len(scored), None, object)
        for code, listed in by_variant.items():
            mine = scored.variants[step.label] == code
            for rule in reversed(listed):
                first[found[rule] & mine] = rule.reason
        if step.spec.name == LANGUAGE:
            first = _language_reasons(first, columns)
        reasons[step.label] = first
    return Judged(drops=drops, limits=limits, reasons=reasons, num_documents=len(scored))


def limits_by_document(step: Step, scored: Scored) -> dict[str, np.ndarray]:
    """The thresholds that hold for each document; OFF where its variant of the filter has no such rule."""
    found: dict[str, np.ndarray] = {}
    for code, one in step.variants.items():
        mine = scored.variants[step.label] == code
        for key, limit in limits_of(one).items():
            found.setdefault(key, np.full(len(scored), OFF))[mine] = limit
    return found


def _language_reasons(first: np.ndarray, columns: Columns) -> np.ndarray:
    low = first == "low_score"
    first[low & (columns["wanted"] == 0)] = "not_wanted"
    first[low & (columns["blank"] == 1)] = "empty"
    return first
