"""spaCy's tokenizer rules in the form that the native core reads.

The patterns are parsed by Python's own `re` parser and handed over as trees; special cases and their token sequences
come from the tokenizer object itself. Nothing of spaCy is copied, so other languages and other rule sets work the same
way. What this gives up: patterns with features that no rule of spaCy's needs raise `Unsupported`, and that language
asks spaCy for all its words.
"""

import importlib
import re
import sys
from functools import lru_cache
from typing import Any

sre_parse: Any = importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")


class Unsupported(ValueError):
    """A rule that the native core does not know."""


# Bits of native/unicode.hpp.
_CATEGORIES = {"CATEGORY_SPACE": 1, "CATEGORY_WORD": 16, "CATEGORY_DIGIT": 32}
_WRITTEN = {
    **{f"CATEGORY_{name}": written for name, written in (("SPACE", r"\s"), ("WORD", r"\w"), ("DIGIT", r"\d"))},
    **{f"CATEGORY_NOT_{name}": written for name, written in (("SPACE", r"\S"), ("WORD", r"\W"), ("DIGIT", r"\D"))},
}
_NO_LIMIT = 2**32 - 1
Tree = tuple[Any, ...]


@lru_cache(maxsize=1)
def _all_characters() -> str:
    return "".join(map(chr, range(sys.maxunicode + 1)))


@lru_cache(maxsize=4096)
def _regardless_of_case(written: str) -> Tree:
    """What a set or a literal matches under re.IGNORECASE, asked of `re` for every character there is.

    The same node for the same text: the native core keeps one table for all its places.
    """
    runs = re.compile(f"{written}+", re.IGNORECASE).finditer(_all_characters())
    ranges = tuple((run.start(), run.end() - 1) for run in runs)
    only = ranges[0][0] if len(ranges) == 1 and ranges[0][0] == ranges[0][1] else None
    return ("set", 0, ranges, 0, 0) if only is None else ("literal", only)


def _written(op: str, value: Any) -> str:
    """A set or a literal in the syntax of `re`."""
    if op == "LITERAL":
        return f"\\U{value:08x}"
    if op == "NOT_LITERAL":
        return f"[^\\U{value:08x}]"
    parts = []
    for item, what in value:
        name = str(item)
        if name == "NEGATE":
            parts.append("^")
        elif name in ("LITERAL", "RANGE"):
            parts.append("-".join(f"\\U{code:08x}" for code in ((what,) if name == "LITERAL" else what)))
        elif str(what) in _WRITTEN:
            parts.append(_WRITTEN[str(what)])
        else:
            raise Unsupported(f"{name} {what} in a set of characters")
    return f"[{''.join(parts)}]"


def _set(items: Any) -> Tree:
    negate, ranges, positive, negative = 0, [], 0, 0
    for op, value in items:
        name = str(op)
        if name == "NEGATE":
            negate = 1
        elif name == "LITERAL":
            ranges.append((value, value))
        elif name == "RANGE":
            ranges.append((value[0], value[1]))
        elif name == "CATEGORY" and str(value) in _CATEGORIES:
            positive |= _CATEGORIES[str(value)]
        elif name == "CATEGORY" and str(value).replace("_NOT_", "_") in _CATEGORIES:
            negative |= _CATEGORIES[str(value).replace("_NOT_", "_")]
        else:
            raise Unsupported(f"{name} {value} in a set of characters")
    return ("set", negate, tuple(ranges), positive, negative)


def _repeat(low: int, high: Any, body: Any, any_case: bool) -> Tree:
    limit = _NO_LIMIT if high is sre_parse.MAXREPEAT or high >= _NO_LIMIT else int(high)
    if body.getwidth()[0] < 1 and limit > 1:
        raise Unsupported("repeats of what can be empty")
    inner = _sequence(body, any_case)
    if len(inner) == 1 and inner[0][0] == "literal":
        inner = (("set", 0, ((inner[0][1], inner[0][1]),), 0, 0),)
    return ("repeat", low, limit, inner)


