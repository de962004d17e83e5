"""MinHash signatures of the native core are datatrove's, and so are the files of the step: byte for byte."""

import gzip
import hashlib
import json
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xxhash
from datatrove.data import Document
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.dedup.minhash import MinhashDedupSignature as Stock
from datatrove.utils.hashing import HashConfig
from datatrove.utils.text import TextNormConfig
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filters import MinhashDedupSignature, native
from filters.fast_minhash import FastMinhash
from filters.minhash import record_type, sort_records
from filters.text import splitter_available, word_language
from tests.data import ROOT, shared_data
from tests.native.corpus import LANGUAGES, OTHER, every_text, unless_whole
from tests.native.oracle import needs_core

P = (1 << 61) - 1
CONFIGS = {
    "defaults": MinhashConfig(),
    "marks kept": MinhashConfig(norm_config=TextNormConfig(norm_unicode_diacritics=False)),
    "sha1": MinhashConfig(hash_config=HashConfig(hash_fc="sha1"), n_grams=3),
    "sha1, 32 bits": MinhashConfig(hash_config=HashConfig(32, "sha1"), num_buckets=5, hashes_per_bucket=3, seed=7),
    "xxhash, 32 bits": MinhashConfig(
        hash_config=HashConfig(32), n_grams=1, norm_config=TextNormConfig(lowercase=False)
    ),
    "13-grams": MinhashConfig(n_grams=13, norm_config=TextNormConfig(remove_punctuation=False, norm_numbers=False)),
    "white space kept": MinhashConfig(n_grams=2, norm_config=TextNormConfig(norm_whitespace=False)),
    "names": MinhashConfig(norm_config=TextNormConfig(norm_weekdays=True, norm_monthnames=True)),
}


def files(step: Stock, folder: Path, texts: Sequence[str]) -> dict[str, bytes]:
    step.run((Document(text=text, id=str(i)) for i, text in enumerate(texts)), 3, 4)
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.sig"))}


def compare(tmp_path: Path, texts: Sequence[str], config: MinhashConfig, language: str) -> None:
    stock, ours = Stock(str(tmp_path / "stock"), config, language), None
    ours = MinhashDedupSignature(str(tmp_path / "ours"), config, language)
    expected = files(stock, tmp_path / "stock", texts)
    found = files(ours, tmp_path / "ours", texts)
    assert len(expected) == config.num_buckets
    assert any(expected.values())
    assert found == expected
    assert ours.stats["total"].total == stock.stats["total"].total == len(texts)


