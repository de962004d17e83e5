"""The laws of filters/language.py: one meaning per code, and datatrove's verdict whatever the text."""

import gzip
import hashlib
import json
import pickle
import re
from functools import lru_cache
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datatrove.data import Document
from datatrove.pipeline.filters.language_filter import LanguageFilter as DatatroveFilter
from fasttext.FastText import _FastText
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.language import LanguageFilter, label_of, normalise_language
from filters.language_model import bundled_model, model_fingerprint, model_labels
from tests.data import shared_data

SMOLLM3 = {
    "en": ("eng", "eng_Latn"),
    "vi": ("vie", "vie_Latn"),
    "fr": ("fra", "fra_Latn"),
    "de": ("deu", "deu_Latn"),
    "es": ("spa", "spa_Latn"),
    "it": ("ita", "ita_Latn"),
    "pt": ("por", "por_Latn"),
    "zh": ("cmn", "cmn_Hani"),
    "ru": ("rus", "rus_Cyrl"),
    "fa": ("fas", "fas_Arab"),
    "ja": ("jpn", "jpn_Jpan"),
    "ko": ("kor", "kor_Hang"),
    "hi": ("hin", "hin_Deva"),
    "th": ("tha", "tha_Thai"),
    "el": ("ell", "ell_Grek"),
    "ar": ("arb", "arb_Arab"),
}

# Pieces that broke a splitter or a model somewhere, or look as if they could.
_PIECES = [
    *[
        "\x00",
        " ",
        "\n",
        "\n\n",
        "\r",
        "\t",
        "\x85",
        "\u2028",
        "\u3000",
        "\u200b",
        "\u200c",
        "\ufeff",
        "\xa0",
        "\ud800",
    ],
    *[
        "\udfff",
        "\uffff",
        "\U0010ffff",
        "IS_ALPHA",
        "</s>",
        "__label__vi",
        "the",
        "of",
        "and",
        "to",
        "...",
        "…",
        "#",
        "-",
    ],
    *[
        "•",
        "_",
        "__",
        "1,000,000,000,000,000,000,000",
        "l'",
        "'s",
        "http://a.b/c#d",
        "<b>",
        "&amp;",
        ":)",
        "đường",
        "là",
    ],
    *[
        "xã_hội",
        "và",
        "漢字",
        "あ",
        "ไทย",
        "ำ",
        "한국어",
        "ᄀ",
        "नमस्ते",
        "।",
        "αβγ",
        "عربی",
        "👍",
        "\U0001f3fb",
        "\u0301",
        "İ",
        "ß",
    ],
]
hostile_text = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=60),
    st.lists(st.sampled_from(_PIECES), max_size=60).map("".join),
    st.lists(st.sampled_from(_PIECES), max_size=60).map(" ".join),
)

# Article 1 of the Universal Declaration of Human Rights (public domain).
UDHR = {
    "eng_Latn": "All human beings are born free and equal in dignity and rights. They are endowed with reason and "
    "conscience and should act towards one another in a spirit of brotherhood.",
    "vie_Latn": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền. Mọi con người đều được "
    "tạo hoá ban cho lý trí và lương tâm và cần phải đối xử với nhau trong tình anh em.",
    "rus_Cyrl": "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью "
    "и должны поступать в отношении друг друга в духе братства.",
}


def datatrove_filter(model: Path, languages: list[str] | None, threshold: float, **more) -> DatatroveFilter:
    """datatrove's own filter, reading the same file instead of downloading one."""
    stock = DatatroveFilter(languages, threshold, **more)
    stock.model._model = loaded(str(model))
    return stock


@lru_cache(maxsize=1)
def loaded(model: str) -> _FastText:
    return _FastText(model)


@pytest.mark.parametrize("iso1", SMOLLM3)
def test_every_style_of_a_code_becomes_every_other(iso1):
    iso3, script = SMOLLM3[iso1]
    for code in (iso1, iso3, script):
        assert normalise_language(code, "iso1") == iso1
        assert normalise_language(code, "iso3") == iso3
        assert normalise_language(code, "script") == script
        assert label_of(code, model_labels()) == iso1


