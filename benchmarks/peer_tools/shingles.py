"""What the MinHash libraries that take tokens are given: lower case, words at white space, all runs of five.

They leave normalising to their user; this is the plainest there is, at less cost than datatrove's normalisation.
"""


def shingles(text: str) -> list[str]:
    """The 5-grams of a text, joined by spaces; the text's words where there are fewer than five."""
    words = text.lower().split()
    return [" ".join(words[i : i + 5]) for i in range(max(1, len(words) - 4))]
