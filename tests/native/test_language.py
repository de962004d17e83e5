"""Labels and scores of the native core are fastText's own, float for float; what it does not know goes to fastText.

Score means Python's float of fastText's 32-bit one, compared with ==. The models: the bundled lid.176.ftz, models that
fastText trains here (four losses, dense and quantised), and random ones.
"""

import random
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from datatrove.data import Document
from datatrove.pipeline.filters.language_filter import LanguageFilter as DatatroveFilter
from fasttext import train_supervised
from fasttext.FastText import _FastText
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import fast_language, language_probe, native
from filters.fast_language import FastLanguage
from filters.language import LanguageFilter
from filters.language_model import bundled_model
from filters.language_probe import small_model
from tests.data import shared_data
from tests.filters.test_language import UDHR, hostile_text
from tests.native.corpus import every_text, unless_whole
from tests.native.oracle import needs_core

pytestmark = needs_core

_LOSSES = {"hs": 1, "ns": 2, "softmax": 3, "ova": 4}
_SETS = ["web-en", "web-vi", "fineweb2-like", "code/data", "math", "near-dups", "udhr-langid", "pretrain-samples"]
# What fastText splits at, characters that look like it, n-grams at every border, its own marks.
_SEPARATORS = [" ", "\t", "\n", "\v", "\f", "\r", "\0", "\r\n", "  ", "\x1c", "\x1f", "\x85", "\xa0", "\u3000", ""]
_TOKENS = [
    *[
        "a",
        "!",
        "\x01\x08\x0e",
        "<",
        ">",
        "<<>>",
        "</s>",
        "</s",
        "</s>x",
        "</S>",
        "__label__en",
        "__label__zz",
        "__label",
    ],
    *[
        "Tất",
        "người",
        "quyền",
        "e\u0301",
        "漢字",
        "漢",
        "👍🏽",
        "\U0010ffff",
        "ß" * 9,
        "12345678",
        "123456789",
        "1" * 16,
    ],
    *["1" * 17, "x" * 64, "x" * 65, "é" * 40, "the", "of", "и", "в", "ไทย", "\x7f", "\u07ff", "\u0800", "~" * 300],
]
token_text = st.lists(st.tuples(st.sampled_from(_TOKENS), st.sampled_from(_SEPARATORS)).map("".join), max_size=60)
any_text = st.one_of(token_text.map("".join), hostile_text)


@lru_cache(maxsize=16)
def stock_of(path: Path) -> _FastText:
    return _FastText(str(path))


@lru_cache(maxsize=16)
def core_of(path: Path) -> Any:
    module = native.load()
    assert module is not None
    return module.LanguageModel(path.read_bytes(), 1_000_000)