@pytest.mark.parametrize(
    ("code", "meaning"), [("zho", "zh"), ("ara", "ar"), ("pes", "fa"), ("ekk", "et"), ("no", "no")]
)
def test_macrolanguages_and_their_usual_member_are_one(code, meaning):
    assert normalise_language(code) == meaning


def test_every_label_of_the_bundled_model_is_a_known_code_and_normalising_twice_changes_nothing():
    labels = model_labels()
    assert len(labels) == 176
    for label in labels:
        for style in ("iso1", "iso3", "script"):
            once = normalise_language(label, style)
            assert normalise_language(once, style) == once
        assert label_of(label, labels) == label


def test_labels_read_from_the_head_of_the_file_are_those_of_the_loaded_model():
    loaded = {label.removeprefix("__label__") for label in _FastText(str(bundled_model())).get_labels()}
    assert set(model_labels()) == loaded


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("vn", "vi"), ("jp", "ja"), ("zh-CN", "zh"), ("vietnamese", "vi"), ("cmn_Hans", "cmn_Hani"), ("en_Latn", "en")],
)
def test_an_unknown_code_is_an_error_that_names_the_one_that_was_meant(wrong, meant):
    with pytest.raises(ValueError, match=f"unknown language code '{wrong}'.*nearest.*{meant}"):
        normalise_language(wrong)
    with pytest.raises(ValueError, match=f"'{wrong}'.*{meant}"):
        LanguageFilter(languages=[wrong])


def test_yamls_no_is_not_norwegian():
    with pytest.raises(ValueError, match="quote it"):
        normalise_language(False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"languages": []}, "languages is"),
        ({"languages": "en"}, "languages is 'en'"),
        ({"threshold": 65}, "threshold is 65"),
        ({"model": "/no/such/model.bin"}, "/no/such/model.bin"),
        ({"model": __file__}, "not a fastText model"),
    ],
)
def test_a_wrong_parameter_is_refused_before_the_first_document(arguments, message):
    with pytest.raises(ValueError, match=message):
        LanguageFilter(**arguments)


def real_documents() -> list[str]:
    """1,200 English, 600 Vietnamese, 100 of each of thirteen languages, the Declaration of Human Rights in 382."""
    texts = pq.read_table(shared_data("web-en/data") / "train-00000-of-00004.parquet")["text"].to_pylist()[:1200]
    with gzip.open(shared_data("web-vi/data") / "train-00000-of-00003.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts += [json.loads(line)["text"] for _, line in zip(range(600), lines, strict=False)]
    for path in sorted(shared_data("fineweb2-like/data").glob("*/*.parquet")):
        texts += pq.read_table(path)["text"].to_pylist()[:100]
    for path in sorted(shared_data("udhr-langid/data").glob("*.parquet")):
        texts += [text[:3000] for text in pq.read_table(path)["text"].to_pylist()]
    return texts


def test_verdict_label_and_score_are_datatroves_on_real_documents():
    texts = real_documents()
    assert len(texts) >= 3000
    model = bundled_model()
    settings_of_both = [
        (["en", "vi"], 0.65, False),
        (None, 0.65, False),
        (["de", "ru"], 0.2, False),
        (["zh"], 0.65, True),
    ]
    for languages, threshold, label_only in settings_of_both:
        ours = LanguageFilter(languages=languages, threshold=threshold, label_only=label_only)
        stock = datatrove_filter(model, languages, threshold, label_only=label_only)
        verdicts = set()
        for text in texts:
            mine, theirs = Document(text=text, id=""), Document(text=text, id="")
            verdict = ours.filter(mine)
            assert (verdict is True) == bool(stock.filter(theirs)), text[:200]
            assert mine.metadata == theirs.metadata, text[:200]
            verdicts.add(verdict if verdict is True else verdict[1])
        assert verdicts == ({True} if label_only else {True, "low_score"} | ({"not_wanted"} if languages else set()))


@settings(max_examples=300, deadline=None)
@given(text=hostile_text, threshold=st.sampled_from([0.0, 0.1, 0.65]))
def test_no_text_raises_and_where_datatrove_does_not_raise_the_verdict_is_its_own(text, threshold):
    ours = LanguageFilter(languages=["en", "vi", "zh"], threshold=threshold)
    verdict = ours.filter(mine := Document(text=text, id=""))
    stock = datatrove_filter(bundled_model(), ["en", "vi", "zh"], threshold)
    try:
        theirs = bool(stock.filter(reference := Document(text=text, id="")))
    except TypeError:
        assert verdict == (False, "lone_surrogate")
        return
    assert (verdict is True) == theirs
    assert mine.metadata == reference.metadata


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \n\t\u3000", "empty"),
        ("\x00", "low_score"),
        ("one \ud800 two", "lone_surrogate"),
        ("x" * 3_000_000, "low_score"),
        (UDHR["rus_Cyrl"].replace(" ", "\n"), "not_wanted"),
    ],
)
def test_degenerate_text_gets_a_reason(text, reason):
    assert LanguageFilter(languages=["en"]).filter(Document(text=text, id="")) == (False, reason)


