"""Known duplicates in the work files of every run: when a method does not find them, the run fails.

Each file that a method scans gets two rows more: a member of one group of duplicates that spans all files, and a decoy
that equals nothing. A file, bucket or part that was left out, doubled or shifted breaks the group; a method that finds
everything alike takes in a decoy or a document. Never written to the output. Gives up: canaries in the input language.
"""

import random

import numpy as np

from pipelines.dedup.config import DedupConfig
from pipelines.dedup.work import CANARY_ROWS, Work
from pipelines.errors import SourceError

_CYCLE = 40


class CanaryError(SourceError):
    """A method did not find its known duplicates, or found some where there are none."""


def _words(seed: str, number: int) -> list[str]:
    """Made-up words of twelve letters; no language has them."""
    dice = random.Random(seed)
    return ["".join(dice.choice("bdfgklmnprtvz") + dice.choice("aeiou") for _ in range(6)) for _ in range(number)]


def canary_texts(method: str, index: int, fingerprint: str, config: DedupConfig) -> tuple[str, str]:
    """(member, decoy) of the file `index`.

    Members for `exact` differ in white space only (in nothing where white space counts). Those for `minhash` are the
    same cycle of words begun at another word: other texts with the very same n-grams, so that they are found with
    certainty whatever the parameters. Those for `simhash` differ in punctuation, which it does not see. Those for
    `sentence` have one span of sentences in common, between sentences of their own.
    """
    least = max(config.minhash.min_words, config.minhash.n_grams)
    cycle = _words(f"{fingerprint} {method}", _CYCLE + config.minhash.n_grams)
    decoy = " ".join(_words(f"{fingerprint} {method} decoy {index}", len(cycle) + least))
    if method == "exact":
        gap = "\n" * (1 + index % 7) if config.exact.ignore_whitespace else " "
        return gap.join(cycle), decoy
    if method == "simhash":
        return ("," * (1 + index % 7)).join(cycle), decoy
    if method == "sentence":
        return _canary_sentences(fingerprint, index, config.sentence.n_sentences), ".\n".join(decoy.split()) + ".\n"
    start = index % len(cycle)
    rounds = 3 + least // len(cycle)
    return " ".join((cycle * (rounds + 1))[start : start + rounds * len(cycle)]), decoy


def _canary_sentences(fingerprint: str, index: int, span: int) -> str:
    """As many sentences as a span has, among two of this file's own; they are lines as well."""
    words = _words(f"{fingerprint} sentence span", 3 * span)
    same = [" ".join(words[3 * i : 3 * i + 3]) for i in range(span)]
    first, last = _words(f"{fingerprint} sentence own {index}", 2)
    return "".join(f"{sentence}.\n" for sentence in (first, *same, last))


def take_out(work: Work, method: str, numbers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Which of the documents found as duplicates are real ones. `labels` are their clusters.

    Raises CanaryError unless all canaries of all files are one cluster and nothing else is in it.
    """
    offsets = work.offsets
    members, decoys = offsets[1:] - np.uint64(CANARY_ROWS), offsets[1:] - np.uint64(1)
    is_member, is_decoy = np.isin(numbers, members), np.isin(numbers, decoys)
    # One file alone has nobody to be a duplicate of.
    expected = len(members) if len(members) > 1 else 0
    found = int(is_member.sum())
    if found != expected:
        raise CanaryError(
            f"{method}: {found} of {expected} canaries were found; duplicates were missed: remove "
            f"{work.folder(method).parent} and run the same command again"
        )
    clusters = np.unique(labels[is_member])
    if len(clusters) > 1:
        raise CanaryError(f"{method}: the canaries are in {len(clusters)} clusters, not in one; duplicates were missed")
    strangers = int(np.isin(labels, clusters).sum()) - found
    if strangers or is_decoy.any():
        raise CanaryError(
            f"{method}: {strangers} documents were taken for a canary, {int(is_decoy.sum())} decoys for a duplicate; "
            "nothing may be removed on such a finding"
        )
    return ~is_member
