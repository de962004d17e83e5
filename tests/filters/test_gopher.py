"""The laws of filters/gopher.py and filters/text.py: datatrove's verdict and reason wherever datatrove has one."""

import gzip
import json
import pickle
from functools import lru_cache

import pyarrow.parquet as pq
import pytest
from datatrove.data import Document
from datatrove.pipeline.filters.gopher_quality_filter import GopherQualityFilter as DatatroveQuality
from datatrove.pipeline.filters.gopher_repetition_filter import GopherRepetitionFilter as DatatroveRepetition
from datatrove.utils import word_tokenizers
from datatrove.utils.typeshelper import Languages
from datatrove.utils.word_tokenizers import load_tokenizer_assignments, load_word_tokenizer
from hypothesis import example, given, settings

from filters import native
from filters import text as text_module
from filters.gopher import GopherQualityFilter, GopherRepetitionFilter
from filters.language import model_labels
from filters.text import MAX_RUN, UnsplittableText, split_words, splitter_available, word_language
from tests.data import shared_data
from tests.filters.test_language import SMOLLM3, hostile_text

USERS = {"min_doc_words": 20, "max_doc_words": 200_000}
PARTS = [f"train-0000{part}-of-00004.parquet" for part in range(4)]


def web_en(part: str, num_documents: int) -> list[str]:
    return pq.read_table(shared_data("web-en/data") / part, columns=["text"])["text"].to_pylist()[:num_documents]


@lru_cache(maxsize=2)
def in_language(iso1: str, num_documents: int = 25) -> list[str]:
    if iso1 == "vi":
        with gzip.open(shared_data("web-vi/data") / "train-00000-of-00003.jsonl.gz", "rt", encoding="utf-8") as lines:
            return [json.loads(line)["text"] for _, line in zip(range(num_documents), lines, strict=False)]
    (path,) = (shared_data("fineweb2-like/data") / SMOLLM3[iso1][1]).glob("*.parquet")
    return pq.read_table(path, columns=["text"])["text"].to_pylist()[:num_documents]


def assert_equal_to_datatrove(texts: list[str], language: str = "en", **quality) -> set[str]:
    """Both filters against datatrove's, document by document (one word split serves all four); the reasons seen."""
    stock_language = word_language(language)
    pairs = [
        (GopherRepetitionFilter(language=language), DatatroveRepetition(language=stock_language)),
        (
            GopherQualityFilter(language=language, **(USERS | quality)),
            DatatroveQuality(language=stock_language, **(USERS | quality)),
        ),
    ]
    reasons = set()
    for text in texts:
        for ours, stock in pairs:
            verdict = ours.filter(Document(text=text, id=""))
            assert verdict == stock.filter(Document(text=text, id="")), text[:300]
            reasons.add("kept" if verdict is True else verdict[1])
    return reasons


def test_verdict_and_reason_are_datatroves_on_1500_english_documents():
    reasons = assert_equal_to_datatrove(web_en(PARTS[0], 1500))
    assert {"kept", "top_2_gram", "duplicated_5_n_grams", "gopher_short_doc", "gopher_below_alpha_threshold"} <= reasons


@pytest.mark.parametrize("iso1", [code for code in SMOLLM3 if code not in ("en", "ar")])
def test_every_language_is_split_and_judged_as_datatrove_does(iso1):
    """A real word of the language as the stop word: the whole quality chain runs to its last rule."""
    texts = in_language(iso1)
    words = split_words(texts[0], word_language(iso1))
    assert len(words) > 20
    assert "kept" in assert_equal_to_datatrove(texts, iso1, min_stop_words=1, stop_words=words, max_avg_word_length=25)


def test_arabic_is_split_as_arabic():
    (row,) = (
        row
        for path in shared_data("udhr-langid/data").glob("*.parquet")
        for row in pq.read_table(path).to_pylist()
        if row["language_code"] == "arb"
    )
    assert assert_equal_to_datatrove([row["text"]], "ar", min_stop_words=2, stop_words=["في", "من"])
    assert "حقوق" in split_words(row["text"], word_language("ar"))


