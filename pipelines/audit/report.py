"""An audit as plain data: for each profile, what its filters drop alone, together and only they, and its thresholds.

Shares are of the documents of the sample that the profile judges. Gives up: weighing documents by length, but for the
bytes that are kept.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines.audit.judge import Chain, Judged, Scored
from pipelines.audit.thresholds import MOVES, Threshold, curve, moved, nearest, only, thresholds_of
from pipelines.audit.what_if import Change, answer, resolve

NEAREST = 3


def profile_report(
    profile: str, chain: Chain, scored: Scored, judged: Judged, changes: Sequence[Change]
) -> dict[str, Any]:
    """Everything about one profile; see the guide for what the entries mean."""
    kept = judged.kept
    thresholds = thresholds_of(chain, scored, judged)
    asked = [found for change in changes if (found := resolve(chain, change)) is not None]
    answers = [answer(chain, scored, judged, [change]) for change in asked]
    if len(asked) > 1:
        answers.append(answer(chain, scored, judged, asked))
    return {
        "profile": profile,
        "documents": len(scored),
        "kept": int(kept.sum()),
        "bytes": int(scored.num_bytes.sum()),
        "bytes_kept": int(scored.num_bytes[kept].sum()),
        "sources": _sources(scored, kept),
        "filters": _filters(chain, judged),
        "overlap": _overlap(chain, judged),
        "reasons": dict(Counter(verdict for verdict in judged.verdicts() if verdict).most_common()),
        "thresholds": [_threshold(one) for one in thresholds],
        "curves": {one.name: curve(one) for one in thresholds},
        "nearest": {one.name: nearest(one, scored, NEAREST) for one in thresholds},
        "what_if": answers,
    }


def _sources(scored: Scored, kept: np.ndarray) -> list[dict[str, Any]]:
    sources = np.array(scored.sources, object)
    return [
        {"source": name, "documents": int((sources == name).sum()), "kept": int(kept[sources == name].sum())}
        for name in dict.fromkeys(scored.sources)
    ]


def _filters(chain: Chain, judged: Judged) -> list[dict[str, Any]]:
    """`drops`: whatever the others do; `only`: what no other filter drops; `first`: what a run counts for it."""
    dropped = [judged.dropped(step.label) for step in chain.steps]
    left = np.ones(judged.num_documents, bool)
    found = []
    for step, mine, alone in zip(chain.steps, dropped, only(dropped), strict=True):
        found.append({"filter": step.label, "drops": int(mine.sum()), "only": alone, "first": int((mine & left).sum())})
        left &= ~mine
    return found


def _overlap(chain: Chain, judged: Judged) -> dict[str, dict[str, int]]:
    """How many documents both of two filters drop; on the diagonal, how many the one does."""
    dropped = {step.label: judged.dropped(step.label) for step in chain.steps}
    return {a: {b: int((x & y).sum()) for b, y in dropped.items()} for a, x in dropped.items()}


def _threshold(one: Threshold) -> dict[str, Any]:
    """`drops`: documents on the wrong side of it; `only`: those that no other rule drops; `moves`: (value, documents
    kept by the whole chain) when it is moved by -20, -10, 10 and 20 %."""
    if not one.is_on:
        return {"name": one.name, "value": None, "judges": int(one.mine.sum()), "drops": 0, "only": 0, "moves": []}
    drops = one.drops_at(one.now) & one.mine
    moves = [(value, one.kept_at(value)) for value in (moved(one, share) for share in MOVES)]
    return {
        "name": one.name, "value": one.now, "judges": int(one.mine.sum()), "drops": int(drops.sum()),
        "only": int((drops & one.decided).sum()), "moves": moves,
    }  # fmt: skip
