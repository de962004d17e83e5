"""What stock said of whole data sets, recorded once: a digest for each document, so that every suite compares them all.

    python -m tests.native.stock_record     writes stock_record.json anew (7 minutes of CPU); `make record`

A digest is four bytes of BLAKE2b over the text and everything that stock's filters of the set's web profile answered:
verdicts, reasons, labels, scores. The record says nothing else about a text. It is refused where a package that answers
has another version, or the profile other parameters. Gives up: telling what stock said; where a digest differs the
document is judged by stock on the spot.
"""

import base64
import gzip
import json
import sys
import unicodedata
from collections.abc import Iterator
from hashlib import blake2b
from importlib.metadata import version
from itertools import islice
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from datatrove.data import Document

from benchmarks.proof import profiles_here
from pipelines.profiles import Profile
from tests.data import shared_data
from tests.native.stock import ORACLES, Answer

PATH = Path(__file__).with_name("stock_record.json")
PROFILES = {"en": "web-en", "vi": "web-vi"}
PACKAGES = ("datatrove", "spacy", "pyvi", "fasttext-numpy2-wheel")
DIGEST_BYTES = 4


def texts_of(name: str) -> Iterator[str]:
    """20,000 English documents, 5,000 of each file; all 13,029 Vietnamese ones."""
    if name == "en":
        for path in sorted(shared_data("web-en/data").glob("*.parquet")):
            yield from pq.read_table(path, columns=["text"])["text"].to_pylist()[:5000]
    else:
        for path in sorted(shared_data("web-vi/data").glob("*.jsonl.gz")):
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                yield from (json.loads(line)["text"] for line in lines)


def profile_of(name: str) -> Profile:
    """The web profile of a set."""
    return profiles_here()[0][PROFILES[name]]


def conditions(name: str) -> dict[str, Any]:
    """What an answer of stock depends on besides the text."""
    filters = [[spec.name, spec.params] for spec in profile_of(name).filters]
    packages = {package: version(package) for package in PACKAGES}
    return json.loads(json.dumps({"unicode": unicodedata.unidata_version, "packages": packages, "filters": filters}))


def digest(text: str, answers: list[Answer]) -> bytes:
    """Text and answers in four bytes."""
    said = json.dumps([text, answers], default=list)
    return blake2b(said.encode(), digest_size=DIGEST_BYTES).digest()


def stock_answers(profile: Profile, text: str) -> list[Answer]:
    """What stock's filters say one after the other, each whatever the one before it said."""
    answers: list[Answer] = []
    metadata: dict[str, Any] = {}
    for spec in profile.filters:
        answer, metadata = ORACLES[spec.name](spec.params, text, metadata)
        answers.append((answer, metadata))
    return answers


def our_answers(steps: list[Any], text: str) -> list[Answer]:
    """The same of the project's filters."""
    document = Document(text=text, id="0")
    return [(step.filter(document), dict(document.metadata)) for step in steps]


def recorded(name: str) -> list[bytes] | None:
    """A digest for each document of a set; None where there is no record of stock as it is here."""
    if not PATH.is_file():
        return None
    found = json.loads(PATH.read_text(encoding="utf-8")).get(name)
    if found is None or found["conditions"] != conditions(name):
        return None
    data = base64.b64decode(found["digests"])
    return [data[i : i + DIGEST_BYTES] for i in range(0, len(data), DIGEST_BYTES)]


def _digests(name: str, start: int, stop: int) -> bytes:
    profile = profile_of(name)
    return b"".join(digest(text, stock_answers(profile, text)) for text in islice(texts_of(name), start, stop))


def main() -> int:
    """Asks stock for every document, on two cores."""
    record = {}
    with Pool(2) as pool:
        for name in PROFILES:
            number = sum(1 for _ in texts_of(name))
            pieces = [(name, start, start + 500) for start in range(0, number, 500)]
            data = b"".join(pool.starmap(_digests, pieces, chunksize=1))
            record[name] = {"conditions": conditions(name), "digests": base64.b64encode(data).decode()}
            PATH.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            print(f"{name}: {len(data) // DIGEST_BYTES} documents", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
