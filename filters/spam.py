"""Advertising and fraud phrases: drops a document that says too many of them for its length.

The native core finds every phrase of `configs/spam_keywords.yaml` in one pass over the text (`filters.fast_spam`); the
definition is here, an Aho-Corasick automaton, which does the work where there is no core. A phrase counts only between
word boundaries, after Unicode NFC, case folding, with typographic apostrophes made plain and any run of
white space equal to one space, so composed and decomposed Vietnamese, capitals and line breaks make no difference.

What it gives up: it knows phrases, not meaning. Spam that says none of them passes, an article that quotes many of them
falls, and spelling tricks ("c1ick", "m.u.a n.g.a.y", letters from another alphabet) are not undone. It is tuned to lose
almost no clean text; `benchmarks/spam_table.py` measures both sides.
"""

import hashlib
import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from datatrove.data import Document
from datatrove.pipeline.writers.disk_base import DiskWriter

from filters import fast_spam, native
from filters.counting import CountedFilter
from filters.fast_spam import finder, fold, in_word

DEFAULT_PHRASES = Path(__file__).resolve().parent.parent / "configs" / "spam_keywords.yaml"
MODES = ("any", "density")


def normalize_phrase(text: str) -> str:
    """The form in which phrases and documents are compared: NFC, case-folded, ’ as ', white-space runs as one space,
    none at the ends."""
    return " ".join(fold(text).split())


def _normalize_document(text: str) -> str:
    """`normalize_phrase` for long texts: the same words and gaps (a space may remain at either end), at a third of the
    cost."""
    folded = fold(text).replace("\n", " ")
    # Every white-space character but the plain space is unprintable, so this C-speed test is enough to know that none
    # is left; splitting and joining makes a string per word and would cost more than the search itself.
    if "  " in folded or not folded.isprintable():
        return " ".join(folded.split())
    return folded


