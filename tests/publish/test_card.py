"""A card is valid for the Hub's own tools, its globs are the files that are pushed, its numbers are the ledger's."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from datasets import get_dataset_config_names, load_dataset
from datasets.exceptions import DatasetGenerationError
from datasets.utils.info_utils import NonMatchingSplitsSizesError
from huggingface_hub import DatasetCard
from huggingface_hub.repocard import metadata_load

from pipelines.errors import UserError
from pipelines.publish.card import card
from pipelines.publish.card_metadata import license_of, size_category
from pipelines.publish.command import show_card
from pipelines.publish.facts import Facts, SourceFacts, Step
from pipelines.publish.parquet import document_of
from pipelines.publish.publication import Publication, PublishedFile, open_publication


@pytest.fixture(params=["finished", "exported"])
def publication(request: pytest.FixtureRequest) -> Publication:
    """A run and its export."""
    return open_publication(request.getfixturevalue(request.param))


def repository(publication: Publication, folder: Path) -> Path:
    """What a push makes of it, on disk."""
    for file in publication.files:
        place = folder / "repository" / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(publication.place(file))
    (folder / "repository" / "README.md").write_text(card(publication, repository="org/corpus"), encoding="utf-8")
    return folder / "repository"


def test_the_hubs_tools_read_it(publication: Publication, tmp_path: Path) -> None:
    folder = repository(publication, tmp_path)
    data = DatasetCard.load(folder / "README.md", ignore_metadata_errors=False).data.to_dict()
    assert data == metadata_load(folder / "README.md")
    assert data["size_categories"] == ["n<1K"]
    assert (data["license"], data["license_name"]) == ("other", "per-source")
    assert data["language"] == ["en"]
    assert not re.search(r"[&*]id\d", (folder / "README.md").read_text().split("---")[1]), "anchors"


def test_datasets_loads_every_configuration_with_the_ledgers_rows(publication: Publication, tmp_path: Path) -> None:
    """Without streaming, so that `datasets` checks the numbers of the card against the files."""
    folder = repository(publication, tmp_path)
    facts = publication.facts
    expected = {source.config_name: source.documents for source in facts.sources}
    if publication.form == "parquet":
        expected = {"default": facts.num_documents, **expected}
    assert get_dataset_config_names(str(folder)) == list(expected)
    for name, rows in expected.items():
        found = load_dataset(str(folder), name, split="train", cache_dir=str(tmp_path / "cache"))
        assert len(found) == rows
        sources = {(document_of(row) if publication.form == "parquet" else row)["metadata"]["source"] for row in found}
        assert name == "default" or {source.replace("/", "_", 1).replace("/", "--") for source in sources} == {name}


def test_a_repository_with_a_row_less_is_noticed(exported: Path, tmp_path: Path) -> None:
    """The numbers in the card are what `datasets` compares with: one file is gone."""
    folder = repository(open_publication(exported), tmp_path)
    (folder / "local_beta" / "default" / "00001.parquet").unlink()
    with pytest.raises((NonMatchingSplitsSizesError, DatasetGenerationError)):
        load_dataset(str(folder), "local_beta--default", split="train", cache_dir=str(tmp_path / "cache"))


def test_its_counts_are_the_ledgers(finished: Path) -> None:
    text = card(open_publication(finished))
    records = [json.loads(line) for line in (finished / "_run" / "ledger.jsonl").read_text().splitlines()]
    for source in ("alpha", "beta", "gamma", "delta"):
        own = [record for record in records if record["source"] == f"local/{source}/default"]
        cells = [
            sum(r["rows"] for r in own), sum(sum(r["rejected"].values()) for r in own),
            sum(r["sampled_out"] for r in own), sum(sum(r["dropped"].values()) for r in own),
            sum(r["repeated"] for r in own), sum(r["written"] for r in own),
        ]  # fmt: skip
        assert f"| local_{source}--default | filter | {' | '.join(f'{cell:,}' for cell in cells)} |" in text
    dropped: dict[str, int] = {}
    for record in records:
        for reason, number in record["dropped"].items():
            dropped[reason] = dropped.get(reason, 0) + number
    assert dropped
    for reason, number in dropped.items():
        assert f"| {reason} | {number:,} |" in text
    assert f"{sum(r['written'] for r in records):,} documents from 4 sources" in text
    fingerprint = json.loads((finished / "_run" / "manifest.json").read_text())["fingerprint"]
    assert fingerprint in text


def test_the_same_run_gives_the_same_card(publication: Publication) -> None:
    assert card(publication) == card(open_publication(publication.folder))


def source(name: str, **more: Any) -> SourceFacts:
    """A made source with one document."""
    made: dict[str, Any] = {
        "source": f"{name}/default", "output_dir": f"{name.replace('/', '_')}/default", "license": None, "gated": False,
        "revision": None, "hub_name": None, "origin": None,
        "category": None, "languages": (), "profile": "p", "filters": (),
        "epochs": 1.0, "share": 1.0, "steps": (Step(what="filter", rows=1, written=1),), "documents": 1,
        "text_bytes": 10, "tokens": 3,
    }  # fmt: skip
    return SourceFacts.model_validate({**made, **more})


def made_publication(*sources: SourceFacts, **more: Any) -> Publication:
    """A publication of made sources, one file each."""
    facts = Facts.model_validate(
        {
            "fingerprint": "f" * 64, "stage": 1, "description": "", "config": "c.yaml", "target_tokens": 10.0,
            "seed": 0, "versions": {}, "sources": sources, **more,
        }
    )  # fmt: skip
    files = tuple(
        PublishedFile(path=f"{s.output_dir}/00000.parquet", output_dir=s.output_dir, size=9, sha256="0" * 64, rows=1)
        for s in sources
        if s.documents
    )
    return Publication(folder=Path("x"), form="parquet", suffix=".parquet", facts=facts, files=files)


def test_text_of_strangers_stays_text(tmp_path: Path) -> None:
    """Titles, descriptions, licences and parameters come from files that others wrote."""
    hostile = '</script><img src=x onerror=alert(1)> | "quoted" --- : {yaml}\n---\nevil: true\n# heading'
    made = made_publication(
        source("a/b", license=hostile, profile=hostile, filters=({"name": "spam", "params": {"phrases": hostile}},)),
        description=hostile,
    )
    (tmp_path / "README.md").write_text(card(made, title=hostile), encoding="utf-8")
    data = metadata_load(tmp_path / "README.md")
    assert data is not None
    assert "evil" not in data
    assert data["pretty_name"] == " ".join(hostile.split())
    body = card(made, title=hostile).partition("---\n\n")[2]
    assert "<img" not in body
    assert "\n# heading" not in body
    row = next(line for line in body.splitlines() if line.startswith("| a_b--default | a/b/default"))
    assert len(re.split(r"(?<!\\)\|", row)) == 9


@pytest.mark.parametrize(
    ("licenses", "expected"),
    [
        (["odc-by", "ODC-By"], {"license": "odc-by"}),
        (["odc-by", "cc-by-4.0"], {"license": "other", "license_name": "per-source"}),
        (["per-file"], {"license": "other", "license_name": "per-source"}),
        ([None], {"license": "other", "license_name": "per-source"}),
    ],
)
def test_the_licence_is_one_only_where_it_is(licenses: list[str | None], expected: dict[str, str]) -> None:
    """A mixture never claims the licence of one of its sources."""
    assert license_of([source(f"a/b{i}", license=name) for i, name in enumerate(licenses)]) == expected


def test_limits_follow_the_facts() -> None:
    plain = card(made_publication(source("a/b", license="mit")))
    assert "not deduplicated here" in plain
    assert "gated" not in plain
    assert "local copy" not in plain
    assert "epochs)" not in plain
    repeated = Step(what="filter", rows=1, repeated=1, written=2)
    more = card(
        made_publication(
            source("a/b", license="mit", gated=True, origin="mirror", steps=(repeated,), languages=("code", "vi")),
            source("a/c", documents=0, steps=()),
            dedup=({"methods": ["exact"], "exact": {"ignore_case": False}},),
            complete_history=False,
        )
    )
    assert "not deduplicated here" not in more
    assert "Deduplicated by exact (exact: ignore_case False)" in more
    assert "come from gated sources, whose terms bind who passes them on: a_b--default" in more
    assert "on purpose (epochs)" in more
    assert "read from a local copy, not from the Hub at a known commit: a_b--default" in more
    assert "have no document in it: a_c--default" in more
    assert "that run's folder is gone" in more
    assert "language:\n- code\n- vi\n" in more


def test_sizes_are_the_hubs() -> None:
    sizes = [size_category(n) for n in (0, 999, 1000, 99_999, 10**9, 10**12)]
    assert sizes == ["n<1K", "n<1K", "1K<n<10K", "10K<n<100K", "1B<n<10B", "n>1T"]


def test_two_sources_never_become_one_configuration(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.publish import publication as module

    facts, records = module.facts_of(finished)
    twice = facts.model_copy(update={"sources": (source("a--b/c"), source("x/y", output_dir="a--b_c/default"))})
    monkeypatch.setattr(module, "facts_of", lambda folder: (twice, records))
    with pytest.raises(UserError, match="would be one configuration on the Hub"):
        open_publication(finished)


def test_the_command_prints_or_writes_it(exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show_card(exported, output=None, repo="org/x", title="A title", as_json=False) == 0
    printed = capsys.readouterr().out
    assert 'load_dataset("org/x", "local_alpha--default"' in printed
    assert "# A title\n" in printed
    assert show_card(exported, output=tmp_path / "card.md", repo="org/x", title="A title", as_json=False) == 0
    assert (tmp_path / "card.md").read_text() == printed
    capsys.readouterr()
    assert show_card(exported, output=None, repo=None, title=None, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["configs"][0]["config_name"] == "default"
    with pytest.raises(UserError, match="cannot be written"):
        show_card(exported, output=tmp_path / "none" / "card.md", repo=None, title=None, as_json=False)
