"""At, just under and just over every limit that a profile sets, the filters say what stock says.

The limits are read from configs/filter_profiles.yaml, so a new number is tested by being there. Each is tried alone
(the verdict has to turn exactly there) and within its whole profile.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import pytest
from datatrove.data import Document

from filters import FILTERS, native
from filters.fast_gopher import quality_verdict, repetition_verdict
from filters.spam import load_phrases
from filters.text import splitter_available
from pipelines.profiles import load_profiles
from tests.data import ROOT
from tests.native import edges, stock

PROFILES = load_profiles(ROOT / "configs" / "filter_profiles.yaml")
REPETITION_OFF: dict[str, Any] = dict.fromkeys(
    ["dup_line_frac", "dup_para_frac", "dup_line_char_frac", "dup_para_char_frac"], 0
) | {"top_n_grams": [], "dup_n_grams": []}
_QUALITY_LIMITS = [
    "min_doc_words",
    "max_doc_words",
    "min_avg_word_length",
    "max_avg_word_length",
    "max_symbol_word_ratio",
    "max_bullet_lines_ratio",
    "max_ellipsis_lines_ratio",
    "max_non_alpha_words_ratio",
    "min_stop_words",
]
QUALITY_OFF: dict[str, Any] = dict.fromkeys(_QUALITY_LIMITS, 0)
# Splitters that cut the documents' made-up words in two; n-gram limits of these languages are tried on English words.
_CUT_ELSEWHERE = {"zh", "ja", "ko", "th", "hi"}
Case = tuple[str, str, Any, str, tuple[str, ...]]  # family, parameter, limit, language, stop words


def _chains() -> Iterator[tuple[str, dict[str, Any]]]:
    """(family, parameters) of every Gopher step of every profile, the variants by language as steps of their own."""
    for profile in PROFILES.values():
        for spec in profile.filters:
            if not spec.name.startswith("gopher"):
                continue
            base = {name: value for name, value in spec.params.items() if name != "by_language"}
            yield spec.name, base
            for language, overrides in (spec.params.get("by_language") or {}).items():
                yield spec.name, base | {"language": language} | overrides


@lru_cache(maxsize=1)
def every_limit() -> list[Case]:
    """Every limit once, with the first language that has it."""
    found: dict[tuple[str, str, Any, Any], Case] = {}
    for family, params in _chains():
        off = REPETITION_OFF if family == "gopher_repetition" else QUALITY_OFF
        for name in off:
            if name == "max_doc_words":
                continue  # below: a text of 200,000 words takes stock seconds
            value = params.get(name)
            words = tuple(params.get("stop_words") or ()) if name == "min_stop_words" else ()
            for limit in value if name.endswith("n_grams") else [value]:
                limit = tuple(limit) if isinstance(limit, list) else limit
                if limit:
                    found.setdefault((family, name, limit, words), (family, name, limit, params["language"], words))
    return list(found.values())


def edges_of(case: Case) -> list[edges.Edges]:
    """The families of three documents for one limit."""
    _, name, limit, _, words = case
    if name.endswith("n_grams"):
        n, share = limit
        return [edges.top_n_gram(n, share) if name == "top_n_grams" else edges.dup_n_gram(n, share)]
    separator = "\n\n" if "para" in name else "\n"
    return {
        "dup_line_frac": lambda: [edges.dup_elements(limit, separator)],
        "dup_para_frac": lambda: [edges.dup_elements(limit, separator)],
        "dup_line_char_frac": lambda: [edges.dup_chars(limit, separator)],
        "dup_para_char_frac": lambda: [edges.dup_chars(limit, separator)],
        "min_doc_words": lambda: [edges.doc_words(limit)],
        "min_avg_word_length": lambda: [edges.avg_word_length(limit)],
        "max_avg_word_length": lambda: [edges.avg_word_length(limit)],
        "max_symbol_word_ratio": lambda: [edges.symbol_word_ratio(limit, symbol) for symbol in ("#", "...", "…")],
        "max_bullet_lines_ratio": lambda: [edges.bullet_lines(limit, bullet) for bullet in ("-", "•")],
        "max_ellipsis_lines_ratio": lambda: [edges.ellipsis_lines(limit, end) for end in ("...", "…")],
        "max_non_alpha_words_ratio": lambda: [edges.words_with_a_letter(limit)],
        "min_stop_words": lambda: [edges.stop_words(limit, list(words))],
    }[name]()


def both(family: str, params: dict[str, Any], text: str) -> Any:
    """The project's verdict, which is stock's; the native core gave it where it can."""
    step = FILTERS[family](**params)
    expected, metadata = stock.ORACLES[family](params, text, {})
    doc = Document(text=text, id="0")
    assert (step.filter(doc), doc.metadata) == (expected, metadata)
    if family.startswith("gopher") and native.why_not() is None:
        verdict = repetition_verdict if family == "gopher_repetition" else quality_verdict
        assert verdict(step, text) == expected
    return expected


def _id(case: Case) -> str:
    return f"{case[3]}-{case[1]}-{case[2]}"


@pytest.mark.parametrize("case", every_limit(), ids=_id)
def test_a_gopher_limit_alone(case: Case) -> None:
    """Kept at the limit; dropped on the wrong side of it, where one character, line or word makes the difference."""
    family, name, limit, language, words = case
    if missing := splitter_available(language):
        pytest.skip(missing)
    off = REPETITION_OFF if family == "gopher_repetition" else QUALITY_OFF
    params = off | {"language": language, name: [list(limit)] if isinstance(limit, tuple) else limit}
    if words:
        params["stop_words"] = list(words)
    if name.endswith("n_grams") and language in _CUT_ELSEWHERE:
        params["language"] = "en"
    lower = name.startswith("min_") or name == "max_non_alpha_words_ratio"
    for three in edges_of(case):
        verdicts = {what: both(family, params, text) is True for what, text in three}
        expected = {"under": not lower, "at": True, "over": lower}
        assert verdicts == {what: expected[what] for what, _ in three}


@pytest.mark.parametrize("limit", [25, 200_000])
def test_the_most_words_of_a_document(limit: int) -> None:
    """The largest document that a profile keeps, one word less and one more; the same with few words, where stock is
    asked too (a text of 200,000 words takes it a minute)."""
    step = FILTERS["gopher_quality"](**(QUALITY_OFF | {"max_doc_words": limit}))
    for what, text in edges.doc_words(limit):
        expected = (False, "gopher_long_doc") if what == "over" else True
        if limit < 1000:
            assert both("gopher_quality", QUALITY_OFF | {"max_doc_words": limit}, text) == expected
        elif native.why_not() is None:
            assert quality_verdict(step, text) == expected


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_every_edge_within_its_profile(name: str) -> None:
    """All rules of the profile together: the reason is that of the first rule in stock's order."""
    for spec in PROFILES[name].filters:
        if not spec.name.startswith("gopher"):
            continue
        if missing := splitter_available(spec.params["language"]):
            pytest.skip(missing)
        for case in every_limit():
            if case[0] == spec.name and case[3] in ("en", spec.params["language"]):
                for three in edges_of(case):
                    for _, text in three:
                        both(spec.name, spec.params, text)


