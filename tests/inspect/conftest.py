"""One run to look at: English pages through filters, hostile texts through none, and its deduplication; read only.

`twins` has the hostile texts once more, and two long hostile texts that differ in one word.
"""

import json
import sys

import pytest

from filters.spam import load_phrases
from pipelines.inspect.corpus import Corpus, open_corpus
from tests.data import MINI_HUB, ROOT
from tests.pipelines.processes import Run
from tests.pipelines.report.conftest import texts

HOSTILE = {
    "html": "<h1>big</h1><img src=x onerror=\"document.title='owned'\"></pre><a href='javascript:alert(1)'>x</a>&lt;",
    "script": "</pre></article><script>document.title = 'owned'</script><style>*{display:none}</style><!--",
    "<script>document.title='id'</script>": "an id that is a script",
    "ansi": "red \x1b[31mred\x1b[0m title \x1b]0;owned\x07 clear \x1b[2J \x9b31m bell \x07 back\x08\x08 \x7f",
    "nul": "a\x00b\rc\x0bd\ufeffe\ufffef",
    "bidi": "user \u202e\u2066// admin\u2069 \u200b\u2028 \u061c end \U000e0041",
    "markup": "[bold red]not markup[/bold red] :smile: [link=http://example.com]x[/link]",
    "space": "   \n\n\t tab",
}


# Words that stand in one of the two near duplicates alone.
ONLY = ("<b>removed&first</b>", "second\u202e")


def near_twins(plain: str) -> list[str]:
    """Two texts that differ in one word."""
    words = f"{plain} {HOSTILE['script']} {HOSTILE['ansi']} {HOSTILE['bidi']}".split(" ")
    middle = len(words) // 2
    return [" ".join([*words[:middle], only, *words[middle:]]) for only in ONLY]


@pytest.fixture(scope="session")
def inspected(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run, and its deduplication in `out_dedup`."""
    if not sys.platform.startswith("linux"):
        pytest.skip("these tests find processes in /proc")
    folder = tmp_path_factory.mktemp("inspected")
    everything = texts(MINI_HUB / "HuggingFaceFW" / "fineweb-edu")
    english = everything[:60]
    plain = next(text for text in english if 2000 < len(text) < 4000)
    sentences = zip(plain.split(". "), [*load_phrases()["en"], *[""] * 1000], strict=False)
    spam = ". ".join(f"{sentence} {phrase}" for sentence, phrase in sentences)
    repeated = "\n".join(["The same line of text stands here once more."] * 20 + english[0].split("\n"))
    bullets = "\n".join(f"- {line}" for line in english[1].replace(". ", ".\n").split("\n"))
    pages = [*english, *english[:5], spam, repeated, bullets, "Too short.", "Đây là một văn bản tiếng Việt. " * 30]
    twins = [*HOSTILE.values(), *near_twins(next(text for text in everything[60:] if 1200 < len(text) < 2200))]
    sources = {
        "en": {f"p{i}": text for i, text in enumerate(pages)},
        "hostile": HOSTILE,
        "twins": {f"<img src=x onerror=alert({i})>": text for i, text in enumerate(twins)},
    }
    for name, rows in sources.items():
        (folder / name).mkdir()
        lines = [json.dumps({"id": ident, "text": text}) for ident, text in rows.items()]
        for part in range(2):
            (folder / name / f"{part}.jsonl").write_text("\n".join(lines[part::2]) + "\n", encoding="utf-8")
    config = folder / "config.yaml"
    config.write_text(
        "stage: test\ndescription: to look at\ntarget_tokens: 1B\n"
        f"filtering: {{profiles: {ROOT / 'configs' / 'filter_profiles.yaml'}}}\n"
        "datasets:\n"
        "  - {name: t/en, path: en, id_field: id, weight: 0.9, max_epochs: 1, profile: web-en, language: en}\n"
        "  - {name: t/hostile, path: hostile, id_field: id, weight: 0.1, max_epochs: 1, profile: none,"
        " max_bad_ratio: 0.9}\n"
        "  - {name: t/twins, path: twins, id_field: id, weight: 0.1, max_epochs: 1, profile: none,"
        " max_bad_ratio: 0.9}\n",
        encoding="utf-8",
    )
    run = Run(folder, config, "--tasks", "2", "--workers", "1", "--keep-dropped", "--run-dedup")
    run.env["SMOLTROVE_REPORT"] = "0"
    status, said = run.call("--dedup-method", "exact,minhash")
    assert status == 0, said
    return run


@pytest.fixture(scope="session")
def corpus(inspected: Run) -> Corpus:
    """The run's documents."""
    return open_corpus(inspected.output)
