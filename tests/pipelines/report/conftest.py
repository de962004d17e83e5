"""One run with filters, rejects, epochs and a deduplication, written with its reports; read only."""

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.data import MINI_HUB, ROOT
from tests.pipelines.processes import Run

HOSTILE = "<script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">"


def texts(folder: Path) -> list[str]:
    """The texts of a source of the mini hub."""
    return [text for path in sorted(folder.rglob("*.parquet")) for text in pq.read_table(path)["text"].to_pylist()]


def write_mixture(folder: Path) -> Path:
    """English pages, Vietnamese ones twice, and both together with bad lines; answers the configuration."""
    english = texts(MINI_HUB / "HuggingFaceFW" / "fineweb-edu")
    vietnamese = texts(MINI_HUB / "epfml" / "FineWeb2-HQ" / "vie_Latn")
    sources = {"en": english[:160], "vi": vietnamese[:40], "both": [*english[100:140], *vietnamese[:40]]}
    for name, found in sources.items():
        (folder / name).mkdir(parents=True)
        for part in range(2):
            lines = [json.dumps({"id": f"{name}-{part}-{i}", "text": text}) for i, text in enumerate(found[part::2])]
            if name == "both":
                lines += ["{not json", json.dumps({"id": "empty", "text": ""}), json.dumps({"id": "none"})]
            (folder / name / f"{part}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = folder / "config.yaml"
    config.write_text(
        "stage: test\n"
        f"description: {json.dumps(HOSTILE)}\n"
        "target_tokens: 1B\n"
        f"filtering: {{profiles: {ROOT / 'configs' / 'filter_profiles.yaml'}}}\n"
        "datasets:\n"
        "  - {name: t/en, path: en, id_field: id, weight: 0.5, category: web-en, max_epochs: 0.9, profile: web-en,"
        " language: en, license: cc-by-4.0}\n"
        "  - {name: t/vi, path: vi, id_field: id, weight: 0.3, category: web-multilingual, max_epochs: 2,"
        " profile: web-vi, language: vi}\n"
        "  - {name: t/both, path: both, id_field: id, weight: 0.2, max_epochs: 1, profile: web-bilingual,"
        " max_bad_ratio: 0.5}\n",
        encoding="utf-8",
    )
    return config


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run, its deduplication in `out_dedup`, and the reports that both wrote at their end."""
    if not sys.platform.startswith("linux"):
        pytest.skip("these tests find processes in /proc")
    folder = tmp_path_factory.mktemp("reported")
    config = write_mixture(folder / "mixture")
    run = Run(folder, config, "--tasks", "2", "--workers", "1", "--keep-dropped")
    run.env["SMOLTROVE_REPORT"] = "1"
    # Two calls, each with its own patience: the second finds the run complete.
    for options, reports in (((), 1), (("--run-dedup", "--dedup-method", "exact,minhash"), 2)):
        status, text = run.call(*options)
        assert status == 0, text
        assert sum(line.startswith("report: ") for line in text.splitlines()) == reports, "each page is drawn once"
    return run
