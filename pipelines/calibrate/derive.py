"""A language's thresholds out of trusted text, the way FineWeb-2 made its own (arXiv:2506.20920).

What is known of that way, and where from:
- which values differ by language, and which are fixed: fineweb-2-pipeline.py and configs/ of huggingface/fineweb-2;
- stop words: words that make up more than 0.8 % of all words, symbols and numbers left out; 0.3 % where that gives
  fewer than 8, then 0.2 % (README.md at 04fb13ffc137 and multilingual_stats.py at 06fb9544f86f, both in
  examples/multilingual of beme248/datatrove, the authors' fork of datatrove);
- word lengths, share of words with a letter, lines: the quantile of Wikipedia at which the English threshold lies in
  English Wikipedia (`filters_q` in that multilingual_stats.py, and its wiki_filters_q/en.yml);
- language score: median minus standard deviation, not under 0.3 and not over 0.9. The paper's formula, as summaries of
  it quote it; the published values fit (0.9 for Russian and Thai, none above).
The paper's text itself was not at hand. That repetition thresholds are made by the same quantiles is our reading: that
fork's later files have such values; the code that made them is not among what could be read.

Gives up: FineWeb-2's corpora. Its scores are GlotLID's on crawled pages; here they are the bundled model's on
trusted text, which scores higher.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from filters.text import word_language
from pipelines.calibrate.measure import Measured
from pipelines.calibrate.quantiles import ENGLISH, LOWER, SIGNALS
from pipelines.errors import UserError

MIN_DOCUMENTS = 50
FEW_DOCUMENTS = 1000
STOP_WORD_SHARES = (0.008, 0.003, 0.002)
MIN_NUM_STOP_WORDS = 8
LOWEST_SCORE, HIGHEST_SCORE = 0.3, 0.9
NOT_IN_CHAIN = ("line_punct_thr", "new_line_ratio")
"""Thresholds of datatrove's FineWebQualityFilter, which is not part of our chain; derived to compare."""


@dataclass(frozen=True, kw_only=True)
class Derived:
    """A language's values.

    `values`: by the keys of `quantiles.ENGLISH`, and `threshold` of the language filter; `how`: where each came from;
    `stop_share`: the share of all words above which a word is a stop word.
    """

    values: dict[str, float]
    how: dict[str, str]
    stop_words: list[str]
    stop_share: float
    num_documents: int


def derive(measured: Measured, quantiles: Mapping[str, float]) -> Derived:
    """Thresholds and stop words of measured text.

    Args:
        quantiles: where in the text each threshold is to lie, by the keys of `quantiles.ENGLISH`.

    Raises:
        UserError: too few documents to say anything.
    """
    if len(measured) < MIN_DOCUMENTS:
        raise UserError(f"{len(measured)} documents can be measured; give {FEW_DOCUMENTS:,}, at least {MIN_DOCUMENTS}")
    scores = measured.columns["language_score"]
    raw = float(np.median(scores) - np.std(scores))
    values = {"threshold": round(max(LOWEST_SCORE, min(HIGHEST_SCORE, raw)), 3)}
    how = {"threshold": f"median minus standard deviation, {raw:.3f}, within {LOWEST_SCORE:g} and {HIGHEST_SCORE:g}"}
    for key, quantile in quantiles.items():
        column = measured.columns[SIGNALS[key]]
        value = float(np.quantile(column[np.isfinite(column)], quantile))
        values[key], how[key] = value, f"quantile {quantile:g} of the trusted text"
        if key.endswith("avg_word_length"):
            values[key] = float(round(value))
        elif key not in LOWER and round(value, 3) == 0:
            # 0 switches a rule off, or drops everything: not what a text without repeats says.
            values[key] = ENGLISH[key]
            how[key] = f"the English value: quantile {quantile:g} of the trusted text is 0"
        else:
            values[key] = round(value, 3)
    words, share = stop_words(measured.words)
    return Derived(values=values, how=how, stop_words=words, stop_share=share, num_documents=len(measured))


def stop_words(words: Counter[str]) -> tuple[list[str], float]:
    """(the words of a language that are in every text, most frequent first; the share of all words that they exceed).

    Words without a letter are left out. Raises UserError where no word is frequent enough.
    """
    total = words.total()
    found: list[str] = []
    share = 0.0
    for share in STOP_WORD_SHARES:
        found = [word for word, count in words.most_common() if count > share * total and any(map(str.isalpha, word))]
        if len(found) >= MIN_NUM_STOP_WORDS:
            break
    if not found:
        raise UserError(f"no word makes up more than {share:.1%} of all {total:,}: too little text for stop words")
    return found, share


def word_code(language: str) -> str:
    """The code of a language's word splitter. Raises UserError for a language that has none."""
    try:
        return word_language(language)
    except ValueError as error:
        raise UserError(f"--language {language}: {error}") from None