def sample(name: str, number: int) -> list[str]:
    texts = list(every_text(shared_data(name)))
    return texts[:: max(1, len(texts) // number)]


EDGES = [
    "",
    " ",
    "one two",
    "TOO  short",
    "a b c d e",
    "Thứ Hai ngày 3 tháng 5",
    "\u0301",
    "١٢٫٣ и т. е. ΟΔΟΣ",
    "a b c d e",
]


@pytest.mark.parametrize("name", CONFIGS)
def test_files_are_stock_for_all_parameters(tmp_path: Path, name: str) -> None:
    texts = [*EDGES, *(json.loads(line)["text"] for line in mini_hub_lines(60)), "Monday, 3 May 1999 was a may day"]
    compare(tmp_path, texts, CONFIGS[name], "eng")


def mini_hub_lines(number: int) -> list[str]:
    """Real documents that the project carries, so that this runs without the data pack too."""

    def lines() -> Iterator[str]:
        for path in sorted((ROOT / "examples" / "mini_hub").rglob("*.jsonl.gz")):
            with gzip.open(path, "rt", encoding="utf-8") as handle:
                yield from (line for line in handle if json.loads(line).get("text"))

    return list(islice(lines(), number))


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_files_are_stock_in_each_language(tmp_path: Path, language: str) -> None:
    if missing := splitter_available(language):
        pytest.skip(missing)
    compare(tmp_path, [*EDGES, *sample(LANGUAGES[language], 25)], MinhashConfig(), word_language(language))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ["defaults", "marks kept"])
@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_files_are_stock_for_thousands_of_documents(tmp_path: Path, language: str, name: str) -> None:
    if missing := splitter_available(language):
        pytest.skip(missing)
    share = 1 if name == "defaults" else unless_whole(5)
    texts = sample(LANGUAGES[language], (2500 if language in ("en", "vi") else 300) // share)
    compare(tmp_path, texts, CONFIGS[name], word_language(language))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", sorted(OTHER))
def test_files_are_stock_for_what_is_not_prose(tmp_path: Path, name: str) -> None:
    compare(tmp_path, sample(OTHER[name], 500), MinhashConfig(), "eng")


@needs_core
def test_signatures_are_made_by_the_core_and_not_by_stock() -> None:
    """Without this, every other test here could pass on a core that sends all texts to stock."""
    native.counts.clear()
    fast = FastMinhash(Stock("memory://signatures", MinhashConfig()))

    def refuse(text: str, word_code: str) -> list[str]:
        raise AssertionError(text)

    for word_code in ("eng", "vie", "rus"):
        words, signature = fast.sign("Học sinh đi học sớm, don't be late: it's 7.30! и т. е.", word_code, refuse)
        assert words > 5
        assert signature is not None
        assert len(signature) == 112 * 8
        assert native.counts["fast", f"minhash {word_code}", ""] == 1
    assert fast.sign("too short", "eng", refuse) == (2, None)
    fast.sign("a \ud800", "eng", lambda text, _: ["a"])
    assert native.counts["stock", "minhash eng", "lone surrogate"] == 1


_HOSTILE = st.lists(
    st.sampled_from(
        [
            *"aΣßİıﬁ",
            "Σ",
            "don't ",
            "x ",
            " \u0301",
            "\u0323",
            "1.5",
            "٣",
            "👍",
            "\0",
            "\u3000",
            "ΟΔΟΣ",
            "IS_ALPHA ",
            " ",
        ]
    )
    | st.text(max_size=3),
    max_size=30,
).map("".join)


@needs_core
@pytest.mark.parametrize("word_code", ["eng", "vie", "ell"])
@pytest.mark.parametrize("name", ["defaults", "marks kept", "13-grams", "white space kept"])
def test_hostile_texts_have_stock_signatures(word_code: str, name: str) -> None:
    step = Stock("memory://signatures", CONFIGS[name], word_code)
    fast = FastMinhash(step)

    @given(_HOSTILE)
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    def law(text: str) -> None:
        def split(simple: str, _: str) -> list[str]:
            words: list[str] = step.word_tokenizer.word_tokenize(simple)
            return words

        try:
            shingles = step.get_shingles(text)
        except (UnicodeEncodeError, SystemError) as error:
            with pytest.raises(type(error)):
                fast.sign(text, word_code, split)
            with pytest.raises(type(error)):
                fast.grams(text, word_code, split)
            return
        assert fast.grams(text, word_code, split).tolist() == np.unique(shingles).tolist()
        _, signature = fast.sign(text, word_code, split)
        if shingles.size == 0:
            assert signature is None
        else:
            assert signature is not None
            expected = np.concatenate(step.get_signature(shingles))
            assert np.frombuffer(signature, fast.dtype).tolist() == expected.tolist()

    law()


@needs_core
@pytest.mark.parametrize("length", [*range(0, 80), 119, 120, 127, 128, 1000, 4096])
def test_hashes_are_those_of_xxhash_and_hashlib(length: int) -> None:
    module = native.load()
    assert module is not None
    for seed in range(5):
        data = random.Random(f"{length} {seed}").randbytes(length)
        assert module.MinHash.hash("xxhash64", data) == xxhash.xxh64_intdigest(data)
        assert module.MinHash.hash("xxhash32", data) == xxhash.xxh32_intdigest(data)
        assert module.MinHash.hash("sha1 64", data) == int.from_bytes(hashlib.sha1(data).digest()[:8], "little")


@needs_core
@pytest.mark.parametrize("precision", [32, 64])
def test_permutations_are_numpys_at_every_edge_of_the_modulus(precision: int) -> None:
    """One hash at a time and the identity as permutation, so that no smaller value hides a wrong one."""
    step = Stock("memory://signatures", MinhashConfig(hash_config=HashConfig(precision)))
    edges = [k * P + d for k in range(9) for d in range(-9, 10)] + [(1 << 64) - 1, 1 << 63, 1 << 61, 1 << 60]
    hashes = np.array(sorted({e for e in edges if 0 <= e < 1 << 64}), np.uint64)
    dice = np.random.default_rng(0)
    a, b = (dice.integers(0, P, (1, 112), np.uint64) for _ in range(2))
    a[0, :3], b[0, :3] = [1, 1, P - 1], [0, P - 1, 1]
    step._parameters = (a, b)
    fast = FastMinhash(step)
    for one in (*np.split(hashes, len(hashes)), hashes, dice.integers(0, 1 << 63, 2049, np.uint64) * np.uint64(2)):
        expected = np.concatenate(step.get_signature(one.reshape(-1, 1)))
        assert fast.permute(one).tolist() == expected.tolist()


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)), max_size=40))
@settings(max_examples=200, deadline=None)
def test_records_are_sorted_as_stock_sorts_them(rows: list[tuple[int, int, int]]) -> None:
    config = MinhashConfig(num_buckets=1, hashes_per_bucket=3)
    records = np.empty(len(rows), record_type(config))
    records["hashes"] = np.array(rows, np.uint64).reshape(-1, 3)
    records["row"] = np.arange(len(rows))
    flat = records.view(np.dtype([("a", "<u8"), ("b", "<u8"), ("c", "<u8"), ("row", "<u4")])).copy()
    flat.sort(order=flat.dtype.names)
    assert sort_records(records).tobytes() == flat.tobytes()


