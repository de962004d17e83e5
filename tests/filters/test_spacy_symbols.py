"""Words do not depend on the texts that were split before; spaCy's symbol 1 made them."""

import pytest
from datatrove.utils.text import split_into_sentences, split_into_words

from filters.text import split_words

TEXTS = [
    f"Word {number} and IS_ALPHA, then IS_ALPHA again. The end of {'x' * (number % 50)} it." for number in range(99)
]


@pytest.mark.parametrize("language", ["eng", "swe", "jpn", "zho", "vie"])
def test_the_word_stays_in_every_text(language: str) -> None:
    """Law: a text has the same words and sentences as the first and as the hundredth of a process."""
    for text in TEXTS:
        split_into_words("something else between " * 5, language)
        assert "".join(split_into_words(text, language)).count("IS_ALPHA") == 2
        assert split_words(text, language) == split_into_words(text, language)
        assert "".join(split_into_sentences(text, language)).count("IS_ALPHA") == 2
