"""Verdicts worked out from signals beside the filters' own, on documents of the data pack, and what measuring costs.

    python benchmarks/audit_signals.py [--documents N]     prints a table (about three minutes on one core)

Every filter of a chain is asked about every document, whatever the ones before said; verdict and reason must be equal.
CPU time is that of measuring all signals of all filters. Given up: languages other than English and Vietnamese, which
`tests/audit/test_verdicts.py` compares on a few documents each.
"""

import argparse
import random
import sys
import time
from pathlib import Path

from datatrove.data import Document

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.calibrate_check import rows  # noqa: E402 - the script is run from anywhere
from benchmarks.spam_table import DATA  # noqa: E402
from pipelines.audit.judge import Chain, judge, score  # noqa: E402
from pipelines.profiles import Profile, load_profiles  # noqa: E402

PARTS = (("web-en", "web-en"), ("web-vi", "web-vi"), ("web-vi-fineweb2", "web-vi"), ("web-bilingual", "web-vi"))


def compare(profile: Profile, documents: list[Document]) -> tuple[int, int, float]:
    """(verdicts compared, verdicts that differ, CPU seconds of measuring)."""
    chain = Chain(profile.filters)
    pairs = [("", document) for document in documents]
    score(chain, pairs[:50])  # models and tokenizers load with the first documents
    started = time.process_time()
    scored = score(chain, pairs)
    seconds = time.process_time() - started
    judged = judge(chain, scored)
    differ = 0
    for number, document in enumerate(documents):
        copy = Document(text=document.text, id=document.id)
        for step in chain.steps:
            verdict = step.filter.filter(copy)
            differ += (None if verdict is True else verdict[1]) != judged.reasons[step.label][number]
    return len(documents) * len(chain.steps), differ, seconds


def main() -> int:
    """Compare and print; 1 when a verdict differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=3000, help="of each profile")
    number = parser.parse_args().documents
    profiles = load_profiles(ROOT / "configs" / "filter_profiles.yaml")
    print(
        "| profile | documents | characters, mean | verdicts | differ | us / document |\n|---|---:|---:|---:|---:|---:|"
    )
    wrong = 0
    for name, folder in PARTS:
        texts = [row["text"] for row in rows(DATA / folder)]
        random.Random(5).shuffle(texts)
        documents = [Document(text=text, id=str(i)) for i, text in enumerate(texts[:number])]
        verdicts, differ, seconds = compare(profiles[name], documents)
        mean = sum(len(document.text) for document in documents) // len(documents)
        print(
            f"| `{name}` | {len(documents):,} | {mean:,} | {verdicts:,} | {differ:,} | "
            f"{seconds / len(documents) * 1e6:,.0f} |",
            flush=True,
        )
        wrong += differ
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