def test_label_only_labels_and_drops_nothing_not_even_what_cannot_be_encoded():
    ours = LanguageFilter(languages=["en"], label_only=True)
    for text, language in ((UDHR["vie_Latn"], "vi"), (UDHR["rus_Cyrl"] + "\ud800", "ru"), ("", "en")):
        document = Document(text=text, id="")
        assert ours.filter(document) is True
        assert document.metadata["language"] == language


def relabel(path: Path, changes: dict[str, str]) -> None:
    """The bundled model with GlotLID's kind of labels (a stand-in for GlotLID, whose 1.6 GB nobody wants in a test)."""

    def rename(match: re.Match[bytes]) -> bytes:
        label = match[1].decode()
        new = changes.get(label) or normalise_language({"als": "gsw"}.get(label, label), "script")
        return b"__label__" + new.encode() + b"\0" + match[2]

    content = bundled_model().read_bytes()
    path.write_bytes(re.sub(rb"__label__([^\0]+)\0(.{8}\x01)", rename, content, flags=re.DOTALL))


def test_a_model_with_scripts_in_its_labels_is_read_as_glotlid_and_a_new_one_at_its_path_is_not_the_old_one(tmp_path):
    path = tmp_path / "glot.ftz"
    relabel(path, {"ru": "und_Cyrl"})
    ours = LanguageFilter(languages=["vi", "eng"], model=str(path))
    assert ours.languages == ["vie_Latn", "eng_Latn"]
    document = Document(text=UDHR["vie_Latn"], id="")
    assert ours.filter(document) is True
    assert (document.metadata["language"], document.metadata["language_script"]) == ("vie", "Latn")
    stock = datatrove_filter(path, ["vie_Latn", "eng_Latn"], 0.65, backend="glotlid")
    assert stock.filter(reference := Document(text=UDHR["vie_Latn"], id=""))
    assert document.metadata == reference.metadata
    assert ours.filter(Document(text=UDHR["rus_Cyrl"], id="")) == (False, "not_wanted")
    with pytest.raises(ValueError, match="'ru'"):
        LanguageFilter(languages=["ru"], model=str(path))

    before = model_fingerprint(path)
    relabel(path, {})
    assert model_fingerprint(path) != before
    only_russian = LanguageFilter(languages=["ru"], model=str(path))
    assert only_russian.filter(Document(text=UDHR["rus_Cyrl"], id="")) is True
    assert only_russian.filter(Document(text=UDHR["eng_Latn"], id="")) == (False, "not_wanted")


def test_the_fingerprint_is_the_sha256_of_the_file():
    assert model_fingerprint() == hashlib.sha256(bundled_model().read_bytes()).hexdigest()


def test_loading_the_model_is_silent_and_a_used_filter_travels_without_it(capfd):
    used = LanguageFilter(languages=["en"])
    assert used.filter(Document(text=UDHR["eng_Latn"], id="")) is True
    assert capfd.readouterr() == ("", "")
    pickled = pickle.dumps(used)
    assert len(pickled) < 5_000
    restored = pickle.loads(pickled)  # noqa: S301
    assert restored.filter(Document(text=UDHR["eng_Latn"], id="")) is True
