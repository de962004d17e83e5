"""The proof that the filters say what stock says: every data set, every profile, document by document.

Each text goes through every filter of a profile, whatever the one before it said, and through the stock oracle of
`tests/native/stock.py`; verdict, reason, language label and score (as the same double) are compared, and the words of
every language's splitter with datatrove's. A set is judged in full by the profiles made for it, and every n-th document
by all the others. What it gives up: time, since stock takes about 5 ms a document. The test suite runs the same
comparison on a sample.

    python benchmarks/proof.py                      everything, into benchmarks/results/proof.json and proof.md
    python benchmarks/proof.py en vi --every 100    a sample of two sets, printed only
"""

import argparse
import json
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterable
from multiprocessing import Pool
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from datatrove.data import Document  # noqa: E402
from datatrove.utils.text import split_into_words  # noqa: E402

from filters import FILTERS, native  # noqa: E402
from filters.fast_words import splitter  # noqa: E402
from filters.text import splitter_available, word_language  # noqa: E402
from pipelines.needs import needs_of  # noqa: E402
from pipelines.profiles import Profile, load_profiles  # noqa: E402
from tests.native.corpus import LANGUAGES, OTHER, every_text  # noqa: E402
from tests.native.stock import ORACLES  # noqa: E402

SETS = LANGUAGES | OTHER
PROFILES = ROOT / "configs" / "filter_profiles.yaml"
# The profiles that judge all documents of a set; languages not named here have `web-<language>` and `prefiltered`.
_OWN = {
    "en": ["web-en", "web-bilingual", "prefiltered", "academic"],
    "vi": ["web-vi", "web-vi-fineweb2", "web-bilingual", "prefiltered"],
    "code": ["code", "web-en"],
    "math": ["math", "qa", "qa-4k", "web-en"],
    "near-dups": ["web-en", "web-vi"],
    "pretrain-samples": ["academic", "web-en"],
    "quality-labels": ["web-en", "web-vi"],
    "eval-sets": ["qa", "web-en"],
    "udhr": ["web-bilingual", "prefiltered"],
}
# Every n-th document of a set is judged by all other profiles too.
OTHERS_EVERY = 100


def profiles_here() -> tuple[dict[str, Profile], dict[str, str]]:
    """The profiles that can run on this machine, and what the others lack."""
    everything = load_profiles(PROFILES)
    lacking = {
        name: "; ".join(lack for lack in needs_of(profile).values() if lack) for name, profile in everything.items()
    }
    return (
        {name: profile for name, profile in everything.items() if not lacking[name]},
        {name: lack for name, lack in lacking.items() if lack},
    )


class Comparison:
    """Compares texts and keeps count.

    Attributes:
        counts: documents, comparisons (one filter on one document), word_lists, mismatches.
        verdicts: (profile, reason or "kept") -> documents, by the first filter that drops.
        differences: the first mismatches, as readable dictionaries.
    """

    def __init__(self, profiles: Iterable[Profile]) -> None:
        self.steps = {
            profile.name: [(spec.name, spec.params, FILTERS[spec.name](**spec.params)) for spec in profile.filters]
            for profile in profiles
        }
        self.counts: Counter[str] = Counter()
        self.verdicts: Counter[tuple[str, str]] = Counter()
        self.differences: list[dict[str, Any]] = []

    def _differs(self, text: str, **what: Any) -> None:
        self.counts["mismatches"] += 1
        if len(self.differences) < 20:
            self.differences.append(what | {"text": text[:2000]})

    def words(self, text: str, language: str) -> None:
        """The words of the core against datatrove's, where the core splits itself."""
        code = word_language(language)
        fast = splitter(code)
        if fast is None or fast.mode == "given":
            return
        self.counts["word_lists"] += 1
        found = fast.words(text)
        if found is not None and found != split_into_words(text, code):
            self._differs(text, words=code)

    def text(self, text: str, profiles: Iterable[str]) -> None:
        """One text through every filter of the profiles; a stock answer serves all profiles with those parameters."""
        self.counts["documents"] += 1
        known: dict[str, Any] = {}
        for profile in profiles:
            mine = Document(text=text, id="0")
            stock: dict[str, Any] = {}
            verdict = "kept"
            for family, params, step in self.steps[profile]:
                answer = step.filter(mine)
                key = json.dumps([family, params, stock], sort_keys=True, default=str)
                if key not in known:
                    known[key] = ORACLES[family](params, text, stock)
                expected, stock = known[key]
                self.counts["comparisons"] += 1
                if answer != expected or mine.metadata != stock:
                    what = {"mine": [answer, dict(mine.metadata)], "stock": [expected, stock]}
                    self._differs(text, profile=profile, filter=family, **what)
                if expected is not True and verdict == "kept":
                    verdict = f"{family}.{expected[1]}"
            self.verdicts[profile, verdict] += 1


