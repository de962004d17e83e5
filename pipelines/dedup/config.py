"""The `dedup:` block of a stage configuration: which methods, which sources are kept first, and each method's numbers.

Gives up: parameters per source; two documents can only be compared when both were prepared in the same way.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

MethodName = Literal["exact", "minhash", "simhash", "sentence"]
Text = Annotated[str, Field(min_length=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class ExactConfig(_Frozen):
    """What two texts may differ in and still be the same text.

    Case and punctuation count by default: in code and in formulas they are the content.
    """

    ignore_whitespace: bool = True
    ignore_case: bool = False


class MinhashConfig(_Frozen):
    """Parameters of MinHash.

    14 buckets of 8 hashes, 5-grams, 64 bits and seed 1 are datatrove's defaults (datatrove/pipeline/dedup/minhash.py,
    0.10.1) and FineWeb's (Penedo et al. 2024, arXiv:2406.17557). The normalisation is datatrove's TextNormConfig with
    one difference: marks are kept by default, since a Vietnamese word without its tone is another word.

    `min_similarity`: Jaccard similarity of n-grams, from 0 to 1, that a document must have with the one that survives
    for it (see check.py); without it a cluster is what buckets connect, as in datatrove.
    """

    n_grams: int = Field(default=5, ge=1, le=100)
    num_buckets: int = Field(default=14, ge=1, le=1000)
    hashes_per_bucket: int = Field(default=8, ge=1, le=100)
    seed: int = Field(default=1, ge=0, lt=2**32)
    precision: Literal[32, 64] = 64
    hash: Literal["xxhash", "sha1"] = "xxhash"
    min_words: int = Field(default=5, ge=1, le=10_000)
    min_similarity: float | None = Field(default=None, gt=0, le=1)
    lowercase: bool = True
    norm_whitespace: bool = True
    remove_punctuation: bool = True
    keep_marks: bool = True
    norm_numbers: bool = True
    norm_weekdays: bool = False
    norm_monthnames: bool = False

    @model_validator(mode="after")
    def _words_fill_an_n_gram(self) -> "MinhashConfig":
        if self.min_words < self.n_grams:
            raise ValueError(f"min_words {self.min_words} is below n_grams {self.n_grams}: such a text has no n-gram")
        return self


class SimhashConfig(_Frozen):
    """Parameters of SimHash.

    Distance 3 of 64 bits is Manku, Jain and Das Sarma's (2007) for web pages. The limits count letters, digits and
    underscores: below 16 a text has a dozen pieces, and one changed word turns most bits; 2,000 is a few paragraphs.
    """

    max_distance: int = Field(default=3, ge=0, le=10)
    min_chars: int = Field(default=16, ge=4)
    max_chars: int = Field(default=2000, ge=4)

    @model_validator(mode="after")
    def _some_length_is_left(self) -> "SimhashConfig":
        if self.min_chars > self.max_chars:
            raise ValueError(f"min_chars {self.min_chars} is above max_chars {self.max_chars}: no text is compared")
        return self


class SentenceConfig(_Frozen):
    """Parameters of sentence deduplication.

    All but three defaults are datatrove's SentDedupConfig (datatrove/pipeline/dedup/sentence_dedup.py, 0.10.1), whose
    spans of three sentences are C4's (Raffel et al. 2020, JMLR 21:140). Marks are kept, as in MinHash. With
    `only_dedup_in_index` the documents of the run are cut for those of other runs (`--against`) only; that is
    datatrove's default, and false here, since the other methods compare both. Spans of `min_words_to_remove_span`
    words and more are cut; where it is not 0, datatrove counts the first sentence of a span only and loses the others.
    `exclude`: source keys or globs whose documents are neither cut nor compared (code, tables of numbers).
    """

    n_sentences: int = Field(default=3, ge=1, le=100)
    split_sentences: bool = True
    only_dedup_in_index: bool = False
    min_doc_words: int = Field(default=50, ge=0)
    min_num_sentences: int = Field(default=3, ge=0)
    min_words_to_remove_span: int = Field(default=0, ge=0)
    exclude: list[Text] = Field(default_factory=list)
    lowercase: bool = True
    norm_whitespace: bool = True
    remove_punctuation: bool = True
    keep_marks: bool = True
    norm_numbers: bool = True
    norm_weekdays: bool = False
    norm_monthnames: bool = False


class DedupConfig(_Frozen):
    """The whole block. `priority`: source keys or globs; of duplicates, the source that is named first survives."""

    methods: list[MethodName] = Field(default=["exact", "minhash"], min_length=1)
    priority: list[Text] = Field(default_factory=list)
    exact: ExactConfig = Field(default_factory=ExactConfig)
    minhash: MinhashConfig = Field(default_factory=MinhashConfig)
    simhash: SimhashConfig = Field(default_factory=SimhashConfig)
    sentence: SentenceConfig = Field(default_factory=SentenceConfig)

    @model_validator(mode="after")
    def _each_method_once(self) -> "DedupConfig":
        if len(set(self.methods)) < len(self.methods):
            raise ValueError("a method is named twice in `methods`; name each once, in the order in which they run")
        return self

    @model_validator(mode="after")
    def _sentence_is_last(self) -> "DedupConfig":
        if "sentence" in self.methods[:-1]:
            raise ValueError("`sentence` changes texts, so no method can follow it; name it last in `methods`")
        return self
