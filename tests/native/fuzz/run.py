"""The coverage-guided fuzzer: libFuzzer (through atheris) over the core's C++, under UBSan.

Inputs are mutated towards new branches of the C++ code, and each is compared with stock (`check.py`). The first
difference, report of a sanitizer or crash ends the run with exit code 1 and leaves the input in build/fuzz/findings;
inputs that reach new branches stay in build/fuzz/corpus. Needs clang and `pip install atheris`. Gives up: speed; stock
takes 99 % of the time; AddressSanitizer, under which `make sanitize` replays the corpus.

    python -m tests.native.fuzz.run --texts 100000
    python -m tests.native.fuzz.run --minutes 5
    python -m tests.native.fuzz.run --minimise     the smallest part of the corpus with all its branches
"""

import argparse
import os
import random
import sys
import unicodedata
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "build" / "fuzz"
# What the test suite replays; grown with --minimise.
KEPT = Path(__file__).resolve().parent / "corpus"
_INSIDE = "SMOLTROVE_FUZZING"


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """A text with a hostile piece more, a stretch twice or away, in another normal form or case; or other bytes."""
    import atheris

    from tests.native.fuzz.check import decode, encode
    from tests.native.fuzz.pieces import GROUPS, LANGUAGES, SPACES, special_cases

    draw = random.Random(seed)
    if draw.random() < 0.35:
        return bytes(atheris.Mutate(data, len(data)))[:max_size]
    language, which, text = decode(data)
    for _ in range(draw.randint(1, 4)):
        at, until = sorted(draw.randint(0, len(text)) for _ in range(2))
        kind = draw.randrange(12)
        if kind < 5:
            group = special_cases(language) if draw.random() < 0.3 else draw.choice(GROUPS)
            text = text[:at] + draw.choice(group) + text[at:]
        elif kind < 7:
            text = text[:at] + draw.choice(SPACES) + text[at:]
        elif kind == 7:
            text = text[:until] + draw.choice(["", " "]) + text[at:until] * draw.randint(1, 4) + text[until:]
        elif kind == 8:
            text = text[:at] + text[until:]
        elif kind == 9:
            form = draw.choice(["NFC", "NFD", "NFKC"])
            text = text[:at] + unicodedata.normalize(form, text[at:until]) + text[until:]
        elif kind == 10:
            text = text[:at] + draw.choice([str.upper, str.lower, str.title])(text[at:until]) + text[until:]
        else:
            language, which = draw.choice(LANGUAGES), draw.randrange(128)
    return encode(language, which, text)[:max_size]


def seeds() -> list[bytes]:
    """A few inputs of each language and each set of parameters to start from."""
    from tests.native.fuzz.check import encode
    from tests.native.fuzz.pieces import GROUPS, LANGUAGES, SPACES

    draw = random.Random(0)
    found = []
    for which in range(16):
        for language in LANGUAGES:
            chunks = [draw.choice(draw.choice(GROUPS)) + draw.choice(SPACES) for _ in range(12)]
            found.append(encode(language, which, "".join(chunks) + " the the of of và của. " * draw.randint(0, 2)))
    return found


def fuzz(arguments: list[str]) -> None:
    """Runs inside the prepared process; does not return."""
    import atheris

    from tests.native.build import library
    from tests.native.instrumented import use

    use(library("fuzz"))
    from tests.native.fuzz.check import check
    from tests.native.fuzz.pieces import LANGUAGES

    for number in range(len(LANGUAGES)):
        check(bytes([number, 2]) + b"A first text.")  # models and tables before the clock runs
    # libFuzzer starts itself again to merge: by a shell, with this as its name.
    atheris.Setup([f"{sys.executable} -m tests.native.fuzz.run", *arguments], check, custom_mutator=mutate)
    atheris.Fuzz()


def main() -> int:
    if _INSIDE in os.environ:
        fuzz(sys.argv[1:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--texts", type=int, default=0, help="how many texts; 0 for no limit")
    parser.add_argument("--minutes", type=float, default=0, help="how long; 0 for no limit")
    parser.add_argument("--seed", type=int, default=0, help="of the mutations; 0 for another one each time")
    parser.add_argument("--minimise", action="store_true", help="keep the smallest part of the corpus in the project")
    options = parser.parse_args()
    if not options.texts and not options.minutes and not options.minimise:
        parser.error("give --texts or --minutes")
    atheris = find_spec("atheris")
    if atheris is None or atheris.origin is None:
        print("skipped: no atheris here (pip install atheris; Linux and CPython 3.11 to 3.13)")
        return 0
    from tests.native.build import build, missing

    if lack := missing("fuzz"):
        print(f"skipped: {lack}")
        return 0
    build("fuzz")
    corpus, findings = FOLDER / "corpus", FOLDER / "findings"
    for folder in (corpus, findings, KEPT):
        folder.mkdir(parents=True, exist_ok=True)
    if not any(corpus.iterdir()):
        for number, seed in enumerate(seeds()):
            (corpus / f"seed-{number:03}").write_bytes(seed)
    arguments = ["-max_len=3000", "-len_control=0", "-timeout=120", "-rss_limit_mb=6000", f"-seed={options.seed}"]
    arguments += [f"-artifact_prefix={findings}/", "-print_final_stats=1"]
    if options.texts:
        arguments.append(f"-runs={options.texts}")
    if options.minutes:
        arguments.append(f"-max_total_time={int(options.minutes * 60)}")
    arguments += ["-set_cover_merge=1", str(KEPT), str(corpus)] if options.minimise else [str(corpus), str(KEPT)]
    preloaded = Path(atheris.origin).parent.parent / "ubsan_with_fuzzer.so"
    environment = os.environ | {
        _INSIDE: "1",
        "LD_PRELOAD": str(preloaded),
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONPATH": str(ROOT),
    }
    os.chdir(ROOT)
    os.execve(sys.executable, [sys.executable, "-m", "tests.native.fuzz.run", *arguments], environment)
    return 1


if __name__ == "__main__":
    sys.exit(main())
