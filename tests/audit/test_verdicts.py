"""Law: comparing a document's signals with a chain's thresholds gives every filter's own verdict and reason."""

from typing import Any

import numpy as np
import pytest
from datatrove.data import Document
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import audit_signals
from filters.text import splitter_available
from pipelines.audit.judge import Chain, judge, score
from pipelines.profiles import FilterSpec
from tests.audit.scored import documents, first_reason, profiles, run_chain, texts_of
from tests.data import shared_data

# datatrove's own filter takes the mean length of no words.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Mean of empty slice"),
    pytest.mark.filterwarnings("ignore:invalid value encountered"),
]
FOLDERS = {
    "web-en": "web-en", "web-bilingual": "web-vi", "web-vi": "web-vi", "web-vi-fineweb2": "web-vi", "web-ar": "web-en",
    "web-zh": "fineweb2-like/data/cmn_Hani", "web-ja": "fineweb2-like/data/jpn_Jpan",
    "web-ko": "fineweb2-like/data/kor_Hang", "web-th": "fineweb2-like/data/tha_Thai",
    "web-hi": "fineweb2-like/data/hin_Deva", "web-fa": "fineweb2-like/data/fas_Arab",
    "web-fr": "fineweb2-like/data/fra_Latn", "web-de": "fineweb2-like/data/deu_Latn", "code": "code", "math": "math",
}  # fmt: skip


def check(chain: Chain, pairs: list[Any]) -> np.ndarray:
    """Compares everything; returns which documents are kept."""
    judged = judge(chain, score(chain, pairs))
    verdicts = judged.verdicts()
    for row, (_, document) in enumerate(pairs):
        own = run_chain(chain, document)
        found = [judged.reasons[step.label][row] for step in chain.steps]
        assert found == own, (document.id, document.text[:80])
        assert verdicts[row] == first_reason(chain, own)
        assert judged.kept[row] == (own == [None] * len(own))
    return judged.kept


@pytest.mark.parametrize("name", ["web-en", "web-vi", "web-bilingual", "prefiltered", "qa-4k", "none"])
def test_verdicts_of_a_profile_come_out_of_the_signals(name: str) -> None:
    kept = check(Chain(profiles()[name].filters), documents())
    assert kept.any() == (name != "web-vi"), "the pages are English"


@pytest.mark.slow
@pytest.mark.parametrize("name", list(profiles()))
def test_every_profile_on_real_documents_of_its_kind(name: str) -> None:
    chain = Chain(profiles()[name].filters)
    for step in chain.steps:
        if (language := step.spec.params.get("language")) and (missing := splitter_available(language)):
            pytest.skip(missing)
    check(chain, documents(texts_of(FOLDERS.get(name, "web-en"), 15), number=3, longest=10_000))


def test_the_benchmark_counts_every_verdict() -> None:
    pages = [document for _, document in documents(number=9)]
    verdicts, differ, _ = audit_signals.compare(profiles()["web-en"], pages)
    assert (verdicts, differ) == (4 * len(pages), 0)


def test_signals_of_the_data_pack_are_verdicts_of_both_languages() -> None:
    """Half English, half Vietnamese, by the profile that chooses by language."""
    shared_data("web-vi")
    kept = check(
        Chain(profiles()["web-bilingual"].filters), documents(texts_of("web-en", 60) + texts_of("web-vi", 60), 0)
    )
    assert 0 < kept.sum() < len(kept)


WORDS = st.sampled_from(["the", "be", "and", "to", "word", "another", "x", "#", "...", "-", "12", "buy now", "…", "•"])
LINES = st.lists(st.lists(WORDS, max_size=9).map(" ".join), min_size=1, max_size=14).map("\n".join)
SHARE = st.sampled_from([None, 0, 0.05, 0.1, 0.2, 0.3, 0.5, 1])


@settings(max_examples=60, deadline=None)
@given(
    text=st.one_of(LINES, LINES.map(lambda text: text.replace("\n", "\n\n")), st.text(max_size=60)),
    shares=st.lists(SHARE, min_size=8, max_size=8),
    # A length that is named twice has two limits, of which audit names the lower one and the filter the first one.
    pairs=st.lists(
        st.tuples(st.integers(1, 6), st.sampled_from([0.0, 0.1, 0.3])), max_size=3, unique_by=lambda pair: pair[0]
    ),
    counts=st.lists(st.sampled_from([None, 0, 1, 3, 8, 20]), min_size=4, max_size=4),
    mode=st.sampled_from(["any", "density"]),
)
def test_any_thresholds_on_any_text(
    text: str, shares: list[float | None], pairs: list[tuple[int, float]], counts: list[int | None], mode: str
) -> None:
    lines = ("dup_line_frac", "dup_para_frac", "dup_line_char_frac", "dup_para_char_frac")
    ratios = ("max_symbol_word_ratio", "max_bullet_lines_ratio", "max_ellipsis_lines_ratio")
    repetition = dict(zip(lines, shares[:4], strict=True))
    quality: dict[str, Any] = dict(zip(ratios, shares[4:7], strict=True))
    quality |= {"max_non_alpha_words_ratio": shares[7], "min_doc_words": counts[0], "max_avg_word_length": counts[1]}
    quality |= {"min_stop_words": counts[2]}
    chain = Chain(
        [
            FilterSpec(name="gopher_repetition", params={**repetition, "top_n_grams": pairs, "dup_n_grams": pairs}),
            FilterSpec(name="gopher_quality", params=quality),
            FilterSpec(name="spam", params={"mode": mode, "max_density": 20, "min_hits": 2}),
            FilterSpec(name="length", params={"min_words": counts[3], "max_tokens": 30, "bytes_per_token": 3.3}),
            FilterSpec(name="length", params={"max_chars": counts[1]}),
        ]
    )
    check(chain, [("s", Document(text=text, id="d"))])
