"""The browser of the tests notices what a page must not do."""

from pathlib import Path

from tests.browser import DESKTOP, PHONE, open_page


def test_errors_requests_and_colours_are_noticed(tmp_path: Path) -> None:
    """Law: a console error, an exception, a request to the network and a page that is too wide are all seen."""
    page = tmp_path / "page.html"
    page.write_text(
        "<!doctype html><meta charset=utf-8><title>t</title><div style='width:600px'>wide</div>"
        "<img src='https://example.org/x.png'><script>console.error('said'); throw new Error('thrown')</script>"
    )
    with open_page(page.as_uri(), width=PHONE, dark=True) as view:
        assert any("said" in error for error in view.errors)
        assert any("thrown" in error for error in view.errors)
        assert view.outside == ["https://example.org/x.png"]
        assert view.overflow() > 0
        assert view.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")


def test_a_quiet_page_is_quiet(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><meta charset=utf-8><title>t</title><p>text")
    with open_page(page.as_uri(), width=DESKTOP) as view:
        assert view.errors == []
        assert view.outside == []
        assert view.overflow() == 0
        assert view.screenshot(tmp_path / "x.png").stat().st_size > 0
