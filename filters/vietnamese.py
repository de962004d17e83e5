"""pyvi's word model in the form that the native core reads.

The weights are read out of the CRFsuite model file as the doubles that are stored there (python-crfsuite only prints
them rounded). Format: chokkan/crfsuite, lib/crf/src/crf1d_model.c and lib/cqdb/src/cqdb.c. What this gives up: other
models than the two-label one that pyvi ships raise `Unsupported`.
"""

import re
import string
import struct
from types import FunctionType, SimpleNamespace
from typing import Any

from filters.spacy_rules import Tree, Unsupported, tree

Weights = tuple[float, float]
_NOTHING: Weights = (0.0, 0.0)


def _strings(data: bytes, offset: int) -> list[str]:
    """The strings of a constant quark database, by number."""
    magic, _, _, _, count, at = struct.unpack_from("<4s5I", data, offset)
    if magic != b"CQDB":
        raise Unsupported("not a CRFsuite model")
    names: list[str] = []
    for (place,) in struct.iter_unpack("<I", data[offset + at : offset + at + 4 * count]):
        number, size = struct.unpack_from("<2I", data, offset + place)
        if number != len(names):
            raise Unsupported("strings of the CRFsuite model out of order")
        names.append(data[offset + place + 8 : offset + place + 8 + size - 1].decode("utf-8"))
    return names


def read_model(data: bytes) -> tuple[list[str], dict[str, Weights], tuple[Weights, Weights]]:
    """Labels, weights per attribute (one per label) and transitions `[from][to]` of a CRFsuite model with two labels.

    Raises:
        Unsupported: not such a model.
    """
    head = struct.unpack_from("<4sI4s9I", data, 0)
    if head[0] != b"lCRF" or head[2] != b"FOMC" or head[3] != 100 or head[5] != 2:
        raise Unsupported("not a CRFsuite model with two labels")
    off_features, off_labels, off_attributes = head[7], head[8], head[9]
    labels = _strings(data, off_labels)
    attributes = _strings(data, off_attributes)
    magic, _, count = struct.unpack_from("<4s2I", data, off_features)
    if magic != b"FEAT":
        raise Unsupported("no features in the CRFsuite model")
    state: dict[str, list[float]] = {}
    moves = [[0.0, 0.0], [0.0, 0.0]]
    start = off_features + 12
    for kind, source, target, weight in struct.iter_unpack("<3Id", data[start : start + 20 * count]):
        row = moves[source] if kind else state.setdefault(attributes[source], [0.0, 0.0])
        if row[target] != 0.0:
            raise Unsupported("a feature that occurs twice")
        row[target] = weight
    first, second = (tuple(row) for row in moves)
    return labels, {name: (row[0], row[1]) for name, row in state.items()}, (first, second)  # type: ignore[return-value]


class VietnameseModel:
    """pyvi's model and dictionary: what one syllable contributes.

    Raises:
        Unsupported: another model than pyvi's.
    """

    def __init__(self, pyvi_class: Any) -> None:
        with open(pyvi_class.model.modelfile.name, "rb") as file:
            labels, self.weights, self.transitions = read_model(file.read())
        if sorted(labels) != ["B_W", "I_W"]:
            raise Unsupported(f"labels {labels}")
        self.inside = labels.index("I_W")
        # Features that are on or off; stock passes them as 0.0 or 1.0.
        words: dict[str, int] = {}
        pairs: dict[tuple[int, int], int] = {}
        triples: list[tuple[int, int, int]] = []

        def numbered(entry: str) -> list[int]:
            return [words.setdefault(word, len(words) + 1) for word in entry.split(" ")]

        for entry in pyvi_class.bi_grams:
            first, second = numbered(entry)
            pairs[first, second] = 1
        for entry in pyvi_class.tri_grams:
            first, second, third = numbered(entry)
            pairs[first, second] = pairs.get((first, second), 0) | 2
            triples.append((first, second, third))
        # A capital sigma is lowered by its place in a word; with none in the dictionary, words can be lowered apart.
        if any("σ" in word or "ς" in word for word in words):
            raise Unsupported("a dictionary with sigma")
        self.numbers = words
        self.pairs = [(first, second, flags) for (first, second), flags in pairs.items()]
        self.triples = triples

    def known(self) -> list[tuple[Any, ...]]:
        """What model and dictionary know of each lower-case syllable: `Known` of native/vietnamese.hpp, by its name."""
        prefixes = ("word.lower():", "-1:word.lower():", "+1:word.lower():")
        words = dict.fromkeys(self.numbers)
        for name in self.weights:
            for prefix in prefixes:
                if name.startswith(prefix):
                    words[name.removeprefix(prefix)] = None
        rows = []
        for word in words:
            weights = [value for prefix in prefixes for value in self.weights.get(prefix + word, _NOTHING)]
            rows.append((word, self.numbers.get(word, 0), *weights))
        return rows

    def shared(self) -> tuple[float, ...]:
        """The weights that do not depend on the syllable, in the order of CrfModel in native/vietnamese.hpp."""
        names = ["-1:word.istitle()", "-1:word.isupper()", "-1:word.bi_gram()", "-2:word.tri_gram()"]
        names += ["+1:word.istitle()", "+1:word.isupper()", "+1:word.bi_gram()", "+2:word.tri_gram()"]
        rows = [self.weights.get(name, _NOTHING) for name in names] + list(self.transitions)
        own = ("bias", "word.isupper()", "word.istitle()", "word.isdigit()")
        rows += [self.weights.get(name, _NOTHING) for name in own]
        return tuple(value for row in rows for value in row)

    def syllable(self, word: str) -> tuple[Any, ...]:
        """What a syllable contributes, for those that the core leaves to Python."""
        weights, lower, title, upper, first = self.weights, word.lower(), word.istitle(), word.isupper(), word[0]
        # Added one by one in CRFsuite's order, so that the sums are the same doubles.
        names = ["bias", "word.lower():" + lower]
        if upper:
            names.append("word.isupper()")
        if title:
            names.append("word.istitle()")
        if word.isdigit():
            names.append("word.isdigit()")
        first_label = second_label = 0.0
        for name in names:
            if name in weights:
                first_label += weights[name][0]
                second_label += weights[name][1]
        return (
            first_label,
            second_label,
            *weights.get("-1:word.lower():" + lower, _NOTHING),
            *weights.get("+1:word.lower():" + lower, _NOTHING),
            self.numbers.get(lower, 0),
            title,
            upper,
            word in string.punctuation,
            first.isdigit(),
            first.istitle(),
        )


def syllable_pattern(tokenizer: Any) -> Tree:
    """The pattern by which spaCy's Vietnamese tokenizer finds syllables, as a tree.

    It is made anew inside the method for every text, so the method is run with an `re` that writes it down.

    Raises:
        Unsupported: the method does something else with `re`.
    """
    asked: list[tuple[str, int]] = []

    def findall(pattern: str, text: str, flags: int) -> list[Any]:
        asked.append((pattern, flags))
        return []

    method = type(tokenizer).pyvi_sylabelize_with_ws
    FunctionType(method.__code__, {"re": SimpleNamespace(findall=findall, UNICODE=re.UNICODE)})(tokenizer, "")
    if len(asked) != 1:
        raise Unsupported("syllables that are not found by one pattern")
    found = tree(re.compile(*asked[0]).match, "match")
    if found is None:
        raise Unsupported("no pattern for syllables")
    return found
