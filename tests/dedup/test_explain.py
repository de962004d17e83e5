"""`--explain`: time out of the run's own documents, a picture, and after a run the pairs that nearly went."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.dedup import cache, documents
from pipelines.dedup.command import execute_dedup
from pipelines.dedup.config import DedupConfig, MinhashConfig
from pipelines.dedup.cost import cost_lines, expected_cost, show_seconds
from pipelines.dedup.explain import explain_text, explanation
from pipelines.dedup.freeze import freeze
from pipelines.dedup.inputs import DedupPlan
from pipelines.dedup.minhash import matches
from pipelines.dedup.near_misses import MOST
from pipelines.dedup.near_pairs import drawn
from pipelines.dedup.run import run_dedup
from pipelines.dedup.sample import similarities
from pipelines.errors import UserError
from pipelines.report.data import collect
from tests.dedup.corpus import doc, documents_of, make_run, small_sources
from tests.pipelines.corpus import passages

PNG = b"\x89PNG\r\n\x1a\n"


def nearly_alike() -> dict[str, list[dict[str, object]]]:
    """Pairs of pages that share most of their sentences, but too little for 14 x 8 to find them for sure."""
    docs = []
    for i in range(40):
        text = passages()[3 * i : 3 * i + 3]
        words = " ".join(text).split()
        docs.append(doc(f"{i}-a", " ".join(words)))
        docs.append(doc(f"{i}-b", " ".join([*words[len(words) // 4 :], *(f"other{i}x{j}" for j in range(20))])))
    return {"local/near/en": docs}


@pytest.mark.parametrize("min_similarity", [None, 0.9])
def test_near_misses_are_pairs_that_are_both_still_there(tmp_path: Path, min_similarity: float | None) -> None:
    run = make_run(tmp_path / "run", nearly_alike(), tasks=3)
    config = DedupConfig(minhash=MinhashConfig(min_similarity=min_similarity))
    run_dedup(run, config=config, output_folder=tmp_path / "out", workers=0)
    rows = pq.read_table(tmp_path / "out" / "_run" / "near_misses.parquet").to_pylist()
    kept = documents_of(tmp_path / "out")
    assert 5 < len(rows) <= MOST
    for row in rows:
        assert {f"{row[f'{side}_source']} {row[f'{side}_id']}" for side in ("left", "right")} <= set(kept)
        assert row["left_id"].split("-")[0] == row["right_id"].split("-")[0], "unlike documents are no near misses"
    values = [row["estimated_jaccard"] for row in rows]
    assert values == sorted(values, reverse=True)
    data = explanation(run, config=config, against=[], output_folder=tmp_path / "out")
    true = {(row["left_id"], row["right_id"]): row["jaccard"] for row in data["near_misses"]}
    assert all(0.3 < value < 0.9 for value in true.values())
    assert sum(data["near_misses_by_tenths"]["minhash"]) == len(rows)
    # 112 hashes have a standard error of up to 0.047.
    assert all(abs(true[row["left_id"], row["right_id"]] - row["estimated_jaccard"]) < 0.2 for row in rows)


def test_a_deduplication_without_minhash_has_an_empty_table(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", small_sources())
    run_dedup(run, config=DedupConfig(methods=["exact"]), output_folder=tmp_path / "out", workers=0)
    assert pq.read_table(tmp_path / "out" / "_run" / "near_misses.parquet").num_rows == 0


@given(st.lists(st.lists(st.integers(0, 1), min_size=4, max_size=4), max_size=25))
@settings(max_examples=200, deadline=None)
def test_half_equal_pairs_have_an_equal_first_half_and_another_rest(rows: list[list[int]]) -> None:
    hashes = np.array(rows, np.uint64).reshape(-1, 4)
    pairs = matches(hashes, np.arange(len(rows), dtype=np.uint64))[1].tolist()
    for left, right in pairs:
        assert rows[left][:2] == rows[right][:2]
        assert rows[left] != rows[right]
    # Every first half that goes with two rests has a pair.
    rests: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
    for row in rows:
        rests.setdefault(tuple(row[:2]), set()).add(tuple(row[2:]))
    assert {tuple(rows[left][:2]) for left, _ in pairs} == {front for front, found in rests.items() if len(found) > 1}


def test_a_part_keeps_a_bounded_number_and_always_the_same() -> None:
    pairs = np.arange(2000, dtype=np.uint64).reshape(-1, 2)
    chosen = drawn(pairs, 50)
    assert len(chosen) == 50
    assert {tuple(pair) for pair in chosen.tolist()} < {tuple(pair) for pair in pairs.tolist()}
    assert np.array_equal(chosen, drawn(pairs, 50))
    assert matches(np.zeros((3, 1), np.uint64), np.arange(3, dtype=np.uint64))[1].shape == (0, 2)


@pytest.mark.parametrize(
    "methods", [["exact"], ["exact", "minhash"], ["minhash", "simhash"], ["exact", "minhash", "sentence"]]
)
def test_time_is_said_for_every_stage(tmp_path: Path, methods: list[str]) -> None:
    run = make_run(tmp_path / "run", small_sources(), tasks=2)
    other = make_run(tmp_path / "other", small_sources())
    config = DedupConfig(methods=methods, minhash=MinhashConfig(min_similarity=0.8))  # type: ignore[arg-type]
    plan = freeze(run, against=[other], config=config)
    cost = expected_cost(plan, workers=2)
    expected = {
        "index",
        "write",
        "report",
        *(f"{name}.{what}" for name in methods for what in ("scan", "match", "decide")),
    }
    expected -= {"sentence.decide"}  # it decides while it matches
    assert set(cost.cpu_seconds) == expected | ({"minhash.shingles"} if "minhash" in methods else set())
    # What the index takes is a difference of two measurements: on a busy machine there may be none.
    assert cost.cpu_seconds["index"] >= 0
    assert min(seconds for stage, seconds in cost.cpu_seconds.items() if stage != "index") > 0
    assert cost.wall_seconds > 0
    assert 100 < cost.sample_documents <= plan.num_documents
    text = "\n".join(cost_lines({"cpu_seconds": cost.cpu_seconds, "wall_seconds": 1, "workers": 2,
                                 "sample_documents": 7}))  # fmt: skip
    assert all(stage in text for stage in cost.cpu_seconds)


def test_time_grows_with_the_run(tmp_path: Path) -> None:
    small = make_run(tmp_path / "small", small_sources())
    sources = {name: docs * 30 for name, docs in small_sources().items()}
    large = make_run(tmp_path / "large", sources)
    seconds = [
        sum(expected_cost(freeze(run, against=[], config=DedupConfig()), workers=1).cpu_seconds.values())
        for run in (small, large)
    ]
    assert seconds[1] > 5 * seconds[0]


def test_nothing_is_left_of_the_sample_and_nothing_of_the_run_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run", small_sources())
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    expected_cost(freeze(run, against=[], config=DedupConfig()), workers=1)
    assert list(scratch.iterdir()) == []
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(8.4e-05, "under 0.01 s"), (0.345, "0.34 s"), (42.4, "42 s"), (210, "3.5 min"), (90_000, "25 h")],
)
def test_seconds_in_words(seconds: float, text: str) -> None:
    assert show_seconds(seconds) == text


def test_the_picture_is_a_png_before_and_after_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run", nearly_alike())
    config = DedupConfig(minhash=MinhashConfig(min_similarity=0.8))
    before, after = tmp_path / "before.png", tmp_path / "after.png"
    assert execute_dedup(run, config=config, explain=True, plot=before) == 0
    run_dedup(run, config=config, output_folder=tmp_path / "run_dedup", workers=0)
    assert execute_dedup(run, config=config, explain=True, plot=after, as_json=True) == 0
    assert before.read_bytes()[:8] == after.read_bytes()[:8] == PNG
    height = [int.from_bytes(path.read_bytes()[20:24], "big") for path in (before, after)]
    assert height[1] > height[0], "removed pairs and near misses have a panel of their own"
    text = capsys.readouterr().out
    assert "only what has 0.8 with its survivor is removed" in text
    assert json.loads(text[text.index("{\n") :])["near_misses"]


def test_a_picture_that_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", small_sources())
    with pytest.raises(UserError, match="add --explain"):
        execute_dedup(run, config=DedupConfig(), plot=tmp_path / "x.png")
    with pytest.raises(UserError, match=r"ends in \.png"):
        execute_dedup(run, config=DedupConfig(), explain=True, plot=tmp_path / "x.pdf")
    with pytest.raises(UserError, match="cannot be written"):
        execute_dedup(run, config=DedupConfig(), explain=True, plot=tmp_path / "none" / "x.png")


def test_similarities_of_other_parameters_are_said_to_be_that(tmp_path: Path) -> None:
    """The output folder may hold what an earlier command has made, with other numbers or even of another run."""
    run, out = make_run(tmp_path / "run", small_sources()), tmp_path / "run_dedup"
    run_dedup(run, config=DedupConfig(methods=["exact"]), output_folder=out, workers=0)
    same = explanation(run, config=DedupConfig(methods=["exact"]), against=[], output_folder=out)
    assert sum(same["removed_by_tenths"]["exact"]) == 40
    assert "other parameters" not in explain_text(same)
    other = explanation(run, config=DedupConfig(methods=["minhash"]), against=[], output_folder=out)
    assert "what follows was found with other parameters" in explain_text(other)
    another = make_run(tmp_path / "another", {"local/web/en": small_sources()["local/web/en"][:9]})
    found = explanation(another, config=DedupConfig(methods=["exact"]), against=[], output_folder=out)
    assert found["removed_by_tenths"] == {}
    assert "other parameters" not in explain_text(found)


def test_similarities_cost_the_lines_up_to_the_last_one_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of terabytes is not read again for 200 pairs; a text that is not where it should be counts for nothing."""
    texts = passages()
    web = [doc(f"a{i}", text) for i, text in enumerate([texts[0], *texts[:20]])]
    run = make_run(tmp_path / "run", {"local/a/en": web, "local/b/en": [doc("b0", texts[3]), doc("b1", texts[4])]})
    out = tmp_path / "run_dedup"
    run_dedup(run, config=DedupConfig(methods=["exact"]), output_folder=out, workers=0)
    opened: list[str] = []
    parsed: list[bytes] = []
    open_file, loads = DedupPlan.open, documents.orjson.loads
    monkeypatch.setattr(DedupPlan, "open", lambda plan, file: opened.append(file.source) or open_file(plan, file))
    monkeypatch.setattr(documents.orjson, "loads", lambda line: parsed.append(line) or loads(line))
    removed, near = similarities(out)
    assert (removed, near) == ({"exact": [1.0] * 3}, [])
    assert sorted(opened) == ["local/a/en", "local/b/en"]
    rows = pq.read_table(out / "_run" / "duplicates.parquet").to_pylist()
    places = [(row[f"{side}_file"], row[f"{side}_row"]) for row in rows for side in ("removed", "kept")]
    assert len(parsed) == len(set(places)) == 6
    for row in rows:
        row["removed_row"] += 1
    pq.write_table(pa.Table.from_pylist(rows), out / "_run" / "duplicates.parquet")
    assert similarities(out) == ({}, [])


