"""The places of a text that made its verdict: repeated lines, n-grams, stop words, bullets, phrases.

`marks_of(step, rule, text)` -> spans of the text as datatrove's rules count them (its own definitions, its words).
Gives up: rules about the whole text (its length, its language), which have a fact and no place; and phrases that are
found only after normalising (decomposed letters), which are named as a fact.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from datatrove.pipeline.filters.gopher_repetition_filter import get_n_grams

from filters import GopherQualityFilter, GopherRepetitionFilter, SpamFilter
from filters.text import MAX_RUN, UnsplittableText, split_words

Span = tuple[int, int]
# Longer texts are not marked: counting their n-grams takes seconds.
MAX_CHARS = 100_000


def marks_of(step: Any, rule: str, text: str) -> list[Span]:
    """Sorted spans that do not overlap. `rule`: the reason without its family; [] where it has no places.

    Args:
        step: the filter that judges, its variant for the document's language.
        text: at most MAX_CHARS characters are looked at.
    """
    text = text[:MAX_CHARS]
    try:
        if isinstance(step, SpamFilter):
            return _merged(_phrases(step, text))
        if isinstance(step, GopherRepetitionFilter):
            return _merged(_repetition(step, rule, text))
        if isinstance(step, GopherQualityFilter):
            return _merged(_quality(step, rule, text))
    except UnsplittableText:
        return [match.span() for match in re.finditer(rf"\S{{{MAX_RUN + 1},}}", text)]
    return []


def _merged(spans: Iterable[Span]) -> list[Span]:
    """Sorted, and one where they touch or overlap."""
    found: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _repetition(step: GopherRepetitionFilter, rule: str, text: str) -> Iterator[Span]:
    if rule.startswith("dup_line"):
        yield from _seen_before(text, re.compile("\n+"))
    elif rule.startswith("dup_para"):
        yield from _seen_before(text, re.compile(r"\n{2,}"))
    elif match := re.fullmatch(r"top_(\d+)_gram", rule):
        yield from _top(text, step.language, int(match[1]))
    elif match := re.fullmatch(r"duplicated_(\d+)_n_grams", rule):
        yield from _duplicated(text, step.language, int(match[1]))
    elif rule == "unsplittable":
        split_words(text, step.language)


def _seen_before(text: str, between: re.Pattern[str]) -> Iterator[Span]:
    """The parts of a text that stand further up already."""
    start, known = 0, set()
    ends = [*(match.span() for match in between.finditer(text)), (len(text), len(text))]
    for end, following in ends:
        part = text[start:end]
        if part in known:
            yield start, end
        known.add(part)
        start = following


def _placed(text: str, word_code: str) -> tuple[list[str], list[Span]]:
    """Words and where each stands. Splitters join parts of a word by `_` (pyvi) where the text has a space."""
    words, spans, at = split_words(text, word_code), [], 0
    for word in words:
        start = text.find(word, at)
        if start < 0:
            start = text.find(word.replace("_", " "), at)
        if start < 0:
            spans.append((at, at))
            continue
        at = start + len(word)
        spans.append((start, at))
    return words, spans


def _top(text: str, word_code: str, n: int) -> Iterator[Span]:
    words, spans = _placed(text, word_code)
    grams = get_n_grams(words, n)
    if grams:
        top = Counter(grams).most_common(1)[0][0]
        for i, gram in enumerate(grams):
            if gram == top:
                yield spans[i][0], spans[i + n - 1][1]


def _duplicated(text: str, word_code: str, n: int) -> Iterator[Span]:
    words, spans = _placed(text, word_code)
    known: set[str] = set()
    i = 0
    while i <= len(words) - n:
        gram = "".join(words[i : i + n])
        if gram in known:
            yield spans[i][0], spans[i + n - 1][1]
            i += n
        else:
            known.add(gram)
            i += 1


def _quality(step: GopherQualityFilter, rule: str, text: str) -> Iterator[Span]:
    words: dict[str, Callable[[str], bool]] = {
        "gopher_enough_stop_words": lambda word: word in step.stop_words,
        "gopher_below_alpha_threshold": lambda word: not any(map(str.isalpha, word)),
        "gopher_above_avg_threshold": lambda word: len(word) > (step.max_avg_word_length or MAX_RUN),
    }
    lines: dict[str, Callable[[str], bool]] = {
        "gopher_too_many_bullets": lambda line: line.lstrip().startswith(("•", "-")),
        "gopher_too_many_end_ellipsis": lambda line: line.rstrip().endswith(("...", "…")),
    }
    signs = {"gopher_too_many_hashes": "#", "gopher_too_many_ellipsis": r"\.\.\.|…"}
    if rule in signs:
        yield from (match.span() for match in re.finditer(signs[rule], text))
    elif rule in lines:
        at = 0
        for line in text.splitlines(keepends=True):
            bare = line.rstrip()
            if lines[rule](bare):
                yield at, at + len(bare)
            at += len(line)
    elif rule in words:
        for word, span in zip(*_placed(text, step.language), strict=True):
            if words[rule](word):
                yield span
    elif rule in ("unsplittable", "gopher_unsplittable"):
        split_words(text, step.language)


def _phrases(step: SpamFilter, text: str) -> Iterator[Span]:
    found = set(step.find(text))
    for phrase in found:
        forms = {unicodedata.normalize(form, phrase) for form in ("NFC", "NFD")}
        pattern = "|".join(
            r"\s+".join(re.escape(word).replace("'", "['\u2019]") for word in form.split()) for form in forms
        )
        for match in re.finditer(rf"(?<!\w)(?:{pattern})(?!\w)", text, re.IGNORECASE):
            yield match.span()
