"""Beside datatrove's three stages: the same hashes and the same cuts, and each of its silent faults passed or refused.

Stock takes the first of the rows, so its rows are given in our order here. Gives up: what stock does with several
files, which depends on the rows of each.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from datatrove.data import Document
from datatrove.pipeline.dedup.sentence_dedup import (
    SentDedupConfig,
    SentenceDedupFilter,
    SentenceDedupSignature,
    SentenceFindDedups,
)

from pipelines.dedup.config import DedupConfig, SentenceConfig
from pipelines.dedup.run import run_dedup
from pipelines.dedup.sentence_text import norm_config, sentences_of, simplified, windows
from pipelines.dedup.verify import open_dedup, verify_dedup
from tests.data import shared_data
from tests.dedup.corpus import Doc, doc, documents_of, make_run
from tests.dedup.sentences import PLAIN, text_of

SOURCE = "local/x/y"


def stock_config(config: SentenceConfig) -> SentDedupConfig:
    names = {field.name for field in dataclasses.fields(SentDedupConfig)} & set(SentenceConfig.model_fields)
    return SentDedupConfig(**{name: getattr(config, name) for name in names}, norm_config=norm_config(config))


def stock(
    files: Sequence[Sequence[Doc]], folder: Path, config: SentenceConfig, language: str = "eng"
) -> dict[str, str]:
    """Texts that stock keeps, by id; every file is a task."""
    found = {}
    parameters = stock_config(config)
    for rank, docs in enumerate(files):
        SentenceDedupSignature(str(folder / "sig"), config=parameters, language=language).run(
            of(docs), rank, len(files)
        )
    SentenceFindDedups(str(folder / "sig"), str(folder / "dup"), config=parameters).run()
    for rank, docs in enumerate(files):
        last = SentenceDedupFilter(str(folder / "dup"), config=parameters, language=language)
        found.update({document.id: document.text for document in last.run(of(docs), rank, len(files))})
    return found


def of(docs: Sequence[Doc]) -> list[Document]:
    return [Document(text=item["text"], id=item["id"]) for item in docs]


def ours(docs: Sequence[Doc], folder: Path, config: SentenceConfig, language: str = "en") -> dict[str, str]:
    run = make_run(folder / "run", {SOURCE: docs}, tasks=3, language=language)
    run_dedup(
        run, config=DedupConfig(methods=["sentence"], sentence=config), output_folder=folder / "out", workers=0
    )  # fmt: skip
    assert verify_dedup(open_dedup(folder / "out")) == []
    return {name.split()[1]: item["text"] for name, item in documents_of(folder / "out").items()}


def best_first(docs: Sequence[Doc]) -> list[Doc]:
    return sorted(docs, key=lambda item: (-len(item["text"]), item["id"]))


def real(name: str, number: int) -> list[Doc]:
    """Real documents, so many of each kind and with their near relatives (neighbouring rows)."""
    path = sorted(shared_data(name).rglob("*.parquet"))[0]
    texts: list[str] = pq.read_table(path, columns=["text"])["text"].to_pylist()[:number]
    return [doc(f"{i:05d}", text) for i, text in enumerate(texts)]


def cut_elsewhere(docs: Sequence[Doc], config: SentenceConfig, code: str) -> set[str]:
    """Documents with a window that is another one's as words, and cut into sentences in other places."""
    guards: dict[int, set[int]] = {}
    users: dict[int, set[str]] = {}
    for item in docs:
        for value, guard, _ in windows(sentences_of(item["text"], code, config), config):
            guards.setdefault(value, set()).add(guard)
            users.setdefault(value, set()).add(item["id"])
    return {name for value, found in guards.items() if len(found) > 1 for name in users[value]}


@pytest.mark.parametrize(
    "config", [PLAIN, PLAIN.model_copy(update={"n_sentences": 2, "keep_marks": False, "norm_numbers": False})]
)
def test_on_real_documents_the_cuts_are_stocks(tmp_path: Path, config: SentenceConfig) -> None:
    docs = real("near-dups", 400)
    expected = stock([best_first(docs)], tmp_path / "stock", config)
    found = ours(docs, tmp_path / "ours", config)
    others = cut_elsewhere(docs, config, "eng")
    assert len(others) < 0.02 * len(docs)
    changed = sum(expected.get(item["id"]) != item["text"] for item in docs)
    assert changed > 50
    # White space at the ends apart: stock strips the start of every text that it cuts, and drops the last space.
    for name in {item["id"] for item in docs} - others:
        assert (found.get(name) or "").strip() == (expected.get(name) or "").strip(), name


def test_signatures_are_datatroves(tmp_path: Path) -> None:
    docs = real("near-dups", 60)
    signer = SentenceDedupSignature(str(tmp_path), config=stock_config(PLAIN), language="eng")
    for number, (item, document) in enumerate(zip(docs, of(docs), strict=True)):
        expected = [(value, sent) for value, _, sent in signer.get_hashes(document, number)]
        assert [(v, s) for v, _, s in windows(sentences_of(item["text"], "eng", PLAIN), PLAIN)] == expected


