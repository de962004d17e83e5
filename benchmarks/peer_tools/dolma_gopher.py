"""dolma's tagger `gopher_v2`, as a lane: Gopher's quantities of every document.

Runs in the environment that benchmarks/peers.py makes. It computes the quantities and leaves the decision to a later
step, so nothing is dropped early; words are split at white space. Gives up: reading and writing of attribute files.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dolma.core.data_types import Document
from dolma.taggers.gopher import GopherTaggerV2
from lanes import Answer, measured, read_texts, serve

TAGGER = GopherTaggerV2()


def answer(question: dict[str, str]) -> Answer:
    """One piece, document by document."""
    documents = [Document(source="bench", id=str(i), text=t) for i, t in enumerate(read_texts(question["path"]))]
    cpu, tagged = measured(lambda: [TAGGER.predict(document) for document in documents])
    return {"cpu": cpu, "kept": len(tagged)}


if __name__ == "__main__":
    serve(answer)