def _refuse_repeated_keys(node: yaml.Node | None, path: Path) -> None:
    """PyYAML keeps the last of two equal keys without a word: half of a phrase list could vanish."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise ValueError(
                    f"{path}:{key.start_mark.line + 1}: {key.value}: this key is given twice; merge the two lists"
                )
            seen.add(key.value)
            _refuse_repeated_keys(value, path)


def load_phrases(path: str | Path | None = None) -> dict[str, tuple[str, ...]]:
    """Read a phrase list: `{"en": (...), "vi": (...)}`, normalised, sorted.

    Args:
        path: a YAML file `phrases: {<language>: [<phrase>, ...]}`; None is `configs/spam_keywords.yaml`.

    Raises:
        ValueError: the file is missing, is not such a mapping, or holds an empty, repeated or non-text phrase.
    """
    path = DEFAULT_PHRASES if path is None else Path(path)
    try:
        stat = path.stat()
        return dict(_read_phrases(path, stat.st_mtime_ns, stat.st_size))
    except OSError as error:
        raise ValueError(f"{path}: the list of spam phrases cannot be read ({error.strerror})") from error


@lru_cache(maxsize=8)
def _read_phrases(path: Path, _mtime_ns: int, _size: int) -> dict[str, tuple[str, ...]]:
    # Every task makes its filters anew, and a list takes a tenth of a second to parse.
    text = path.read_text(encoding="utf-8")
    try:
        _refuse_repeated_keys(yaml.compose(text, Loader=yaml.SafeLoader), path)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not valid YAML: {error}") from error
    groups = content.get("phrases") if isinstance(content, dict) else None
    if not isinstance(groups, dict) or not groups or len(content) > 1:
        raise ValueError(f"{path}: expected `phrases:` alone, with one list of phrases per language")
    return {str(language): _check_group(path, str(language), phrases) for language, phrases in groups.items()}


def _check_group(path: Path, language: str, phrases: object) -> tuple[str, ...]:
    if not isinstance(phrases, list) or not phrases:
        raise ValueError(f"{path}: phrases.{language}: expected a list of phrases")
    known: set[str] = set()
    for phrase in phrases:
        if not isinstance(phrase, str) or not normalize_phrase(phrase):
            raise ValueError(f"{path}: phrases.{language}: {phrase!r} is not a phrase; put it in quotes")
        if normalize_phrase(phrase) in known:
            raise ValueError(f"{path}: phrases.{language}: {phrase!r} is in the list twice")
        known.add(normalize_phrase(phrase))
    return tuple(sorted(known))


def phrases_fingerprint(path: str | Path | None = None) -> str:
    """sha256 (hex) of what a list means: its normalised phrases by language, without comments and order."""
    return hashlib.sha256(json.dumps(load_phrases(path), ensure_ascii=False, sort_keys=True).encode()).hexdigest()


class SpamFilter(CountedFilter):
    """Drops documents by advertising and fraud phrases; reasons `phrase` (mode any) and `density` (mode density).

    Args:
        phrases: YAML file of phrases; None is `configs/spam_keywords.yaml`.
        languages: use only these lists of the file; None is all of them.
        mode: "any" drops at the first phrase; "density" drops when there are at least `min_hits` occurrences *and* more
            than `max_density` per 1,000 words. Occurrences that overlap count once (the greatest number that do not
            overlap).
        max_density: occurrences per 1,000 whitespace-separated words. Source of the default: the tuning half of the
            labelled data (`benchmarks/spam_table.py`): clean documents lost stay within 0.5 % in each language with the
            whole 95 % interval, and with room for other kinds of text (upper ends 0.34 % en, 0.36 % vi).
        min_hits: occurrences below which a document is kept whatever its length. At 1, one phrase condemns a text of
            fewer than 1000 / max_density words; 2 spares every text with a single phrase (a footer, a quotation), at a
            tenth of the English recall and half of the Vietnamese, where texts are a dozen words (same table).
        exclusion_writer: datatrove writer that receives the dropped documents.

    Raises:
        ValueError: unknown mode or language, a threshold out of range, or an unusable phrase file.
    """

    name = "📢 Spam phrases"
    family = "spam"
    _requires_dependencies = (("ahocorasick", "pyahocorasick"),)

    def __init__(
        self,
        *,
        phrases: str | None = None,
        languages: list[str] | None = None,
        mode: str = "density",
        max_density: float = 6.0,
        min_hits: int = 1,
        exclusion_writer: DiskWriter | None = None,
    ):
        super().__init__(exclusion_writer)
        if mode not in MODES:
            raise ValueError(f"spam: mode {mode!r} is unknown; use one of {', '.join(MODES)}")
        if max_density < 0:
            raise ValueError(f"spam: max_density is {max_density}; it is a number of hits per 1,000 words, 0 or more")
        if min_hits < 1:
            raise ValueError(f"spam: min_hits is {min_hits}; it must be 1 or more")
        groups = load_phrases(phrases)
        unknown = [language for language in languages or [] if language not in groups]
        if unknown or (languages is not None and not languages):
            raise ValueError(f"spam: languages {languages} are not all in the list; it has {', '.join(sorted(groups))}")
        self.phrases = phrases
        self.languages = languages
        self.mode = mode
        self.max_density = max_density
        self.min_hits = min_hits
        # Kept in the pickle, so a worker does not need the file; the automaton is built from it on the first document.
        self.phrase_set = frozenset(p for language in (languages or groups) for p in groups[language])
        self._automaton: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_automaton": None}

    def _build(self) -> Any:
        import ahocorasick

        automaton = ahocorasick.Automaton()
        for phrase in self.phrase_set:
            automaton.add_word(phrase, len(phrase))
        automaton.make_automaton()
        return automaton

    def find(self, text: str) -> list[str]:
        """The occurrences that count, in order, in normalised form: what a verdict rests on."""
        fast = finder(self.phrase_set)
        return self.find_here(text) if fast is None else fast.find(text)

    def measure(self, text: str) -> tuple[int, int]:
        """(occurrences that count, words between white space): the two numbers that a verdict compares."""
        fast = finder(self.phrase_set)
        if fast is not None:
            found, searched = fast.search(text)
            return len(found), fast.num_words(searched)
        text = _normalize_document(text)
        return len(self._find(text)), len(text.split())

    def find_here(self, text: str) -> list[str]:
        """`find` by this file alone: the definition that the native core is compared with."""
        text = _normalize_document(text)
        return [text[start:end] for start, end in self._find(text)]

    def _find(self, text: str, first_only: bool = False) -> list[tuple[int, int]]:
        if self._automaton is None:
            self._automaton = self._build()
        spans: list[tuple[int, int]] = []
        free_from = 0
        # Matches come in order of their ends; taking each that starts after the last one taken gives the most that do
        # not overlap.
        for last, length in self._automaton.iter(text):
            start, end = last + 1 - length, last + 1
            if start < free_from or (start and in_word(text[start - 1])) or (end < len(text) and in_word(text[end])):
                continue
            spans.append((start, end))
            if first_only:
                break
            free_from = end
        return spans

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """True, or (False, reason). Never raises, whatever the text."""
        fast = finder(self.phrase_set)
        if fast is None:
            return self.filter_here(doc)
        found, searched = fast.search(doc.text)
        if not found:
            return True
        if self.mode == "any":
            return False, "phrase"
        return self._verdict(len(found), lambda: fast.num_words(searched))

    def filter_here(self, doc: Document) -> bool | tuple[bool, str]:
        """`filter` by this file alone."""
        native.counts["stock", "spam", fast_spam.why_not(self.phrase_set) or "asked for"] += 1
        text = _normalize_document(doc.text)
        if self.mode == "any":
            return (False, "phrase") if self._find(text, first_only=True) else True
        return self._verdict(len(self._find(text)), lambda: len(text.split()))

    def _verdict(self, hits: int, num_words: Callable[[], int]) -> bool | tuple[bool, str]:
        if hits >= self.min_hits and hits * 1000 > self.max_density * num_words():
            return False, "density"
        return True
