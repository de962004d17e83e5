"""What the test job of a submission runs on its node (`python -m pipelines.slurm.node_probe FOLDER`).

FOLDER has `request.json`; `answer.json` is written beside it: package versions, whether links can be made, which input
files are not there. Imports what a task imports. Gives up: looking at more than one file of a source, and at the Hub.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any


def main(arguments: list[str]) -> int:
    """Write the answer. Returns 0; an error is a traceback, whose last line the submitter shows."""
    import pipelines.stages
    import pipelines.worker  # noqa: F401 - that it can be imported is what is looked at
    from pipelines.ledger import write_atomically
    from pipelines.manifest import deciding_versions

    folder = Path(arguments[0])
    answer = {
        "versions": deciding_versions(),
        "environment": sys.prefix,
        "links": _can_link(folder),
        "not_there": not_there(json.loads((folder / "request.json").read_bytes())["files"]),
    }
    write_atomically(folder / "answer.json", json.dumps(answer))
    return 0


def not_there(files: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of `files` (source, path, size in bytes) that this node does not have, or not in that size."""
    return [file for file in files if not _has(file)]


def _has(file: dict[str, Any]) -> bool:
    try:
        return os.stat(file["path"]).st_size == file["size"]
    except OSError:
        return False


def _can_link(folder: Path) -> bool:
    """Claims on tasks are hard links."""
    source, target = folder / "link_source", folder / "link_target"
    source.touch()
    try:
        os.link(source, target)
    except OSError:
        return False
    return source.stat().st_nlink == 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
