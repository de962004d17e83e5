"""What a deduplication is given by mistake, by accident or on purpose: one clear line before anything is lost.

Gives up: mistakes of a configuration (tests/dedup/test_command.py) and damaged work files (test_stock_faults.py).
"""

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.commands import execute
from pipelines.dedup.cache import family_dir
from pipelines.dedup.command import examples, execute_dedup, parameters
from pipelines.dedup.config import DedupConfig
from pipelines.dedup.run import run_dedup
from pipelines.dedup.verify import open_dedup, verify_dedup
from pipelines.errors import ConfigError, SourceError, UserError
from tests.dedup.corpus import Doc, doc, documents_of, duplicates_of, make_run
from tests.pipelines.corpus import passages, write_corpus

WEB, BOOKS = "local/web/en", "local/books/en"
EXACT = DedupConfig(methods=["exact"])
Edit = Callable[[Any], None]


def texts(number: int) -> list[str]:
    """Texts that have nothing in common."""
    return passages()[:number]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of two sources with two tasks each and one duplicate."""
    a, b, c = texts(3)
    return make_run(tmp_path / "run", {WEB: [doc("a", a), doc("b", b)], BOOKS: [doc("c", c), doc("a", a)]}, tasks=2)


def dedup(run: Path, out: Path, config: DedupConfig = EXACT, **more: Any) -> None:
    run_dedup(run, config=config, output_folder=out, workers=0, **more)


def edit_lines(path: Path, edit: Edit) -> None:
    """The records of a ledger, edited as a whole."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    edit(records)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def edit_json(path: Path, edit: Edit) -> None:
    """One JSON object, edited."""
    data = json.loads(path.read_text(encoding="utf-8"))
    edit(data)
    path.write_text(json.dumps(data), encoding="utf-8")


@pytest.mark.parametrize("inside", ["run/more", "run/local_web/en", "other/more", "."])
def test_no_output_in_a_run_and_no_run_in_the_output(tmp_path: Path, run: Path, inside: str) -> None:
    make_run(tmp_path / "other", {BOOKS: [doc("z", "Another text")]})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match="lies in"):
        dedup(run, tmp_path / inside)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("cache", ["run", "run/cache", "run_dedup", "run_dedup/cache"])
def test_no_cache_among_documents(tmp_path: Path, run: Path, cache: str) -> None:
    with pytest.raises(UserError, match=r"--dedup-cache .*which is for documents only"):
        dedup(run, tmp_path / "run_dedup", cache_dir=tmp_path / cache)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
    assert sorted(path.name for path in run.iterdir()) == ["_run", "local_books", "local_web"]


def test_an_output_folder_that_cannot_be_is_the_users_to_change(tmp_path: Path, run: Path) -> None:
    with pytest.raises(UserError, match="--output-folder /proc/nothing: cannot be used as a folder"):
        dedup(run, Path("/proc/nothing"))
    other = make_run(tmp_path / "other", {BOOKS: [doc("z", "Another text")]})
    before = documents_of(other)
    for fresh in (False, True):
        with pytest.raises(UserError, match="is not the output of a deduplication; choose another --output-folder"):
            dedup(run, other, fresh=fresh)
    assert documents_of(other) == before


def test_a_scratch_folder_without_a_store_is_refused(tmp_path: Path, run: Path) -> None:
    with pytest.raises(UserError, match="--scratch-folder: is for runs and outputs in a store"):
        execute_dedup(run, config=EXACT, scratch_folder=tmp_path / "scratch")
    config = write_corpus(tmp_path / "mixture", documents=1)
    with pytest.raises(UserError, match="--scratch-folder: is for runs into a store"):
        execute(config, output_folder=tmp_path / "out", scratch_folder=tmp_path / "scratch")
    assert not (tmp_path / "scratch").exists()


@pytest.mark.parametrize("methods", ["", " , ", ","])
def test_no_method_at_all_is_said_in_words(run: Path, methods: str) -> None:
    with pytest.raises(UserError, match="names no method; known: exact, minhash, simhash, sentence"):
        parameters(run, None, methods)


def test_a_glob_that_no_source_matches_is_said(tmp_path: Path, run: Path) -> None:
    """A slip in `priority` would let other documents survive, and nobody would see why."""
    said: list[str] = []
    config = DedupConfig(methods=["exact"], priority=[WEB, "local/boks/en"], sentence={"exclude": ["nothing/*"]})
    dedup(run, tmp_path / "out", config, say=said.append)
    assert [line for line in said if "warning" in line] == [
        "warning: dedup.priority: no source here matches 'local/boks/en'; did you mean 'local/books/en'?"
    ]


