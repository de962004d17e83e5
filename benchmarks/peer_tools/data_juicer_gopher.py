"""data-juicer's operators closest to Gopher's rules, as a lane: statistics of every document, then the decisions.

Word repetition for Gopher's nine lengths of n-gram, the number of words, and its rules on characters and lines; it
has none for stop words, bullets or repeated lines. Runs in the environment that benchmarks/peers.py makes. Words are
split at white space. Gives up: its Dataset layer, which costs more on top; batches are dictionaries in memory, as its
operators get them.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data_juicer.ops.filter.alphanumeric_filter import AlphanumericFilter
from data_juicer.ops.filter.average_line_length_filter import AverageLineLengthFilter
from data_juicer.ops.filter.maximum_line_length_filter import MaximumLineLengthFilter
from data_juicer.ops.filter.special_characters_filter import SpecialCharactersFilter
from data_juicer.ops.filter.word_repetition_filter import WordRepetitionFilter
from data_juicer.ops.filter.words_num_filter import WordsNumFilter
from data_juicer.utils.constant import Fields
from lanes import Answer, measured, read_texts, serve

FILTERS = [
    *(WordRepetitionFilter(rep_len=n, max_ratio=0.5) for n in range(2, 11)),
    WordsNumFilter(min_num=20, max_num=200_000),
    AlphanumericFilter(tokenization=False, min_ratio=0.6),
    SpecialCharactersFilter(max_ratio=0.4),
    AverageLineLengthFilter(min_len=10),
    MaximumLineLengthFilter(min_len=10),
]


def work(texts: list[str]) -> int:
    """All operators on one batch; the number of documents left."""
    for operator in FILTERS:
        # Fresh statistics: operators of one kind share a field, and the second would keep the first one's number.
        samples: dict[str, Any] = {"text": texts, Fields.stats: [{} for _ in texts]}
        kept = list(operator.process(operator.compute_stats(samples)))
        texts = [text for text, keep in zip(texts, kept, strict=True) if keep]
    return len(texts)


def answer(question: dict[str, str]) -> Answer:
    """One batch."""
    texts = read_texts(question["path"])
    cpu, kept = measured(lambda: work(texts))
    return {"cpu": cpu, "kept": kept}


if __name__ == "__main__":
    serve(answer)
