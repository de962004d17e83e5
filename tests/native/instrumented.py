"""A pytest plugin: the tests run on the extension that SMOLTROVE_NATIVE_LIBRARY names (see tests/native/build.py).

    SMOLTROVE_NATIVE_LIBRARY=build/sanitize/filters/_native.so python -m pytest -p tests.native.instrumented ...

Gives up: processes that a test starts, which load the extension in use.
"""

import importlib.util
import os
import sys
from pathlib import Path


def use(path: Path) -> None:
    """Puts an extension in the place of `filters._native`, before anything has loaded it."""
    import filters

    if "filters._native" in sys.modules:
        raise RuntimeError("filters._native is loaded already")
    spec = importlib.util.spec_from_file_location("filters._native", path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{path} is no extension")
    module = importlib.util.module_from_spec(spec)
    sys.modules["filters._native"] = module
    spec.loader.exec_module(module)
    filters._native = module  # type: ignore[attr-defined]


if library := os.environ.get("SMOLTROVE_NATIVE_LIBRARY"):
    use(Path(library).resolve())
