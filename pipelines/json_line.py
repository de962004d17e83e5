"""One line of JSON: orjson's answer, sooner where the line has a long text with many letters beyond ASCII.

The native core decodes that one string (native/json_text.hpp), orjson reads the rest of the line. Whatever either of
them refuses, orjson reads, or refuses, whole; so value and error are always orjson's. Gives up: nothing; without the
core it is orjson.
"""

from collections.abc import Callable
from typing import Any

import orjson

from filters import native

Line = bytes | bytearray


def line_loader() -> Callable[[Line], Any]:
    """`orjson.loads` for lines, in 0.6 of its time for Vietnamese (`python benchmarks/json_lines.py`).

    The function raises orjson.JSONDecodeError as orjson does.
    """
    core = native.load()
    return orjson.loads if core is None else _with_core(core.take_string)


def _with_core(take_string: Callable[[Line], tuple[str, str, bytes] | None]) -> Callable[[Line], Any]:
    loads = orjson.loads

    def load(line: Line) -> Any:
        taken = None if line.isascii() else take_string(line)
        if taken is None:
            return loads(line)
        key, text, rest = taken
        try:
            row = loads(rest)
        except orjson.JSONDecodeError:
            return loads(line)
        row[key] = text
        return row

    return load


def surely_composed(text: str) -> bool:
    """Whether a text is certainly in composed form (NFC); False says nothing. A quarter of `is_normalized`'s time."""
    core = native.load()
    return text.isascii() if core is None else core.surely_composed(text)
