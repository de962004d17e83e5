"""Documents that eat memory and time: what each filter spends on 20 MB of one text, and on 1 MB Vietnamese documents.

Every case runs in a process of its own. `seconds` is CPU time for all filters of the case together, one after the other
whatever they answer (in a chain the first that drops ends it); `peak_mb` is the largest resident size of the process,
`before_mb` the size with all packages, models and rules loaded. What it gives up: one run per case, since the figures
are compared with limits (5 s, 1,200 MB) and not with each other.

    python benchmarks/hungry.py                  every case, a table
    python benchmarks/hungry.py garbage          one case
"""

import argparse
import json
import random
import resource
import string
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
DATA = ROOT.parent / "shared" / "data"

BIG_MB = 20
MAX_SECONDS = 5.0
MAX_PEAK_MB = 1200


def _data_prose(name: str, megabytes: float) -> str:
    from tests.native.corpus import every_text

    texts, size = [], 0
    for text in every_text(DATA / name):
        texts.append(text)
        size += len(text)
        if size > megabytes * 1e6:
            break
    return "\n".join(texts)


def _grown(prose: str, megabytes: float) -> str:
    """The prose as often as it takes, cut at a number of UTF-8 bytes."""
    wanted = int(megabytes * 1e6)
    encoded = prose.encode()
    return (encoded * (wanted // len(encoded) + 1))[:wanted].decode("utf-8", "ignore")


def english(megabytes: float) -> str:
    """2 MB of real English, repeated."""
    return _grown(_data_prose("web-en", 2), megabytes)


def english_line(megabytes: float) -> str:
    """The same in one line."""
    return " ".join(english(megabytes).split())


def vietnamese(megabytes: float) -> str:
    """2 MB of real Vietnamese, repeated."""
    return _grown(_data_prose("web-vi", 2), megabytes)


def _words(megabytes: float, letters: str, seed: int, breaks: str = "    \n") -> str:
    """Random words of 1 to 12 letters that hardly ever repeat."""
    draw = random.Random(seed)
    pieces, size = [], 0
    while size < megabytes * 1e6:
        word = "".join(draw.choices(letters, k=draw.randint(1, 12))) + draw.choice(breaks)
        size += len(word.encode())
        pieces.append(word)
    return "".join(pieces)


def garbage(megabytes: float) -> str:
    """Letters and digits at random, words of 1 to 12, no repeats."""
    return _words(megabytes, string.ascii_letters + string.digits, 1)


def garbage_unicode(megabytes: float) -> str:
    """Letters of many scripts, marks, emoji and controls at random."""
    letters = [
        chr(c)
        for start in (0x21, 0xC0, 0x300, 0x400, 0x900, 0x1EA0, 0x2000, 0x4E00, 0x1F600)
        for c in range(start, start + 64)
    ]
    return _words(megabytes, "".join(letters), 2)


def punctuation(megabytes: float) -> str:
    """Only punctuation, in runs of 1 to 12."""
    return _words(megabytes, string.punctuation, 3)


def one_run(megabytes: float) -> str:
    """Only punctuation without any white space."""
    return _words(megabytes, string.punctuation, 4, breaks=".")


def short_lines(megabytes: float) -> str:
    """A different line every few bytes."""
    return "".join(f"{number} a\n" for number in range(int(megabytes * 1e6 / 9)))


def one_letter(megabytes: float) -> str:
    """The same letter and a space, over and over: the most words and the most repeats per byte."""
    return "a " * int(megabytes * 5e5)


CASES: dict[str, tuple[Callable[[float], str], str]] = {
    "english": (english, "web-en"),
    "english_line": (english_line, "web-en"),
    "garbage": (garbage, "web-en"),
    "garbage_unicode": (garbage_unicode, "web-en"),
    "punctuation": (punctuation, "web-en"),
    "one_run": (one_run, "web-en"),
    "short_lines": (short_lines, "web-en"),
    "one_letter": (one_letter, "web-en"),
    "vietnamese": (vietnamese, "web-vi"),
    "garbage_vi": (garbage, "web-vi"),
    "garbage_unicode_vi": (garbage_unicode, "web-vi"),
    "punctuation_vi": (punctuation, "web-vi"),
}


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1024)


def _steps(profile: str) -> list[Any]:
    from filters import FILTERS
    from pipelines.profiles import load_profiles

    steps = [
        FILTERS[spec.name](**spec.params)
        for spec in load_profiles(ROOT / "configs/filter_profiles.yaml")[profile].filters
    ]
    return [FILTERS["length"](min_chars=1, min_words=1), *steps]


def _warm_up(steps: list[Any]) -> None:
    from datatrove.data import Document

    for step in steps:
        step.filter(Document(text="A first text of many words, một văn bản đầu tiên.", id="0"))


def run_big(name: str, megabytes: float) -> dict[str, Any]:
    """One document through every filter of its profile."""
    from datatrove.data import Document

    from filters import native

    make, profile = CASES[name]
    steps = _steps(profile)
    _warm_up(steps)
    doc = Document(text=make(megabytes), id="0")
    before = _peak_mb()
    spent: dict[str, float] = {}
    verdicts = {}
    native.counts.clear()
    for step in steps:
        begin = time.process_time()
        verdicts[step.family] = step.filter(doc)
        spent[step.family] = round(time.process_time() - begin, 3)
    return {
        "case": name,
        "megabytes": megabytes,
        "seconds": round(sum(spent.values()), 2),
        "before_mb": round(before),
        "peak_mb": round(_peak_mb()),
        "seconds_of": spent,
        "verdicts": verdicts,
        "words_by": [f"{path} {code}: {why}".rstrip(": ") for path, code, why in native.counts],
    }


def run_many(num_documents: int) -> dict[str, Any]:
    """The same Vietnamese as documents of 1 MB and as documents of 10 KB: CPU seconds per MB of both."""
    from datatrove.data import Document

    steps = _steps("web-vi")
    _warm_up(steps)
    prose = _data_prose("web-vi", 20)
    characters = int(1e6 * len(prose) / len(prose.encode()))
    draw = random.Random(5)

    def judge(text: str) -> float:
        begin = time.process_time()
        doc = Document(text=text, id="0")
        for step in steps:
            step.filter(doc)
        return time.process_time() - begin

    spent = {"1 MB": 0.0, "10 KB": 0.0}
    size = {"1 MB": 0, "10 KB": 0}
    tenths = []
    for number in range(num_documents):
        start = draw.randrange(len(prose) - characters)
        text = prose[start : start + characters]
        cost = judge(text)
        spent["1 MB"] += cost
        size["1 MB"] += len(text.encode())
        tenths.append(cost)
        if number % 10 == 0:
            for at in range(0, characters, characters // 100):
                part = text[at : at + characters // 100]
                spent["10 KB"] += judge(part)
                size["10 KB"] += len(part.encode())
    tenth = max(1, num_documents // 10)
    return {
        "case": "many_vietnamese",
        "documents": num_documents,
        "seconds": round(spent["1 MB"], 2),
        "seconds_per_mb": {name: round(spent[name] / size[name] * 1e6, 4) for name in spent},
        "first_tenth_seconds": round(sum(tenths[:tenth]), 2),
        "last_tenth_seconds": round(sum(tenths[-tenth:]), 2),
        "peak_mb": round(_peak_mb()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"{', '.join(CASES)}, many_vietnamese; all by default")
    parser.add_argument("--megabytes", type=float, default=BIG_MB)
    parser.add_argument("--documents", type=int, default=500, help="1 MB Vietnamese documents")
    parser.add_argument("--patience", type=float, default=600, help="wall seconds after which a case is ended")
    parser.add_argument("--one", action="store_true", help="run one case in this process")
    options = parser.parse_args()
    names = options.cases or [*CASES, "many_vietnamese"]
    if unknown := sorted(set(names) - {*CASES, "many_vietnamese"}):
        parser.error(f"unknown cases {unknown}")
    if options.one:
        many = names[0] == "many_vietnamese"
        print(json.dumps(run_many(options.documents) if many else run_big(names[0], options.megabytes)))
        return 0
    over = 0
    for name in names:
        command = [sys.executable, __file__, name, "--one", "--megabytes", str(options.megabytes)]
        command += ["--documents", str(options.documents)]
        try:
            found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=options.patience)
        except subprocess.TimeoutExpired:
            over += 1
            print(json.dumps({"case": name, "within": False, "error": f"not done in {options.patience} s"}), flush=True)
            continue
        result = json.loads(found.stdout.splitlines()[-1])
        result["within"] = result["peak_mb"] <= MAX_PEAK_MB and (
            name == "many_vietnamese" or result["seconds"] <= MAX_SECONDS
        )
        over += not result["within"]
        print(json.dumps(result), flush=True)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
