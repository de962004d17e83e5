"""Whole runs into a bucket: the documents of a run into a folder, whatever is killed or lost, on any machine.

Gives up: more than one S3 server; the laws of single objects are in test_store.py.
"""

import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from pipelines.commands import build_plan, execute
from pipelines.config import load_config
from pipelines.dedup.config import DedupConfig
from pipelines.dedup.run import run_dedup
from pipelines.errors import UserError
from pipelines.mirror.command import execute_mirror
from pipelines.slurm.options import ClusterOptions, Executor
from pipelines.status import show_cancel, show_status
from pipelines.store.look import stored_plan
from pipelines.verify import show_verification
from tests.pipelines.corpus import write_one_source
from tests.pipelines.processes import Run, finish, kill_group, wait_until, workers_of
from tests.pipelines.store.conftest import ACCOUNT, BUCKET, OPTIONS, S3, StoreRun, ledger
from tests.pipelines.store.proxy import Spoiler

LONG = 230.0


def assert_whole(s3: S3, prefix: str, undisturbed: Run) -> None:
    """The bucket has the documents and the ledger of the undisturbed run, and verify agrees."""
    assert s3.documents(prefix) == undisturbed.files()
    found = s3.objects(prefix)
    assert ledger(found["_run/ledger.jsonl"]) == undisturbed.ledger()
    assert json.loads(found["_run/manifest.json"])["state"] == "complete"
    # A run over a folder and one over a store are the same run.
    kept = json.loads((undisturbed.output / "_run" / "manifest.json").read_text())
    assert json.loads(found["_run/manifest.json"])["fingerprint"] == kept["fingerprint"]


def assert_nothing_partial(s3: S3, prefix: str, undisturbed: Run) -> None:
    """At any moment every document object is whole, and every record's file is there."""
    documents, expected = s3.documents(prefix), undisturbed.files()
    for name, data in documents.items():
        assert data == expected[name], f"{name} is visible before it is whole"
    for record in s3.records(prefix).values():
        if record["file"]:
            assert len(documents[record["file"]["path"]]) == record["file"]["size"]


