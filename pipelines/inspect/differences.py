"""Where two texts differ: words that stand in no run of RUN words which the other text has, too.

The runs are shingles, as MinHash compares them, so cost is linear in the texts whatever they hold (an alignment of
hostile texts takes quadratic time), and a paragraph that only stands elsewhere is no difference. Gives up: order, and
single words that are the same between two that are not.
"""

import re

from pipelines.inspect.marks import Span

RUN = 3
# Characters of each text that are compared.
MAX_CHARS = 200_000
# Scripts without spaces between words go by characters: Thai, Lao, Myanmar, Khmer, Kana, Han.
_WORD = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|"
    "[^\\W\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+|[^\\w\\s]+"
)


def differences(left: str, right: str) -> tuple[list[Span], list[Span]]:
    """Spans of each text that the other has not; sorted, neighbours in one. Both empty where no word differs."""
    words = [_words(text[:MAX_CHARS]) for text in (left, right)]
    size = max(1, min(RUN, *(len(found) for found, _ in words)))
    runs = [{tuple(found[i : i + size]) for i in range(len(found) - size + 1)} for found, _ in words]
    shared = runs[0] & runs[1]
    return _unshared(*words[0], shared, size), _unshared(*words[1], shared, size)


def _words(text: str) -> tuple[list[str], list[Span]]:
    found = list(_WORD.finditer(text))
    return [match[0] for match in found], [match.span() for match in found]


def _unshared(words: list[str], spans: list[Span], shared: set[tuple[str, ...]], size: int) -> list[Span]:
    found: list[Span] = []
    covered = 0  # words before this place stand in a shared run
    last = -2
    for i, span in enumerate(spans):
        if tuple(words[i : i + size]) in shared:
            covered = i + size
        if i < covered:
            continue
        if last == i - 1:
            found[-1] = (found[-1][0], span[1])
        else:
            found.append(span)
        last = i
    return found
