"""Length sanity: the only rule for text whose words mean nothing to the other filters (code, mathematics, questions).

Counts characters, white-space words and estimated tokens; it looks at nothing else. It gives up exact token counts
(a tokenizer would cost more than the rest of the chain), and word counts in languages written without spaces:
use characters there.
"""

from datatrove.data import Document
from datatrove.pipeline.writers.disk_base import DiskWriter

from filters.counting import CountedFilter

BYTES_PER_TOKEN = 4.0


class LengthFilter(CountedFilter):
    """Keeps documents whose length is inside the limits that are set; a limit of None is not checked.

    Args:
        min_chars: fewest characters (Unicode code points) of a kept document.
        max_chars: most characters.
        min_words: fewest words, split on white space (`str.split`).
        max_words: most words.
        max_tokens: most tokens, ESTIMATED as UTF-8 bytes / `bytes_per_token`. Not a tokenizer's count: off by a factor
            of two or more for text that the tokenizer knows badly.
        bytes_per_token: UTF-8 bytes of one token. 4.0 is the usual rule of thumb for English prose and a vocabulary of
            about 100,000; code and non-Latin scripts differ.
        exclusion_writer: datatrove writer for the dropped documents.

    Reasons: `too_few_chars`, `too_many_chars`, `too_few_words`, `too_many_words`, `too_many_tokens`.

    Raises:
        ValueError: a negative limit, a minimum above its maximum, or `bytes_per_token` not above 0.
    """

    name = "📏 Length"
    family = "length"

    def __init__(
        self,
        *,
        min_chars: int | None = None,
        max_chars: int | None = None,
        min_words: int | None = None,
        max_words: int | None = None,
        max_tokens: int | None = None,
        bytes_per_token: float = BYTES_PER_TOKEN,
        exclusion_writer: DiskWriter | None = None,
    ) -> None:
        super().__init__(exclusion_writer)
        limits = {
            "min_chars": min_chars,
            "max_chars": max_chars,
            "min_words": min_words,
            "max_words": max_words,
            "max_tokens": max_tokens,
        }
        for name, limit in limits.items():
            if limit is not None and limit < 0:
                raise ValueError(f"{name} is {limit}: a length cannot be negative")
        for unit, low, high in (("chars", min_chars, max_chars), ("words", min_words, max_words)):
            if low is not None and high is not None and low > high:
                raise ValueError(f"min_{unit} ({low}) is above max_{unit} ({high}): nothing would be kept")
        if not bytes_per_token > 0:
            raise ValueError(f"bytes_per_token is {bytes_per_token}: it must be above 0")
        self.min_chars = min_chars
        self.max_chars = max_chars
        self.min_words = min_words
        self.max_words = max_words
        self.max_tokens = max_tokens
        self.bytes_per_token = bytes_per_token

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """True, or (False, reason). Never raises, whatever the text."""
        text = doc.text
        if self.min_chars is not None and len(text) < self.min_chars:
            return False, "too_few_chars"
        if self.max_chars is not None and len(text) > self.max_chars:
            return False, "too_many_chars"
        if self.min_words is not None or self.max_words is not None:
            num_words = len(text.split())
            if self.min_words is not None and num_words < self.min_words:
                return False, "too_few_words"
            if self.max_words is not None and num_words > self.max_words:
                return False, "too_many_words"
        if self.max_tokens is not None:
            # "surrogatepass": an unpaired surrogate is three bytes here, not the end of the task.
            num_bytes = len(text.encode("utf-8", "surrogatepass"))
            if num_bytes / self.bytes_per_token > self.max_tokens:
                return False, "too_many_tokens"
        return True
