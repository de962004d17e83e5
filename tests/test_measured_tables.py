"""Law: the guide's tables of measured quality and calibration show what the benchmarks wrote, digit for digit."""

import re

import pytest

from benchmarks import profile_quality
from pipelines.profiles import FilterSpec, Profile
from tests.data import ROOT
from tests.test_guide_covers import cells, section

RESULTS = ROOT / "benchmarks" / "results"


def results(name: str) -> dict[tuple[str, str], list[str]]:
    """(heading, first cell) -> the other cells of a file of results."""
    found = {}
    for part in (RESULTS / name).read_text(encoding="utf-8").split("\n## ")[1:]:
        for row in cells(part):
            found[part.partition(":")[0], row[0].strip("`")] = row[1:]
    return found


def table(after: str) -> list[list[str]]:
    """The first table behind some words of the guide's section."""
    text = section("Choosing thresholds").partition(after)[2]
    match = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert match
    return cells(match[0])[1:]


def test_the_quality_table_is_what_was_measured() -> None:
    measured = results("profile_quality.md")
    rows = table("**Quality, measured.**")
    assert len(rows) >= 10
    for name, profile, *shown in rows:
        assert measured[name, profile.strip("`")][:3] == shown, name


def test_the_calibration_table_is_what_was_measured() -> None:
    measured = {(heading[:2], key): row for (heading, key), row in results("calibrate.md").items()}
    keys = {
        "words with a letter": "max_non_alpha_words_ratio",
        "lines that end a sentence (not in our chain)": "line_punct_thr",
        "repeated lines": "dup_line_frac", "top 2-grams": "top_n_grams.2", "duplicated 5-grams": "dup_n_grams.5",
        "duplicated 10-grams": "dup_n_grams.10", "language score (another model)": "language score",
    }  # fmt: skip
    rows = {row[0]: row[1:] for row in table("Re-derived from the data pack")}
    for title, key in keys.items():
        for language, shown in zip(("vi", "fr", "zh"), rows[title], strict=True):
            numbers = [cell.partition(" ")[0] for cell in measured[language, key][:2]]
            assert shown.partition(" (")[0].split(", ") == numbers, (title, language)
    text = (RESULTS / "calibrate.md").read_text(encoding="utf-8")
    found = re.findall(r"(\d+) of FineWeb-2's (\d+) found", text)
    assert rows["stop words found"] == [f"{ours} of {theirs}" for ours, theirs in found]


def test_counts_of_the_benchmark_are_those_of_the_labels() -> None:
    """Two good and three bad texts, and a profile that keeps what has ten characters or more."""
    profile = Profile(name="long", filters=(FilterSpec(name="length", params={"min_chars": 10}),))
    pairs = [
        ("a long good text", True),
        ("short", True),
        ("bad", False),
        ("bad", False),
        ("bad, but rather long", False),
    ]
    counts = profile_quality.judge(profile, pairs)
    assert (counts.recall, counts.dropped, counts.precision) == ((1, 2), (2, 3), (1, 2))
    assert counts.families == {"length": 2}
    assert profile_quality.shown((1, 2)) == "50.0% [9.5, 90.5]"


@pytest.mark.parametrize(("hits", "total"), [(0, 10), (10, 10), (3, 7)])
def test_intervals_hold_the_share(hits: int, total: int) -> None:
    low, high = profile_quality.wilson(hits, total)
    assert 0 <= low <= hits / total + 1e-12
    assert hits / total - 1e-12 <= high <= 1
