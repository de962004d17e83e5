"""NeMo Curator's Gopher filters, as a lane: one ScoreFilter with the filters of its list that Gopher's rules are.

Runs in the environment that benchmarks/peers.py makes. Words are split at white space, so verdicts are others than
datatrove's. Gives up: Ray and the reading of files; batches are DataFrames in memory, as its stages pass them on.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pandas as pd
from lanes import Answer, measured, read_texts, serve
from nemo_curator.stages.text.filters import ScoreFilter
from nemo_curator.stages.text.filters.heuristic import string
from nemo_curator.stages.text.filters.heuristic.repetition import repetition
from nemo_curator.tasks import DocumentBatch

FILTERS = [
    repetition.RepeatedParagraphsFilter(0.7),
    repetition.RepeatedParagraphsByCharFilter(0.8),
    repetition.RepeatedLinesFilter(0.7),
    repetition.RepeatedLinesByCharFilter(0.8),
    *(repetition.RepeatingTopNGramsFilter(n, share) for n, share in ((2, 0.2), (3, 0.18), (4, 0.16))),
    *(
        repetition.RepeatingDuplicateNGramsFilter(n, share)
        for n, share in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.1))
    ),
    string.WordCountFilter(20, 200_000),
    string.MeanWordLengthFilter(3, 10),
    string.SymbolsToWordsFilter(0.1),
    string.BulletsFilter(0.9),
    string.EllipsisFilter(0.3),
    string.WordsWithoutAlphabetsFilter(0.8),
    string.CommonEnglishWordsFilter(2),
]
STAGE = ScoreFilter(FILTERS, text_field="text")


def answer(question: dict[str, str]) -> Answer:
    """One batch through the stage."""
    batch = DocumentBatch(dataset_name="bench", data=pd.DataFrame({"text": read_texts(question["path"])}))
    cpu, kept = measured(lambda: STAGE.process(batch))
    return {"cpu": cpu, "kept": len(kept.data)}


if __name__ == "__main__":
    serve(answer)