def test_the_cache_counts_beforehand(tmp_path: Path) -> None:
    """What a run is compared with, and what it leaves for later ones, is part of memory, disk and time."""
    cache, config = tmp_path / "cache", DedupConfig(methods=["exact"])
    first = make_run(tmp_path / "first", small_sources())
    second = make_run(tmp_path / "second", {"local/books/en": small_sources()["local/web/en"][:20]})
    plain = explanation(second, config=config, against=[], output_folder=tmp_path / "out")
    alone = explanation(second, config=config, against=[], output_folder=tmp_path / "out", cache_dir=cache)
    assert "cache:" not in explain_text(plain)
    assert not cache.exists()
    made = run_dedup(first, config=config, output_folder=tmp_path / "1", cache_dir=cache, workers=0)
    beside = explanation(second, config=config, against=[], output_folder=tmp_path / "out", cache_dir=cache)
    written = sum(record.written for record in made.records)
    assert (plain["cached_documents"], alone["cached_documents"], beside["cached_documents"]) == (0, 0, written)
    assert f"{written:,} documents of earlier runs" in explain_text(beside)
    assert plain["disk_bytes"] + 20 * 60 < alone["disk_bytes"] == beside["disk_bytes"]
    assert plain["worker_bytes"] == alone["worker_bytes"] < beside["worker_bytes"]
    assert "cache" not in plain["time"]["cpu_seconds"]
    assert beside["time"]["cpu_seconds"]["cache"] > 0
    assert beside["time"]["cpu_seconds"]["exact.match"] > alone["time"]["cpu_seconds"]["exact.match"]
    added = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file() and path.suffix != ".json")
    assert 40 * written < added
    with pytest.raises(UserError, match="keeps hashes of the method exact"):
        explanation(second, config=DedupConfig(methods=["minhash"]), against=[], output_folder=tmp_path / "out",
                    cache_dir=cache)  # fmt: skip
    file = first / "_run" / "manifest.json"
    with pytest.raises(UserError, match="is no folder"):
        explanation(second, config=config, against=[], output_folder=tmp_path / "out", cache_dir=file)


def test_a_report_does_not_need_the_cache(tmp_path: Path) -> None:
    """Law: what a finished deduplication says of itself needs its own folder alone; caches move, segments change."""
    cache_dir, config = tmp_path / "cache", DedupConfig(methods=["exact"])
    for name, docs in (("a", small_sources()), ("b", {"local/books/en": small_sources()["local/web/en"][:20]})):
        run_dedup(make_run(tmp_path / name, docs), config=config, output_folder=tmp_path / f"{name}_dedup",
                  cache_dir=cache_dir, workers=0)  # fmt: skip
    shutil.rmtree(cache_dir)
    cache._cached_files.cache_clear()
    stages = {stage.stage: stage.expected_memory_bytes for stage in collect(tmp_path / "b_dedup").stages}
    assert stages["exact.match"]