ELSEWHERE: dict[str, Edit] = {
    "above": lambda records: records[0].update(output_dir="../../escape"),
    "absolute": lambda records: records[0].update(output_dir="/tmp/smoltrove-escape/en"),
    "account": lambda records: records[0].update(output_dir="_run/en"),
    "another source's": lambda records: records[0].update(output_dir=records[2]["output_dir"]),
    "file above": lambda records: records[0]["file"].update(path="../../../../etc/hostname"),
    "file of another task": lambda records: records[0]["file"].update(path=records[1]["file"]["path"]),
    "file below": lambda records: records[0]["file"].update(path="local_web/en/00000.jsonl/../../x"),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_an_edited_ledger_reads_and_writes_nothing_elsewhere(tmp_path: Path, run: Path, name: str) -> None:
    """No path outside the output folder, whoever has written the ledger."""
    edit_lines(run / "_run" / "ledger.jsonl", ELSEWHERE[name])
    with pytest.raises(UserError, match="the ledger names a place that is not where task 0 of 'local/web/en' writes"):
        dedup(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not Path("/tmp/smoltrove-escape").exists()


def test_sources_named_like_folders_above_are_refused(tmp_path: Path, run: Path) -> None:
    def rename(found: Any) -> None:
        for item in found if isinstance(found, list) else found["sources"]:
            if item["source"] == WEB:
                item.update({"source": "local/..", **({"output_dir": "local/.."} if "rows" in item else {})})

    edit_lines(run / "_run" / "ledger.jsonl", rename)
    edit_json(run / "_run" / "manifest.json", rename)
    with pytest.raises(UserError, match="the ledger names a place"):
        dedup(run, tmp_path / "out")


MANIFESTS: dict[str, Edit] = {
    "no fingerprint": lambda data: data.pop("fingerprint"),
    "fingerprint of another kind": lambda data: data.update(fingerprint=5),
    "sources that are text": lambda data: data.update(sources="x"),
    "a source that is a number": lambda data: data.update(sources=[1]),
    "a source without tasks": lambda data: data["sources"][0].pop("tasks"),
    "a language that is a number": lambda data: data["sources"][0].update(language=5),
    "runs that are none": lambda data: data.update(runs=[{"path": "x"}]),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_damaged_manifest_is_refused_in_one_line(tmp_path: Path, run: Path, name: str) -> None:
    edit_json(run / "_run" / "manifest.json", MANIFESTS[name])
    with pytest.raises(UserError, match=r"_run/manifest.json: is damaged \(.+\); verify the run") as caught:
        dedup(run, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert "validation error" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"sources": 3}', '{"sources": [{"source": {"name": "a/b", "language": 5}}]}']
)
def test_a_damaged_plan_does_not_silently_take_the_languages_away(tmp_path: Path, run: Path, text: str) -> None:
    """Texts would be split by the rules of another language, and other documents would go."""
    (run / "_run" / "plan.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"_run/plan\.json: is damaged"):
        dedup(run, tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\ndedup: [exact]\n", "config.yaml:2: dedup"),
        ("dedup:\n  minhash: {}\n  methods: [exakt]\n", "config.yaml:3: dedup.methods.0"),
        ("dedup: 0\n", "config.yaml:1: dedup"),
        ("dedup:\n  minhsh: {}\n", "config.yaml:2: dedup.minhsh"),
        ("dedup: {simhash: {min_chars: 50, max_chars: 20}}\n", "min_chars 50 is above max_chars 20"),
        ("- a\n", "is no configuration of a run"),
        ("words\n", "is no configuration of a run"),
    ],
)
def test_a_damaged_copy_of_the_configuration_is_named_with_its_line(run: Path, text: str, message: str) -> None:
    (run / "_run" / "config.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        parameters(run, None, None)
    assert message in str(caught.value)


@pytest.mark.parametrize("line", [b"[1]\n", b'{"text": 1, "id": "a", "metadata": {}}\n', b'{"text": "a", "id": "b"}\n'])
def test_a_file_of_something_else_is_named(tmp_path: Path, run: Path, line: bytes) -> None:
    path = run / "local_web" / "en" / "00001.jsonl.gz"
    path.write_bytes(gzip.compress(line))
    with pytest.raises(SourceError, match=r"00001\.jsonl\.gz: line 1 is no document of a run; verify that run"):
        dedup(run, tmp_path / "out")
    assert documents_of(tmp_path / "out") == {}


@pytest.mark.parametrize("name", ["manifest.json", "dedup.json"])
@pytest.mark.parametrize("text", ["", "{}", "[1]"])
def test_fresh_over_a_damaged_deduplication_is_a_line(tmp_path: Path, run: Path, name: str, text: str) -> None:
    """Either it is deleted, or nothing is and the line says why; a document of nobody's is never deleted."""
    out = tmp_path / "out"
    dedup(run, out)
    before = documents_of(out)
    (out / "_run" / name).write_text(text, encoding="utf-8")
    if (name, text) in (("manifest.json", ""), ("manifest.json", "[1]")):
        # The plan beside it says what is its own.
        dedup(run, out, fresh=True)
        assert verify_dedup(open_dedup(out)) == []
    else:
        with pytest.raises(UserError, match="choose another --output-folder"):
            dedup(run, out, fresh=True)
    assert documents_of(out) == before


def test_a_lost_ledger_is_written_again_by_the_same_command(tmp_path: Path, run: Path) -> None:
    dedup(run, tmp_path / "out")
    ledger = tmp_path / "out" / "_run" / "ledger.jsonl"
    before = documents_of(tmp_path / "out")
    for damage in (lambda: ledger.unlink(), lambda: ledger.write_text("{}\n", encoding="utf-8")):
        damage()
        assert verify_dedup(open_dedup(tmp_path / "out"))
        dedup(run, tmp_path / "out")
        assert verify_dedup(open_dedup(tmp_path / "out")) == []
        assert documents_of(tmp_path / "out") == before


def test_a_run_is_not_deduplicated_against_itself_under_another_name(tmp_path: Path, run: Path) -> None:
    """Every document would go, and the command would call that done."""
    dedup(run, tmp_path / "once")
    dedup(tmp_path / "once", tmp_path / "twice")
    shutil.copytree(run, tmp_path / "copy")
    for given, against in (("run", "once"), ("run", "twice"), ("once", "run"), ("run", "copy"), ("twice", "run")):
        with pytest.raises(UserError, match="both come from the run"):
            dedup(tmp_path / given, tmp_path / "none", against=[tmp_path / against])
    assert not (tmp_path / "none").exists()


def test_a_cache_does_not_drop_what_was_put_there_on_the_way(tmp_path: Path, run: Path) -> None:
    """A run that is deduplicated a second time, with the same cache, is not its own duplicate."""
    cache = tmp_path / "cache"
    dedup(run, tmp_path / "once", cache_dir=cache)
    dedup(tmp_path / "once", tmp_path / "twice", cache_dir=cache)
    assert documents_of(tmp_path / "twice").keys() == documents_of(tmp_path / "once").keys()
    other = make_run(tmp_path / "other", {BOOKS: [doc("x", texts(1)[0]), doc("y", "Another text")]})
    dedup(other, tmp_path / "new", cache_dir=cache)
    assert documents_of(tmp_path / "new").keys() == {f"{BOOKS} y"}


@pytest.mark.parametrize("damage", ["first", "last", "totals", "empty", "gone"])
def test_a_damaged_cache_is_refused_before_anything_is_read(tmp_path: Path, run: Path, damage: str) -> None:
    """A file of a segment that is missing would mean documents that are silently not known."""
    cache = tmp_path / "cache"
    dedup(run, tmp_path / "once", cache_dir=cache)
    (segment,) = family_dir(cache, EXACT.exact).iterdir()
    if damage == "totals":
        (segment / "00000" / "totals.json").write_text('{"totals": 3, "files": 3}', encoding="utf-8")
    else:
        for number in {"first": ["00000"], "last": ["00003"]}.get(damage, ["00000", "00001", "00002", "00003"]):
            shutil.rmtree(segment / number)
    if damage == "gone":
        segment.rmdir()
    other = make_run(tmp_path / "other", {BOOKS: [doc("x", texts(1)[0])]})
    if damage == "gone":
        dedup(other, tmp_path / "new", cache_dir=cache)
        return
    with pytest.raises(UserError, match="is damaged; remove that folder, and deduplicate its run anew"):
        dedup(other, tmp_path / "new", cache_dir=cache)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("user", ["{}", "[]", '{"output_folder": 5}', '{"output_folder": "/nowhere"}', "x"])
def test_what_is_not_of_the_cache_is_left_alone(tmp_path: Path, run: Path, user: str) -> None:
    cache = tmp_path / "cache"
    dedup(run, tmp_path / "once", cache_dir=cache)
    (cache / "user.json").write_text(user, encoding="utf-8")
    family = family_dir(cache, EXACT.exact)
    (family / "notes.txt").write_text("x", encoding="utf-8")
    (family / "a folder").mkdir()
    other = make_run(tmp_path / "other", {BOOKS: [doc("x", texts(1)[0]), doc("y", "Another text")]})
    dedup(other, tmp_path / "new", cache_dir=cache)
    assert documents_of(tmp_path / "new").keys() == {f"{BOOKS} y"}
    assert (family / "notes.txt").is_file()
    assert (family / "a folder").is_dir()


ALL = DedupConfig(methods=["exact", "minhash", "simhash", "sentence"])


def test_any_metadata_is_passed_on_and_none_is_trusted(tmp_path: Path) -> None:
    """A column of a source may be called `language` or `epoch` and hold anything."""
    odd: list[Any] = [5, ["en"], {"a": 1}, True, None, "", "xx-yy", "e" * 3000, "\ud7ff"]
    epochs: list[Any] = [99_999_999_999, -3, "2", [1], 0, True, 2**32, 1.5, None]
    docs: list[Doc] = [
        doc(f"d{i}#epoch{epoch}", text, language=language, epoch=epoch)
        for i, (text, language, epoch) in enumerate(zip(texts(9), odd, epochs, strict=True))
    ]
    run = make_run(tmp_path / "run", {WEB: [*docs, {**docs[1], "id": "copy", "metadata": {"language": ["vi"]}}]})
    config = DedupConfig(methods=ALL.methods, minhash={"min_similarity": 0.8})
    dedup(run, tmp_path / "out", config)
    assert verify_dedup(open_dedup(tmp_path / "out")) == []
    found = documents_of(tmp_path / "out")
    removed = [row["removed_id"] for row in duplicates_of(tmp_path / "out") if row["method"] == "exact"]
    assert removed == ["d1#epoch-3"]
    for document in docs:
        if (kept := found.get(f"{WEB} {document['id']}")) is not None:
            assert kept["metadata"]["language"] == document["metadata"]["language"]


def test_texts_of_nothing_are_compared_exactly(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {WEB: [doc(str(i), text) for i, text in enumerate(["", " ", "\n\t\u3000", "\0"])]})
    dedup(run, tmp_path / "out", ALL)
    assert verify_dedup(open_dedup(tmp_path / "out")) == []
    # White space is one space, and none at the ends; the longest of the three stays. NUL is a character.
    assert documents_of(tmp_path / "out").keys() == {f"{WEB} 2", f"{WEB} 3"}


def test_an_id_that_a_source_has_given_twice_does_not_fail_the_account(tmp_path: Path) -> None:
    """It may go once and stay once; what was written for two is still noticed."""
    a, b, c = texts(3)
    docs = [doc("same", a), doc("same", b), doc("other", b), doc("third", c), doc("third", c)]
    run = make_run(tmp_path / "run", {WEB: docs}, tasks=2)
    dedup(run, tmp_path / "out", DedupConfig(priority=[], methods=["exact"]))
    removed = [(row["removed_id"], row["removed_row"]) for row in duplicates_of(tmp_path / "out")]
    assert len(removed) == 2
    assert {name for name, _ in removed} == {"same", "third"}
    assert verify_dedup(open_dedup(tmp_path / "out")) == []


def test_one_line_a_removal_whatever_is_in_the_ids(tmp_path: Path) -> None:
    names = ["new\nline", "\x1b[31mred", "nul\0", "", "x" * 5000, "\u202eleft"]
    run = make_run(tmp_path / "run", {WEB: [doc(name, texts(1)[0]) for name in names]})
    dedup(run, tmp_path / "out")
    assert verify_dedup(open_dedup(tmp_path / "out")) == []
    lines = examples(tmp_path / "out")
    assert len(lines) == 5
    assert all(line.isprintable() and len(line) < 600 for line in lines)
    assert "'new\\nline'" in "".join(lines)


def test_a_full_disk_loses_nothing_and_the_same_command_goes_on(tmp_path: Path, run: Path) -> None:
    """No file of the process may become larger than a limit; so the disk is full for it, and nobody else's."""
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from pipelines.dedup.config import DedupConfig\n"
        "from pipelines.dedup.run import run_dedup\n"
        "from pipelines.errors import SourceError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "for limit in (200, 1000, 2500):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))\n"
        "    try:\n"
        "        run_dedup(Path(sys.argv[1]), config=DedupConfig(methods=['exact']), output_folder=Path(sys.argv[2]),"
        " workers=0)\n"
        "    except SourceError as error:\n"
        "        print(error)\n"
    )
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", code, str(run), str(out)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert all("File too large" in line and "run the same command again" in line for line in lines)
    dedup(run, out)
    assert verify_dedup(open_dedup(out)) == []
    assert len(documents_of(out)) == 3
    assert not [path for path in out.rglob(".*") if os.path.isfile(path)], "nothing half-written is left"
