"""Sentences end where datatrove's splitters end them, whatever the language, and no character is lost between them."""

import gzip
import json
import random

import pyarrow.parquet as pq
import pytest
from datatrove.utils.word_tokenizers import load_word_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.pipeline import Sentencizer

from filters import native
from pipelines.dedup import sentence_spans
from pipelines.dedup.sentence_spans import line_ends, num_words, sentence_ends, sentence_language
from tests.data import shared_data
from tests.pipelines.corpus import passages

MARKS = [
    ".",
    "!",
    "?",
    "...",
    '"',
    ")",
    "\n",
    "\n\n",
    "  ",
    " ",
    "\t",
    "U.S.",
    "e.g.",
    "3.14",
    "。",
    "।",
    "؟",
    "’",
    "-",
]


def pieces(text: str, ends: list[int]) -> list[str]:
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def stock(text: str, code: str) -> list[str]:
    found: list[str] = load_word_tokenizer(code).sent_tokenize(text)
    return found


@given(st.lists(st.one_of(st.sampled_from(MARKS), st.sampled_from(["word", "Name", "mạ", "ทดสอบ", "x"])), max_size=40))
@settings(max_examples=150, deadline=None)
def test_sentences_tile_the_text_and_are_those_of_datatrove(parts: list[str]) -> None:
    text = "".join(parts)
    for code in ("eng", "vie", "fra"):
        ends, by_punctuation = sentence_ends(text, code)
        assert "".join(pieces(text, ends)) == text
        assert not by_punctuation
        if text.strip():
            assert [piece.strip() for piece in pieces(text, ends)] == stock(text, code)


def test_english_sentences_are_those_of_datatrove() -> None:
    for text in passages()[:300]:
        assert [piece.strip() for piece in pieces(text, sentence_ends(text, "eng")[0])] == stock(text, "eng")


def test_without_the_native_core_they_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = [sentence_ends(text, "eng") for text in passages()[:50]]
    monkeypatch.setattr(sentence_spans, "_native_ends", lambda text, code: None)
    assert [sentence_ends(text, "eng") for text in passages()[:50]] == fast


def test_another_version_of_the_sentencizer_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "unproven", lambda part: f"{part} is another version")
    assert sentence_spans._native_ends("One. Two.", "eng") is None


def test_marks_that_close_a_sentence_are_no_letters() -> None:
    # The kinds of words are told apart by these; a letter among them would be a word of every text.
    assert not any(mark.isalnum() for mark in Sentencizer.default_punct_chars)


def vietnamese() -> list[str]:
    path = sorted((shared_data("web-vi") / "data").glob("*.gz"))[0]
    with gzip.open(path) as handle:
        return [json.loads(line)["text"] for _, line in zip(range(150), handle, strict=False)]


def test_vietnamese_sentences_are_those_of_datatrove() -> None:
    for text in vietnamese():
        assert [piece.strip() for piece in pieces(text, sentence_ends(text, "vie")[0])] == stock(text, "vie")


@pytest.mark.parametrize("language", ["fra", "deu", "rus", "fas", "cmn", "jpn", "kor", "hin", "tha", "ell"])
def test_other_languages_are_split_as_datatrove_splits_them(language: str) -> None:
    folder = next(iter(sorted(shared_data("fineweb2-like").glob(f"**/*{language}*"))))
    paths = sorted(folder.rglob("*.parquet")) if folder.is_dir() else [folder]
    texts: list[str] = pq.read_table(paths[0], columns=["text"])["text"].to_pylist()[:20]
    code = sentence_language(language)
    if code is None:
        pytest.skip(f"no splitter for {language} is installed")
    same = 0
    for text in texts:
        ends, _ = sentence_ends(text, code)
        assert "".join(pieces(text, ends)) == text
        found = pieces(text, ends)
        if language == "kor":  # datatrove looks at a text without its long numbers
            found = [load_word_tokenizer(code).preprocess(piece) for piece in found]
        same += [piece.strip() for piece in found] == stock(text, code)
    # Japanese is cut into chunks of bytes by datatrove, and a piece of white space alone can stand between two.
    assert same >= len(texts) - (2 if language == "jpn" else 0)


def test_a_language_without_a_splitter_is_cut_at_the_punctuation_of_all_scripts() -> None:
    assert sentence_language("xyz_Latn") is None
    assert sentence_language(None) == "eng"
    assert sentence_language("vi") == "vie"
    text = "Один. Два! हाँ। ใช่\nlast without a mark"
    ends, by_punctuation = sentence_ends(text, None)
    assert by_punctuation
    assert [piece.strip() for piece in pieces(text, ends)] == ["Один.", "Два!", "हाँ।", "ใช่", "last without a mark"]


def test_a_text_that_the_splitter_cannot_read_is_cut_at_punctuation_and_counted() -> None:
    text = "x" * 60_000 + ". Then a sentence. And another."
    ends, by_punctuation = sentence_ends(text, "eng")
    assert by_punctuation
    assert len(ends) == 3
    assert num_words(text, "eng") == 6


def test_a_long_text_is_split_in_blocks_with_the_same_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    for code, texts in (("eng", passages()[:400]), ("vie", None)):
        text = " ".join(texts or vietnamese()[:40])
        whole = sentence_ends(text, code)
        for block in (5000, 7001):
            monkeypatch.setattr(sentence_spans, "BLOCK", block)
            assert sentence_ends(text, code) == whole
        monkeypatch.setattr(sentence_spans, "BLOCK", 200_000)


@pytest.mark.parametrize(
    "megabytes", [pytest.param(1, marks=pytest.mark.short), pytest.param(20, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("code", ["eng", "vie", None])
@pytest.mark.parametrize("kind", ["prose", "lines", "one run", "spaces", "no marks"])
def test_very_long_texts_are_split(code: str | None, kind: str, megabytes: int) -> None:
    unit = {
        "prose": " ".join(passages()[:100]),
        "lines": "a line\n",
        "one run": "x",
        "spaces": " \n",
        "no marks": "word " * 1000,
    }[kind]
    text = (unit * (megabytes * 1_000_000 // len(unit) + 1))[: megabytes * 1_000_000]
    ends, _ = sentence_ends(text, code)
    assert ends[-1] == len(text)


def test_words_are_counted_as_datatrove_counts_them() -> None:
    for text in passages()[:50]:
        assert num_words(text, "eng") == len(load_word_tokenizer("eng").word_tokenize(text))


@given(st.text(alphabet="ab \n\r\x0b\u2028", max_size=40))
def test_lines_tile_the_text(text: str) -> None:
    assert [piece.rstrip("\n\r\x0b\u2028") for piece in pieces(text, line_ends(text))] == text.splitlines()
    assert "".join(pieces(text, line_ends(text))) == text


def test_a_text_of_any_shape_is_tiled() -> None:
    dice = random.Random(3)
    alphabet = "ab. !?\n\"'ạ한。\u200b\x00\x1c\ud7ff\U0001f600"
    for _ in range(60):
        text = "".join(dice.choice(alphabet) for _ in range(dice.randint(1, 60)))
        for code in ("eng", "vie", "kor", "tha", "cmn", None):
            if code is None or sentence_language(code) is not None:
                assert "".join(pieces(text, sentence_ends(text, code)[0])) == text
