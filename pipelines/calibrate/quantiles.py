"""Where the English thresholds lie in trusted English text: the quantiles for the thresholds of other languages.

FineWeb-2's way (see `pipelines.calibrate.derive`): as much of a language's trusted text is beyond its threshold as of
English trusted text is beyond the English one. Gives up: one table for all corpora; `--english` measures it on yours.
"""

import numpy as np

from pipelines.calibrate.measure import Measured

# The English thresholds: FineWeb's (datatrove examples/fineweb.py at a649de79, and the defaults of its filters, which
# are Gopher's, arXiv:2112.11446).
ENGLISH = {
    "min_avg_word_length": 3.0,
    "max_avg_word_length": 10.0,
    "max_non_alpha_words_ratio": 0.8,
    "dup_line_frac": 0.3,
    **{f"top_n_grams.{n}": share for n, share in ((2, 0.2), (3, 0.18), (4, 0.16))},
    **{f"dup_n_grams.{n}": share for n, share in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.1))},
    "line_punct_thr": 0.12,
    "new_line_ratio": 0.3,
}
SIGNALS = {
    "min_avg_word_length": "avg_word_length",
    "max_avg_word_length": "avg_word_length",
    "max_non_alpha_words_ratio": "alpha_words",
    "dup_line_frac": "dup_line_frac",
    **{f"top_n_grams.{n}": f"top_{n}_gram" for n in (2, 3, 4)},
    **{f"dup_n_grams.{n}": f"duplicated_{n}_n_grams" for n in range(5, 11)},
    "line_punct_thr": "line_punct",
    "new_line_ratio": "new_lines",
}
LOWER = frozenset(("min_avg_word_length", "max_non_alpha_words_ratio", "line_punct_thr"))
"""Thresholds below which a document is dropped (`max_non_alpha_words_ratio` in spite of its name)."""

# The authors' own quantiles (`filters_q` in examples/multilingual/multilingual_stats.py of their fork beme248/datatrove
# at 06fb9544f86f). On English Wikipedia they give 3, 10, 0.8, 0.11 and 0.29 (its wiki_filters_q/en.yml at
# 81434bb5838b): the English thresholds.
_AUTHORS = {
    "min_avg_word_length": 0.0001,
    "max_avg_word_length": 0.9999,
    "max_non_alpha_words_ratio": 0.25,
    "line_punct_thr": 0.2,
    "new_line_ratio": 0.97,
}
# That version has none for repetition. Measured by `python benchmarks/calibrate_check.py --english` on 3,993 documents
# of prose in web-en (where words with a letter come to 0.173 instead of the authors' 0.25, new lines to 0.965).
_MEASURED = {
    "dup_line_frac": 0.961,
    **{f"top_n_grams.{n}": quantile for n, quantile in ((2, 0.988), (3, 0.972), (4, 0.945))},
    **{f"dup_n_grams.{n}": q for n, q in ((5, 0.938), (6, 0.932), (7, 0.926), (8, 0.923), (9, 0.911), (10, 0.893))},
}
DEFAULT = {**_AUTHORS, **_MEASURED}


def of_english(measured: Measured) -> dict[str, float]:
    """The quantiles at which the English thresholds lie in this English text."""
    found = {}
    for key, threshold in ENGLISH.items():
        values = measured.columns[SIGNALS[key]]
        values = values[np.isfinite(values)]
        beyond = values < threshold if key in LOWER else values <= threshold
        found[key] = float(beyond.mean())
    return found


def of_tail(share: float) -> dict[str, float]:
    """Quantiles that leave `share` of the trusted text beyond every threshold."""
    return {key: share if key in LOWER else 1 - share for key in ENGLISH}
