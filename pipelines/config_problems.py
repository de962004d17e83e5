"""What is wrong with a configuration, in words: from pydantic's errors to `file:line: key: what; what to do`.

Gives up: pydantic's own wording, which talks about types where a person has written YAML.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from pipelines.errors import did_you_mean
from pipelines.yaml_source import Key, YamlSource

# Keys that take more than one kind of value; pydantic reports each kind that did not fit.
_UNIONS = {"enabled": "true, false or substitute", "stage": "a whole number or a name"}

_EXPECTED = {
    "string_type": "text; put it in quotes",
    "string_too_short": "a name; leave the key out for the default",
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "list_type": "a list: [a, b]",
    "dict_type": "a mapping",
    "model_type": "a mapping of keys",
}


def explain(
    error: ValidationError,
    origin: YamlSource,
    data: Any,
    known_keys: Callable[[tuple[Any, ...]], list[str]],
    old_keys: Mapping[str, str],
) -> list[str]:
    """One line for every problem, in the file's order.

    `known_keys(place)` are the keys to choose from where an unknown one stands; `old_keys` the new names of old keys.
    """
    found: dict[str, int] = {}
    for item in error.errors():
        loc = tuple(item["loc"])
        union = next((part for part in loc[:-1] if part in _UNIONS), None)
        if union is not None and item["type"] != "extra_forbidden":
            loc = loc[: loc.index(union) + 1]
        value = _value(loc, data)
        if union is not None and item["type"] != "extra_forbidden":
            what = f"{_shown(value)} is not {_UNIONS[union]}"
        else:
            what = _what(item, loc, value, known_keys, old_keys)
        where = origin.where(_existing_prefix(loc, data))
        found[f"{where}: {_name(loc)}: {what}"] = int(where.rpartition(":")[2])
    return sorted(found, key=lambda line: found[line])


def _name(loc: tuple[Any, ...]) -> str:
    name = ""
    for part in loc:
        if isinstance(part, int):
            name += f"[{part}]"
        else:
            word = str(part) if str(part).isprintable() else repr(part)
            name += f".{word}" if name else word
    return name or "configuration"


def _existing_prefix(loc: tuple[Any, ...], data: Any) -> Key:
    key: list[str | int] = []
    for part in loc:
        if not _has(data, part):
            break
        data = data[part]
        key.append(part)
    return tuple(key)


def _value(loc: tuple[Any, ...], data: Any) -> Any:
    for part in loc:
        if not _has(data, part):
            return None
        data = data[part]
    return data


def _has(data: Any, part: Any) -> bool:
    if isinstance(data, dict):
        return part in data
    return isinstance(data, list) and isinstance(part, int) and part < len(data)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _what(
    item: Any,
    loc: tuple[Any, ...],
    value: Any,
    known_keys: Callable[[tuple[Any, ...]], list[str]],
    old_keys: Mapping[str, str],
) -> str:
    kind = item["type"]
    if kind == "extra_forbidden" and loc[-1] in old_keys:
        return f"is the old name of `{old_keys[loc[-1]]}`, which is there too; take it out"
    if kind == "extra_forbidden":
        return f"unknown key{did_you_mean(loc[-1], known_keys(loc))}"
    if kind == "missing":
        return "is missing; add it"
    if kind == "literal_error":
        expected = str(item["ctx"]["expected"])
        names = expected.replace("'", "").replace(",", "").split()
        return f"{_shown(value)} is not one of {expected}{did_you_mean(value, names)}"
    if kind == "value_error":
        return str(item["ctx"]["error"])
    if kind in _EXPECTED:
        return f"{_shown(value)} is not {_EXPECTED[kind]}"
    return f"{item['msg'][0].lower()}{item['msg'][1:]} (is {_shown(value)})"


def first_problem(error: Exception) -> str:
    """What is wrong, in one line: of pydantic's errors the first, with its place."""
    if isinstance(error, ValidationError):
        item = error.errors()[0]
        return ": ".join([".".join(map(str, item["loc"])), item["msg"]]).removeprefix(": ")
    return (str(error).splitlines() or [type(error).__name__])[0]
