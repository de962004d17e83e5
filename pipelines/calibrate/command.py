"""The body of `smoltrove calibrate`: trusted text in, a profile out, beside the shipped one.

Gives up: a held-out half; `smoltrove audit` with the new profile on other text is that check.
"""

import json
from pathlib import Path
from typing import Any

from datatrove.data import Document
from rich.console import Console
from rich.table import Table

from filters.language import normalise_language
from filters.text import splitter_available
from pipelines import BUNDLED_CONFIGS
from pipelines.audit.judge import Chain, judge, score
from pipelines.audit.rules import limits_of
from pipelines.audit.sample import draw
from pipelines.calibrate.derive import FEW_DOCUMENTS, derive, word_code
from pipelines.calibrate.measure import measure
from pipelines.calibrate.profile_file import profile_text, specs_of
from pipelines.calibrate.quantiles import DEFAULT, of_english, of_tail
from pipelines.curriculum import PROFILES_NAME
from pipelines.errors import UserError
from pipelines.profiles import FilterSpec, load_profiles

WIDTH = 160
USUAL_SCORE = 0.65


def execute_calibrate(
    folder: Path,
    *,
    language: str,
    sample: int,
    seed: int = 0,
    english: Path | None = None,
    tail: float | None = None,
    name: str | None = None,
    output: Path | None = None,
    text_field: str | None = None,
    id_field: str | None = None,
    as_json: bool = False,
) -> int:
    """Derive, write and compare. Raises UserError for wrong input."""
    word_code(language)
    code = normalise_language(language)
    for needed in dict.fromkeys((code, *(["en"] if english else []))):
        if (missing := splitter_available(needed)) is not None:
            raise UserError(missing)
    if english is not None and tail is not None:
        raise UserError("--tail: says which share each threshold drops; --english does too; give one of them")
    name = name or f"web-{code}"
    output = output or Path(f"{name}.yaml")
    if output.exists():
        raise UserError(f"--output {output}: exists already; remove it or write to another file")
    columns = {"text_field": text_field, "id_field": id_field}
    documents = _documents(folder, sample, seed, columns)
    measured = measure(documents, code)
    if english is not None:
        quantiles = of_english(measure(_documents(english, sample, seed, columns), "en"))
    else:
        quantiles = DEFAULT if tail is None else of_tail(tail)
    derived = derive(measured, quantiles)
    specs = specs_of(derived, code)
    shipped = load_profiles(BUNDLED_CONFIGS / PROFILES_NAME).get(f"web-{code}")
    kept, kept_bytes = _kept(documents, specs)
    before = _kept(documents, shipped.filters) if shipped is not None else None
    text = profile_text(
        name, derived, specs, about=f"{folder.resolve().name}, sample {sample:,}, seed {seed}",
        expected_yield=max(0.05, round(kept_bytes * 20) / 20),
    )  # fmt: skip
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--output {output}: cannot be written ({error.strerror})") from None
    load_profiles(output)
    found = {
        "language": code,
        "documents": len(measured),
        "left_out": measured.num_unread,
        "other_language": measured.num_other,
        "profile": name,
        "output": str(output),
        "values": derived.values,
        "how": derived.how,
        "stop_words": derived.stop_words,
        "kept": kept,
        "kept_bytes": kept_bytes,
        "shipped": None if shipped is None else shipped.name,
        "shipped_kept": before[0] if before else None,
        "shipped_kept_bytes": before[1] if before else None,
        "compared": _compared(specs, shipped.filters if shipped else ()),
        "notes": _notes(len(measured), measured.num_unread, measured.num_other, derived.values, derived.how),
    }
    if as_json:
        print(json.dumps(found, ensure_ascii=False, indent=1))
    else:
        _show(found, specs, shipped.filters if shipped else ())
    return 0


def _documents(folder: Path, sample: int, seed: int, columns: dict[str, str | None]) -> list[Document]:
    if not folder.exists():
        raise UserError(f"{folder}: no such folder; give one with trusted text of the language")
    console = Console(stderr=True, highlight=False)
    drawn = next(iter(draw(folder, number=sample, seed=seed, profile="none", **columns)))  # type: ignore[arg-type]
    console.print(f"calibrate {folder}: {len(drawn.documents):,} documents", markup=False, soft_wrap=True)
    return drawn.documents


