"""YAML with line numbers, read strictly: the plain data, and where each value stands in the file.

Differs from `yaml.safe_load` where that surprises people who write weights and names: `5e-05` is a number, `no`, `on`
and `12:30` are text, so is a number that no float can hold (`.inf`, a commit such as `12e456789`), and a key written
twice is an error. Gives up tags, anchors, merge keys and dates: a configuration is plain data, and an alias can make a
small file enormous.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipelines.errors import ConfigError, UserError

Key = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class YamlSource:
    """One parsed file: `data` in plain Python types, `lines[(key, index, ...)]` the 1-based line of each value.

    `numbers` keeps how a number was written, because `1.10` as a name is not `1.1`.
    """

    path: Path
    data: Any
    lines: dict[Key, int]
    numbers: dict[Key, str]

    def where(self, key: Key) -> str:
        """`file:line` of a value, or of the nearest thing that encloses it."""
        while key and key not in self.lines:
            key = key[:-1]
        return f"{self.path}:{self.lines.get(key, 1)}"

    def rename(self, key: Key, old: str, new: str) -> None:
        """Let a key's value be found under another name too; the values inside it stay under the old one."""
        self.lines[(*key, new)] = self.lines[(*key, old)]
        if (*key, old) in self.numbers:
            self.numbers[(*key, new)] = self.numbers[(*key, old)]


class _Refused(yaml.MarkedYAMLError):
    """YAML that is valid, but more than plain data."""


class _Loader(yaml.SafeLoader):
    """SafeLoader whose plain scalars follow YAML 1.2's core schema instead of 1.1's, without tags and anchors."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _Refused(
                None, None, "anchors and aliases (& and *) are not allowed; repeat the text", event.start_mark
            )
        if event.tag is not None:
            raise _Refused(None, None, f"the tag {event.tag} is not allowed; put text in quotes", event.start_mark)
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("tag:yaml.org,2002:null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:int", r"^[-+]?(?:0|[1-9][0-9_]*)$", "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        r"^(?:[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?)$",
        "-+0123456789.",
    ),
):
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), list(_first))


def load_yaml(path: str | Path) -> YamlSource:
    """Read one YAML file.

    Raises `UserError` when the file is missing or unreadable, `ConfigError` for syntax errors, duplicate keys, tags,
    anchors and anything else that is not plain data.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; give the path of a YAML configuration") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder; give the path of a YAML configuration") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    walk = _Walk(path)
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        data = walk.plain(node, (), loader) if node is not None else None
    except yaml.YAMLError as error:
        raise ConfigError([_syntax_problem(path, text, error)]) from None
    except RecursionError:
        raise ConfigError([f"{path}:1: is nested too deeply; a configuration has four levels"]) from None
    finally:
        if loader is not None:
            loader.dispose()
    if walk.problems:
        raise ConfigError(walk.problems)
    return YamlSource(path=path, data=data, lines=walk.lines, numbers=walk.numbers)


def _syntax_problem(path: Path, text: str, error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return f"{path}:{line}: the character {error.character!r} is not allowed in YAML; take it out"
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = mark.line + 1 if mark else 1
    what = getattr(error, "problem", None) or str(error)
    what = " ".join(str(what).split())
    if isinstance(error, _Refused):
        return f"{path}:{line}: {what}"
    if "'\\t'" in what:
        return f"{path}:{line}: not valid YAML: a tab; indent with spaces"
    return f"{path}:{line}: not valid YAML: {what}; check indentation, colons and quotes"


class _Walk:
    """Turns nodes into plain data, and notes lines, how numbers are written, and what is wrong on the way."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[Key, int] = {}
        self.numbers: dict[Key, str] = {}
        self.problems: list[str] = []

    def plain(self, node: yaml.Node, key: Key, loader: _Loader) -> Any:
        self.lines.setdefault(key, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, key, loader)
        if isinstance(node, yaml.SequenceNode):
            return [self.plain(item, (*key, i), loader) for i, item in enumerate(node.value)]
        try:
            value = loader.construct_object(node)
        except ValueError:
            # Python refuses to read a number of more than 4300 digits; as a name it is as good as any.
            return str(node.value)
        if isinstance(value, float) and not math.isfinite(value):
            return str(node.value)
        if type(value) in (int, float):
            self.numbers[key] = str(node.value)
        return value

    def _mapping(self, node: yaml.MappingNode, key: Key, loader: _Loader) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            here = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(f"{self.path}:{here}: a key must be a plain word; write it on one line")
                continue
            name = str(key_node.value)
            if name in mapping:
                first = self.lines[(*key, name)]
                shown = name if name.isprintable() else repr(name)
                self.problems.append(
                    f"{self.path}:{here}: {shown}: written twice (first at line {first}); keep one of them"
                )
            self.lines.setdefault((*key, name), here)
            mapping[name] = self.plain(value_node, (*key, name), loader)
        return mapping
