"""Laws of the derivation: thresholds lie where the quantiles say, and calibrating English on itself changes nothing."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.calibrate.derive import MIN_NUM_STOP_WORDS, STOP_WORD_SHARES, derive, stop_words
from pipelines.calibrate.measure import Measured, measure
from pipelines.calibrate.profile_file import profile_text, specs_of
from pipelines.calibrate.quantiles import DEFAULT, ENGLISH, LOWER, SIGNALS, of_english, of_tail
from pipelines.errors import UserError
from pipelines.profiles import load_profiles
from tests.audit.scored import documents, texts_of
from tests.data import shared_data


def made(seed: int, number: int = 400, words: Counter[str] | None = None) -> Measured:
    """Numbers in the range of real ones."""
    random = np.random.default_rng(seed)
    columns = {name: random.beta(2, 12, number) for name in SIGNALS.values()}
    columns["avg_word_length"] = random.normal(5, 1, number)
    columns["alpha_words"] = random.beta(16, 4, number)
    columns["language_score"] = random.beta(9, 2, number)
    return Measured(columns=columns, words=words or Counter({"a": 5, "of": 4}), num_unread=0, num_other=0)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.0, 0.01, 0.1, 0.3]))
def test_a_threshold_drops_the_share_that_its_quantile_leaves(seed: int, share: float) -> None:
    measured = made(seed)
    derived = derive(measured, of_tail(share))
    for key, value in derived.values.items():
        if key == "threshold" or key.endswith("avg_word_length"):
            continue
        values = measured.columns[SIGNALS[key]]
        half = 0.0005 + 1e-9  # thresholds are rounded to three digits
        beyond = values < value - half if key in LOWER else values > value + half
        assert beyond.mean() <= share + 1 / len(measured), key


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), low=st.floats(0, 0.5), more=st.floats(0, 0.49))
def test_a_larger_tail_is_never_more_lenient(seed: int, low: float, more: float) -> None:
    measured = made(seed)
    strict, lenient = derive(measured, of_tail(low + more * (0.5 - low))), derive(measured, of_tail(low))
    for key in ENGLISH:
        if not strict.how[key].startswith("the English value"):
            ours, theirs = strict.values[key], lenient.values[key]
            assert ours >= theirs if key in LOWER else ours <= theirs, key


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_english_on_itself_drops_what_the_english_thresholds_drop(seed: int) -> None:
    measured = made(seed)
    derived = derive(measured, of_english(measured))
    for key, threshold in ENGLISH.items():
        if key.endswith("avg_word_length") or derived.how[key].startswith("the English value"):
            continue
        values = measured.columns[SIGNALS[key]]
        drops = [(values < limit).sum() if key in LOWER else (values > limit).sum()
                 for limit in (threshold, derived.values[key])]  # fmt: skip
        near = (np.abs(values - threshold) < 0.001).sum()
        assert abs(int(drops[0]) - int(drops[1])) <= near + 2, key


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.text("abcđ1.-", min_size=1, max_size=3), st.integers(1, 2000), min_size=1, max_size=60))
def test_stop_words_are_the_frequent_words_with_a_letter(counts: dict[str, int]) -> None:
    words = Counter(counts)
    frequent = {word for word, count in words.items() if any(map(str.isalpha, word))
                and count > STOP_WORD_SHARES[-1] * words.total()}  # fmt: skip
    if not frequent:
        with pytest.raises(UserError, match="no word"):
            stop_words(words)
        return
    found, share = stop_words(words)
    assert set(found) <= frequent
    assert all(words[word] > share * words.total() for word in found)
    assert [words[word] for word in found] == sorted((words[word] for word in found), reverse=True)
    assert len(found) >= MIN_NUM_STOP_WORDS or share == STOP_WORD_SHARES[-1]


def test_the_language_score_is_clamped_as_the_paper_says() -> None:
    for centre, spread, expected in ((0.99, 0.001, 0.9), (0.6, 0.1, 0.5), (0.2, 0.1, 0.3)):
        measured = made(1)
        scores = np.array([centre - spread, centre + spread] * 50 + [centre])
        measured.columns["language_score"] = scores
        found = derive(measured, DEFAULT).values["threshold"]
        assert found == pytest.approx(expected, abs=0.002)


def test_a_text_without_repeats_keeps_the_english_limits() -> None:
    """0 would switch the rule on lines off, and drop every document at n-grams."""
    measured = made(3)
    measured.columns["dup_line_frac"][:] = 0
    measured.columns["duplicated_7_n_grams"][:] = 0
    derived = derive(measured, DEFAULT)
    assert (derived.values["dup_line_frac"], derived.values["dup_n_grams.7"]) == (0.3, 0.13)
    assert "quantile 0.926 of the trusted text is 0" in derived.how["dup_n_grams.7"]


def test_few_documents_are_refused() -> None:
    with pytest.raises(UserError, match="3 documents"):
        derive(made(0, number=3), DEFAULT)


@pytest.mark.parametrize("language", ["fr", "no", "yo"])
def test_the_file_is_a_profile_with_the_source_of_each_number(language: str, tmp_path: Path) -> None:
    """`no` and `yo` are words of YAML 1.1."""
    derived = derive(made(5, words=Counter({"no": 9, "on": 8, "l'": 7, "đã": 6, "12": 30})), DEFAULT)
    specs = specs_of(derived, language if language != "yo" else "fr")
    text = profile_text("web-x", derived, specs, about="made up", expected_yield=0.85)
    (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
    profile = load_profiles(tmp_path / "x.yaml")["web-x"]
    assert profile.filters == specs
    assert profile.expected_yield == 0.85
    assert derived.stop_words == ["no", "on", "l'", "đã"]
    numbers = [line for line in text.splitlines() if any(char.isdigit() for char in line.partition("#")[0])]
    assert all("#" in line or "description" in line for line in numbers), numbers


def test_measuring_real_text() -> None:
    pages = [document for _, document in documents(number=60)]
    measured = measure(pages, "en")
    assert measured.num_unread >= 4, "the edges without words"
    assert len(measured) + measured.num_unread == len(pages)
    found = measured.columns
    assert set(SIGNALS.values()) | {"language_score"} <= set(found)
    for name in ("alpha_words", "line_punct", "dup_line_frac", "language_score"):
        assert ((found[name] >= 0) & (found[name] <= 1.001)).all(), name
    assert {"the", "of", "and"} <= set(stop_words(measured.words)[0])


def test_vietnamese_stop_words_of_the_news() -> None:
    shared_data("web-vi")
    from datatrove.data import Document

    texts = texts_of("web-vi", 150)
    found, _ = stop_words(measure((Document(text=text, id=str(i)) for i, text in enumerate(texts)), "vie_Latn").words)
    assert {"và", "của", "là", "có", "các"} <= set(found)
