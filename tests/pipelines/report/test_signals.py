"""Signals are what the filters judge by: a filter drops exactly when a limit is broken."""

from pathlib import Path

import pytest
from datatrove.data import Document

from filters import FILTERS
from pipelines.profiles import FilterSpec, load_profiles
from pipelines.report.signals import QUALITY, REPETITION, Measures
from tests.data import MINI_HUB, ROOT
from tests.pipelines.report.conftest import texts

PROFILES = load_profiles(ROOT / "configs" / "filter_profiles.yaml")
MADE = [
    "word " * 200, "# # # # a b c", "- one\n- two\n- three\n" * 30, "so it goes ...\n" * 40, "1 2 3 4 5 6 7 8 9 " * 20,
    "the same line\n\n" * 50, "a", "a very short text", "Donaudampfschifffahrtsgesellschaftskapitän " * 60,
]  # fmt: skip


def chosen(profile: str) -> tuple[FilterSpec, ...]:
    return tuple(spec for spec in PROFILES[profile].filters if spec.name in (QUALITY, REPETITION))


@pytest.mark.parametrize(
    ("profile", "folder"), [("web-en", "HuggingFaceFW/fineweb-edu"), ("web-vi", "epfml/FineWeb2-HQ/vie_Latn")]
)
def test_a_filter_drops_exactly_when_a_limit_is_broken(profile: str, folder: str) -> None:
    """Law: kept by the profile's Gopher filters <=> no signal breaks its limit, on real and on made text."""
    specs = chosen(profile)
    measures = Measures(specs)
    filters = [FILTERS[spec.name](**spec.params) for spec in specs]
    limits = measures.limits("")
    kept = broken = 0
    for i, text in enumerate([*MADE, *texts(MINI_HUB / Path(folder))[:60]]):
        document = Document(text=text, id=str(i))
        language, values = measures.measure(document)
        assert language == ""
        breaks = sorted(name for name, limit in limits.items() if name in values and limit.broken_by(values[name]))
        verdict = all(f.filter(document) is True for f in filters)
        assert verdict == (not breaks), (i, breaks, [f.filter(document) for f in filters])
        kept += verdict
        broken += not verdict
    assert kept >= 10
    assert broken >= 5


def test_documents_are_measured_by_the_rules_of_their_language() -> None:
    """Law: `by_language` decides the limits; languages without rules of their own have the base's."""
    measures = Measures(chosen("web-bilingual"))
    assert measures.languages == ["vi"]
    for language, expected in (("vi", "vi"), ("vie_Latn", "vi"), ("en", ""), ("de", ""), (None, ""), (["vi"], "")):
        document = Document(text=MADE[2], id="1", metadata={"language": language})
        assert measures.measure(document)[0] == expected
    assert measures.limits("vi")["duplicated_5_grams"].high == 0.337
    assert measures.limits("")["duplicated_5_grams"].high == 0.15


@pytest.mark.parametrize("text", ["", "   \n ", "\ud800 surrogate", "x" * 60_000])
def test_text_that_cannot_be_split_has_no_signals(text: str) -> None:
    assert Measures(chosen("web-en")).measure(Document(text=text, id="1")) == ("", {})


def test_disabled_rules_have_no_limit() -> None:
    spec = FilterSpec(name=QUALITY, params={"min_stop_words": 0, "max_bullet_lines_ratio": None})
    limits = Measures((spec,)).limits("")
    assert "stop_words" not in limits
    assert "bullet_lines" not in limits
    assert (limits["words"].low, limits["words"].high) == (50, 100000)
