"""Every number that a filter looks at, for one document, with no early stop: verdicts can be worked out from them.

`signals_of(step, document)` measures what the rules of one filter compare with their thresholds. The numbers are the
filter's own, digit for digit (datatrove's helpers, the same words, the same divisions), so that comparing them with the
filter's thresholds gives its verdict and reason. Gives up: speed. A filter stops at the first rule that drops; here all
n-grams of all sizes are counted, in Python: 3 ms for a document of 3,000 characters (benchmarks/audit_signals.py).
"""

import re
from typing import Any

import numpy as np
from datatrove.data import Document
from datatrove.pipeline.filters.gopher_repetition_filter import (
    find_all_duplicate,
    find_duplicates,
    find_top_duplicate,
    get_n_grams,
)
from datatrove.utils.text import PUNCTUATION_SET

from filters.gopher import GopherQualityFilter, GopherRepetitionFilter, variant_of
from filters.language import LanguageFilter
from filters.length import LengthFilter
from filters.spam import SpamFilter
from filters.text import UnsplittableText, refuse_long_run, split_words

Signals = dict[str, float]
# The n-grams of Gopher's Table A1, measured whether or not a profile has rules on them.
TOP_NS = (2, 3, 4)
DUP_NS = (5, 6, 7, 8, 9, 10)
NAN = float("nan")
# `words_error`: the words were split; a run without white space is too long; the splitter cannot read the text.
SPLIT, LONG_RUN, UNREADABLE = 0.0, 1.0, 2.0

_PARAGRAPHS = re.compile(r"\n{2,}")
_LINES = re.compile("\n+")


def signals_of(step: Any, document: Document) -> Signals:
    """The numbers of one filter step for a document. A number that does not exist (the mean length of no words) is NaN.

    Steps are asked in the order of their chain: a language filter writes `language` and `language_score` into the
    metadata, by which a later Gopher filter chooses its `by_language` parameters.

    Raises:
        TypeError: not one of the filters of this package.
        ImportError: the package that splits the language's words is not installed.
    """
    if isinstance(step, LanguageFilter):
        return language_signals(step, document)
    if isinstance(step, GopherRepetitionFilter):
        return repetition_signals(variant_of(step.by_language, document) or step, document.text)
    if isinstance(step, GopherQualityFilter):
        return quality_signals(variant_of(step.by_language, document) or step, document.text)
    if isinstance(step, SpamFilter):
        hits, num_words = step.measure(document.text)
        return {"hits": float(hits), "num_words": float(num_words)}
    if isinstance(step, LengthFilter):
        return length_signals(step, document.text)
    raise TypeError(f"{type(step).__name__} has no signals here")


def language_signals(step: LanguageFilter, document: Document) -> Signals:
    """`score`: of the wanted language that scores best (0 to 1; of any language where all are wanted); `wanted`: 1 when
    the best label is a wanted one; `blank`, `lone_surrogate`: 1 for such texts. Writes metadata as the filter does."""
    step.filter(document)
    text = document.text
    # The filter, too, puts `?` in the place of surrogates: for the metadata alone, since it drops the text.
    readable = text.encode("utf-8", "replace").decode("utf-8")
    best = document.metadata["language"]
    if step.backend == "glotlid":
        best = f"{best}_{document.metadata['language_script']}"
    wanted = step.languages is None or best in step.languages
    score = document.metadata["language_score"]
    if not wanted:
        score = max(step.model.predict(Document(text=readable, id=""))[1].values())
    return {
        "score": float(score),
        "wanted": float(wanted),
        "blank": float(not text.strip()),
        "lone_surrogate": float(readable != text),
    }


def repetition_signals(step: GopherRepetitionFilter, text: str) -> Signals:
    """Shares (0 to 1) of repeated lines and paragraphs and of their characters, and the n-grams' shares of characters;
    datatrove's definitions. n-grams longer than the text are NaN."""
    found: Signals = {"empty": float(not text)}
    if not text:
        return found | {"words_error": SPLIT}
    for name, parts in (("para", _PARAGRAPHS.split(text.strip())), ("line", _LINES.split(text))):
        elements, chars = find_duplicates(parts)
        found[f"dup_{name}_frac"] = elements / len(parts)
        found[f"dup_{name}_char_frac"] = chars / len(text)
    words, found["words_error"] = _words(text, step.language)
    if words is None:
        return found
    for n in sorted({*TOP_NS, *(n for n, _ in step.top_n_grams)}):
        n_grams = get_n_grams(words, n)
        found[f"top_{n}_gram"] = find_top_duplicate(n_grams) / len(text) if n_grams else NAN
    for n in sorted({*DUP_NS, *(n for n, _ in step.dup_n_grams)}):
        found[f"duplicated_{n}_n_grams"] = find_all_duplicate(words, n) / len(text)
    return found


def quality_signals(step: GopherQualityFilter, text: str) -> Signals:
    """`all_words`, `doc_words` (not only punctuation), `avg_word_length` (characters), `hashes` and `ellipses` (per
    word), `bullet_lines`, `ellipsis_lines`, `alpha_words` (shares), `stop_words` (different ones), as in datatrove."""
    words, error = _words(text, step.language)
    if words is None:
        return {"words_error": error}
    solid = [word for word in words if any(char not in PUNCTUATION_SET for char in word)]
    lines = text.splitlines()
    num_words, num_lines = len(words), len(lines)
    bullets = sum(line.lstrip().startswith(("•", "-")) for line in lines)
    ellipses = sum(line.rstrip().endswith(("...", "…")) for line in lines)
    return {
        "words_error": error,
        "all_words": float(num_words),
        "doc_words": float(len(solid)),
        # numpy's mean, because its last digit decides at a threshold.
        "avg_word_length": float(np.mean([len(word) for word in solid])) if solid else NAN,
        "hashes": text.count("#") / num_words if words else NAN,
        "ellipses": (text.count("...") + text.count("…")) / num_words if words else NAN,
        "bullet_lines": bullets / num_lines if lines else NAN,
        "ellipsis_lines": ellipses / num_lines if lines else NAN,
        "alpha_words": sum(any(char.isalpha() for char in word) for word in words) / num_words if words else NAN,
        "stop_words": float(len(step.stop_words.intersection(words))),
    }


def length_signals(step: LengthFilter, text: str) -> Signals:
    """`chars`, `words` (between white space), `tokens` (estimated as the filter does)."""
    return {
        "chars": float(len(text)),
        "words": float(len(text.split())),
        "tokens": len(text.encode("utf-8", "surrogatepass")) / step.bytes_per_token,
    }


def _words(text: str, word_code: str) -> tuple[list[str] | None, float]:
    try:
        refuse_long_run(text, word_code)
    except UnsplittableText:
        return None, LONG_RUN
    try:
        return split_words(text, word_code), SPLIT
    except UnsplittableText:
        return None, UNREADABLE
