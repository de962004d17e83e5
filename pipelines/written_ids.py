"""The ids of written documents, read again for hashes that say that some of them are equal.

A verification remembers documents by 64-bit hashes (hashed_names.py). Equal hashes are a suspicion, which the ids
themselves confirm. Gives up: lines that are no documents; the check of the files says those.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import orjson

from pipelines.compression import LINE_ERRORS, open_lines
from pipelines.hashed_names import SUSPECTS, hashes_of, is_in, repeated
from pipelines.store.store import open_at

_BATCH = 1 << 16


def written_ids(where: Path | str, files: Iterable[str]) -> Iterator[list[str]]:
    """The ids in these files of the run at `where` (a folder or a store's URL), some at a time."""
    for path in files:
        names: list[str] = []
        try:
            with open_at(where, path) as raw, open_lines(path, raw) as lines:
                for line in lines:
                    if isinstance(name := _id_of(line), str):
                        names.append(name)
                    if len(names) == _BATCH:
                        yield names
                        names = []
        except LINE_ERRORS:
            # Said by the check of the files themselves.
            pass
        yield names


def _id_of(line: bytes) -> object:
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return document.get("id") if isinstance(document, dict) else None


def repeated_ids(source: str, ordered: np.ndarray, where: Path | str, files: Iterable[str]) -> Iterator[str]:
    """A line when an id of the source was written more than once; `ordered`: the hashes of all of them, sorted.

    Reads the files only where hashes are equal.
    """
    again = repeated(ordered)
    if len(again) and (number := len(again) - _by_chance(np.unique(again)[:SUSPECTS], written_ids(where, files))):
        yield f"{source}: {number:,} ids occur more than once"


def _by_chance(suspects: np.ndarray, ids: Iterable[list[str]]) -> int:
    """How many different ids have a hash of `suspects` that another id has as well."""
    found: dict[int, set[str]] = {}
    for names in ids:
        hashes = hashes_of(names)
        for place in np.flatnonzero(is_in(suspects, hashes)).tolist():
            found.setdefault(int(hashes[place]), set()).add(names[place])
    return sum(len(names) - 1 for names in found.values())
