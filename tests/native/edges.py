"""Documents that sit exactly at a limit of a Gopher rule, just under it and just over it, for any limit.

A limit L is a decimal p/q. A document is built whose share is p/q as a quotient of whole numbers, so that stock's
double is the limit's own; its neighbours differ by one character, one line or one word. Words are numbers, which every
splitter leaves alone, and letters. Gives up: limits above 0.45 for the rules on repeated characters, where nothing but
the repeats would fit.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction

# (what, text): `what` is "under", "at" or "over", by the measured quantity.
Edges = list[tuple[str, str]]


def _parts(limit: float) -> tuple[int, int]:
    """p and q with p/q == limit and q of at least 100."""
    exact = Fraction(str(limit))
    scale = -(-100 // exact.denominator)
    return exact.numerator * scale, exact.denominator * scale


def _unique(start: int = 100_000) -> Iterator[str]:
    """Words that differ from each other: six digits."""
    while True:
        yield str(start)
        start += 1


def _fill(used: str, chars: int) -> str:
    """The text made longer, to a number of characters, by words that occur once."""
    words, text = _unique(500_000), used
    while chars - len(text) > 20:
        text += " " + next(words)
    rest = chars - len(text)
    assert rest >= 0, f"{rest} characters are left"
    return text + (" " + "9" * (rest - 1) if rest else "")


def _repeats(limit: float, build: Callable[[int, int], str]) -> Edges:
    """`build(p, q)` makes a text of q lines, words ... with p of the kind that counts."""
    p, q = _parts(limit)
    return [("under", build(p - 1, q)), ("at", build(p, q)), ("over", build(p + 1, q))]


def _chars(limit: float, head: Callable[[int], tuple[str, int]]) -> Edges:
    """`head(size)` gives a text and its repeated characters, about `size`; filling decides the share of the whole."""
    p, q = _parts(limit)
    text, repeated = head(p)
    assert repeated % p == 0
    whole = repeated // p * q
    return [("under", _fill(text, whole + 1)), ("at", _fill(text, whole)), ("over", _fill(text, whole - 1))]


def dup_elements(limit: float, separator: str) -> Edges:
    """Lines (separator "\\n") or paragraphs ("\\n\\n"), p of q of them repeats."""

    def build(p: int, q: int) -> str:
        return separator.join([*(f"line {number}" for number in range(q - p)), *["line 0"] * p])

    return _repeats(limit, build)


def dup_chars(limit: float, separator: str) -> Edges:
    """Two equal lines or paragraphs; the second makes p of q characters."""
    return _chars(limit, lambda p: (f"{'x' * p}{separator}{'x' * p}{separator}1", p))


def _gram(n: int, size: int, joint: int) -> tuple[list[str], int]:
    """n words that make up a multiple of `size` characters with `joint` characters between two of them."""
    words = [chr(ord("a") + i % 26) * 2 + str(i) for i in range(n)]
    length = sum(map(len, words)) + joint * (n - 1)
    words[-1] += "z" * (-length % size)
    return words, length + -length % size


def top_n_gram(n: int, limit: float) -> Edges:
    """One n-gram three times; it and its spaces, three times, make p of q characters."""

    def head(p: int) -> tuple[str, int]:
        words, length = _gram(n, p, 1)
        other = _unique()
        return " ".join(" ".join([*words, next(other)]) for _ in range(3)), 3 * length

    return _chars(limit, head)


def dup_n_gram(n: int, limit: float) -> Edges:
    """One n-gram twice; the second time, without spaces, makes p of q characters."""

    def head(p: int) -> tuple[str, int]:
        words, length = _gram(n, p, 0)
        other = _unique()
        return " ".join(" ".join([*words, next(other)]) for _ in range(2)), length

    return _chars(limit, head)


def doc_words(limit: float) -> Edges:
    """Numbers, one a word, and marks that do not count."""
    other = _unique()
    words = [next(other) for _ in range(int(limit) + 1)]
    return [
        ("under", " ".join([*words[:-2], ",", "!"])),
        ("at", " ".join([*words[:-1], ",", "!"])),
        ("over", " ".join(words)),
    ]


def avg_word_length(limit: float) -> Edges:
    """Twenty words of a mean length that is the limit, or a twentieth off; nothing is under a mean of one."""
    size = int(limit)
    assert size == limit, "whole mean lengths only"
    words = ["1" * size] * 19
    steps = [("under", -1)] * (size > 1) + [("at", 0), ("over", 1)]
    return [(what, " ".join([*words, "1" * (size + off)])) for what, off in steps]


def symbol_word_ratio(limit: float, symbol: str) -> Edges:
    """p of q words are the symbol; where the text counts it, each such word is one occurrence."""

    def build(p: int, q: int) -> str:
        words = _unique()
        return " ".join([*(next(words) for _ in range(q - p)), *[symbol] * p])

    return _repeats(limit, build)


def bullet_lines(limit: float, bullet: str) -> Edges:
    """p of q lines start with a bullet."""
    return _repeats(limit, lambda p, q: "\n".join(f" {bullet if i < p else ''} {i}" for i in range(q)))


def ellipsis_lines(limit: float, ellipsis: str) -> Edges:
    """p of q lines end with an ellipsis; white space may follow."""
    return _repeats(limit, lambda p, q: "\n".join(f"{i} of{ellipsis if i < p else ''} " for i in range(q)))


def words_with_a_letter(limit: float) -> Edges:
    """p of q words have a letter; this limit is a lower one."""
    return _repeats(limit, lambda p, q: " ".join(["ab"] * p + ["12"] * (q - p)))


def stop_words(limit: float, words: list[str]) -> Edges:
    """One stop word fewer than the limit, as many, and one more, with numbers between."""
    texts = []
    for count in (int(limit) - 1, int(limit), int(limit) + 1):
        chosen = [words[i % len(words)] for i in range(max(count, 0))]
        texts.append(" ".join(f"{number} {word}" for number, word in enumerate(chosen)) + " 77")
    return list(zip(("under", "at", "over"), texts, strict=True))