def compare(path: Path, text: str) -> bool:
    """Asserts that every answer of the core is fastText's; False when the core had none for the best label."""
    core = core_of(path)
    labels, scores = stock_of(path).predict(text.replace("\n", " "), k=-1)
    theirs = {label: score.item() for label, score in zip(labels, scores, strict=True)}
    names = core.labels()
    if not theirs:
        assert core.best(text) is None
        assert core.scores(text, (0,)) is None
        return False
    assert core.scores(text, tuple(range(len(names)))) == [theirs.get(name, 0.0) for name in names], text[:200]
    best = core.best(text)
    if best is None:
        return False
    assert (names[best[0]], best[1]) == max(theirs.items(), key=lambda pair: pair[1]), text[:200]
    return True


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small models that fastText trains on pieces of the Declaration of Human Rights: name -> file."""
    folder = tmp_path_factory.mktemp("models")
    dice = random.Random(0)
    lines = []
    for label, text in UDHR.items():
        words = text.split()
        lines += [f"__label__{label} {' '.join(dice.choices(words, k=12))}" for _ in range(150)]
    lines += [f"__label__und_Zzzz {' '.join(str(dice.random()) for _ in range(5))}" for _ in range(40)]
    dice.shuffle(lines)
    (folder / "lines.txt").write_text("\n".join(lines), encoding="utf-8")
    shapes = {
        "hs": {"loss": "hs", "dim": 16, "minn": 2, "maxn": 4},
        "softmax": {"loss": "softmax", "dim": 256, "minn": 2, "maxn": 5},
        "ova": {"loss": "ova", "dim": 10, "minn": 0, "maxn": 3},
        "ns": {"loss": "ns", "dim": 33, "minn": 3, "maxn": 6},
        "words": {"loss": "softmax", "dim": 64, "minn": 0, "maxn": 0},
        "word pairs": {"loss": "softmax", "dim": 16, "minn": 2, "maxn": 3, "wordNgrams": 2},
    }
    paths = {}
    for name, shape in shapes.items():
        # Eleven threads, because each sets a tenth of the input matrix and what is left of it is not set at all.
        options = {"bucket": 3000, "thread": 11, "epoch": 8, "lr": 0.1, "verbose": 0} | shape
        model = train_supervised(str(folder / "lines.txt"), **options)
        model.save_model(str(folder / f"{name}.bin"))
        paths[name] = folder / f"{name}.bin"
        if name in ("hs", "softmax"):
            model.quantize(cutoff=700, qnorm=name == "hs", retrain=False, dsub=3, verbose=0)
            paths[f"{name}, quantised"] = folder / f"{name}.ftz"
            model.save_model(str(paths[f"{name}, quantised"]))
    return paths


_TRAINED = ["hs", "softmax", "ova", "ns", "words", "hs, quantised", "softmax, quantised"]


@settings(max_examples=600, deadline=None)
@given(text=any_text)
def test_any_text_gets_fasttexts_labels_and_scores(text: str) -> None:
    try:
        compare(bundled_model(), text)
    except UnicodeEncodeError:
        assert any("\ud800" <= c <= "\udfff" for c in text)
    except TypeError:
        with pytest.raises(UnicodeEncodeError):
            core_of(bundled_model()).best(text)


@pytest.mark.parametrize("name", _TRAINED)
def test_trained_models_of_every_kind_give_fasttexts_labels_and_scores(trained: dict[str, Path], name: str) -> None:
    dice = random.Random(1)
    words = [word for text in UDHR.values() for word in text.split()] + _TOKENS
    texts = ["", *UDHR.values(), *_TOKENS]
    for _ in range(600):
        texts.append("".join(dice.choice(words) + dice.choice(_SEPARATORS) for _ in range(dice.randint(1, 30))))
    answered = sum(compare(trained[name], text) for text in texts)
    # Scores out of a table of 512 steps are often alike.
    assert answered > len(texts) * (0.5 if name in ("ova", "ns") else 0.98)
    assert FastLanguage(trained[name]).note == ""


@pytest.mark.parametrize("loss", _LOSSES)
@pytest.mark.parametrize(("dim", "minn", "maxn"), [(16, 2, 4), (3, 0, 2), (256, 1, 1), (32, 3, 2), (20, 0, 0)])
def test_random_models_of_many_shapes(tmp_path: Path, loss: str, dim: int, minn: int, maxn: int) -> None:
    dice = random.Random(dim)
    for kind in ({}, {"quantised": True}, {"quantised": True, "quantised_output": True}):
        path = tmp_path / f"{len(kind)}.bin"
        content, words = small_model(dim, _LOSSES[loss], minn, maxn, seed=dim, **kind)
        path.write_bytes(content)
        for _ in range(30):
            compare(path, "".join(dice.choice(words + _TOKENS) + dice.choice(_SEPARATORS) for _ in range(20)))


@pytest.mark.parametrize(
    "text",
    [
        "x" * 20_000_000,
        "Tất cả mọi người " * 200_000,
        "漢" * 3_000_000 + " the end </s> " + "và " * 100_000,
        "\0" * 5_000_000 + "the cat",
        "the cat </s> " + UDHR["rus_Cyrl"] * 1000,
        " ".join(str(number) for number in range(600_000)),
    ],
    ids=["one word", "many words", "ends early", "only NUL", "ends at once", "new words only"],
)
def test_very_long_text(text: str) -> None:
    assert compare(bundled_model(), text)


@pytest.mark.parametrize("name", _SETS)
def test_a_sample_of_real_documents(name: str) -> None:
    texts = list(every_text(shared_data(name)))
    answered = [compare(bundled_model(), text) for text in texts[:: max(1, len(texts) // 150)]]
    assert len(answered) >= 100
    assert sum(answered) >= len(answered) * 0.99


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", _SETS)
def test_a_tenth_of_the_real_documents(name: str) -> None:
    """All of them in `make proof`; label and score of all English and Vietnamese ones are in test_stock_record.py."""
    texts = islice(every_text(shared_data(name)), 0, None, unless_whole(10))
    answered = [compare(bundled_model(), text) for text in texts]
    assert sum(answered) >= len(answered) * 0.999


@pytest.mark.parametrize("memo_bytes", [0, 40_000, 1_000_000])
def test_a_memory_of_any_size_and_age_changes_no_score(memo_bytes: int) -> None:
    module = native.load()
    assert module is not None
    core = module.LanguageModel(bundled_model().read_bytes(), memo_bytes)
    dice = random.Random(2)
    words = [word for text in UDHR.values() for word in text.split()] + [str(number) for number in range(3000)]
    texts = [" ".join(dice.choices(words, k=300)) for _ in range(60)]
    fresh = []
    for text in texts:
        core.forget()
        fresh.append(core.best(text))
    for _ in range(2):
        assert [core.best(text) for text in texts] == fresh
        assert core.memo()[1] <= memo_bytes + 70_000
    core.forget()
    assert core.memo()[0] == 0


def test_threads_that_share_a_model_get_the_same_scores() -> None:
    core = core_of(bundled_model())
    dice = random.Random(3)
    words = [word for text in UDHR.values() for word in text.split()]
    texts = [" ".join(dice.choices(words, k=400)) + f" {number}" for number in range(200)]
    alone = [core.best(text) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: [core.best(text) for text in texts], range(8)):
            assert found == alone


def test_a_mapped_model_gives_the_scores_of_one_that_was_read(
    trained: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = FastLanguage(trained["softmax"])
    monkeypatch.setattr(fast_language, "_READ_BYTES", 0)
    mapped = FastLanguage(trained["softmax"])
    for text in UDHR.values():
        assert read.best(text) == mapped.best(text) is not None


def refused_files() -> Iterator[tuple[bytes, str]]:
    good, _ = small_model(16, 3, 2, 4)
    yield good[:-1], "cut off"
    yield good[:200], "cut off"
    for place, value, message in [
        (4, 11, "version 12"),
        (28, 2, "n-grams of words"),
        (32, 9, "unknown loss"),
        (36, 1, "not a classifier"),
        (40, 0, "without buckets"),
        (8, 17, "rows are missing"),
        (64, 5, "odd dictionary"),
        (80, 0, "pruned"),
    ]:
        changed = bytearray(good)
        struct.pack_into("<i" if place != 80 else "<q", changed, place + (4 if place == 80 else 0), value)
        yield bytes(changed), message
    yield good[:-4] + struct.pack("<f", float("nan")), "not finite"
    yield good.replace(b"__label__x1\0", b"__label__x0\0"), "a word twice"


@pytest.mark.parametrize(("content", "message"), refused_files())
def test_a_file_that_is_not_such_a_model_is_refused(content: bytes, message: str) -> None:
    module = native.load()
    assert module is not None
    with pytest.raises(ValueError, match=message):
        module.LanguageModel(content, 0)


def test_no_damaged_file_crashes_the_process() -> None:
    module = native.load()
    assert module is not None
    dice = random.Random(4)
    good = [small_model(8, 1, 2, 3)[0], small_model(8, 3, 2, 3, quantised=True, quantised_output=True)[0]]
    read = 0
    for number in range(1500):
        changed = bytearray(good[number % 2])
        for _ in range(dice.randint(1, 3)):
            changed[dice.randrange(min(len(changed), 3000))] = dice.choice([0, 1, 127, 128, 255, dice.randrange(256)])
        try:
            core = module.LanguageModel(bytes(changed), 1000)
        except (ValueError, MemoryError):
            continue
        read += 1
        core.best("tavi ộc le на")
        core.scores("tavi ộc le на", (0, 7))
    assert 0 < read < 1500


def labelled(step: Any, text: str) -> tuple[bool, dict[str, Any]]:
    document = Document(text=text, id="")
    verdict = step.filter(document)
    return verdict is True or (not isinstance(verdict, tuple) and bool(verdict)), document.metadata


def test_a_model_with_word_pairs_is_left_to_fasttext_and_counted(trained: dict[str, Path]) -> None:
    ours = LanguageFilter(languages=["eng"], model=str(trained["word pairs"]))
    assert "n-grams of words" in ours.model.fast.note
    native.counts.clear()
    stock = DatatroveFilter(["eng_Latn"], 0.65, backend="glotlid")
    stock.model._model = stock_of(trained["word pairs"])
    for text in UDHR.values():
        assert labelled(ours, text) == labelled(stock, text)
    assert native.counts["stock", "language", ours.model.fast.note] == len(UDHR)


def test_equal_labels_are_left_to_fasttext(tmp_path: Path) -> None:
    content, words = small_model(16, 3, 2, 4)
    path = tmp_path / "equal.bin"
    path.write_bytes(content[: -16 * 8 * 4] + bytes(16 * 8 * 4))
    assert not compare(path, words[5])
    ours = LanguageFilter(threshold=0.05, model=str(path))
    stock = DatatroveFilter(None, 0.05)
    stock.model._model = stock_of(path)
    assert labelled(ours, words[5]) == labelled(stock, words[5])


@pytest.mark.parametrize("name", ["hs", "softmax", "ova", "ns"])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.52, 0.9])
def test_verdicts_are_datatroves_when_several_languages_may_pass(
    trained: dict[str, Path], name: str, threshold: float
) -> None:
    dice = random.Random(5)
    words = [word for text in UDHR.values() for word in text.split()]
    ours = LanguageFilter(languages=["eng", "rus"], threshold=threshold, model=str(trained[name]))
    assert ours.languages == ["eng_Latn", "rus_Cyrl"]
    stock = DatatroveFilter(["eng_Latn", "rus_Cyrl"], threshold, backend="glotlid")
    stock.model._model = stock_of(trained[name])
    native.counts.clear()
    for _ in range(300):
        text = " ".join(dice.choices(words, k=dice.randint(0, 8)))
        assert labelled(ours, text) == labelled(stock, text)
    assert native.counts["fast", "language", ""] > 0


def test_a_fasttext_that_rounds_otherwise_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    stock_core = native.load()
    assert stock_core is not None

    class Other:
        """The core with another last bit in one score."""

        def __init__(self, *arguments: Any) -> None:
            core = stock_core.LanguageModel(*arguments)
            self.labels, self.best, self._scores = core.labels, core.best, core.scores

        def scores(self, text: str, labels: tuple[int, ...]) -> list[float]:
            first, *others = self._scores(text, labels)
            return [first * (1 + 2**-22), *others]

    module = type("module", (), {"LanguageModel": Other})
    monkeypatch.setattr(native, "load", lambda: module)
    language_probe.differs.cache_clear()
    try:
        fast = FastLanguage(bundled_model())
        assert "rounds otherwise" in fast.note
        assert fast.best("a text") is None
    finally:
        language_probe.differs.cache_clear()


def test_an_unknown_version_and_a_missing_core_go_to_fasttext(monkeypatch: pytest.MonkeyPatch) -> None:
    part = "datatrove's and fastText's prediction"
    with monkeypatch.context() as patch:
        patch.setitem(native._PROVEN, part, (lambda: "other source", native._PROVEN[part][1]))
        native.unproven.cache_clear()
        try:
            assert "another version" in FastLanguage(bundled_model()).note
        finally:
            native.unproven.cache_clear()
    monkeypatch.setattr(native, "_found", lambda: (None, "not built"))
    ours = LanguageFilter(languages=["vi"])
    ours.model._fast = FastLanguage(bundled_model())
    assert ours.model._fast.note == "not built"
    stock = DatatroveFilter(["vi"], 0.65)
    stock.model._model = stock_of(bundled_model())
    for text in UDHR.values():
        assert labelled(ours, text) == labelled(stock, text)
