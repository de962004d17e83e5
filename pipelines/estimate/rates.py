"""A sample as rates: what a row and a document of a source cost and become, with replicates for ranges.

The replicates are a bootstrap in two stages: files of the sample drawn with replacement, then documents of each drawn
file (Davison and Hinkley 1997, Bootstrap Methods and their Application, section 3.8). A range is what lies between the
5th and the 95th percentile of 200 replicates: the error of having looked at so few files and documents. Gives up:
errors that a larger sample would not show, such as first rows that are not like the others, or another machine.
"""

from dataclasses import dataclass, fields

import numpy as np

from pipelines.errors import UserError
from pipelines.estimate.sample import SourceSample

REPLICATES = 200
LOW, HIGH = 5.0, 95.0


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Means of a sample; each an array, place 0 the sample's own value, then the replicates.

    rows_per_byte: of the files, NaN where it is not known; documents_per_row; text_bytes, read_seconds and
    work_seconds of a document as read; kept: share of documents that pass the filters; kept_bytes: UTF-8 bytes of text
    written, for each document read.
    """

    rows_per_byte: np.ndarray
    documents_per_row: np.ndarray
    text_bytes: np.ndarray
    read_seconds: np.ndarray
    work_seconds: np.ndarray
    kept: np.ndarray
    kept_bytes: np.ndarray

    def at(self, place: int) -> "Rates":
        """The rates of one replicate, alone."""
        return Rates(**{field.name: getattr(self, field.name)[place : place + 1] for field in fields(self)})

    @property
    def token_yield(self) -> np.ndarray:
        """Share of the text's bytes (and, estimated from them, tokens) that passes the filters."""
        return self.kept_bytes / self.text_bytes


def rates_of(sample: SourceSample, *, seed: int, replicates: int = REPLICATES) -> Rates:
    """Raises UserError, naming source and cause, for a sample without documents."""
    if not sample.documents:
        raise UserError(f"{sample.source}: {sample.problem or 'no document was sampled'}")
    table = np.array(
        [(d.text_bytes, d.read_seconds, d.work_seconds, d.kept_bytes > 0, d.kept_bytes) for d in sample.documents],
        dtype=float,
    )
    of_file = np.array([document.file for document in sample.documents])
    by_file = [table[of_file == number] for number in range(len(sample.files))]
    sizes = np.array([file.size for file in sample.files], dtype=float)
    per_byte = [file.facts.rows_per_byte for file in sample.files]
    facts = np.array([np.nan if rate is None else rate for rate in per_byte], dtype=float)
    rows = np.array([file.rows for file in sample.files], dtype=float) / max(sample.items_per_row, 1e-12)
    counts = np.array([len(part) for part in by_file], dtype=float)

    dice = np.random.default_rng(seed)
    lines = [_line(table.sum(axis=0), rows.sum(), counts.sum(), _mean(facts, sizes))]
    for _ in range(replicates):
        drawn = dice.integers(len(by_file), size=len(by_file))
        sums = np.zeros(table.shape[1])
        for number in drawn:
            part = by_file[number]
            if len(part):
                sums += part[dice.integers(len(part), size=len(part))].sum(axis=0)
        if not counts[drawn].sum():  # files without documents only: says nothing about documents
            lines.append(lines[0])
            continue
        lines.append(_line(sums, rows[drawn].sum(), counts[drawn].sum(), _mean(facts[drawn], sizes[drawn])))
    columns = np.array(lines, dtype=float).T
    return Rates(**{field.name: column for field, column in zip(fields(Rates), columns, strict=True)})


def _line(sums: np.ndarray, rows: float, documents: float, rows_per_byte: float) -> list[float]:
    text_bytes, read, work, kept, kept_bytes = sums / documents
    return [rows_per_byte, documents / rows if rows else 1.0, text_bytes, read, work, kept, kept_bytes]


def _mean(facts: np.ndarray, sizes: np.ndarray) -> float:
    """Rows of all files by bytes of all files, of those that say it."""
    known = ~np.isnan(facts)
    return float((facts[known] * sizes[known]).sum() / max(1.0, sizes[known].sum())) if known.any() else float("nan")


def span(values: np.ndarray) -> tuple[float, float, float]:
    """(the sample's own value, 5th and 95th percentile of the replicates), in that order."""
    if len(values) < 2:
        return float(values[0]), float(values[0]), float(values[0])
    low, high = np.percentile(values[1:], [LOW, HIGH])
    return float(values[0]), float(low), float(high)
