"""Text that is only text: control characters, escape sequences and invisible marks as visible escapes.

A document can hold what moves a terminal's cursor, sets its title or turns its writing round; nothing of that is passed
on. Gives up: telling a document that holds the four characters `\\x1b` from one that holds that control character.
"""

import re

# C0 and C1 controls but newline and tab, soft hyphen, marks of direction, zero-width and line separators, fillers,
# tags, unpaired surrogates, noncharacters and private use. Joiners (U+200C, U+200D) stay: Persian, Hindi and emoji
# need them.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)


def visible(text: str) -> str:
    """The text with such characters as `\\x1b`, `\\u202e` or `\\U000e0001`. Newlines and tabs stay."""
    return _HIDDEN.sub(_escape, text)


def visible_line(text: str) -> str:
    """The same on one line: newlines and tabs are escaped, too."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