def _kept(documents: list[Document], specs: tuple[FilterSpec, ...]) -> tuple[float, float]:
    """(share of documents, share of bytes) of the trusted text that a chain keeps."""
    chain = Chain(specs)
    scored = score(chain, (("", document) for document in documents))
    kept = judge(chain, scored).kept
    return float(kept.mean()), float(scored.num_bytes[kept].sum() / scored.num_bytes.sum())


def _thresholds(specs: tuple[FilterSpec, ...]) -> dict[str, float]:
    return {
        f"{step.label}.{key}": value for step in Chain(specs).steps for key, value in limits_of(step.filter).items()
    }


def _compared(specs: tuple[FilterSpec, ...], shipped: tuple[FilterSpec, ...]) -> list[dict[str, Any]]:
    """Every threshold of both chains; None for one that is switched off or not there."""
    ours, theirs = _thresholds(specs), _thresholds(shipped)

    def value(table: dict[str, float], key: str) -> float | None:
        number = table.get(key)
        return None if number is None or number != number else number

    return [{"name": key, "derived": value(ours, key), "shipped": value(theirs, key)} for key in {**ours, **theirs}]


def _stop_words(specs: tuple[FilterSpec, ...]) -> list[str]:
    return next((list(spec.params["stop_words"]) for spec in specs if "stop_words" in spec.params), [])


def _notes(num: int, unread: int, other: int, values: dict[str, float], how: dict[str, str]) -> list[str]:
    notes = []
    if num < FEW_DOCUMENTS:
        notes.append(
            f"{num:,} documents are few: the quantiles at the ends are single documents; give {FEW_DOCUMENTS:,} or more"
        )
    if unread:
        notes.append(f"{unread:,} documents without words were left out")
    if other:
        notes.append(f"{other:,} documents look like another language; is the text clean?")
    if values["threshold"] > USUAL_SCORE:
        notes.append(
            f"threshold {values['threshold']:g} is the score of trusted text; raw pages score lower, and the shipped "
            f"profiles ask for {USUAL_SCORE:g}"
        )
    english = [key for key, text in how.items() if text.startswith("the English value")]
    if english:
        notes.append(f"{', '.join(english)}: the trusted text has too few repeats to say; English values stand")
    return notes


def _show(found: dict[str, Any], specs: tuple[FilterSpec, ...], shipped: tuple[FilterSpec, ...]) -> None:
    console = Console(width=WIDTH, highlight=False)

    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    other = found["shipped"] or "none shipped"
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("threshold", no_wrap=True)
    for heading in ("derived", other):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("derived as", no_wrap=True)
    for one in found["compared"]:
        if one["derived"] is None and one["shipped"] is None:
            continue
        shown = ["off" if one[side] is None else f"{one[side]:g}" for side in ("derived", "shipped")]
        if not shipped:
            shown[1] = ""
        table.add_row(one["name"], *shown, found["how"].get(one["name"].partition(".")[2], ""))
    console.print(table)
    for key in ("line_punct_thr", "new_line_ratio"):
        say(f" {key}: {found['values'][key]:g} (FineWebQualityFilter's, not in the chain)")
    ours, theirs = _stop_words(specs), _stop_words(shipped)
    say(f" stop words: {' '.join(ours)}")
    if theirs:
        common = [word for word in ours if word in theirs]
        say(f" {len(common)} of them in {other} too; only there: {' '.join(w for w in theirs if w not in ours) or '-'}")
    say(f" kept of the trusted text: {found['kept']:.1%} of documents, {found['kept_bytes']:.1%} of bytes")
    if found["shipped_kept"] is not None:
        say(f" kept by {other}: {found['shipped_kept']:.1%} of documents, {found['shipped_kept_bytes']:.1%} of bytes")
    for note in found["notes"]:
        say(f"note: {note}")
    say(f"profile {found['profile']} written to {found['output']}")