def compare_set(name: str, folder: Path, every: int = 1, others_every: int = OTHERS_EVERY) -> dict[str, Any]:
    """One data set, every n-th document of it; the others' documents are counted from those."""
    begin = time.process_time()
    here, _ = profiles_here()
    own = [profile for profile in _OWN.get(name, [f"web-{name}", "prefiltered"]) if profile in here]
    comparison = Comparison(here.values())
    native.counts.clear()
    language = name if name in LANGUAGES else "en"
    split = splitter_available(language) is None
    for number, text in enumerate(list(every_text(folder))[::every]):
        comparison.text(text, list(here) if number % others_every == 0 else own)
        if split:
            comparison.words(text, language)
    return {
        "set": name,
        "profiles": own,
        "all_profiles_every": others_every,
        **{key: comparison.counts[key] for key in ("documents", "comparisons", "word_lists", "mismatches")},
        "words_of": {"|".join(key): count for key, count in sorted(native.counts.items())},
        "verdicts": {"|".join(key): count for key, count in sorted(comparison.verdicts.items()) if key[0] in own},
        "differences": comparison.differences,
        "cpu_seconds": round(time.process_time() - begin, 1),
    }


def _table(results: list[dict[str, Any]]) -> str:
    lines = ["| set | documents | judged in full by | filter answers | word lists | texts sent to stock | mismatches |"]
    lines.append("|---|---:|---|---:|---:|---:|---:|")
    for found in results:
        by_stock = sum(count for key, count in found["words_of"].items() if key.startswith("stock"))
        asked = sum(found["words_of"].values())
        lines.append(
            f"| {found['set']} | {found['documents']} | {', '.join(found['profiles'])} | {found['comparisons']} | "
            f"{found['word_lists']} | {by_stock} of {asked} | {found['mismatches']} |"
        )
    names = ("documents", "comparisons", "word_lists", "mismatches")
    documents, answers, words, mismatches = (sum(found[name] for found in results) for name in names)
    lines.append(f"| **all** | {documents} | | {answers} | {words} | | {mismatches} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"{', '.join(SETS)}; all by default")
    parser.add_argument("--every", type=int, default=1, help="only every n-th document")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "proof")
    options = parser.parse_args()
    if unknown := sorted(set(options.sets) - set(SETS)):
        parser.error(f"unknown sets {unknown}")
    if why := native.why_not():
        print(f"there is nothing to prove: {why}", file=sys.stderr)
        return 2
    names = options.sets or list(SETS)
    results = []
    with Pool(options.jobs, maxtasksperchild=1) as pool:
        # One set per process: its figures say which texts of this set went to stock.
        jobs = [pool.apply_async(compare_set, (name, options.data / SETS[name], options.every)) for name in names]
        for job in jobs:
            found = job.get()
            results.append(found)
            shown = {key: found[key] for key in ("set", "documents", "comparisons", "mismatches", "cpu_seconds")}
            print(json.dumps(shown), flush=True)
    table = _table(results)
    print(table)
    if not options.sets and options.every == 1:
        _, lacking = profiles_here()
        command = f"python benchmarks/proof.py --jobs {options.jobs}"
        machine = f"{platform.platform()}, Python {platform.python_version()}"
        content = {"command": command, "machine": machine, "profiles_not_run": lacking, "sets": results}
        options.output.with_suffix(".json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        missing = "".join(f"Not run here: {name} ({lack}).\n" for name, lack in lacking.items())
        options.output.with_suffix(".md").write_text(
            f"# Verdicts equal to stock's\n\n`{command}` ({machine}).\n\n{table}\n\n"
            f"A filter answer is verdict, reason, language label and score of one filter on one document. Every "
            f"{OTHERS_EVERY}th document of a set went through all profiles of filter_profiles.yaml.\n{missing}"
        )
    return 1 if any(found["mismatches"] for found in results) else 0


if __name__ == "__main__":
    sys.exit(main())
