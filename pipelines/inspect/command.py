"""What `smoltrove inspect` prints: samples of documents with what decided, or pairs of duplicates.

Gives up: browsing; `--web` does that.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from pipelines.errors import UserError
from pipelines.inspect.corpus import Corpus, open_corpus
from pipelines.inspect.documents import Found, Wanted, sample
from pipelines.inspect.pairs import Pairs
from pipelines.inspect.terminal import print_documents, print_pairs
from pipelines.inspect.verdict import Judge, Verdict

# --near-threshold: so many documents are measured for each that is shown; some milliseconds each.
MEASURED_FOR_ONE = 20
MAX_MEASURED = 2000


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options of the command."""

    source: str = ""
    language: str = ""
    reason: str = ""
    search: str = ""
    dropped: bool = False
    near_threshold: bool = False
    duplicates: bool = False
    sample: int = 10
    seed: int = 0
    max_chars: int = 2000
    as_json: bool = False


def show(folder: Path, asked: Asked) -> None:
    """Print what is asked for. Raises UserError for options that do not go together or name nothing."""
    if asked.duplicates:
        _show_pairs(folder, asked)
        return
    shown = documents(open_corpus(folder), asked)
    if asked.as_json:
        _print_json([{**found.as_dict(), "why": verdict.as_dict()} for found, verdict in shown])
        return
    console = Console(highlight=False, markup=False)
    print_documents(console, shown, asked.max_chars)
    if not shown:
        console.print("no document is like that", soft_wrap=True)


def documents(corpus: Corpus, asked: Asked) -> list[tuple[Found, Verdict]]:
    """The sample with verdicts, nearest to its threshold first where that is asked for."""
    dropped = asked.dropped or bool(asked.reason)
    files = corpus.select(dropped=dropped, source=asked.source, reason=asked.reason)
    wanted = Wanted(language=asked.language, reason=asked.reason, search=asked.search)
    judge = Judge(corpus)
    if not asked.near_threshold:
        return [(found, judge.verdict(found)) for found in sample(files, wanted, asked.sample, asked.seed)]
    if not any(corpus.filters.values()):
        raise UserError(f"{corpus.folder}: --near-threshold: no filter judged these documents; give the run before it")
    number = max(asked.sample, min(MEASURED_FOR_ONE * asked.sample, MAX_MEASURED))
    measured = [(found, judge.verdict(found)) for found in sample(files, wanted, number, asked.seed)]
    measured = [(found, verdict) for found, verdict in measured if verdict.value is not None]
    return sorted(measured, key=lambda item: item[1].distance)[: asked.sample]


def _show_pairs(folder: Path, asked: Asked) -> None:
    others = {
        "--dropped": asked.dropped, "--reason": asked.reason, "--language": asked.language, "--search": asked.search,
        "--near-threshold": asked.near_threshold,
    }  # fmt: skip
    for option, given in others.items():
        if given:
            raise UserError(f"--duplicates: does not go with {option}; --source, --sample and --seed do")
    pairs = Pairs(folder).sample(asked.sample, asked.seed, asked.source)
    if asked.as_json:
        _print_json(
            [
                {**pair.row, "removed_text": _text(pair.removed), "kept_text": _text(pair.kept)}
                for pair in pairs
            ]
        )  # fmt: skip
        return
    console = Console(highlight=False, markup=False)
    print_pairs(console, pairs, asked.max_chars)
    if not pairs:
        console.print("no document was removed", soft_wrap=True)


def _text(line: Any) -> str | None:
    return None if line is None else line.text


def _print_json(data: list[dict[str, Any]]) -> None:
    # ASCII alone: a terminal takes some bytes above it for commands, too.
    print(json.dumps(data, indent=1))
