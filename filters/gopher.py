"""Gopher's repetition and quality rules (Rae et al. 2021, arXiv:2112.11446, Table A1 and section A.1.1).

Thin layers over datatrove's filters: same arguments, same verdict, same reason, document for document. Added are
parameters as YAML writes them, parameters per language, and a verdict where datatrove would end the task with an
exception (text without words, unpaired surrogates) or stand still. The native core answers where it can
(`filters.fast_gopher`), datatrove's own code does the rest. What this gives up: the core has to be built and proven for
the installed versions, else a document takes milliseconds instead of microseconds.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.filters.gopher_quality_filter import GopherQualityFilter as DatatroveQuality
from datatrove.pipeline.filters.gopher_repetition_filter import GopherRepetitionFilter as DatatroveRepetition
from datatrove.pipeline.writers.disk_base import DiskWriter

from filters.counting import CountedFilter
from filters.fast_gopher import quality_verdict, repetition_verdict
from filters.language import normalise_language
from filters.text import SPLIT_ERRORS, refuse_long_run, split_words, word_language

# Table A1 of the paper, as in datatrove.
TOP_N_GRAMS = ((2, 0.2), (3, 0.18), (4, 0.16))
DUP_N_GRAMS = ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))

Verdict = bool | tuple[bool, str]


def _pairs(name: str, value: Sequence[Sequence[float]]) -> tuple[tuple[int, float], ...]:
    """`[[2, 0.2], [3, 0.18]]` as datatrove wants it; ValueError for what circulates instead (`[2, 3, 4]`)."""
    example = "[[2, 0.2], [3, 0.18]]: each n with the largest share (0 to 1) of the text's characters"
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise ValueError(f"{name} is {value!r}; give pairs such as {example}")
    pairs = []
    for item in value:
        if isinstance(item, (str, bytes)) or not isinstance(item, Sequence):
            raise ValueError(f"{name} is {list(value)!r}: {item!r} is not a pair; give {example}")
        if len(item) != 2 or not all(isinstance(part, (int, float)) for part in item):
            raise ValueError(f"{name} is {list(value)!r}: {item!r} is not a pair of numbers; give {example}")
        n, fraction = item
        if not isinstance(n, int) or n < 1 or not 0 <= fraction <= 1:
            raise ValueError(f"{name} is {list(value)!r}: {item!r} is not (n, share); give {example}")
        pairs.append((n, float(fraction)))
    return tuple(pairs)


def _check_words(stop_words: Sequence[str]) -> None:
    if isinstance(stop_words, str) or not all(isinstance(word, str) for word in stop_words):
        raise ValueError(f"stop_words is {stop_words!r}; give a list of words (in YAML, quote 'no' and 'on')")


def _variants(
    make: Callable[..., Any], base: dict[str, Any], by_language: Mapping[str, Mapping[str, Any]] | None
) -> dict[str, Any]:
    """One filter per language of `by_language`: the base parameters, that language's words, and its overrides."""
    variants: dict[str, Any] = {}
    for language, overrides in (by_language or {}).items():
        key = normalise_language(language)
        if key in variants:
            raise ValueError(f"by_language names {key!r} twice (as {language!r} too)")
        unknown = sorted(set(overrides) - set(base))
        if unknown:
            raise ValueError(f"by_language: {language}: unknown parameters {unknown}; known: {sorted(base)}")
        variants[key] = make(**(base | {"language": language} | dict(overrides)))
    return variants


def variant_of(variants: Mapping[str, Any], doc: Document) -> Any:
    """The filter for the document's language, which a LanguageFilter has written into its metadata."""
    language = doc.metadata.get("language")
    if not variants or not isinstance(language, str):
        return None
    code = _known_code(language)
    return variants.get(code) if code else None


@lru_cache(maxsize=1024)
def _known_code(language: str) -> str | None:
    """None for what is no language code ("und", a source's own names): the base parameters apply."""
    try:
        return normalise_language(language)
    except ValueError:
        return None


