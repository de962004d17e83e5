"""What a benchmark has found: a page for people, and the same in figures beside it.

Gives up: what is on the page; that is the benchmark's.
"""

import json
from pathlib import Path
from typing import Any


def publish(found: dict[str, Any], page: str, output: Path | None) -> None:
    """Print the page; with `output` write it there as .md, and `found` beside it as .json."""
    if output is not None:
        output.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        output.with_suffix(".md").write_text(page, encoding="utf-8")
    print(page)
