"""The page in Chromium: no errors, no requests, nothing from the data is run, readable on a phone."""

import re
from html import unescape
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines.histograms import Histogram, Histograms
from pipelines.report import pictures, plots
from pipelines.report.by_language import MOST_LANGUAGES
from pipelines.report.data import RunReport, SourceReport, collect
from pipelines.report.html import page
from pipelines.report.markdown import markdown
from pipelines.report.write import HTML
from tests.browser import open_page
from tests.pipelines.processes import Run
from tests.pipelines.report.checks import check_page
from tests.pipelines.report.conftest import HOSTILE


def made(text: str) -> RunReport:
    """A report whose every name, reason and message is `text`."""
    source = SourceReport(
        source=text, category=text, language=text, languages=[text], profile=text, license=text, revision=text,
        kind=text, filters=["language"], told_apart=True, weight=1, planned_tokens=10, asked_share=1, got_share=1,
        rows=3, rejected={f"reader.{text}": 1}, dropped={text: 1}, written=1, tokens=10, cpu_seconds=1,
        step_seconds={text: 1.0}, problems=[text], dropped_by_language={text: {text: 1}, "": {}},
        histograms=Histograms(drawn={text: Histogram(documents=1), "": Histogram(documents=1)},
                              kept={"": Histogram(documents=1)}),
    )  # fmt: skip
    totals = dict.fromkeys(
        ("rows", "drawn", "kept", "written", "tokens", "sampled_out", "repeated", "cpu_seconds", "peak_memory_bytes"),
        1.0,
    )
    return RunReport(
        run=text, state=text, written_at=text, reported_at=text, fingerprint=text, description=text, config=text,
        versions={text: text}, assets={text: text}, totals=totals, sources=[source], left_out=[(text, text)],
        notes=[text], warnings=[text],
    )  # fmt: skip


def tags(shown: str) -> list[str]:
    """The elements of a page, pictures apart."""
    return re.findall(r"<(\w+)", re.sub(r"<(figure|svg).*?</\1>", "", shown, flags=re.DOTALL))


@settings(deadline=None, max_examples=8)
@given(st.text(max_size=30))
@example("\\A\\1\\g<0>")
def test_text_of_a_run_is_text_of_the_page(text: str) -> None:
    """Law: no text makes a tag; pages differ in their texts alone."""
    shown = page(made(f"<b>{text}"))
    assert "<b>" not in shown.replace("<div><b>", "").replace("<b>Not as planned</b>", "")
    assert tags(shown) == tags(page(made("x")))


def test_pictures_escape_their_texts() -> None:
    """Law: labels stand in the pictures as they are, formulas and markup included."""
    label = '</text><script>x</script> $a_b^c$ & "quoted"'
    picture = plots.bars(label, [(label, "1", [(1.0, "kept")]), ("", label, [])])
    assert "<script" not in picture
    assert "$a_b^c$" in picture
    assert unescape(re.findall(r"<text[^>]*>(.*?)</text>", picture)[0]) == label


def test_ids_of_pictures_are_unique_on_the_page() -> None:
    first, second = (plots.histogram("t", [0, 1, 2], [1, 2], [0, 1], limits=[1]) for _ in range(2))
    ids = re.findall(r'\bid="([^"]+)"', first + second)
    assert len(ids) == len(set(ids)) > 0
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', first + second))
    assert used <= set(ids)


def test_colours_are_the_pages() -> None:
    """Law: no colour is fixed in a picture, so that it suits light and dark."""
    picture = plots.flow("t", ("drawn", 10), [("language.low_score", 3), ("odd", 1)], ("kept", 6))
    picture += plots.histogram("t", [0, 1, 2], [1, 2], [0, 1], limits=[1], share=True)
    assert not re.findall(r"#[0-9a-f]{6}\b", picture)
    assert {"var(--kept)", "var(--language)", "var(--other)", "currentColor"} <= set(
        re.findall(r"var\(--\w+\)|currentColor", picture)
    )


def test_markdown_keeps_its_tables_whole() -> None:
    """Law: a cell is on one line, and its bars and markup are no Markdown."""
    text = markdown(made("a|b\n<i>*c*`"))
    for line in text.splitlines():
        if line.startswith("|") and "b" in line:
            assert "a|b" not in line
    assert "<i>" not in text


def test_hostile_text_is_shown_and_not_run(tmp_path: Path) -> None:
    """Law: markup, scripts and addresses in a run's texts are text; the page's policy forbids scripts in any case."""
    path = tmp_path / "report.html"
    path.write_text(page(made(HOSTILE)), encoding="utf-8")
    with open_page(path.as_uri()) as view:
        assert view.errors == []
        assert view.outside == []
        assert view.page.title().startswith("Run")
        assert HOSTILE in view.page.inner_text("body")
        assert view.page.locator("img, script, a[href^=javascript]").count() == 0


@given(st.text(max_size=90), st.integers(8, 60))
def test_labels_do_not_run_into_their_figures(label: str, most: int) -> None:
    """Law: a label that is too long keeps its end, behind a mark, and has as many characters as there is room for."""
    shown = plots.shortened(label, most)
    if len(label) <= most:
        assert shown == label
    else:
        assert len(shown) == most
        assert shown[0] == "…"
        assert label.endswith(shown[1:])


def test_a_page_stays_small_whatever_the_mixture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: the number of histograms is bounded, and the largest sources and languages have theirs first."""
    monkeypatch.setattr(plots, "histogram", lambda title, *rest, **options: title)
    places = dict.fromkeys(range(10, 20), 5)
    languages = {f"l{n}": Histogram(documents=50 + n, length=places, score=places) for n in range(30)}
    report = made("x")
    report.sources = [
        report.sources[0].model_copy(
            update={
                "source": f"org/source/{n}", "rows": 1001 + n,
                "histograms": Histograms(drawn=languages, kept=languages), "score_limits": {"0 language": 0.65},
            }
        )
        for n in range(40)
    ]  # fmt: skip
    found = pictures.histograms(report)
    assert sum(len(shapes) + len(signals) for shapes, signals in found.values()) == pictures.MOST_HISTOGRAMS
    each = 2 * MOST_LANGUAGES
    assert list(found) == [f"org/source/{n}" for n in range(39, 39 - pictures.MOST_HISTOGRAMS // each, -1)]
    assert len(found["org/source/39"][0]) == each
    assert "(l29)" in "".join(found["org/source/39"][0])


@pytest.mark.slow
def test_the_page_of_a_run_opens_without_errors(reported: Run, tmp_path: Path) -> None:
    """Law: no console error, no request, below 5 MB, not wider than a phone, and other colours in the dark."""
    report = collect(reported.output, measure=True)
    path = tmp_path / HTML
    path.write_text(page(report), encoding="utf-8")
    check_page(path, tmp_path)
