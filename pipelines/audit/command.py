"""The body of `smoltrove audit`: draw, measure, judge, report.

Gives up: several processes; a sample of 1,000 documents is measured in seconds.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from pipelines.audit.judge import Chain, judge, score
from pipelines.audit.report import profile_report
from pipelines.audit.sample import Drawn, draw
from pipelines.audit.signals_file import Scores, is_signals, read_signals, write_signals
from pipelines.audit.table import print_audit
from pipelines.audit.what_if import parse_changes, refuse_unknown
from pipelines.errors import UserError
from pipelines.needs import needs_of


def execute_audit(
    target: Path,
    *,
    sample: int,
    seed: int,
    what_if: Sequence[str] = (),
    signals: Path | None = None,
    as_json: bool = False,
    **options: Any,
) -> int:
    """Audit and print; `options` are those of `pipelines.audit.sample.draw`. 1 when a source could not be audited.

    Raises UserError for wrong input.
    """
    changes = parse_changes(what_if)
    if signals is not None and not signals.resolve().parent.is_dir():
        raise UserError(f"--signals {signals}: its folder does not exist")
    missing: list[tuple[str, str]] = []
    notes: list[str] = []
    if is_signals(target):
        if any(options.values()):
            given = next(name for name, value in options.items() if value)
            raise UserError(f"--{given.replace('_', '-')}: a file of signals has its documents and profile already")
        scores, about = read_signals(target)
        notes = about["notes"]
    else:
        drawn = list(draw(target, number=sample, seed=seed, **options))
        missing = [(one.source, one.problem) for one in drawn if one.problem is not None]
        notes = _notes(drawn)
        scores = _measure([one for one in drawn if one.documents])
        about = {"target": str(target), "sample": sample, "seed": seed, "notes": notes}
    refuse_unknown([chain for _, chain, _ in scores], changes)
    judged = [judge(chain, scored) for _, chain, scored in scores]
    found = {
        "target": str(target),
        "sample": about["sample"],
        "seed": about["seed"],
        "profiles": [
            profile_report(name, chain, scored, verdicts, changes)
            for (name, chain, scored), verdicts in zip(scores, judged, strict=True)
        ],
        "not_audited": missing,
        "notes": notes,
    }
    if signals is not None and scores:
        write_signals(signals, scores, [one.verdicts() for one in judged], about)
    print_audit(found) if not as_json else print(json.dumps(found, ensure_ascii=False, indent=1))
    return 1 if missing else 0


def _notes(drawn: Sequence[Drawn]) -> list[str]:
    """What is to be said about the samples, each thing once with the sources that it is about."""
    about: dict[str, list[str]] = {}
    for one in drawn:
        for note in one.notes:
            about.setdefault(note, []).append(one.source)
    return [
        f"{sources[0] if len(sources) == 1 else f'{len(sources)} sources ({sources[0]}, ...)'}: {note}"
        for note, sources in about.items()
    ]


def _measure(drawn: Sequence[Drawn]) -> Scores:
    """The signals of all samples, those of one profile together."""
    console = Console(stderr=True, highlight=False)
    groups: dict[str, list[Drawn]] = {}
    for one in drawn:
        groups.setdefault(f"{one.profile.name}\n{one.profile.model_dump_json(include={'filters'})}", []).append(one)
    scores: Scores = []
    for key, members in groups.items():
        profile = members[0].profile
        for sentence in needs_of(profile).values():
            if sentence is not None:
                raise UserError(f"profile {profile.name}: {sentence}")
        name = key.partition("\n")[0]
        number = sum(known.partition("#")[0] == name for known, _, _ in scores) + 1
        chain = Chain(profile.filters)
        documents = [(one.source, document) for one in members for document in one.documents]
        console.print(f"audit {name}: {len(documents):,} documents", markup=False, soft_wrap=True)
        scores.append((name if number == 1 else f"{name}#{number}", chain, score(chain, documents)))
    return scores
