"""A derived profile as a file that `filtering: profiles:` may name, each number with its source beside it.

Gives up: merging it into a file of many profiles; copy it there by hand.
"""

import json
from collections.abc import Iterator, Mapping

from pipelines.calibrate.derive import NOT_IN_CHAIN, Derived
from pipelines.profiles import FilterSpec

MIN_STOP_WORDS = 2
WRAP = 110


def specs_of(derived: Derived, language: str) -> tuple[FilterSpec, ...]:
    """The chain: what was derived, and for the rest what the shipped profiles of FineWeb-2's languages have."""
    values = derived.values
    return (
        FilterSpec(name="language", params={"languages": [language], "threshold": values["threshold"]}),
        FilterSpec(
            name="gopher_repetition",
            params={
                "language": language,
                "dup_line_frac": values["dup_line_frac"],
                "dup_para_frac": 0,
                "dup_line_char_frac": 0,
                "dup_para_char_frac": 0,
                "top_n_grams": [[n, values[f"top_n_grams.{n}"]] for n in (2, 3, 4)],
                "dup_n_grams": [[n, values[f"dup_n_grams.{n}"]] for n in range(5, 11)],
            },
        ),
        FilterSpec(
            name="gopher_quality",
            params={
                "language": language,
                "min_doc_words": 20,
                "max_doc_words": 200000,
                "min_avg_word_length": int(values["min_avg_word_length"]),
                "max_avg_word_length": int(values["max_avg_word_length"]),
                "max_symbol_word_ratio": 0.1,
                "max_bullet_lines_ratio": 0.9,
                "max_ellipsis_lines_ratio": 0.3,
                "max_non_alpha_words_ratio": values["max_non_alpha_words_ratio"],
                "min_stop_words": MIN_STOP_WORDS,
                "stop_words": derived.stop_words,
            },
        ),
        FilterSpec(name="spam", params={"mode": "density"}),
    )


def profile_text(
    name: str, derived: Derived, specs: tuple[FilterSpec, ...], *, about: str, expected_yield: float
) -> str:
    """The YAML of a file with this profile. `about`: one line on the trusted text."""
    return "\n".join(_lines(name, derived, specs, about, expected_yield)) + "\n"


_FIXED = {
    "dup_para_frac": "disabled, as fineweb-2-pipeline.py does",
    "dup_line_char_frac": "disabled, as fineweb-2-pipeline.py does",
    "dup_para_char_frac": "disabled, as fineweb-2-pipeline.py does",
    "min_doc_words": "not derived: as the shipped profiles",
    "max_doc_words": "not derived: as the shipped profiles",
    "max_symbol_word_ratio": "not derived: Gopher section A.1.1",
    "max_bullet_lines_ratio": "not derived: Gopher section A.1.1",
    "max_ellipsis_lines_ratio": "not derived: Gopher section A.1.1",
    "min_stop_words": "not derived: fineweb-2-pipeline.py",
}


def _lines(
    name: str, derived: Derived, specs: tuple[FilterSpec, ...], about: str, expected_yield: float
) -> Iterator[str]:
    yield f"# Derived by `smoltrove calibrate` from {derived.num_documents:,} documents: {about}"
    yield "# The method and its sources: pipelines/calibrate/derive.py. max_non_alpha_words_ratio is a SMALLEST share."
    for key in NOT_IN_CHAIN:
        yield f"# {key}: {derived.values[key]:g}  ({derived.how[key]}; of FineWebQualityFilter, not in this chain)"
    yield "profiles:"
    yield f"  {name}:"
    yield f"    description: {json.dumps(f'calibrated on {derived.num_documents:,} documents', ensure_ascii=False)}"
    yield f"    expected_yield: {expected_yield:g}  # of the trusted text itself; raw text keeps less"
    yield "    filters:"
    for spec in specs:
        yield f"      - {spec.name}:"
        for key, value in spec.params.items():
            yield from _parameter(key, value, derived)


def _parameter(key: str, value: object, derived: Derived) -> Iterator[str]:
    shown = json.dumps(value, ensure_ascii=False)
    if key == "stop_words":
        yield f"          # each more than {derived.stop_share:.1%} of all words of the trusted text"
        yield "          stop_words:"
        yield from (f"            {line}" for line in _wrapped(shown))
        return
    note = _note(key, derived.how)
    yield f"          {key}: {shown}" + (f"  # {note}" if note else "")


def _note(key: str, how: Mapping[str, str]) -> str:
    if key in _FIXED:
        return _FIXED[key]
    if key in how:
        return how[key]
    notes = [text for name, text in how.items() if name.startswith(f"{key}.")]
    if len(set(notes)) <= 1:
        return notes[0] if notes else ""
    short = [text.removeprefix("quantile ").removesuffix(" of the trusted text") for text in notes]
    return f"quantiles of the trusted text: {', '.join(short)}" if all(len(s) < 9 for s in short) else "; ".join(notes)


def _wrapped(text: str) -> Iterator[str]:
    line = ""
    for part in text.split(", "):
        if line and len(line) + len(part) > WRAP:
            yield line + ","
            line = " " + part
        else:
            line = f"{line}, {part}" if line else part
    yield line