def mixed(share: float) -> str:
    """Words of an English and a German text, a share of them English."""
    english = "the people of the town have never seen such a long winter as this one was".split()  # noqa: SIM905
    german = "die Leute in der Stadt haben noch nie einen so langen Winter gesehen wie diesen".split()  # noqa: SIM905
    return " ".join((english if i % 100 < share * 100 else german)[i % 14] for i in range(200))


@pytest.mark.parametrize("share", [0.6, 0.7, 0.8, 0.9, 1.0])
def test_the_language_score_itself_as_threshold(share: float) -> None:
    """`above it` is what keeps: not the score's own double, but the one below."""
    text = mixed(share)
    _, metadata = stock.language({"languages": ["en"]}, text, {})
    score = metadata["language_score"]
    if metadata["language"] != "en" or not score < 1:
        pytest.skip(f"{metadata} is no score to stand on")
    verdicts = [
        both("language", {"languages": ["en"], "threshold": threshold}, text)
        for threshold in (math.nextafter(score, 0), score, math.nextafter(score, 1))
    ]
    assert verdicts == [True, (False, "low_score"), (False, "low_score")]


def test_language_scores_around_the_profiles_threshold() -> None:
    """From all German to all English in steps of a word: both sides of 0.65, and very close to it."""
    params = next(spec.params for spec in PROFILES["web-en"].filters if spec.name == "language")
    verdicts = {both("language", params, mixed(share / 100)) for share in range(101)}
    assert True in verdicts
    assert len(verdicts) >= 2


def _spammy(hits: int, num_words: int) -> str:
    phrase = next(p for p in load_phrases()["en"] if len(p.split()) == 2)
    filler = [str(number) for number in range(num_words - 2 * hits)]
    return " ".join([f"{phrase} {filler.pop()}" for _ in range(hits)] + filler)


@pytest.mark.parametrize("hits", [1, 3, 6, 12])
@pytest.mark.parametrize("density", [6.0, 2.5, 0.0])
def test_spam_density_around_its_limit(hits: int, density: float) -> None:
    """Hits per 1,000 words at the limit keep; one word fewer drops."""
    params = {"mode": "density", "max_density": density}
    if density == 0:
        assert both("spam", params, _spammy(hits, 500)) == (False, "density")
        assert both("spam", params, _spammy(0, 500)) is True
        return
    at = hits * 1000 / density
    words = int(at)
    found = [both("spam", params, _spammy(hits, number)) for number in (words - 1, words, words + 1)]
    assert found == [(False, "density"), True if words == at else (False, "density"), True]


@pytest.mark.parametrize("min_hits", [1, 2, 5])
def test_spam_hits_around_their_minimum(min_hits: int) -> None:
    params = {"mode": "density", "max_density": 0.0, "min_hits": min_hits}
    found = [both("spam", params, _spammy(hits, 60)) for hits in (min_hits - 1, min_hits, min_hits + 1)]
    assert found == [True, (False, "density"), (False, "density")]


def _lengths() -> list[tuple[str, float]]:
    found = {
        (name, value)
        for profile in PROFILES.values()
        for spec in profile.filters
        if spec.name == "length"
        for name, value in spec.params.items()
    }
    return sorted(found | {("min_words", 3), ("max_words", 50), ("max_tokens", 7)})


@pytest.mark.parametrize(("name", "limit"), _lengths())
@pytest.mark.parametrize("letter", ["a", "ệ", "𝒜"])
def test_a_length_around_its_limit(name: str, limit: float, letter: str) -> None:
    """Characters, words and estimated tokens are counted whatever the bytes of a letter."""
    verdicts = []
    for off in (-1, 0, 1):
        if name.endswith("words"):
            text = f"{letter}\u2003" * (int(limit) + off)
        elif name.endswith("chars"):
            text = letter * (int(limit) + off)
        else:
            text = "a" * (int(limit * 4) + off)
        verdicts.append(both("length", {name: limit}, text) is True)
    assert verdicts == ([False, True, True] if name.startswith("min_") else [True, True, False])
