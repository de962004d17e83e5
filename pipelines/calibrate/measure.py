"""What trusted text of one language looks like: each document's signals, how often each word comes, how lines end.

Gives up: texts of which words cannot be split; they are counted and left out.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from datatrove.data import Document
from datatrove.utils.text import TERMINAL_PUNCTUATION

from filters.signals import SPLIT
from filters.text import split_words, word_language
from pipelines.audit.judge import Chain
from pipelines.profiles import FilterSpec

_STOP_CHARS = tuple(TERMINAL_PUNCTUATION)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Trusted text in numbers.

    Attributes:
        columns: one float64 per document for each of: `language_score` (of the language that was asked for), the
            signals of the Gopher filters (`filters.signals`), `line_punct` (share of lines that end a sentence) and
            `new_lines` (per word), the last two as datatrove's FineWebQualityFilter has them.
        words: how often each word comes, in all documents together.
        num_unread: documents that were left out.
        num_other: documents whose best label is another language (they are not left out).
    """

    columns: dict[str, np.ndarray]
    words: Counter[str]
    num_unread: int
    num_other: int

    def __len__(self) -> int:
        return len(self.columns["language_score"])


def measure(documents: Iterable[Document], language: str, model: str | None = None) -> Measured:
    """Measure documents of a language (any style of code).

    Args:
        documents: are read once. model: a fastText model in place of the bundled lid.176.ftz.

    Raises:
        ValueError: an unknown language, or one that the model or the word splitters do not have.
    """
    code = word_language(language)
    chain = Chain(
        [
            FilterSpec(name="language", params={"languages": [language], "threshold": 0, "model": model}),
            FilterSpec(name="gopher_repetition", params={"language": language}),
            FilterSpec(name="gopher_quality", params={"language": language}),
        ]
    )
    rows: list[dict[str, float]] = []
    words: Counter[str] = Counter()
    unread = other = 0
    for document in documents:
        found, _ = chain.measure(Document(text=document.text, id=document.id))
        lines = [line for line in document.text.split("\n") if line.strip()]
        if not lines or found["gopher_quality.words_error"] != SPLIT or not found["gopher_quality.all_words"]:
            unread += 1
            continue
        other += found["language.wanted"] == 0
        words.update(split_words(document.text, code))
        row = {name.partition(".")[2]: value for name, value in found.items() if not name.startswith("language.")}
        row["language_score"] = found["language.score"]
        row["line_punct"] = sum(line.endswith(_STOP_CHARS) for line in lines) / len(lines)
        row["new_lines"] = document.text.count("\n") / row["all_words"]
        rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row) or {"language_score": None}
    columns = {name: np.array([row.get(name, np.nan) for row in rows], np.float64) for name in names}
    return Measured(columns=columns, words=words, num_unread=unread, num_other=int(other))