def assert_no_account(run: Run, s3: S3, prefix: str, text: str) -> None:
    """The account is in nothing that a run prints, leaves here, or puts there."""
    secrets = [ACCOUNT["AWS_ACCESS_KEY_ID"].encode(), ACCOUNT["AWS_SECRET_ACCESS_KEY"].encode()]
    left = {str(path): path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    for name, data in {**left, **s3.objects(prefix), "printed": text.encode()}.items():
        assert not any(secret in data for secret in secrets), name


def test_a_run_into_a_bucket(s3: S3, published: StoreRun, undisturbed: Run) -> None:
    """Law: the same files as in a folder under the same fingerprint, and no account or document left behind here."""
    status, text = published.printed
    assert status == 0, text
    assert_whole(s3, "published", undisturbed)
    assert_no_account(published, s3, "published", text)
    assert published.left() == []


def test_run_dedup_into_a_bucket(s3: S3, published: StoreRun, undisturbed: Run, tmp_path: Path) -> None:
    """Law: --run-dedup deduplicates the run in the bucket beside it, with the documents of a deduplication in folders;
    both have a report there, the run's with the duplicates."""
    config = DedupConfig(methods=["exact"])
    assert run_dedup(undisturbed.output, config=config, output_folder=tmp_path / "out", workers=0).ok
    folder = {p.relative_to(tmp_path / "out").as_posix(): p.read_bytes() for p in (tmp_path / "out").rglob("*.gz")}
    assert s3.documents("published_dedup") == folder
    assert "251 of 986 documents" in published.printed[1]
    for prefix, kind in (("published", "run"), ("published_dedup", "dedup")):
        report = json.loads(s3.objects(prefix)["_run/report.json"])
        assert (report["run"], report["kind"]) == (f"s3://{BUCKET}/{prefix}", kind)
        assert report["duplicates"]["output_folder"] == f"s3://{BUCKET}/published_dedup"
        assert f"report: s3://{BUCKET}/{prefix}/_run/report.html" in published.printed[1]


def test_verify_and_status_take_the_url(
    in_process: S3, published: StoreRun, undisturbed: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Law: they say what they say of the same run in a folder."""
    said = []
    for place in (str(undisturbed.output), published.url):
        assert show_verification(Path(place), as_json=False) == 0
        assert show_status(Path(place)) == 0
        text = capsys.readouterr().out
        said.append([line for line in text.replace(place, "").splitlines() if "; log: " not in line])
    assert said[0] == said[1]


def test_another_machine_with_other_settings_is_refused(
    s3: S3, published: StoreRun, mixture: Path, tmp_path: Path
) -> None:
    """Law: exit 2 with what differs, nothing in the bucket changed but the locks."""
    before = {name: data for name, data in s3.objects("published").items() if "/locks/" not in name}
    other = StoreRun(s3, "published", tmp_path, mixture, *OPTIONS)
    status, text = other.call("--tasks", "4")
    assert status == 2, text
    assert f"error: {other.url}: holds a run with other settings" in text
    assert "plan.sources[local/alpha].tasks: 5 items -> 4 items" in text
    assert {name: data for name, data in s3.objects("published").items() if "/locks/" not in name} == before


def test_a_later_stage_after_a_run_in_a_bucket(in_process: S3, published: StoreRun, mixture: Path) -> None:
    """Law: --after takes the URL of a run, and the stage begins where that one stopped."""
    plan = stored_plan(published.url)
    assert plan is not None
    ends = {source.key: source.interval[1] for source in plan.sources}
    later = build_plan(load_config(mixture), output_folder=None, after=[published.url])
    assert {source.key: source.interval[0] for source in later.sources} == ends
    assert f"after the run {published.url}: its documents are not used again" in later.notes


def test_damage_in_the_bucket_is_found(
    in_process: S3, published: StoreRun, mixture: Path, undisturbed: Run, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Law: verify names what is altered, missing or extra; a rerun on another machine makes a missing object again, and
    nothing else."""
    s3 = in_process
    for name, data in s3.objects("published").items():
        s3.client.put_object(Bucket=BUCKET, Key=f"damage/{name}", Body=data)
    altered, gone = sorted(s3.documents("damage"))[:2]
    data = s3.documents("damage")[altered]
    s3.client.put_object(Bucket=BUCKET, Key=f"damage/{altered}", Body=data[:-1] + b"!")
    s3.client.delete_object(Bucket=BUCKET, Key=f"damage/{gone}")
    s3.client.put_object(Bucket=BUCKET, Key="damage/stranger.txt", Body=b"x")
    assert show_verification(Path(f"s3://{BUCKET}/damage"), as_json=True) == 1
    problems = " | ".join(json.loads(capsys.readouterr().out)["problems"])
    assert f"{altered}: altered" in problems
    assert "stranger.txt: extra" in problems
    assert "1 of 5 tasks are not done" in problems
    s3.client.put_object(Bucket=BUCKET, Key=f"damage/{altered}", Body=data)
    s3.client.delete_object(Bucket=BUCKET, Key="damage/stranger.txt")
    before = s3.records("damage")
    status, text = StoreRun(s3, "damage", tmp_path / "two", mixture, *OPTIONS).call()
    assert (status, "(13 tasks were done before)" in text) == (0, True), text
    assert_whole(s3, "damage", undisturbed)
    assert sum(before[name] != record for name, record in s3.records("damage").items()) == 1


def strike(run: StoreRun, s3: S3, prefix: str, dice: random.Random, victim: str) -> bool:
    """Start the command and kill it after a random number of objects; False when it was over before."""
    process = run.start()
    due = s3.num_records(prefix) + dice.randint(0, 4)
    wait_until(lambda: process.poll() is not None or s3.num_records(prefix) >= due, "records", LONG, every=0.05)
    time.sleep(dice.uniform(0, 0.6))
    hit = process.poll() is None
    if victim == "worker" and hit and (workers := workers_of(process)):
        os.kill(workers[0], signal.SIGKILL)
    elif victim == "group":
        kill_group(process)
    else:
        process.kill()
    finish(process)
    return hit


def campaign(s3: S3, folder: Path, mixture: Path, undisturbed: Run, kills: int, seed: int) -> None:
    dice, prefix = random.Random(seed), f"kill-{seed}"
    run = StoreRun(s3, prefix, folder / "one", mixture, *OPTIONS)
    hits = 0
    for victim in ["group", "parent", "worker"] * kills:
        hits += strike(run, s3, prefix, dice, victim)
        assert_nothing_partial(s3, prefix, undisturbed)
        if hits == kills:
            break
    assert hits, "the kills come too late"
    status, text = run.call()
    assert status == 0, text
    assert_whole(s3, prefix, undisturbed)


@pytest.mark.short
def test_kill_9_and_the_same_command(s3: S3, mixture: Path, undisturbed: Run, tmp_path: Path) -> None:
    """Law: after kill -9 at random moments everything visible is whole, and the same command ends with the objects of
    an undisturbed run."""
    campaign(s3, tmp_path, mixture, undisturbed, kills=2, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2])
def test_more_kills(s3: S3, mixture: Path, undisturbed: Run, tmp_path: Path, seed: int) -> None:
    campaign(s3, tmp_path, mixture, undisturbed, kills=4, seed=seed)


def test_two_machines_and_the_first_dies(
    s3: S3, spoiler: Spoiler, mixture: Path, undisturbed: Run, tmp_path: Path
) -> None:
    """Law: while a run lives, one elsewhere is refused with exit 2; when its machine is gone, the same command there
    waits for the lock to be still and does the rest only."""
    run = StoreRun(s3, "moves", tmp_path / "one", mixture, *OPTIONS)
    run.env["AWS_ENDPOINT_URL"] = spoiler.url
    spoiler.spoil("/records/", "hold", -1, skip=2)
    process = run.start()
    wait_until(spoiler.held.is_set, "a task in the middle", LONG)
    other = StoreRun(s3, "moves", tmp_path / "two", mixture, *OPTIONS)
    status, text = other.call()
    assert status == 2, text
    assert f"error: {run.url}: another run is writing here (process {process.pid} on " in text
    status, text = other.tool("status", "--json")
    assert (status, json.loads(text)["state"]) == (1, "running")
    done = s3.records("moves")
    kill_group(process)
    finish(process)
    spoiler.dropped = True
    spoiler.released.set()
    status, text = other.call()
    assert status == 0, text
    assert f"({len(done)} tasks were done before)" in text
    assert len(done) == 2
    now = s3.records("moves")
    assert {name: now[name] for name in done} == done, "a finished task was done again"
    assert_whole(s3, "moves", undisturbed)


def test_a_machine_that_wakes_up_too_late(s3: S3, spoiler: Spoiler, tmp_path: Path) -> None:
    """Law: a run whose lock was taken over meanwhile puts no record any more, and ends with exit 1."""
    config = write_one_source(tmp_path / "config", 50, files=2)
    run = StoreRun(s3, "late", tmp_path / "one", config, "--workers", "1", "--tasks", "2")
    run.env["AWS_ENDPOINT_URL"] = spoiler.url
    spoiler.spoil("late/local_only/default/0000", "hold", -1)
    process = run.start()
    wait_until(spoiler.held.is_set, "an upload", LONG)
    s3.client.put_object(Bucket=BUCKET, Key="late/_run/locks/000002.json", Body=b"{}")  # another run's, by hand
    spoiler.released.set()
    status, text = finish(process)
    assert status == 1, text
    assert "another run took it over while this one stood still" in text
    assert s3.records("late") == {}


def test_bad_uploads(s3: S3, spoiler: Spoiler, mixture: Path, undisturbed: Run, tmp_path: Path) -> None:
    """Law: SlowDown, a cut line and a lost answer are tried again; a byte that arrives otherwise, or a refusal, ends
    that task alone, exit 1 with the reason; what is visible and counts is right; the same command does the rest."""
    run = StoreRun(s3, "bad", tmp_path / "one", mixture, *OPTIONS)
    run.env["AWS_ENDPOINT_URL"] = spoiler.url
    spoiler.spoil("local_alpha/default/00000", "503", 2)
    spoiler.spoil("local_alpha/default/00001", "reset")
    spoiler.spoil("local_alpha/default/00002", "lose")
    spoiler.spoil("locks/000001", "lose")
    spoiler.spoil("local_beta/default/00000", "flip", -1)
    spoiler.spoil("records/local_gamma/default/00000", "403", -1)
    status, text = run.call()
    assert status == 1, text
    assert (
        "local/beta/default: task 0: s3://corpus/bad/local_beta/default/00000.jsonl.gz: what has arrived is not" in text
    )
    assert "local/gamma/default: task 0: s3://corpus/bad/_run/stages/" in text
    assert "12/14" not in text
    assert len(s3.records("bad")) == 12
    assert_no_account(run, s3, "bad", text)
    spoiler.faults.clear()
    status, text = run.call()
    assert (status, "(12 tasks were done before)" in text) == (0, True), text
    assert_whole(s3, "bad", undisturbed)


@pytest.mark.slow
def test_fresh_and_foreign(s3: S3, tmp_path: Path) -> None:
    """Law: --fresh deletes the run and nothing else; a folder of the bucket with other objects is refused."""
    config = write_one_source(tmp_path / "config", 20, files=3)
    run = StoreRun(s3, "fresh", tmp_path / "one", config, "--workers", "1", "--tasks", "3", "--keep-dropped")
    assert run.call()[0] == 0
    assert len(s3.documents("fresh")) == 3
    s3.client.put_object(Bucket=BUCKET, Key="fresher/a.txt", Body=b"mine")
    status, text = run.call("--tasks", "1", "--fresh")
    assert status == 0, text
    assert list(s3.documents("fresh")) == ["local_only/default/00000.jsonl.gz"]
    assert len({name.split("/")[2] for name in s3.objects("fresh") if "/stages/" in name}) == 1
    assert list(s3.objects("fresher")) == ["a.txt"]
    foreign = StoreRun(s3, "fresher", tmp_path / "two", config, "--workers", "1")
    status, text = foreign.call()
    assert status == 2, text
    assert "error: s3://corpus/fresher: holds objects that are no run's (a.txt)" in text
    assert list(s3.documents("fresher")) == ["a.txt"]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"cluster": ClusterOptions(executor=Executor.slurm)}, "--executor slurm works with folders"),
        ({"logging_dir": Path("s3://corpus/logs")}, "s3://corpus/logs: --logging-dir works with folders"),
        ({"mirror": Path("s3://corpus/mirror")}, "s3://corpus/mirror: --mirror works with folders"),
    ],
)
def test_what_does_not_work_with_stores_is_one_line(mixture: Path, options: dict[str, Any], what: str) -> None:
    with pytest.raises(UserError, match=what) as error:
        execute(mixture, output_folder=Path("s3://corpus/no"), **options)
    assert "\n" not in str(error.value)


def test_commands_on_folders_refuse_stores() -> None:
    url = Path("s3://corpus/no")
    for refused in (
        lambda: show_cancel(url),
        lambda: execute_mirror(Path("none.yaml"), url),
    ):
        with pytest.raises(UserError, match=r"s3://corpus/no: `smoltrove .*` works with folders of this machine only"):
            refused()
