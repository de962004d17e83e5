"""Law: the guide's tables of measured things show what the benchmarks wrote into benchmarks/results, digit for digit.

That figures without a page of results have a command beside them is tests/test_figures.py's affair.
"""

import re

import pytest

from benchmarks import profile_quality
from pipelines.profiles import FilterSpec, Profile
from tests.data import ROOT
from tests.test_guide_covers import GUIDE, cells, section

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


# Columns of the guide's tables, by their place in the table of results.
PEERS = {"kept": 1, "precision": 5, "recall": 6, "F1": 7, "documents per CPU second": 9, "peak memory": 10}
PAGES_OF_HTML = {
    "word F1": 1, "precision": 2, "recall": 3, "strings kept": 5, "unwanted left out": 6, "pages without text": 7,
}  # fmt: skip
FAULTS = {"API": 1, "card": 2, "data files": 3, "storage host": 4, "blobs": 5, "longest": 6}


def rows_of(text: str, first: str, second: str) -> list[list[str]]:
    """The rows of the table whose heading row begins with these two cells, the heading included."""
    match = re.search(rf"^\| {re.escape(first)} \| {re.escape(second)} \|.*\n(?:\|.*\n)+", text, re.MULTILINE)
    assert match, f"no table that begins with {first!r}, {second!r}"
    return cells(match[0])


@pytest.mark.parametrize(
    ("name", "first", "columns"),
    [
        ("dedup_peers.md", "tool", PEERS),
        ("html_extraction.md", "method", PAGES_OF_HTML),
        ("hub_campaign.md", "fault", FAULTS),
    ],
)
def test_the_other_tables_are_what_was_measured(name: str, first: str, columns: dict[str, int]) -> None:
    """As far as the guide shows them, rounded as it rounds; its rows may be some of those that were measured."""
    second = next(iter(columns))
    measured = {
        row[0].replace("`", ""): row for row in rows_of((RESULTS / name).read_text(encoding="utf-8"), first, second)
    }
    heading, *rows = rows_of(GUIDE, first, second)
    assert heading[1:] == list(columns)
    assert len(rows) >= 4
    for label, *shown in rows:
        key = re.sub(r" \(.*", "", label.replace("`", ""))
        key = re.sub(r"^(\w+) ([0-9.]+), checked$", r"\1-checked \2", key)
        for title, cell in zip(columns, shown, strict=True):
            assert same(measured[key][columns[title]], cell), f"{label}: {title}: {measured[key][columns[title]]}"


def same(measured: str, shown: str) -> bool:
    """Equal, or equal after rounding to the decimals that are shown."""
    decimals = re.fullmatch(r"\d+\.(\d+)", shown)
    if not decimals or not re.fullmatch(r"\d+\.\d+", measured):
        return measured == shown
    return abs(float(measured) - float(shown)) <= 0.5 * 10.0 ** -len(decimals[1]) + 1e-9


def test_what_is_shown_is_not_just_anything_near() -> None:
    assert same("0.8985", "0.899")
    assert same("3/1/0", "3/1/0")
    assert not same("0.8985", "0.897")
    assert not same("279 MB", "280 MB")


def test_sums_in_sentences_are_those_of_the_results() -> None:
    """The proof, the two campaigns and the near-duplicates, where the guide quotes them."""
    guide = " ".join(GUIDE.split())
    texts = {path.stem: path.read_text(encoding="utf-8") for path in RESULTS.glob("*.md")}
    proof = rows_of(texts["proof"], "set", "documents")[-1]
    said = [f"found {int(proof[3]):,} answers of filters on {int(proof[1]):,} documents to be stock's"]
    launches = re.search(r"\d+ launches, \d+ attempts", texts["slurm_campaign"])
    counts = re.search(
        r"(\d+ runs) .*: (\d+ exact at once), (\d+ exact after one rerun), (\d+ clear stops)", texts["hub_campaign"]
    )
    near = re.search(r"([\d,]+) documents of the near-duplicate set, ([\d,]+ pairs)", texts["dedup_peers"])
    assert launches
    assert counts
    assert near
    said += [f"{launches[0]} at 30 tasks", *counts.groups(), f"{near[1]} versions", near[2]]
    assert [words for words in said if words not in guide] == []
