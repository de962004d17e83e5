"""Words depend on the text alone: not on texts that were split before, nor on files of other people."""

import marshal
import os
import subprocess
import sys
from pathlib import Path

import pytest
from datatrove.utils.text import split_into_sentences, split_into_words

from filters.text import split_words

TEXTS = [f"Word {number} and IS_ALPHA, then IS_ALPHA again. The end of {'x' * (number % 50)}." for number in range(99)]
CHINESE = "我们在研究生命起源的时候发现了很多有趣的问题。"


@pytest.mark.parametrize("language", ["eng", "swe", "jpn", "cmn", "vie"])
def test_the_word_stays_in_every_text(language: str) -> None:
    """Law: a text has the same words and sentences as the first and as the hundredth of a process."""
    for text in TEXTS:
        split_into_words("something else between " * 5, language)
        assert "".join(split_into_words(text, language)).count("IS_ALPHA") == 2
        assert split_words(text, language) == split_into_words(text, language)
        assert "".join(split_into_sentences(text, language)).count("IS_ALPHA") == 2


def test_a_dictionary_that_lies_about_is_not_read(tmp_path: Path) -> None:
    """Law: Chinese words are those of the installed package, whatever is in the folder for temporary files."""
    planted = tmp_path / "jieba.cache"
    planted.write_bytes(marshal.dumps((dict.fromkeys([CHINESE[:8], CHINESE[:2]], 10**9), 10**9)))
    before = planted.read_bytes()
    program = (
        "from datatrove.utils.text import split_into_words\nimport filters.text\n"
        f"print(*split_into_words({CHINESE!r}, 'cmn'), sep='/')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    words = done.stdout.strip().split("/")
    assert words == split_into_words(CHINESE, "cmn")
    assert "".join(words) == CHINESE
    assert CHINESE[:8] not in words
    assert "jieba" not in done.stderr
    assert "dict" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["jieba.cache"]
    assert planted.read_bytes() == before
