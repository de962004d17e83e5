"""Words and verdicts of hostile texts are stock's, and so are those of every input that the fuzzer kept."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.native.fuzz.check import QUALITY, REPETITION, check, check_text, decode, encode
from tests.native.fuzz.pieces import GROUPS, LANGUAGES, LONG, SPACES, special_cases
from tests.native.fuzz.strategies import texts
from tests.native.oracle import needs_core

pytestmark = needs_core
quick = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
CORPUS = Path(__file__).resolve().parent / "fuzz" / "corpus"


@pytest.mark.parametrize("language", LANGUAGES)
def test_hostile_texts_are_judged_as_by_stock(language: str) -> None:
    @quick
    @given(texts(language), st.integers(0, 127))
    @example("", 1)
    @example(" \n", 2)
    def law(text: str, which: int) -> None:
        check_text(language, which, text)

    law()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_piece_by_itself_and_beside_every_kind_of_space(language: str) -> None:
    """No luck needed: each piece once, each white space once, under each set of parameters."""
    pieces = [piece for group in GROUPS for piece in group if not any("\ud800" <= c <= "\udfff" for c in piece)]
    pieces = [piece for piece in pieces if piece not in ("\0", "IS_ALPHA")]
    for which in range(max(len(REPETITION), len(QUALITY))):
        check_text(language, which, " ".join(pieces))
        check_text(language, which, "\n".join(f"({piece})." for piece in pieces[which::8]))
    for space in SPACES:
        check_text(language, 1, space.join(pieces[::7]))
    for piece in (*LONG, *GROUPS[6]):
        check_text(language, 1, f"the {piece} of")
        check_text(language, 1, piece)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_special_case_with_affixes(language: str) -> None:
    cases = special_cases(language)
    for template in ("{}", "({}),", "“{}’s", "x-{}", "{}…", "{}{}"):
        check_text(language, 3, " ".join(template.format(case, case) for case in cases))


def corpus() -> list[Path]:
    return sorted(CORPUS.glob("*")) if CORPUS.is_dir() else []


@pytest.mark.parametrize("part", range(8))
def test_inputs_that_the_fuzzer_kept(part: int) -> None:
    """Each once reached a branch of the core that no other did, or made it differ from stock."""
    found = corpus()
    assert found
    for path in found[part::8]:
        check(path.read_bytes())


@given(st.sampled_from(LANGUAGES), st.integers(0, 127), st.text(max_size=40))
def test_an_input_means_the_text_it_was_made_of(language: str, which: int, text: str) -> None:
    assert decode(encode(language, which, text)) == (language, which, text)
