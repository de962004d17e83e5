"""`_run/duplicates.parquet`: every removed document with the one that survives for it. Sorted as the inputs are.

Columns: removed_id, removed_source, kept_id, kept_source, kept_run ("" for this run), method, cluster_size (documents
that the kept one stands for), estimated_jaccard (with match_id; none for simhash), match_id (the survivor of that
method, which a later method may have removed in favour of kept_id), and where both texts stand: removed_file and
kept_file in the run that holds them, removed_row and kept_row (0 for the first; none for what only a cache knows).
Gives up: pairs that were found and not needed.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.dedup import store
from pipelines.dedup.decide import cluster_sizes, final_partners
from pipelines.dedup.documents import Table
from pipelines.dedup.methods import method
from pipelines.dedup.work import Work

FILE = "duplicates.parquet"
_ROWS = 50_000
_ID_CHARS = 200
_FIELDS: "list[pa.Field[Any]]" = [
    pa.field("removed_id", pa.string()),
    pa.field("removed_source", pa.string()),
    pa.field("kept_id", pa.string()),
    pa.field("kept_source", pa.string()),
    pa.field("kept_run", pa.string()),
    pa.field("method", pa.string()),
    pa.field("cluster_size", pa.int64()),
    pa.field("estimated_jaccard", pa.float64()),
    pa.field("match_id", pa.string()),
    pa.field("removed_file", pa.string()),
    pa.field("removed_row", pa.int64()),
    pa.field("kept_file", pa.string()),
    pa.field("kept_row", pa.int64()),
]
_SCHEMA = pa.schema(_FIELDS)


def write_duplicates(work: Work, path: Path) -> int:
    """Write the table; answers how many rows it has: every removed line, epoch copies included."""
    removed, match, final, how = final_partners(work)
    jaccard = np.ones(len(removed))
    for i, name in enumerate(work.methods):
        of_method = np.flatnonzero(how == i)
        inside = of_method[match[of_method] < work.offsets[-1]]
        if len(inside):
            jaccard[inside] = method(name).similarity(work, np.stack([removed[inside], match[inside]], axis=1))
    numbers, sizes = cluster_sizes(work)
    size = sizes[np.searchsorted(numbers, final)] if len(final) else np.empty(0, np.int64)
    origin, rows = _lines(work, removed)
    table = Table(work)
    scratch = path.with_name(f".{path.name}.new")
    with pq.ParquetWriter(scratch, _SCHEMA, compression="zstd") as writer:
        for start in range(0, len(rows), _ROWS):
            part, line = origin[start : start + _ROWS], rows[start : start + _ROWS]
            removed_places, kept_places = table.rows(line), table.rows(final[part])
            columns = {
                "removed_id": table.names(line),
                "removed_source": table.sources(line),
                "kept_id": table.names(final[part]),
                "kept_source": table.sources(final[part]),
                "kept_run": table.runs(final[part]),
                "method": [work.methods[i] for i in how[part].tolist()],
                "cluster_size": size[part],
                "estimated_jaccard": [None if value != value else round(value, 4) for value in jaccard[part].tolist()],
                "match_id": table.names(match[part]),
                "removed_file": [path for path, _ in removed_places],
                "removed_row": [row for _, row in removed_places],
                "kept_file": [path for path, _ in kept_places],
                "kept_row": [row for _, row in kept_places],
            }
            writer.write_table(pa.table(columns, schema=_SCHEMA))
    scratch.replace(path)
    return len(rows)


def _lines(work: Work, removed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every line that goes, as (place of its document in `removed`, its own number)."""
    places, numbers = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
    for index in np.unique(work.file_of(removed)).tolist():
        unit = np.asarray(store.load(work.folder("index", index), "unit")).astype(np.uint64) + work.offsets[index]
        found = np.searchsorted(removed, unit)
        gone = found < len(removed)
        gone[gone] = removed[found[gone]] == unit[gone]
        places.append(found[gone])
        numbers.append(np.flatnonzero(gone).astype(np.uint64) + work.offsets[index])
    return np.concatenate(places), np.concatenate(numbers)


def shown_id(name: str) -> str:
    """An id as part of one line of a terminal, whatever a source has put into it."""
    text = name if name and name.isprintable() else repr(name)
    return text if len(text) <= _ID_CHARS else f"{text[: _ID_CHARS - 3]}..."