def test_what_is_too_little_is_stocks_rule(tmp_path: Path) -> None:
    config = SentenceConfig(min_doc_words=70, min_num_sentences=3)
    docs = [doc("a", text_of(range(60)))]
    docs += [doc(f"{i:02d}", text_of([*range(i, i + 5), *range(70 + 7 * i, 70 + 7 * i + i % 8)])) for i in range(40)]
    expected = stock([best_first(docs)], tmp_path / "stock", config)
    assert 5 < len(expected) < 35
    assert ours(docs, tmp_path / "ours", config) == {name: text.strip() for name, text in expected.items()}


def nowhere(docs: Sequence[Doc], left: dict[str, str]) -> set[str]:
    """Sentences that were cut out of a document that stays and stand in no document that stays."""
    there = {s for text in left.values() for s in simplified(sentences_of(text, "eng", PLAIN), PLAIN)}
    kept = [item for item in docs if item["id"] in left]
    return {s for item in kept for s in simplified(sentences_of(item["text"], "eng", PLAIN), PLAIN)} - there


def test_stock_counts_a_removed_document_as_keeping_and_we_do_not(tmp_path: Path) -> None:
    docs = [
        doc("a", text_of(range(12))), doc("b", text_of([*range(6), 50, 51, 52])),
        doc("c", text_of([60, 61, 62, 63, 50, 51, 52])),
    ]  # fmt: skip
    config = SentenceConfig(min_doc_words=0, min_num_sentences=4)
    assert len(nowhere(docs, stock([docs], tmp_path / "stock", config))) == 3
    assert nowhere(docs, ours(docs, tmp_path / "ours", config)) == set()


def test_stock_loses_what_stands_behind_the_first_sentence_of_a_short_span(tmp_path: Path) -> None:
    # `min_words_to_remove_span` puts back the first sentence of the span alone.
    docs = [doc("a", text_of(range(20))), doc("b", text_of([50, 1, 2, 3, 51]))]
    config = PLAIN.model_copy(update={"min_words_to_remove_span": 500})
    assert stock([docs], tmp_path / "stock", config)["b"] == text_of([50, 1, 51])
    assert ours(docs, tmp_path / "ours", config)["b"] == docs[1]["text"]


def test_who_keeps_a_span_depends_on_the_number_of_files_in_stock(tmp_path: Path) -> None:
    docs = [doc(f"{i}", text_of([10 * i, 1, 2, 3, *range(200, 200 + i)])) for i in range(4, 10)]
    one = stock([docs], tmp_path / "one", PLAIN)
    three = stock([docs[4:], docs[2:4], docs[:2]], tmp_path / "three", PLAIN)
    assert one != three
    assert ours(docs, tmp_path / "a", PLAIN) == ours(docs[::-1], tmp_path / "b", PLAIN)


# The rows of the table in docs/decisions.md about sentences --------------------------------------------------------


def test_stale_duplicates_of_another_attempt_are_never_read(tmp_path: Path) -> None:
    docs = [doc(f"{i}", text_of(range(10 * i, 10 * i + 8))) for i in range(12)]
    stale = tmp_path / "stock" / "dup" / "0000"
    stale.mkdir(parents=True)
    lines = np.array([(i, 0) for i in range(12)], dtype=[("doc", "<u4"), ("sent", "<u2")])
    lines.tofile(stale / "00000.c4_dup")
    SentenceDedupSignature(str(tmp_path / "stock" / "sig"), config=stock_config(PLAIN)).run(of(docs))
    last = SentenceDedupFilter(str(tmp_path / "stock" / "dup"), config=stock_config(PLAIN), language="eng")
    assert all(a.text != b["text"] for a, b in zip(list(last.run(of(docs))), docs, strict=True)), "stock loses text"
    for folder in ("_run", "_run/stages", "_run/stages/0123456789abcdef/dedup/sentence.piece/00000"):
        (tmp_path / "out" / folder).mkdir(parents=True, exist_ok=True)
        lines.tofile(tmp_path / "out" / folder / "00000.c4_dup")
    run = make_run(tmp_path / "run", {SOURCE: docs})
    run_dedup(run, config=DedupConfig(methods=["sentence"]), output_folder=tmp_path / "out", workers=0)
    assert {n.split()[1]: d["text"] for n, d in documents_of(tmp_path / "out").items()} == {
        item["id"]: item["text"] for item in docs
    }


def test_no_configuration_means_the_defaults(tmp_path: Path) -> None:
    with pytest.raises(AttributeError):
        SentenceDedupSignature(str(tmp_path / "sig"), config=None)
    assert DedupConfig(methods=["sentence"]).sentence == SentenceConfig()


def test_more_lines_than_sixteen_bits_hold(tmp_path: Path) -> None:
    text = "".join(f"{'ab'[i % 2] * (i % 300 + 1)} {'c' * (i // 300 + 1)}\n" for i in range(66_000))
    config = PLAIN.model_copy(update={"split_sentences": False})
    docs = [doc("long", text), doc("tail", "x\n" + "".join(text.splitlines(keepends=True)[-4:]))]
    with pytest.raises(OverflowError):
        stock([docs], tmp_path / "stock", config)
    assert ours(docs, tmp_path / "ours", config) == {"long": text, "tail": "x\n"}
