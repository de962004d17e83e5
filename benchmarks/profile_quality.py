"""Precision and recall of the filter profiles on text that people have labelled.

    python benchmarks/profile_quality.py     writes benchmarks/results/profile_quality.md (about a minute on one core)

A profile keeps or drops; the label says good or bad. *Recall* is the share of good documents that are kept, *precision*
the share of good among the kept, *bad dropped* the share of bad ones that are dropped; all with 95 % Wilson intervals.
Only documents that took no part in choosing phrases or thresholds count (the held-out half of the mail, the test split
of the reviews, the other half of the news). Given up: languages other than English and Vietnamese, for which there are
no labels, and what a model trained on the kept text is worth.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from datatrove.data import Document

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.spam_table import DATA, VI_SPAM, load_english, load_vietnamese, wilson  # noqa: E402 - run from anywhere
from filters import FILTERS  # noqa: E402
from pipelines.profiles import Profile, load_profiles  # noqa: E402

ENGLISH = ("web-en", "web-bilingual", "prefiltered")
VIETNAMESE = ("web-vi", "web-vi-fineweb2", "web-bilingual", "prefiltered")
LONG = 50
"""Words of a review that a filter for documents can be asked about."""
FAMILIES = {"language": "language", "gopher_repetition": "repetition", "gopher_quality": "quality"}


@dataclass(frozen=True, kw_only=True)
class LabelledSet:
    """Texts with a label: (text, good) pairs. `what`: what good and bad mean."""

    name: str
    what: str
    profiles: tuple[str, ...]
    pairs: list[tuple[str, bool]]


@dataclass(frozen=True, kw_only=True)
class Counts:
    """A profile on a labelled set; `families`: bad documents by the filter that dropped them first."""

    good: int
    good_kept: int
    bad: int
    bad_kept: int
    families: Counter[str]

    @property
    def recall(self) -> tuple[int, int]:
        """Good documents that are kept, of all good ones."""
        return self.good_kept, self.good

    @property
    def precision(self) -> tuple[int, int]:
        """Good documents among the kept."""
        return self.good_kept, self.good_kept + self.bad_kept

    @property
    def dropped(self) -> tuple[int, int]:
        """Bad documents that are dropped, of all bad ones."""
        return self.bad - self.bad_kept, self.bad


def sets(data: Path = DATA) -> Iterator[LabelledSet]:
    """Every labelled set of the data pack that a keep or a drop can be compared with."""
    labels = data / "quality-labels"
    for split, who in (("majority", "most annotators"), ("agreement", "all annotators alike")):
        rows = pq.read_table(labels / "dclm-human" / f"{split}.parquet").to_pylist()
        pairs = [(row["text"], row["label_name"] == "good") for row in rows]
        yield LabelledSet(name=f"DCLM pages, {split}", what=f"good / bad by {who}", profiles=ENGLISH, pairs=pairs)
    mail = [doc for doc in load_english(data) if doc.held_out and doc.kind in ("spam-email", "ham-email")]
    yield LabelledSet(
        name="SpamAssassin mail, held-out half", what="ham / spam, sorted by hand", profiles=ENGLISH,
        pairs=[(doc.text, not doc.is_spam) for doc in mail],
    )  # fmt: skip
    rows = pq.read_table(labels / "clear-readability" / "train.parquet", columns=["text"]).to_pylist()
    yield LabelledSet(
        name="CLEAR excerpts", what="all published prose", profiles=ENGLISH, pairs=[(row["text"], True) for row in rows]
    )
    rows = pq.read_table(labels / "youtube-spam" / "train.parquet").to_pylist()
    yield LabelledSet(
        name="YouTube comments", what="ham / spam", profiles=ENGLISH,
        pairs=[(row["text"], row["label_name"] == "ham") for row in rows],
    )  # fmt: skip
    reviews = [doc for doc in load_vietnamese(data) if doc.held_out and doc.kind.startswith("review")]
    ads = [(doc.text, not doc.is_spam) for doc in reviews if doc.kind in ("review: no-spam", f"review: {VI_SPAM}")]
    yield LabelledSet(
        name="ViSpamReviews, test split", what="no spam / advertisement or no review", profiles=VIETNAMESE, pairs=ads
    )
    yield LabelledSet(
        name=f"the same, {LONG} words or more", what="no spam / advertisement or no review", profiles=VIETNAMESE,
        pairs=[(text, good) for text, good in ads if len(text.split()) >= LONG],
    )  # fmt: skip
    news = [(doc.text, True) for doc in load_vietnamese(data) if doc.held_out and doc.kind == "baomoi"]
    yield LabelledSet(
        name="baomoi news beside those ads", what="professional news / advertisement or no review", profiles=VIETNAMESE,
        pairs=news + [(text, good) for text, good in ads if not good],
    )  # fmt: skip


def judge(profile: Profile, pairs: Iterable[tuple[str, bool]]) -> Counts:
    """Run a profile's filters over labelled texts."""
    chain = [(spec.name, FILTERS[spec.name](**spec.params)) for spec in profile.filters]
    found: Counter[tuple[bool, bool]] = Counter()
    families: Counter[str] = Counter()
    for number, (text, good) in enumerate(pairs):
        document = Document(text=text, id=str(number))
        by = next((name for name, one in chain if one.filter(document) is not True), None)
        found[good, by is None] += 1
        if by is not None and not good:
            families[FAMILIES.get(by, by)] += 1
    return Counts(
        good=found[True, True] + found[True, False], good_kept=found[True, True],
        bad=found[False, True] + found[False, False], bad_kept=found[False, True], families=families,
    )  # fmt: skip


def shown(part: tuple[int, int]) -> str:
    """A share in per cent with its 95 % Wilson interval."""
    hits, total = part
    if not total:
        return "-"
    low, high = wilson(hits, total)
    return f"{hits / total:.1%} [{100 * low:.1f}, {100 * high:.1f}]"


def row(name: str, counts: Counts) -> str:
    """A line of a table."""
    families = ", ".join(f"{family} {number:,}" for family, number in counts.families.most_common())
    shares = " | ".join(shown(part) for part in (counts.recall, counts.dropped, counts.precision))
    return f"| `{name}` | {shares} | {families or '-'} |"


def report() -> str:
    """The tables of all sets."""
    profiles = load_profiles(ROOT / "configs" / "filter_profiles.yaml")
    lines = [
        "# Precision and recall of the profiles",
        "",
        "`python benchmarks/profile_quality.py` writes this file. *good kept* is recall, *good among kept* precision",
        "(before filtering: the share of good in the set), with 95 % Wilson intervals; the last column counts the bad",
        "documents by the filter that dropped them first. Only held-out documents, see the script.",
    ]
    for labelled in sets():
        good = sum(1 for _, good in labelled.pairs if good)
        total = len(labelled.pairs)
        lines += [
            "",
            f"## {labelled.name}: {good:,} good, {total - good:,} bad ({labelled.what})",
            "",
            f"Before filtering {good / total:.1%} are good.",
            "",
            "| profile | good kept | bad dropped | good among kept | bad dropped by |",
            "|---|---:|---:|---:|---|",
        ]
        lines += [row(name, judge(profiles[name], labelled.pairs)) for name in labelled.profiles]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    text = report()
    (ROOT / "benchmarks" / "results" / "profile_quality.md").write_text(text, encoding="utf-8")
    print(text)
