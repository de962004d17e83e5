"""The texts of the data pack, by data set, with the profiles that stand for each in a proof.

Gives up: the HTML of `html-pages` (its text is in the text sets) and everything that is not a whole text.
"""

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

# Data set -> the folder in the pack.
LANGUAGES = {
    "en": "web-en",
    "vi": "web-vi",
    "fr": "fineweb2-like/data/fra_Latn",
    "de": "fineweb2-like/data/deu_Latn",
    "es": "fineweb2-like/data/spa_Latn",
    "it": "fineweb2-like/data/ita_Latn",
    "pt": "fineweb2-like/data/por_Latn",
    "ru": "fineweb2-like/data/rus_Cyrl",
    "fa": "fineweb2-like/data/fas_Arab",
    "el": "fineweb2-like/data/ell_Grek",
    "zh": "fineweb2-like/data/cmn_Hani",
    "ja": "fineweb2-like/data/jpn_Jpan",
    "ko": "fineweb2-like/data/kor_Hang",
    "th": "fineweb2-like/data/tha_Thai",
    "hi": "fineweb2-like/data/hin_Deva",
}
# What is not prose of one language.
OTHER = {
    "code": "code",
    "math": "math",
    "near-dups": "near-dups",
    "pretrain-samples": "pretrain-samples",
    "quality-labels": "quality-labels",
    "eval-sets": "eval-sets",
    "udhr": "udhr-langid",
}
_COLUMNS = ("text", "content", "question", "sentence", "problem")


def unless_whole(every: int) -> int:
    """`every`, so that a test takes every n-th document only; 1 with SMOLTROVE_WHOLE=1, as `make proof` has it."""
    return 1 if os.environ.get("SMOLTROVE_WHOLE") == "1" else every


def every_text(folder: Path) -> Iterator[str]:
    """The texts of a folder, in the order of its files; missing and empty ones are left out."""
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            column = next((name for name in _COLUMNS if name in table.column_names), None)
            if column:
                yield from (text for text in table[column].to_pylist() if text)
        elif path.name.endswith(".jsonl.gz"):
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                for row in map(json.loads, lines):
                    column = next((name for name in _COLUMNS if row.get(name)), None)
                    if column:
                        yield row[column]
