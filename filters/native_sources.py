"""Which sources the native core was built from: one digest, compiled into it and compared when it is loaded.

A core that is older than the sources beside it may lack what the Python code asks of it, or answer as an older version
did. Gives up: an installation without the sources (a wheel holds core and Python code of one build) has nothing to
compare. Imports nothing but the standard library: setup.py runs this file before the package is there.
"""

import hashlib
from pathlib import Path


def digest(folder: Path) -> str | None:
    """SHA-256 over names and contents of the C++ files of a folder, in hexadecimal; None where there are none."""
    files = sorted([*folder.glob("*.cpp"), *folder.glob("*.hpp")], key=lambda path: path.name)
    if not files:
        return None
    found = hashlib.sha256()
    for path in files:
        content = path.read_bytes()
        found.update(f"{path.name}\n{len(content)}\n".encode() + content)
    return found.hexdigest()
