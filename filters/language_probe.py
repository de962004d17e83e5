"""Whether fastText, as it is installed here, gives the scores that the native core gives: tried on small random models.

Each has the dimension, loss and n-gram lengths of the model in question and 60 words; one is dense, two are quantised
(as .ftz files are: pruned, with norms; the second with quantised outputs too). A binary that fuses products and sums or
has another exp() differs in many of the scores. What this gives up: 0.1 s per kind of model and process.
"""

import random
import struct
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from filters import native

_LABELS = [f"__label__x{number}" for number in range(8)]
_SYLLABLES = ["ta", "vi", "ộc", "le", "на", "ö", "q", "漢", "ing", "th"]
_BUCKETS, _KEPT = 700, 300


def _words(dice: random.Random, number: int) -> list[str]:
    return ["".join(dice.choices(_SYLLABLES, k=dice.randint(1, 4))) for _ in range(number)]


def _floats(dice: random.Random, number: int, size: float) -> bytes:
    return (np.random.default_rng(dice.getrandbits(32)).standard_normal(number, "f4") * np.float32(size)).tobytes()


def _dense(dice: random.Random, rows: int, dim: int, size: float) -> bytes:
    return struct.pack("<qq", rows, dim) + _floats(dice, rows * dim, size)


def _quantiser(dice: random.Random, dim: int, part: int, size: float) -> bytes:
    parts, last = (dim + part - 1) // part, dim % part or part
    return struct.pack("<4i", dim, parts, part, last) + _floats(dice, dim * 256, size)


def _quantised(dice: random.Random, rows: int, dim: int, size: float) -> bytes:
    codes = rows * ((dim + 1) // 2)
    head = struct.pack("<?qqi", True, rows, dim, codes) + dice.randbytes(codes)
    return head + _quantiser(dice, dim, 2, size) + dice.randbytes(rows) + _quantiser(dice, 1, 1, 1.0)


def small_model(
    dim: int, loss: int, minn: int, maxn: int, *, quantised: bool = False, quantised_output: bool = False, seed: int = 0
) -> tuple[bytes, list[str]]:
    """A random fastText classifier (the bytes of its file, version 12) and its words.

    Args:
        dim: numbers per row.
        loss: 1 hierarchical softmax, 2 negative sampling, 3 softmax, 4 one against all.
        minn, maxn: shortest and longest n-gram in characters; maxn 0: none.
        quantised: product-quantised and pruned, as .ftz files are.
        quantised_output: the outputs too; needs `quantised`.
        seed: of the random numbers.
    """
    dice = random.Random(seed)
    words = ["</s>", *dict.fromkeys(_words(dice, 70))][:60]
    head = struct.pack("<14id", 793712314, 12, dim, 5, 5, 1, 5, 1, loss, 3, _BUCKETS, minn, maxn, 100, 1e-4)
    head += struct.pack("<3iqq", len(words) + len(_LABELS), len(words), len(_LABELS), 1000, _KEPT if quantised else -1)
    for kind, entries in enumerate((words, _LABELS)):
        for rank, entry in enumerate(entries):
            head += entry.encode() + b"\0" + struct.pack("<qb", 1000 - 9 * rank * rank % 997, kind)
    if quantised:
        for row, bucket in enumerate(dice.sample(range(_BUCKETS), _KEPT)):
            head += struct.pack("<2i", bucket, row)
    rows = len(words) + (_KEPT if quantised else _BUCKETS)
    spread = 12 / dim**0.5
    inputs = (_quantised if quantised else _dense)(dice, rows, dim, 1.0)
    outputs = (_quantised if quantised_output else _dense)(dice, len(_LABELS), dim, spread)
    return head + struct.pack("<?", quantised) + inputs + struct.pack("<?", quantised_output) + outputs, words


def _differs(model: bytes, words: list[str], path: Path) -> bool:
    from fasttext.FastText import _FastText

    path.write_bytes(model)
    stock, core = _FastText(str(path)), native.load().LanguageModel(model, 1_000_000)  # type: ignore[union-attr]
    numbers = tuple(range(len(_LABELS)))
    dice = random.Random(1)
    for _ in range(16):
        text = " ".join(dice.choices(words[1:] + _words(dice, 20), k=dice.randint(1, 30)))
        labels, scores = stock.predict(text, k=-1)
        theirs: dict[str, Any] = {label: score.item() for label, score in zip(labels, scores, strict=True)}
        if core.scores(text, numbers) != [theirs.get(label, 0.0) for label in core.labels()]:
            return True
        best = core.best(text)
        if best is not None and (core.labels()[best[0]], best[1]) != (labels[0], theirs[labels[0]]):
            return True
    return False


@lru_cache(maxsize=16)
def differs(dim: int, loss: int, minn: int, maxn: int) -> str | None:
    """None when fastText and the native core agree on models of this kind, else a sentence that says what differs."""
    kinds = {
        "dense": {},
        "quantised": {"quantised": True},
        "fully quantised": {"quantised": True, "quantised_output": True},
    }
    # Negative sampling and one against all take scores from a table, which hides other roundings; softmax does not.
    losses = (loss,) if loss in (1, 3) else (loss, 3)
    with tempfile.TemporaryDirectory(prefix="smoltrove-") as folder:
        for kind, options in kinds.items():
            for tried in losses:
                model, words = small_model(dim, tried, minn, maxn, **options)
                if _differs(model, words, Path(folder) / f"{kind}-{tried}.bin"):
                    return f"fastText rounds otherwise here than the native core ({kind} model, loss {tried})"
    return None