def test_english_is_datatroves_default_splitter_not_a_second_one():
    assert {word_language(code) for code in ("en", "eng", "eng_Latn")} == {Languages.english}
    assert load_word_tokenizer(word_language("en")) is load_word_tokenizer(Languages.english)


@pytest.mark.parametrize("iso1", SMOLLM3)
def test_each_language_gets_the_splitter_of_its_own_script(iso1):
    """datatrove 0.10.1 gives `hi` and `arb` the splitter of romanised text, which needs a package that is not here."""
    splitters = load_tokenizer_assignments()
    code = word_language(iso1)
    assert splitters[code].args == splitters[SMOLLM3[iso1][1]].args
    assert splitter_available(iso1) is None


def test_every_language_that_the_model_can_name_has_a_splitter_or_the_name_of_its_package():
    for label in model_labels():
        message = splitter_available(label)
        assert message is None or "pip install" in message


def test_a_missing_package_is_named_before_the_run(monkeypatch):
    monkeypatch.setattr(text_module, "find_spec", lambda name: None if name == "pyvi" else object())
    assert splitter_available("vi") == "splitting 'vi' into words needs: pip install pyvi"
    assert splitter_available("en") is None


def test_a_document_is_split_once_for_the_whole_chain(monkeypatch):
    calls = []
    tokenizer = load_word_tokenizer(word_language("en"))
    split = tokenizer.word_tokenize
    monkeypatch.setattr(tokenizer, "word_tokenize", lambda text: calls.append(text) or split(text))
    text = "The words of this sentence are counted once, and the chain has two filters that ask for them. " * 2
    document = Document(text=text, id="")
    for one in (GopherRepetitionFilter(), GopherQualityFilter(language="eng_Latn"), DatatroveQuality()):
        one.filter(document)
    assert calls == [text]


VIETNAMESE = (
    "Mọi người đều có quyền sống, quyền tự do và an ninh cá nhân. Không ai bị bắt làm nô lệ hoặc bị cưỡng bức làm việc."
)


@pytest.mark.parametrize(
    ("language", "reason"),
    [
        ("vi", None),
        ("vie", None),
        ("vie_Latn", None),
        ("en", "gopher_enough_stop_words"),
        (None, "gopher_enough_stop_words"),
        ("und", "gopher_enough_stop_words"),
    ],
)
def test_by_language_judges_a_document_by_the_rules_of_its_language_and_others_by_the_base(language, reason):
    ours = GopherQualityFilter(min_doc_words=5, by_language={"vi": {"stop_words": ["và", "làm"]}})
    metadata = {} if language is None else {"language": language}
    verdict = ours.filter(Document(text=VIETNAMESE, id="", metadata=metadata))
    assert verdict == (True if reason is None else (False, reason))


def test_by_language_splits_words_of_that_language_and_inherits_the_rest():
    ours = GopherRepetitionFilter(dup_line_frac=0.11, by_language={"vie_Latn": {"dup_para_frac": 0}})
    variant = ours.by_language["vi"]
    assert (variant.language, variant.dup_line_frac, variant.dup_para_frac) == (word_language("vi"), 0.11, 0)


@pytest.mark.parametrize("wrong", [(2, 3, 4), [[2, 0.2, 3]], "23", [["a", 0.2]], [[2, 20]], [[0, 0.1]], 3])
def test_n_grams_without_their_shares_are_refused_with_an_example(wrong):
    for parameter in ("top_n_grams", "dup_n_grams"):
        with pytest.raises(ValueError, match=rf"{parameter} is .*\[\[2, 0.2\], \[3, 0.18\]\]"):
            GopherRepetitionFilter(**{parameter: wrong})