def test_blocks_of_records_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filters.minhash.BLOCK", 7)
    compare(tmp_path, [f"the text number {i} is like no other text" for i in range(30)], MinhashConfig(), "eng")


def test_existing_signatures_are_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    texts = ["one two three four five six", "seven eight nine ten eleven"]
    first = files(MinhashDedupSignature(str(tmp_path)), tmp_path, texts)
    assert files(MinhashDedupSignature(str(tmp_path), skip_existing_sigs=True), tmp_path, ["x " * 9]) == first
    assert files(MinhashDedupSignature(str(tmp_path)), tmp_path, ["x " * 9]) != first


def test_a_subclass_with_shingles_of_its_own_is_not_overruled(tmp_path: Path) -> None:
    class Same(MinhashDedupSignature):
        def get_shingles(self, text: str) -> np.ndarray:
            return np.array([[1], [2]], np.uint64)

    found = files(Same(str(tmp_path)), tmp_path, ["a b c d e f", "g h i j k l"])
    assert {len({content[i : i + 64] for i in (0, 68)}) for content in found.values()} == {1}


def test_a_step_that_has_run_can_be_pickled(tmp_path: Path) -> None:
    step = MinhashDedupSignature(str(tmp_path / "a"))
    files(step, tmp_path / "a", ["one two three four five six"])
    again = pickle.loads(pickle.dumps(step))  # noqa: S301
    assert files(again, tmp_path / "a", ["six five four three two one"])


@pytest.mark.parametrize("why", ["switched off", "another version"])
def test_without_the_core_the_step_is_stock(tmp_path: Path, why: str) -> None:
    lines = [
        "from filters import MinhashDedupSignature, native, fast_minhash",
        "from datatrove.data import Document",
        "native._PROVEN[\"datatrove's MinHash\"] = (lambda: 'x', frozenset())" if why != "switched off" else "",
        f"MinhashDedupSignature({str(tmp_path / 'off')!r}).run([Document(text='a b c d e f', id='0')], 3)",
        "print(fast_minhash.why_not(), sum(native.counts.values()))",
    ]
    environment: dict[str, Any] = os.environ | {"PYTHONPATH": str(ROOT)}
    if why == "switched off":
        environment["SMOLTROVE_NATIVE"] = "0"
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], env=environment, check=True, capture_output=True, text=True, cwd=ROOT
    )
    if native.why_not() is None:
        assert why in done.stdout
    assert done.stdout.strip().endswith(" 0")
    expected = files(Stock(str(tmp_path / "stock")), tmp_path / "stock", ["a b c d e f"])
    for name, content in expected.items():
        assert (tmp_path / "off" / name).read_bytes() == content


@needs_core
def test_the_core_refuses_what_cannot_be() -> None:
    module = native.load()
    assert module is not None
    with pytest.raises(ValueError, match="at least one word"):
        module.MinHash(0, "xxhash64", b"\0" * 8, b"\0" * 8)
    with pytest.raises(ValueError, match="no such hash"):
        module.MinHash(5, "md5", b"\0" * 8, b"\0" * 8)
    with pytest.raises(ValueError, match="a factor and a summand"):
        module.MinHash(5, "xxhash64", b"\0" * 8, b"\0" * 16)
    hasher = module.MinHash(5, "xxhash64", b"\0" * 8, b"\0" * 8)
    with pytest.raises(ValueError, match="64 bits"):
        hasher.permute(np.zeros(4, np.uint32))
    with pytest.raises(ValueError, match="another type"):
        hasher.sign_words(hasher)


@needs_core
@pytest.mark.parametrize("name", CONFIGS)
def test_n_grams_of_a_text_are_stocks_whatever_their_number(name: str) -> None:
    """Law: all different hashes and no other, sorted; few, many, the same again and again, and text left to stock."""
    step = Stock("memory://signatures", CONFIGS[name], "eng")
    fast = FastMinhash(step)
    dice = random.Random(5)
    words = ["".join(dice.choices("abcdefgh", k=6)) for _ in range(5000)]
    many = [" ".join(words[:80]), " ".join(words), "la la la " * 3000, "IS_ALPHA a b c d e f g"]
    for text in [*EDGES, *many]:
        expected = np.unique(step.get_shingles(text)).tolist()
        assert fast.grams(text, "eng", lambda simple, _: step.word_tokenizer.word_tokenize(simple)).tolist() == expected
    assert len(np.unique(step.get_shingles(many[1]))) > 4000
