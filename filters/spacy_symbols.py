"""The word `IS_ALPHA`, which spaCy loses: datatrove's splitters are made to keep it.

datatrove splits inside of spaCy's `memory_zone`, which takes back at its end what it has learnt in it. The word
`IS_ALPHA` is spaCy's symbol 1, and 1 is the key that its hash table (preshed) marks deleted entries with, so it stays
in the table and points to freed memory. The first text of a process that has the word is split right. From then on
mostly an exception is raised, for which datatrove takes the word out of the text; sometimes a KeyError gets through
and ends the task; what another word in that memory would make of it nobody sees. So words would depend on which
documents a process has seen before (measured with spaCy 3.8.18 and datatrove 0.10.1: 1 of 3,000 such texts is right). A
word that is known before the first zone is never freed. Gives up: splitters that datatrove does not make.
"""

from typing import Any

from datatrove.utils.word_tokenizers import SpaCyTokenizer

SYMBOL = "IS_ALPHA"
_MARK = "_symbol_is_kept"
_stock: Any = SpaCyTokenizer.tokenizer


def _tokenizer(self: SpaCyTokenizer) -> Any:
    nlp = _stock.fget(self)
    if not getattr(self, _MARK, False):
        nlp.vocab[SYMBOL]
        setattr(self, _MARK, True)
    return nlp


def keep_symbol() -> None:
    """From now on every spaCy splitter of datatrove in this process keeps the word."""
    if SpaCyTokenizer.tokenizer is _stock:
        SpaCyTokenizer.tokenizer = property(_tokenizer)
