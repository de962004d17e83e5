"""Words of the native core are the words of datatrove's splitter, list for list, whatever the text."""

import subprocess
import sys
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filters.fast_words import FastSplitter, splitter
from tests.data import ROOT
from tests.native.oracle import RULE_LANGUAGES, needs_core, stock_words, texts

pytestmark = needs_core
quick = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def fast(word_code: str) -> FastSplitter:
    found = splitter(word_code)
    assert found is not None
    return found


def special_cases(word_code: str) -> list[str]:
    """spaCy's special cases of a language (English ones for Vietnamese, which has none)."""
    import spacy

    nlp = fast(word_code)._nlp
    return sorted(getattr(nlp.tokenizer, "rules", None) or spacy.blank("en").tokenizer.rules)


def check(text: str, word_code: str) -> None:
    try:
        expected = stock_words(text, word_code)
    except (UnicodeEncodeError, SystemError):
        assert fast(word_code).words(text) is None
        return
    assert fast(word_code).words(text) in (expected, None)


@pytest.mark.parametrize("word_code", [*RULE_LANGUAGES, "vie"])
def test_hostile_texts_have_stock_words(word_code: str) -> None:
    @quick
    @given(texts(special_cases(word_code)))
    def law(text: str) -> None:
        check(text, word_code)

    law()


@pytest.mark.parametrize("word_code", ["eng", "vie"])
def test_any_unicode_has_stock_words(word_code: str) -> None:
    @quick
    @given(st.text(max_size=80))
    def law(text: str) -> None:
        check(text, word_code)

    law()


@pytest.mark.parametrize("word_code", RULE_LANGUAGES)
def test_each_special_case_alone_inside_and_cut_in_two(word_code: str) -> None:
    cases = special_cases(word_code)
    cases = cases[:: 1 + len(cases) // 1500]
    middles = [f"{case[:at]} {case[at:]}" for case in cases for at in range(1, len(case), 3)]
    for template in ("{}", "x{}", "{}x", "({}).", "x {} x"):
        check("\n".join(template.format(case) for case in cases), word_code)
        check(" ".join(template.format(case) for case in cases), word_code)
    check("\n".join(middles), word_code)
    check(" ".join(middles), word_code)


def test_prose_is_split_by_the_core_and_not_by_stock() -> None:
    """Without this, every other test here could pass on a core that sends all texts to stock."""
    for word_code, text in (
        ("eng", "It's 5 p.m. in New York (U.S.)."),
        ("vie", "Việt Nam là một quốc gia ở Đông Nam Á."),
    ):
        assert fast(word_code).words(text) == stock_words(text, word_code)
    assert fast("rus").words("и т. е. гл. науч. сотр. пришёл") == stock_words("и т. е. гл. науч. сотр. пришёл", "rus")


@pytest.mark.parametrize(
    ("word_code", "text"),
    [("eng", "see IS_ALPHA here"), ("vie", "Việt\0Nam"), ("eng", "a \ud800 b"), ("eng", "x" * 20_000)],
    ids=["IS_ALPHA", "NUL", "surrogate", "long chunk"],
)
def test_texts_outside_of_the_domain_go_to_stock(word_code: str, text: str) -> None:
    assert fast(word_code).words(text) is None


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from([":", "-", ")", ":-", "(", ";)", "o.O", "word", "a.m.", "\n", "8", "D", "\u00a0"]), max_size=40
    )
)
def test_special_cases_that_may_reach_across_spaces(pieces: list[str]) -> None:
    """Law: where tokens beside a space make a special case, words are stock's, whether remembered or not."""
    text = " ".join(pieces)
    fresh = FastSplitter("eng", 1 << 20)
    expected = stock_words(text, "eng")
    assert fresh.words(text) in (expected, None)
    assert fresh.words(f"{text} ") in (stock_words(f"{text} ", "eng"), None)
    fresh.forget()
    assert fresh.words(text) in (expected, None)


@pytest.mark.parametrize("word_code", ["eng", "vie"])
def test_a_memory_that_is_always_full_changes_nothing(word_code: str) -> None:
    small = FastSplitter(word_code, memo_bytes=1)
    for number in range(30):
        text = f"Bản tin số {number}: don't worry, it's (only) {number}km away :) ... U.S. học sinh {number * 7}."
        assert small.words(text) == stock_words(text, word_code)


def test_threads_share_one_splitter() -> None:
    shared = FastSplitter("vie")
    wrong: list[str] = []

    def work(offset: int) -> None:
        for number in range(150):
            text = f"Học sinh lớp {number % 12} trường số {number + offset} đi học, không đi chơi."
            if shared._split(text)[0].list() != expected[number + offset]:
                wrong.append(text)

    expected = {}
    for offset in (0, 1000):
        for number in range(150):
            text = f"Học sinh lớp {number % 12} trường số {number + offset} đi học, không đi chơi."
            expected[number + offset] = stock_words(text, "vie")
    threads = [threading.Thread(target=work, args=(offset,)) for offset in (0, 1000, 0, 1000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_core_refuses_what_cannot_be() -> None:
    core = FastSplitter("eng").core
    with pytest.raises(ValueError, match="must be a str"):
        core.split(b"abc")


_DEEP = """
import threading
from filters.fast_words import FastSplitter
words_of = FastSplitter("eng")
words_of.words("a b")
threading.stack_size(256 * 1024)
texts = ["a." * 4990 + "com", "http://" + "a." * 4990 + "com", "a-" * 4990 + ".com", "1." * 4990 + "2"]
thread = threading.Thread(target=lambda: print([words_of.words(text) is None for text in texts]))
thread.start()
thread.join()
"""


def test_a_thread_with_a_small_stack_survives_deep_patterns() -> None:
    """Thousands of labels of a host name are rounds within rounds of the URL pattern: they ended such a process."""
    done = subprocess.run([sys.executable, "-c", _DEEP], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "True" in done.stdout
