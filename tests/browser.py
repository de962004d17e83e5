"""A page in headless Chromium: what its console says, what it asks the network for, how it looks.

`with open_page(url) as view:` gives a `View`; `view.page` is Playwright's page, driven synchronously. Nothing but files
and loopback is answered. Skips the calling test with the reason where Chromium or Playwright is not there (Debian:
`apt-get install chromium`; Playwright drives that one and downloads none). Gives up: other browsers.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

PHONE, DESKTOP = 390, 1280
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass
class View:
    """An open page with what was noticed so far. `errors`: console errors, exceptions and requests that failed.

    `outside`: addresses that the page asked for beyond files and loopback; they were not answered.
    """

    page: Any
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def screenshot(self, path: Path) -> Path:
        """The whole page as a PNG file."""
        self.page.screenshot(path=str(path), full_page=True)
        return path

    def overflow(self) -> int:
        """CSS pixels by which the page is wider than its window; 0 when nothing has to be scrolled sideways."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def chromium() -> str:
    """The browser's program; skips the calling test where there is none."""
    found = os.environ.get("SMOLTROVE_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("Chromium is not here (apt-get install chromium), or SMOLTROVE_CHROMIUM has to name it")
    return found


@contextmanager
def open_page(url: str, *, width: int = DESKTOP, height: int = 900, dark: bool = False) -> Iterator[View]:
    """A page opened at `url` (file:// or loopback), in a window of that many CSS pixels."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (requirements_dev.txt)")
    program = chromium()
    with sync_api.sync_playwright() as playwright:
        # Without its sandbox, which Chromium refuses to set up for root; the pages are our own.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        try:
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
            )
            view = View(page=context.new_page())

            def answer(route: Any) -> None:
                parts = urlsplit(route.request.url)
                if parts.scheme in ("file", "data", "blob") or parts.hostname in _LOOPBACK:
                    route.continue_()
                else:
                    view.outside.append(route.request.url)
                    route.abort()

            context.route("**/*", answer)
            page = view.page
            page.on("console", lambda said: said.type == "error" and view.errors.append(said.text))
            page.on("pageerror", lambda error: view.errors.append(str(error)))
            page.on("requestfailed", lambda asked: view.errors.append(f"{asked.url}: {asked.failure}"))
            page.goto(url)
            yield view
        finally:
            browser.close()
