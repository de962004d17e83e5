"""What the filters of a profile need on this machine: a language model, word splitters.

Gives up: loading them; packages are looked for, and a model's head is read.
"""

from importlib.util import find_spec
from inspect import signature

from filters import FILTERS
from filters.language_model import model_labels
from filters.text import splitter_available
from pipelines.profiles import Profile


def needs_of(profile: Profile) -> dict[str, str | None]:
    """What the profile needs ("language model", "words of vi"), with None, or how to get what is missing."""
    found: dict[str, str | None] = {}
    for spec in profile.filters:
        if spec.name == "language":
            found["language model"] = _language_model(spec.params.get("model"))
        known = signature(FILTERS[spec.name].__init__).parameters
        if spec.name.startswith("gopher"):
            codes = [spec.params.get("language", known["language"].default), *(spec.params.get("by_language") or {})]
            found |= {f"words of {code}": splitter_available(code) for code in codes}
    return found


def _language_model(path: str | None) -> str | None:
    if find_spec("fasttext") is None:
        return "identifying languages needs: pip install fasttext-numpy2-wheel"
    try:
        model_labels(path)
    except ValueError as error:
        return str(error)
    return None
