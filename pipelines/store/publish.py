"""A finished task goes to the store: its files first, compared there, then its record, which makes it count.

Runs in the worker that did the task. Gives up: an upload that goes on while the next task is worked on.
"""

from pathlib import Path

from pipelines.ledger import TaskRecord
from pipelines.store.lock import fence
from pipelines.store.store import connect


class Publisher:
    """`url` and the number of the run's lock; opens the store in the process that uses it."""

    def __init__(self, url: str, lock: int) -> None:
        self.url, self.lock = url, lock

    def __call__(self, record: TaskRecord, root: Path, key: str) -> None:
        """Put the files of `record`, which are below `root`, and then the record itself as `key`. The files are
        removed here afterwards. Raises SourceError: then the task does not count."""
        store = connect(self.url)
        files = [*([record.file] if record.file else []), *record.dropped_files]
        for file in files:
            store.put(root / file.path, file.path, file.sha256)
        fence(store, self.lock)
        store.write(key, record.model_dump_json(indent=1).encode())
        for file in files:
            (root / file.path).unlink()