def test_n_grams_as_yaml_writes_them_become_what_datatrove_takes():
    assert GopherRepetitionFilter(top_n_grams=[[2, 0.2], [3, 0.18], [4, 0.16]]).top_n_grams == (
        DatatroveRepetition().top_n_grams
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"language": "vn"}, "'vn'.*vi"),
        ({"stop_words": "the of"}, "stop_words"),
        ({"stop_words": ["na", False]}, "quote"),
        ({"by_language": {"vi": {"min_words": 3}}}, "min_words"),
        ({"by_language": {"vi": {}, "vie": {}}}, "twice"),
    ],
)
def test_a_wrong_parameter_is_refused_before_the_first_document(arguments, message):
    with pytest.raises(ValueError, match=message):
        GopherQualityFilter(**arguments)


DEEP = {"min_doc_words": None, "min_avg_word_length": None, "max_avg_word_length": None, "max_doc_words": None}


@pytest.mark.parametrize("iso1", ["en", "vi", "fr", "zh", "ja", "th", "hi", "ar", "ko"])
def test_no_text_raises_and_where_datatrove_does_not_raise_the_verdict_is_its_own(iso1):
    """The quality rules that end a short document early are off, so that hostile text reaches every rule."""
    language = word_language(iso1)
    pairs = [
        (GopherRepetitionFilter(language=iso1), DatatroveRepetition(language=language)),
        (GopherQualityFilter(language=iso1, **DEEP), DatatroveQuality(language=language, **DEEP)),
        (GopherQualityFilter(language=iso1), DatatroveQuality(language=language)),
    ]

    @settings(max_examples=60, deadline=None)
    @example("")
    @example(" \n\u3000")
    @example("\ud800")
    @example("...")
    @given(text=hostile_text)
    def check(text: str) -> None:
        for ours, stock in pairs:
            verdict = ours.filter(Document(text=text, id=""))
            try:
                expected = stock.filter(Document(text=text, id=""))
            except ZeroDivisionError:
                assert verdict == (False, "gopher_no_words")
            except (UnicodeEncodeError, SystemError):
                assert verdict in ((False, "unsplittable"), (False, "gopher_unsplittable"))
            else:
                assert verdict == expected

    check()


def test_a_run_that_would_take_hours_is_refused_at_once_where_datatrove_would_stand_still():
    """20,000 emoji take datatrove half a minute, and the time grows with the square."""
    document = Document(text="👍" * (MAX_RUN + 1), id="")
    assert GopherRepetitionFilter().filter(document) == (False, "unsplittable")
    assert GopherQualityFilter().filter(document) == (False, "gopher_unsplittable")
    with pytest.raises(UnsplittableText):
        split_words("a " + "x" * (MAX_RUN + 1), word_language("el"))


def test_chinese_is_written_without_spaces_and_has_no_longest_run():
    text = "".join(in_language("zh", 200)[0].split())
    text = text * (MAX_RUN // len(text) + 1)
    assert len(text) > MAX_RUN
    assert len(split_words(text, word_language("zh"))) > 1000


def test_no_real_document_of_web_en_is_refused_for_its_runs():
    """The guard raises for a run that is too long."""
    texts = web_en(PARTS[1], 6000)
    assert len(texts) == 6000
    for text in texts:
        text_module.refuse_long_run(text, "eng")


def test_a_missing_splitter_is_an_error_and_not_a_verdict(monkeypatch):
    """A package that is not installed must stop the run, not drop every document."""

    def missing(*_):
        raise ImportError("Please install `pyvi`")

    monkeypatch.setattr(word_tokenizers, "load_word_tokenizer", missing)
    monkeypatch.setattr(native, "load", lambda: None)  # a splitter that another test has loaded would still answer
    with pytest.raises(ImportError):
        GopherQualityFilter(language="vi").filter(Document(text="một văn bản chưa ai tách từ", id=""))


def test_filters_travel_to_workers_with_their_parameters():
    ours = GopherQualityFilter(by_language={"vi": {"stop_words": ["là"]}})
    ours.filter(Document(text=VIETNAMESE, id=""))
    restored = pickle.loads(pickle.dumps(ours))  # noqa: S301
    assert restored.by_language["vi"].stop_words == {"là"}
    assert restored.filter(Document(text="", id="")) == (False, "gopher_short_doc")