def _node(op: str, value: Any, any_case: bool) -> Tree:
    if any_case and op in ("LITERAL", "NOT_LITERAL", "IN"):
        return _regardless_of_case(_written(op, value))
    if op == "LITERAL":
        return ("literal", value)
    if op == "NOT_LITERAL":
        return ("set", 1, ((value, value),), 0, 0)
    if op == "IN":
        return _set(value)
    if op == "ANY":
        return ("any",)
    if op == "BRANCH":
        return ("branch", tuple(_sequence(alternative, any_case) for alternative in value[1]))
    if op == "SUBPATTERN" and not value[1] and not value[2]:
        return ("group", _sequence(value[3], any_case))
    if op == "MAX_REPEAT":
        low, high, body = value
        return _repeat(low, high, body, any_case)
    if op in ("ASSERT", "ASSERT_NOT"):
        direction, body = value
        low, high = body.getwidth()
        if direction < 0 and low != high:
            raise Unsupported("looking behind by no fixed length")
        return ("look", int(op == "ASSERT_NOT"), None if direction > 0 else low, _sequence(body, any_case))
    if op == "AT" and str(value) == "AT_BEGINNING":
        return ("begin",)
    if op == "AT" and str(value) == "AT_END":
        return ("end",)
    raise Unsupported(f"{op} {value}")


def _sequence(parsed: Any, any_case: bool) -> Tree:
    return tuple(_node(str(op), value, any_case) for op, value in parsed)


def tree(function: Any, method: str) -> Tree | None:
    """The pattern behind a compiled pattern's bound method, such as `re.compile(...).search`; None for None.

    Raises:
        Unsupported: another kind of callable, flags but IGNORECASE, or a feature of `re` outside the native core's.
    """
    if function is None:
        return None
    pattern = getattr(function, "__self__", None)
    if not isinstance(pattern, re.Pattern) or getattr(function, "__name__", "") != method:
        raise Unsupported(f"{function!r} is not the {method} of a compiled pattern")
    if pattern.flags & ~re.IGNORECASE != re.UNICODE:
        raise Unsupported(f"flags {re.RegexFlag(pattern.flags)!r}")
    try:
        return _sequence(sre_parse.parse(pattern.pattern, pattern.flags), bool(pattern.flags & re.IGNORECASE))
    finally:
        _all_characters.cache_clear()  # 4 MB


def patterns(tokenizer: Any) -> tuple[Tree | None, ...]:
    """Prefix, suffix, infix, token_match and url_match of a spaCy tokenizer as trees.

    Raises:
        Unsupported: as `tree`.
    """
    return (
        tree(tokenizer.prefix_search, "search"),
        tree(tokenizer.suffix_search, "search"),
        tree(tokenizer.infix_finditer, "finditer"),
        tree(tokenizer.token_match, "match"),
        tree(tokenizer.url_match, "match"),
    )


def specials(tokenizer: Any) -> list[tuple[str, tuple[int, ...]]]:
    """Special cases: `[(text, lengths of its tokens in characters), ...]`."""
    from spacy.attrs import ORTH

    found = []
    for text, tokens in tokenizer.rules.items():
        lengths = tuple(len(token[ORTH] if ORTH in token else token["ORTH"]) for token in tokens)
        if sum(lengths) != len(text):
            raise Unsupported(f"special case {text!r}")
        found.append((text, lengths))
    return found


def sequences(tokenizer: Any) -> list[tuple[bool, tuple[str, ...]]]:
    """What spaCy's second pass looks for: `[(the rule contains a space, its tokens without special cases), ...]`.

    Raises:
        Unsupported: a sequence with white space inside, or rules whose order leaves something in spaCy's cache.
    """
    from spacy.tokenizer import Tokenizer

    plain = Tokenizer(
        tokenizer.vocab,
        rules={},
        prefix_search=tokenizer.prefix_search,
        suffix_search=tokenizer.suffix_search,
        infix_finditer=tokenizer.infix_finditer,
        token_match=tokenizer.token_match,
        url_match=tokenizer.url_match,
    )
    found = []
    for rule in tokenizer.rules:
        every = not tokenizer.faster_heuristics or " " in rule
        if every or plain.find_prefix(rule) or plain.find_infix(rule) or plain.find_suffix(rule):
            tokens = tuple(token.text for token in plain(rule))
            if all(token.isspace() for token in tokens):
                continue
            # One token that stays one token: found or not, longest first, it changes nothing and blocks nothing.
            if tokens == (rule,) and len(tokenizer.rules[rule]) == 1:
                continue
            if any(token.isspace() for token in tokens):
                raise Unsupported(f"white space as a token of the special case {rule!r}")
            found.append((" " in rule, tokens))
    # spaCy loads rules in this order and keeps the chunks of the last one in its cache, split without special cases.
    if any(char.isspace() for char in max(tokenizer.rules, default="")):
        raise Unsupported("a last special case with white space")
    return found
