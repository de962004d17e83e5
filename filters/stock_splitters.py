"""datatrove's splitters, put right where their words depend on something else than the text.

**The word `IS_ALPHA`.** datatrove splits inside of spaCy's `memory_zone`, which takes back at its end what it has
learnt in it. The word is spaCy's symbol 1, and 1 is the key that its hash table (preshed) marks deleted entries with,
so it stays in the table and points to freed memory. The first text of a process that has the word is split right. From
then on mostly an exception is raised, for which datatrove takes the word out of the text; sometimes a KeyError gets
through and ends the task. So words would depend on which documents a process has seen before (spaCy 3.8.18, datatrove
0.10.1: 1 of 3,000 such texts is right). A word that is known before the first zone is never freed.

**Chinese.** jieba reads its dictionary out of `jieba.cache` in the folder for temporary files, if there is a file of
that name, whoever has put it there and whatever is in it (jieba 0.42.1, `marshal.load`). Here it builds the dictionary
out of its own package, in each process: a second of CPU.

Gives up: splitters that datatrove does not make.
"""

import logging
import tempfile
from typing import Any

from datatrove.utils.word_tokenizers import SpaCyTokenizer

_SYMBOL = "IS_ALPHA"
_MARK = "_is_put_right"
_stock: Any = SpaCyTokenizer.tokenizer


def _tokenizer(self: SpaCyTokenizer) -> Any:
    if not getattr(self, _MARK, False):
        if self.language == "zh":
            _own_dictionary()
        _stock.fget(self).vocab[_SYMBOL]
        setattr(self, _MARK, True)
    return _stock.fget(self)


def _own_dictionary() -> None:
    import jieba

    jieba.setLogLevel(logging.ERROR)
    if not jieba.dt.initialized:
        # It leaves its cache behind, for nobody.
        with tempfile.TemporaryDirectory(prefix="smoltrove-") as folder:
            jieba.dt.tmp_dir = folder
            jieba.initialize()


def put_right() -> None:
    """From now on every spaCy splitter of datatrove in this process is as this module says."""
    if SpaCyTokenizer.tokenizer is _stock:
        SpaCyTokenizer.tokenizer = property(_tokenizer)
