"""Law: every measured figure of README, guide and benchmarks/README.md is near the command that measures it.

A figure is a number with a unit of time, size, speed or share. Its topic (from one heading or bold run-in to the next)
names a command that can be typed, or a page of benchmarks/results that names one; or it is a constant of the code, and
has that value. What `make bench` writes between its marks is compared by tests/test_bench.py. Gives up: whether the
command still prints that number; tests/test_measured_tables.py compares tables that are kept in benchmarks/results.
"""

import re
from collections.abc import Iterator
from importlib import import_module
from itertools import pairwise

import pytest

from tests.data import ROOT
from tests.test_guide_covers import commands

PAGES = ("README.md", "DATATROVE_GUIDE.md", "benchmarks/README.md")
RESULTS = ROOT / "benchmarks" / "results"
FIGURE = re.compile(
    r"(?<![\w.,-])\d[\d.,]*(?:x\b|\+? ?%(?!\w)"
    r"| (?:us|ms|s|h|seconds?|minutes?|hours?|microseconds?|milliseconds?|[kKMGT]?B|[kMG]iB|bytes)\b)"
)
COMMAND = re.compile(
    r"`(?:time )?(?:[A-Z_]+=\S+ )?((?:python|make|smoltrove|pytest)\s[^`]+)`|^\$ ((?:python|make|smoltrove) .*)$",
    re.MULTILINE,
)
RESULT = re.compile(r"\]\((?:benchmarks/)?results/(\w+\.md)\)")
VERBS = {name.split()[1] for name, _ in commands() if name.startswith("smoltrove ")}
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
# Of topics without a command: what a sentence says, and the constants of the code that it is.
CONSTANTS = {
    "touches\nthe claim every 5 seconds": {"pipelines.claim:HEARTBEAT_SECONDS": 5},
    "A dead node's claim is free after 20\nseconds": {"pipelines.claim:STILL_SECONDS": 20},
    "after 20 seconds the rest has failed": {"pipelines.ray.actors:LOST_SECONDS": 20},
    "a line says so after 10 seconds": {"pipelines.ray.actors:_TELL_SECONDS": 10},
    "claimed anew after 20 seconds without a heartbeat": {"pipelines.claim:STILL_SECONDS": 20},
    "waits 90 seconds for the files": {"pipelines.ray.crew:SEEN_SECONDS": 90},
    "rewrites it every 5 seconds": {"pipelines.store.lock:HEARTBEAT_SECONDS": 5},
    "stays as it is for 20 seconds": {"pipelines.store.lock:STILL_SECONDS": 20},
    "may use 4 GiB": {"pipelines.reader_html_child:MAX_MEMORY_BYTES": 4 * 2**30},
    "2,600 bytes a blob": {"pipelines.estimates:BYTES_PER_BLOB": 2600},
    "no answer for 10 s": {"pipelines.hub_http:TIMEOUT_SECONDS": 10},
    "up to 8 s": {"pipelines.hub_http:_MAX_BACKOFF_SECONDS": 8},
    "at most 5 minutes": {"pipelines.hub_http:MAX_ASKED_SECONDS": 300},
    "gives up after 30 s (listing: 20 s)": {
        "pipelines.hub_http:READING_SECONDS": 30, "pipelines.hub_http:LISTING_SECONDS": 20,
    },
    "slower than 1 kB/s for 10 s": {"pipelines.hub_http:MIN_BYTES_PER_SECOND": 1000},
}  # fmt: skip
# Figures that are neither measured here nor a constant: what they are instead.
OTHERS = {
    "12.5 %": "a weight of the configuration",
    "3.6 bytes a token": "bytes per token of code, pipelines/estimates.py",
    "0.5 s, 1 s, 2 s": "a wait that doubles",
    "8 bytes on disk for each of their n-grams": "a 64-bit hash",
    "objects above 100 MB": "where S3's clients begin to upload in parts",
}


def topics(page: str) -> Iterator[tuple[int, str]]:
    """(line, text) of each topic, without blocks that are output or files, and without what `make bench` writes."""

    def blank(match: "re.Match[str]") -> str:
        return "\n" * match[0].count("\n")

    text = re.sub(r"<!-- bench:(\w+) -->.*?<!-- /bench:\1 -->", blank, page, flags=re.DOTALL)
    text = re.sub(r"^```(?:text|json|yaml)\n.*?^```$", blank, text, flags=re.MULTILINE | re.DOTALL)
    starts = [0, *(match.start() for match in re.finditer(r"^(?:#+ |\*\*[^*\n]+\*\*)", text, re.MULTILINE)), len(text)]
    for start, end in pairwise(starts):
        yield text.count("\n", 0, start) + 1, text[start:end]


def named(text: str) -> list[str]:
    """The commands of a text, those of its pages of results included."""
    found = [" ".join((match[1] or match[2]).split()) for match in COMMAND.finditer(text)]
    for name in RESULT.findall(text):
        result = COMMAND.search((RESULTS / name).read_text(encoding="utf-8"))
        assert result, f"benchmarks/results/{name} names no command"
        found.append(" ".join((result[1] or result[2]).split()))
    return found


def without_command(page: str) -> list[str]:
    """Figures, with their line, of topics that name no command and that are explained nowhere."""
    found = []
    for line, text in topics(page):
        if named(text):
            continue
        plain = re.sub(r"`[^`]*`", "", text)
        for known in (*CONSTANTS, *OTHERS):
            plain = plain.replace(known, "")
        found += [f"line {line}: {match[0]}" for match in FIGURE.finditer(plain)]
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_figure_has_its_command(page: str) -> None:
    assert without_command((ROOT / page).read_text(encoding="utf-8")) == []


def test_a_figure_without_a_command_would_be_found() -> None:
    assert without_command("## Speed\n\nIt takes 3 ms.\n\n**More.** 20 % of 5 MB (`make bench`).\n") == ["line 1: 3 ms"]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_beside_a_figure_is_there(page: str) -> None:
    """Its program, target or verb, and every option of a benchmark."""
    for line, text in topics((ROOT / page).read_text(encoding="utf-8")):
        for command in named(text):
            words = command.split()
            where = f"{page}:{line}: {command}"
            if words[0] == "make":
                assert words[1] in TARGETS, where
            elif words[0] == "smoltrove":
                assert words[1] in VERBS or words[1].startswith("--"), where
            elif words[1].endswith(".py"):
                program = ROOT / words[1]
                assert program.is_file(), where
                if program.parent.name == "benchmarks":
                    source = program.read_text(encoding="utf-8")
                    for option in (word for word in words[2:] if word.startswith("--")):
                        assert f'"{option}"' in source, f"{where}: no option {option}"
            for path in (word for word in words if word.startswith("tests/")):
                assert (ROOT / path).exists(), where


def test_constants_in_the_guide_are_those_of_the_code() -> None:
    guide = (ROOT / "DATATROVE_GUIDE.md").read_text(encoding="utf-8")
    for sentence, values in CONSTANTS.items():
        assert sentence in guide, sentence
        for name, value in values.items():
            module, _, constant = name.partition(":")
            assert getattr(import_module(module), constant) == value, name
    for sentence in OTHERS:
        assert sentence in guide, sentence
