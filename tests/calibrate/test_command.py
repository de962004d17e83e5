"""`smoltrove calibrate`: from a folder of trusted text to a profile that the loader takes, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.audit.judge import Chain, judge, score
from pipelines.calibrate.command import execute_calibrate
from pipelines.errors import UserError
from pipelines.profiles import load_profiles
from tests.audit.scored import documents, write_jsonl


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trusted") / "pages"
    write_jsonl(folder / "a.jsonl.gz", documents(number=90)[:90])
    return folder


def calibrate(capsys: pytest.CaptureFixture[str], folder: Path, output: Path, **options: Any) -> dict[str, Any]:
    options = {"language": "en", "sample": 500, "id_field": "id", "as_json": True} | options
    assert execute_calibrate(folder, output=output, **options) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_what_is_written_is_what_is_said(trusted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = calibrate(capsys, trusted, tmp_path / "p.yaml", name="mine")
    profile = load_profiles(tmp_path / "p.yaml")["mine"]
    chain = Chain(profile.filters)
    scored = score(chain, documents(number=90)[:90])
    assert found["documents"] == 90
    assert found["kept"] == judge(chain, scored).kept.mean()
    written = {step["name"]: step["derived"] for step in found["compared"]}
    assert written["gopher_quality.max_non_alpha_words_ratio"] == found["values"]["max_non_alpha_words_ratio"]
    assert written["gopher_repetition.dup_para_frac"] is None, "switched off"
    assert found["shipped"] == "web-en"
    assert {step["name"]: step["shipped"] for step in found["compared"]}["gopher_repetition.dup_line_frac"] == 0.3
    assert "are few" in found["notes"][0]


def test_english_and_tail_choose_the_quantiles(
    trusted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tail = calibrate(capsys, trusted, tmp_path / "tail.yaml", tail=0.3)
    none = calibrate(capsys, trusted, tmp_path / "none.yaml", tail=0.0)
    assert tail["kept"] < none["kept"] <= 1
    same = calibrate(capsys, trusted, tmp_path / "same.yaml", english=trusted)
    assert same["values"]["max_non_alpha_words_ratio"] == pytest.approx(0.8, abs=0.02)


def test_the_table_stands_beside_the_shipped_profile(
    trusted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert execute_calibrate(trusted, language="eng_Latn", sample=500) == 0
    shown = capsys.readouterr().out
    for text in ("web-en", "quantile 0.25 of the trusted text", "stop words: the", "kept by web-en", "line_punct_thr"):
        assert text in shown
    assert (tmp_path / "web-en.yaml").is_file()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"language": "english"}, "nearest known codes: en"),
        ({"tail": 0.1, "english": Path(".")}, "give one of them"),
        ({"sample": 9}, "9 documents can be measured"),
        ({"text_field": "body"}, "body"),
        ({"output": Path("no/such/folder/x.yaml")}, "cannot be written"),
    ],
)
def test_what_is_asked_wrongly_is_refused(trusted: Path, tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        execute_calibrate(trusted, **({"language": "en", "sample": 60, "output": tmp_path / "x.yaml"} | options))


def test_a_file_that_exists_is_not_written_over(trusted: Path, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="exists already"):
        execute_calibrate(trusted, language="en", sample=60, output=tmp_path / "x.yaml")
    with pytest.raises(UserError, match="no such folder"):
        execute_calibrate(tmp_path / "nothing", language="en", sample=60, output=tmp_path / "y.yaml")
