"""Re-derives the Vietnamese, French and Chinese thresholds and compares them with FineWeb-2's published ones.

    python benchmarks/calibrate_check.py             writes benchmarks/results/calibrate.md (a few minutes on one core)
    python benchmarks/calibrate_check.py --english   prints where English thresholds lie in English prose of web-en

Trusted text is what the data pack has: Vietnamese news and encyclopedia paragraphs, French and Chinese manuals, release
notes and encyclopedia paragraphs. FineWeb-2's is Wikipedia and Common Crawl, so differences are expected; the table
shows them beside what two other ways to choose a value would give. Given up: saying which text is the better one.
"""

import argparse
import gzip
import json
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from datatrove.data import Document

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.spam_table import DATA  # noqa: E402 - the script is run from anywhere
from pipelines.calibrate.derive import derive  # noqa: E402
from pipelines.calibrate.measure import Measured, measure  # noqa: E402
from pipelines.calibrate.quantiles import DEFAULT, ENGLISH, SIGNALS, of_english, of_tail  # noqa: E402

PROSE = {"blog", "government page", "news", "speech", "crawled page", "long-form essay", "book", "faq"}
TRUSTED: dict[str, tuple[str, Callable[[dict[str, Any]], bool]]] = {
    "en": ("web-en", lambda row: row["kind"] in PROSE),
    "vi": ("web-vi", lambda row: row["source"] in ("baomoi", "xquad")),
    "fr": ("fineweb2-like/data/fra_Latn", lambda row: True),
    "zh": ("fineweb2-like/data/cmn_Hani", lambda row: True),
}
SAMPLE = 4000


def rows(folder: Path) -> Iterator[dict[str, Any]]:
    """The rows of a data set of the pack."""
    for path in sorted(folder.rglob("*.parquet")):
        yield from pq.read_table(path).to_pylist()
    for path in sorted(folder.rglob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def trusted(language: str, data: Path = DATA) -> Measured:
    """A seeded sample of the trusted text of a language, measured."""
    folder, wanted = TRUSTED[language]
    found = [row for row in rows(data / folder) if wanted(row)]
    random.Random(0).shuffle(found)
    return measure((Document(text=row["text"], id=row["id"]) for row in found[:SAMPLE]), language)


def mean_std(values: np.ndarray, english: np.ndarray, threshold: float) -> float:
    """The value as many standard deviations from the mean as the English threshold is from the mean of English."""
    return float(values.mean() + (threshold - english.mean()) / english.std() * values.std())


def published(language: str) -> dict[str, float]:
    """FineWeb-2's values of a language by the names of `quantiles.ENGLISH`."""
    found = json.loads((DATA.parent / "reference" / "fineweb2_params.json").read_text(encoding="utf-8"))
    given = found["languages"][language]
    values = {key: given[key] for key in ENGLISH if key in given}
    values |= {f"{name}.{n}": share for name in ("top_n_grams", "dup_n_grams") for n, share in given[name]}
    return values | {"threshold": given["language_score"], "stop_words": given["stopwords"]}


def table(language: str, measured: Measured, english: Measured) -> list[str]:
    """The rows of one language: published, derived, and two other ways."""
    theirs: dict[str, Any] = published(language)
    derived, tail = derive(measured, DEFAULT), derive(measured, of_tail(0.1))
    lines = [
        f"## {language}: {len(measured):,} documents ({TRUSTED[language][0]})",
        "",
        "| threshold | published | derived | difference | mean and deviation as English | 10 % tail |",
        "|---|---:|---:|---:|---:|---:|",
        f"| language score | {theirs['threshold']:g} (GlotLID) | {derived.values['threshold']:g} (lid.176) | | | |",
    ]
    for key, threshold in ENGLISH.items():
        columns = [one.columns[SIGNALS[key]] for one in (measured, english)]
        ours, en = (column[np.isfinite(column)] for column in columns)
        value, other = derived.values[key], mean_std(ours, en, threshold)
        shown = f"{value:g}" + (" (English)" if derived.how[key].startswith("the English") else "")
        lines.append(
            f"| {key} | {theirs[key]:g} | {shown} | {value - theirs[key]:+.3f} | {other:.3f} | {tail.values[key]:g} |"
        )
    common = [word for word in derived.stop_words if word in theirs["stop_words"]]
    missed = [word for word in theirs["stop_words"] if word not in derived.stop_words]
    more = [word for word in derived.stop_words if word not in theirs["stop_words"]]
    return [
        *lines,
        "",
        f"Stop words (more than {derived.stop_share:.1%} of all words): {len(common)} of FineWeb-2's "
        f"{len(theirs['stop_words'])} found: {' '.join(common)}. Not found: {' '.join(missed) or '-'}. "
        f"Others: {' '.join(more) or '-'}.",
        "",
    ]


HEAD = """\
# Calibration: derived beside published

`python benchmarks/calibrate_check.py` writes this file. Trusted text is what the data pack has, a sample of at most
4,000 documents a language; FineWeb-2's is Wikipedia and Common Crawl. *published* is FineWeb-2's configuration
(d0defb2), *derived* what `smoltrove calibrate` makes of our text: quantiles at which the English thresholds lie in
English text. *mean and deviation as English* and *10 % tail* are two other ways to choose a value, on the same text.
A value of 0 cannot be a threshold; the English one stands in its place.
"""


def main() -> None:
    """Measure, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--english", action="store_true", help="print the quantiles of the English thresholds")
    arguments = parser.parse_args()
    english = trusted("en")
    if arguments.english:
        print(f"{len(english):,} documents")
        for key, quantile in of_english(english).items():
            print(f"{key}: {quantile:.4f}")
        return
    lines = [HEAD]
    for language in ("vi", "fr", "zh"):
        lines += table(language, trusted(language), english)
    (ROOT / "benchmarks" / "results" / "calibrate.md").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
