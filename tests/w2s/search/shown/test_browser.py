"""The page in a real browser, where there is one: it asks for nothing, runs nothing, fits its width, by day and by night."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from cluster.store import Store
from tests.w2s.search.shown.searches import made_up, searched, written
from w2s.search.shown.page import Asked, write_page

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip
LOOK = """() => ({
  width: document.documentElement.scrollWidth, paper: getComputedStyle(document.body).backgroundColor,
  drawn: [...document.querySelectorAll('svg')].filter(one => one.getBBox().width > 300).length,
  overflow: [...document.querySelectorAll('svg')].filter(one => one.getBoundingClientRect().right > innerWidth).length,
  ink: getComputedStyle(document.querySelector('svg text')).fill,
})"""


@pytest.fixture(scope="module")
def browser() -> Any:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    place = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if place is None:
        pytest.skip("no Chromium on the path")
    with playwright.sync_playwright() as running:
        found = running.chromium.launch(executable_path=place, args=FLAGS)
        yield found
        found.close()


@pytest.mark.parametrize("scheme,paper,ink", [("light", "rgb(255, 255, 255)", "rgb(27, 31, 36)"),
                                              ("dark", "rgb(20, 23, 27)", "rgb(231, 234, 238)")])  # fmt: skip
def test_it_is_drawn_and_asks_for_nothing(browser: Any, tmp_path: Path, scheme: str, paper: str, ink: str) -> None:
    store = Store.open(str(tmp_path / "store"))
    of = searched(tmp_path)
    file = write_page(written(of, store, made_up(of, 12)), store, Asked("w2s tune <script>alert(1)</script>", 12))
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    asked: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda line: faults.append(line.text))
    page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
    page.goto(file.as_uri())
    found = page.evaluate(LOOK)
    assert asked == [file.as_uri()]
    assert faults == []
    assert found["width"] == 1280, "no scrolling sideways"
    assert (found["paper"], found["ink"]) == (paper, ink), "plots follow the page"
    assert (found["drawn"], found["overflow"]) == (10, 0)
    context.close()
