"""Labels and scores of a fastText classifier by the native core, bit for bit fastText's, or None to ask fastText.

fastText's own binary decides the last bits: how it was compiled (fused multiply-add, the exp() of its C library)
changes them. So the core is used for a model only after small models of the same kind have got the same scores from
both here (`filters.language_probe`). What this gives up: models with n-grams of words; the memory of one more model
where some document needs fastText after all.
"""

import mmap
import struct
from functools import lru_cache
from pathlib import Path
from typing import Any

from filters import native
from filters.language_probe import differs

# Bytes, for 0.8 million words. With 8 MB an English document costs 39 us instead of 33 us in a first pass over 20,000.
MEMO_BYTES = 48_000_000
# Larger files are mapped and not read, so that processes share them (GlotLID is 1.6 GB). A file that is cut short while
# it is mapped ends the process: a new model is to be renamed into place.
_READ_BYTES = 64_000_000
_PART = "datatrove's and fastText's prediction"
# Losses (fastText's numbers) whose scores sum to 1, but for 1e-5 a label that fastText adds: hierarchical, softmax.
_SUM_TO_ONE = (1, 3)


class FastLanguage:
    """A model file in the native core.

    Args:
        path: a fastText classifier whose labels are `__label__xx`.

    Attributes:
        note: why the core is not used for this model; empty when it is.
    """

    def __init__(self, path: Path) -> None:
        self._core: Any = None
        self._names: list[str] = []
        self.note = native.why_not(_PART) or self._load(path) or ""

    def _load(self, path: Path) -> str | None:
        module = native.load()
        with open(path, "rb") as file:
            small = path.stat().st_size < _READ_BYTES
            content = file.read() if small else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            core = module.LanguageModel(content, MEMO_BYTES)  # type: ignore[union-attr]
            labels = core.labels()
        except ValueError as error:  # UnicodeDecodeError is one
            return f"a model that the native core does not read ({error})"
        names = [label.split("__")[-1] for label in labels]
        if len(set(names)) != len(names) or labels != [f"__label__{name}" for name in names]:
            return "labels that are not __label__xx"
        # After magic and version: dim, 5 numbers of no interest here, loss, model, bucket, minn, maxn.
        settings = struct.unpack_from("<11i", content, 8)
        dim, loss, minn, maxn = (settings[place] for place in (0, 6, 9, 10))
        if why := differs(dim, loss, minn, maxn):
            return why
        self._core, self._names = core, names
        self._numbers = {name: number for number, name in enumerate(names)}
        self._sums_to_one = loss in _SUM_TO_ONE
        return None

    def best(self, text: str) -> tuple[str, float] | None:
        """The best label (without `__label__`) and its score, or None where only fastText can tell (it is counted).

        Raises:
            UnicodeEncodeError: a lone surrogate in the text.
        """
        if self._core is None or not isinstance(text, str):
            native.counts["stock", "language", self.note] += 1
            return None
        found = self._core.best(text)
        if found is None:
            native.counts["stock", "language", "two labels alike, or none"] += 1
            return None
        native.counts["fast", "language", ""] += 1
        return self._names[found[0]], found[1]

    def any_above(self, text: str, languages: list[str], threshold: float) -> bool:
        """Whether one of these labels has a score above the threshold, for a text whose `best` label is another one."""
        if self._sums_to_one and threshold > 0.51:
            return False
        wanted = tuple(self._numbers[name] for name in languages if name in self._numbers)
        return any(score > threshold for score in self._core.scores(text, wanted))

    def forget(self) -> None:
        """Empties the memory of words."""
        if self._core is not None:
            self._core.forget()


@lru_cache(maxsize=4)
def fast_language(path: str, size: int, mtime_ns: int) -> FastLanguage:
    """The process's one for a model file; size and time of change (nanoseconds) tell a new model at an old path."""
    return FastLanguage(Path(path))
