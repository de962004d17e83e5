"""The methods by name. A method is a module that scans files, matches parts, and compares pairs.

    scan(work, index)       one file -> a committed folder `<name>.scan/<index>`, canaries included
    Scan(work, index)       the same for who reads the file anyway (documents.FileScan); a method may lack it
    num_parts(work)         into how many parts the matching is cut
    prepare(work, crew)     if there is one: what must be known before parts can be cut
    match(work, part)       one part of all files -> `<name>.match/<part>` with an array `edges` of pairs
    num_records(work)       records that all parts together must have seen
    similarity(work, pairs) estimated Jaccard similarity of pairs

Everything else (order, clusters, survivors, writing, account, verification) is the same for all of them. `sentence`
changes texts: it is the last one, and decides for itself (`settle`). Gives up: two methods that change texts.
"""

from importlib import import_module
from types import ModuleType
from typing import get_args

from pipelines.dedup.config import MethodName

METHODS: tuple[str, ...] = get_args(MethodName)


def method(name: str) -> ModuleType:
    """The module of a method; imported when it is needed, since word splitters take a second to import."""
    return import_module(f"pipelines.dedup.{name}")
