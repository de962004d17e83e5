"""Runs the tests of the native core on a build with AddressSanitizer and UBSan; any report ends the run with an error.

    python -m tests.native.sanitize [tests] [--option=value of pytest]

Leaks are not looked for: CPython and the packages keep what they allocate until the process ends. Python's own
allocator is switched off, so that a read behind the end of a string is seen too. Gives up: the slow tests, and machines
without g++ (skipped, with the reason).
"""

import os
import subprocess
import sys

from tests.native.build import ROOT, build, missing

# Not the comparisons of whole data sets: the same code on more of the same.
_TESTS = [f"tests/native/test_{name}.py" for name in ("words", "rules", "hostile", "fallback", "spam", "language")]
_TESTS += ["tests/native/test_minhash.py", "tests/native/test_simplify.py"]
_TESTS += ["tests/native/test_json_text.py", "tests/filters/test_counting.py"]
# Half of the time, and nothing that other tests here do not reach.
_LEFT_OUT = "not (every_character_in_context or hostile_texts_have_stock_words or very_long_text)"


def preloaded() -> str:
    """gcc's runtime libraries of the sanitizers, which have to be loaded before Python."""
    names = ("libasan.so", "libubsan.so")
    commands = [["g++", f"-print-file-name={name}"] for name in names]
    return ":".join(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() for command in commands
    )


def main() -> int:
    if lack := missing("sanitize"):
        print(f"skipped: {lack}")
        return 0
    environment = os.environ | {
        "SMOLTROVE_NATIVE_LIBRARY": str(build("sanitize")),
        "LD_PRELOAD": preloaded(),
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",
    }
    # `-s`: a report goes to the terminal; pytest would take it to the grave with the process.
    command = [sys.executable, "-m", "pytest", "-s", "-x", "-m", "not slow", "-p", "tests.native.instrumented"]
    named = any(not argument.startswith("-") for argument in sys.argv[1:])
    return subprocess.run(
        [*command, *([] if named else ["-k", _LEFT_OUT, *_TESTS]), *sys.argv[1:]], cwd=ROOT, env=environment
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