class GopherRepetitionFilter(CountedFilter, DatatroveRepetition):
    """Drops documents that repeat lines, paragraphs or n-grams. All shares are 0 to 1; 0 or None disables a rule.

    Args:
        dup_line_frac: largest share of lines that are repeats. 0.3, as all defaults from Gopher's Table A1.
        dup_para_frac: largest share of paragraphs that are repeats. 0.3.
        dup_line_char_frac: largest share of characters in repeated lines. 0.2.
        dup_para_char_frac: largest share of characters in repeated paragraphs. 0.2.
        top_n_grams: pairs (n, largest share of characters in the most frequent n-gram).
        dup_n_grams: pairs (n, largest share of characters in n-grams seen before).
        language: whose words; any style of code.
        by_language: `{language: {parameter: value}}`: overrides for documents whose metadata["language"] is that
            language (a LanguageFilter earlier in the chain writes it); other documents get the parameters above.
        exclusion_writer: datatrove writer for the dropped documents.

    Reasons: datatrove's (`dup_line_frac`, `top_2_gram`, `duplicated_5_n_grams`, `empty`, ...) and `unsplittable`
    (see `filters.text.split_words`).

    Raises:
        ValueError: an unknown language or parameter, or n-grams that are not (n, share) pairs.
    """

    family = "gopher_repetition"

    def __init__(
        self,
        *,
        dup_line_frac: float | None = 0.3,
        dup_para_frac: float | None = 0.3,
        dup_line_char_frac: float | None = 0.2,
        dup_para_char_frac: float | None = 0.2,
        top_n_grams: Sequence[tuple[int, float]] = TOP_N_GRAMS,
        dup_n_grams: Sequence[tuple[int, float]] = DUP_N_GRAMS,
        language: str = "en",
        by_language: dict[str, dict[str, Any]] | None = None,
        exclusion_writer: DiskWriter | None = None,
    ) -> None:
        base: dict[str, Any] = {
            "dup_line_frac": dup_line_frac,
            "dup_para_frac": dup_para_frac,
            "dup_line_char_frac": dup_line_char_frac,
            "dup_para_char_frac": dup_para_char_frac,
            "top_n_grams": _pairs("top_n_grams", top_n_grams),
            "dup_n_grams": _pairs("dup_n_grams", dup_n_grams),
            "language": language,
        }
        super().__init__(**(base | {"language": word_language(language)}), exclusion_writer=exclusion_writer)
        self.by_language = _variants(GopherRepetitionFilter, base, by_language)

    def filter(self, doc: Document) -> Verdict:
        """True, or (False, reason). Never raises because of the text."""
        variant = variant_of(self.by_language, doc)
        if variant is not None:
            return variant.filter(doc)
        try:
            refuse_long_run(doc.text, self.language)
            verdict = repetition_verdict(self, doc.text)
            return super().filter(doc) if verdict is None else verdict
        except SPLIT_ERRORS:
            return False, "unsplittable"


class GopherQualityFilter(CountedFilter, DatatroveQuality):
    """Drops documents that do not look like prose. 0 or None disables a rule.

    Args:
        min_doc_words: fewest words that are not only punctuation. 50 in Gopher's paper and datatrove.
        max_doc_words: most such words. 100,000.
        min_avg_word_length: smallest mean length of such words, in characters. 3.
        max_avg_word_length: largest. 10.
        max_symbol_word_ratio: most hash signs per word, and most ellipses per word. 0.1.
        max_bullet_lines_ratio: largest share (0 to 1) of lines that start with a bullet. 0.9.
        max_ellipsis_lines_ratio: largest share of lines that end with an ellipsis. 0.3.
        max_non_alpha_words_ratio: the SMALLEST share of words with a letter, in spite of its name (datatrove's). 0.8.
        min_stop_words: fewest different stop words in the document. 2.
        stop_words: the stop words; None is Gopher's eight English ones, which other languages fail.
        language: whose words; any style of code.
        by_language: as in `GopherRepetitionFilter`.
        exclusion_writer: datatrove writer for the dropped documents.

    Reasons: datatrove's (`gopher_short_doc`, `gopher_below_alpha_threshold`, ...), `gopher_no_words` (no words at all
    and `min_doc_words` disabled, where datatrove divides by zero) and `gopher_unsplittable`.

    Raises:
        ValueError: an unknown language or parameter.
    """

    family = "gopher_quality"

    def __init__(
        self,
        *,
        min_doc_words: int | None = 50,
        max_doc_words: int | None = 100000,
        min_avg_word_length: float | None = 3,
        max_avg_word_length: float | None = 10,
        max_symbol_word_ratio: float | None = 0.1,
        max_bullet_lines_ratio: float | None = 0.9,
        max_ellipsis_lines_ratio: float | None = 0.3,
        max_non_alpha_words_ratio: float | None = 0.8,
        min_stop_words: int | None = 2,
        stop_words: list[str] | None = None,
        language: str = "en",
        by_language: dict[str, dict[str, Any]] | None = None,
        exclusion_writer: DiskWriter | None = None,
    ) -> None:
        if stop_words is not None:
            _check_words(stop_words)
        base: dict[str, Any] = {
            "min_doc_words": min_doc_words,
            "max_doc_words": max_doc_words,
            "min_avg_word_length": min_avg_word_length,
            "max_avg_word_length": max_avg_word_length,
            "max_symbol_word_ratio": max_symbol_word_ratio,
            "max_bullet_lines_ratio": max_bullet_lines_ratio,
            "max_ellipsis_lines_ratio": max_ellipsis_lines_ratio,
            "max_non_alpha_words_ratio": max_non_alpha_words_ratio,
            "min_stop_words": min_stop_words,
            "stop_words": stop_words,
            "language": language,
        }
        super().__init__(**(base | {"language": word_language(language)}), exclusion_writer=exclusion_writer)
        self.by_language = _variants(GopherQualityFilter, base, by_language)

    def filter(self, doc: Document) -> Verdict:
        """True, or (False, reason). Never raises because of the text."""
        variant = variant_of(self.by_language, doc)
        if variant is not None:
            return variant.filter(doc)
        try:
            refuse_long_run(doc.text, self.language)
            verdict = quality_verdict(self, doc.text)
            if verdict is not None:
                return verdict
            words = split_words(doc.text, self.language)
        except SPLIT_ERRORS:
            return False, "gopher_unsplittable"
        if not words and not self.min_doc_words:
            return False, "gopher_no_words"
        return super().filter(doc)
