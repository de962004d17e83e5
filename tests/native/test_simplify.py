"""The native simplify_text is datatrove's for every character, every configuration and whatever stands around it."""

from functools import lru_cache
from itertools import product
from typing import Any

import pytest
from datatrove.utils.text import TextNormConfig, simplify_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filters import native
from filters.simplify_tables import simplify_table
from tests.native.oracle import needs_core

pytestmark = needs_core

FLAGS = ("lowercase", "norm_whitespace", "remove_punctuation", "norm_unicode_diacritics", "norm_numbers")
CONFIGS = [dict(zip(FLAGS, values, strict=True)) for values in product([True, False], repeat=len(FLAGS))]

_PIECES = [
    *"1 2.5 ٣ ، ٫ ⎖ ⎗ , . ١٢٫٣ 1,2,3 9. .7 Σ ΣΑΣ ΑΣ ΟΔΟΣ. Σ' 'Σ A.Σ ' İ I ı ß ẞ ﬁ ŉ ǰ ΐ 한 각 ệ Å 👍 ! － ９".split(),  # noqa: SIM905
    *"𑁦 ² ½ ž ǅ ᾳ ϓ 🇻 a b Z học_sinh IS_ALPHA Ⅷ ﷺ i\u0307 ê\u0323 👩\u200d🚒 \u1100\u1161 𝟗".split(),  # noqa: SIM905
    *"\u0301\u0323\u0345\u0307\u302e\u302f\ua9c0\u212b\u1fef\u2126\ufeff\u200d\ufb1d\U0001d15e\u0f73",
    *" \n\t\0\x1c\x85\u2028\xa0\u2000\u3000\u1680",
    "  ",
]


@lru_cache(maxsize=64)
def core(values: tuple[bool, ...]) -> Any:
    module = native.load()
    assert module is not None
    return module.Simplifier(*simplify_table(TextNormConfig(**dict(zip(FLAGS, values, strict=True)))))


def simplified(text: str, flags: dict[str, bool]) -> str | None:
    found: str | None = core(tuple(flags.values())).simplify(text)
    return found


@pytest.mark.parametrize("template", ["A{0}Σ1.{0}2 {0} {0}\n", "'{0}Σ{0}b"])
@pytest.mark.parametrize(
    "flags",
    [
        dict.fromkeys(FLAGS, True),
        dict.fromkeys(FLAGS, True) | {"norm_unicode_diacritics": False},
        dict.fromkeys(FLAGS, False) | {"norm_unicode_diacritics": True},
        dict.fromkeys(FLAGS, True) | {"lowercase": False, "norm_numbers": False},
    ],
    ids=["datatrove's defaults", "marks kept", "marks only", "case and numbers kept"],
)
def test_every_character_in_context(flags: dict[str, bool], template: str) -> None:
    """Alone between spaces, at a number, and before and behind a sigma. Refusing is rare: a few dozen characters."""
    refused = 0
    for start in range(0, 0x110000, 256):
        block = [chr(c) for c in range(start, start + 256) if not 0xD800 <= c < 0xE000]
        text = "".join(map(template.format, block))
        found = simplified(text, flags)
        if found is not None:
            assert found == simplify_text(text, TextNormConfig(**flags)), hex(start)
            continue
        for c in block:
            one = simplified(template.format(c), flags)
            refused += one is None
            assert one is None or one == simplify_text(template.format(c), TextNormConfig(**flags)), hex(ord(c))
    assert refused <= (100 if flags["norm_unicode_diacritics"] else 0)


@given(st.lists(st.sampled_from(_PIECES), max_size=16).map("".join) | st.text(max_size=20), st.sampled_from(CONFIGS))
@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
def test_hostile_texts(text: str, flags: dict[str, bool]) -> None:
    if any(0xD800 <= ord(c) < 0xE000 for c in text):
        with pytest.raises(UnicodeEncodeError):
            simplified(text, flags)
        return
    found = simplified(text, flags)
    assert found is None or found == simplify_text(text, TextNormConfig(**flags))


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\u0301",
        " \u0301 a \u0301 \u0302 b \u0301",
        "a \u0301\u0302 b",
        "ΟΔΟΣ ΣΣΣ Σ. ΑΣ.Α",
        "1.2.3 4,5x 6. .7 ٣٫٤",
    ],
)
def test_texts_that_are_mostly_exceptions(text: str) -> None:
    for flags in CONFIGS:
        assert simplified(text, flags) == simplify_text(text, TextNormConfig(**flags)), flags


def test_a_text_that_grows() -> None:
    """İ takes two bytes and becomes three, and there is no ASCII in between to make room."""
    flags = dict.fromkeys(FLAGS, False) | {"lowercase": True}
    for text in ("İ" * 5000, "Ⱥ" * 5000):
        assert simplified(text, flags) == text.lower()


def test_marks_that_nfd_may_exchange_are_left_to_stock() -> None:
    flags = dict.fromkeys(FLAGS, True)
    assert simplified("a\u302e\u3099", flags) is None
    assert simplified("a\u302e\u3099", flags | {"norm_unicode_diacritics": False}) == "a\u302e\u3099"


def test_names_of_weekdays_are_left_to_stock() -> None:
    with pytest.raises(ValueError, match="weekdays"):
        simplify_table(TextNormConfig(norm_weekdays=True))


def test_the_core_refuses_tables_that_cannot_be() -> None:
    module = native.load()
    assert module is not None
    with pytest.raises(ValueError, match="every character"):
        module.Simplifier(b"\0" * 8, [], True)
    with pytest.raises(ValueError, match="points nowhere"):
        module.Simplifier((3 << 21 | 5).to_bytes(4, "little") * 0x110000, [], True)
