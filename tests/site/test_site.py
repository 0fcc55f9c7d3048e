"""The rendered site in a real browser: figures drawn, math set, search answering, nothing asked of another host."""

import functools
import http.server
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml
from playwright.sync_api import Browser, Page, sync_playwright

from medutils.chapters import all_chapters
from medutils.export import load_model
from medutils.files import ROOT
from medutils.site import build
from medutils.site.build import build_book

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
PAGES = [TOC["root"], *(chapter["file"] for part in TOC["parts"] for chapter in part["chapters"])]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no browser: install Debian's or Ubuntu's package chromium"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder of a book that was built from the smoke profile on phantoms, and what was said meanwhile."""
    out = tmp_path_factory.mktemp("site")
    said: list[str] = []
    build_book("smoke", "phantom", out, said.append)
    return out, said


@pytest.fixture(scope="module")
def site(built: tuple[Path, list[str]]) -> Iterator[str]:
    """The address of that site, served on this machine."""
    handler = functools.partial(Quiet, directory=str(built[0] / "_build" / "html"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """A test says nothing of requests that went well."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
        browser = playwright.chromium.launch(executable_path=BROWSER, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, site: str) -> Iterator:
    """Open a page; at the end, no request may have left this machine or failed, and no error been logged."""
    faults: list[str] = []
    pages: list[Page] = []

    def check(request) -> None:
        if not request.url.startswith((site, "data:", "blob:")):
            faults.append(f"asked another host: {request.url}")

    def opened(path: str, width: int) -> Page:
        page = browser.new_page(viewport={"width": width, "height": 900})
        pages.append(page)
        page.on("request", check)
        page.on("requestfailed", lambda request: faults.append(f"failed: {request.url}"))
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on(
            "console", lambda message: faults.append(f"console: {message.text}") if message.type == "error" else None
        )
        page.goto(f"{site}/{path}", wait_until="load")
        return page

    yield opened
    for page in pages:
        page.close()
    assert faults == []


def test_a_book_is_built_once_and_a_second_time_nothing_is_done(built: tuple[Path, list[str]]):
    out, said = built
    notebooks = len(all_chapters()) + len(build._other_notebooks())
    assert [line.split()[-3] for line in said[:-1]] == ["executed"] * notebooks + ["rendered"]
    chapter = out / "_build" / "chapters" / "spine_mlp"
    judged = pd.read_csv(chapter / "predictions.csv").groupby("rows")["model"].unique().map(set)
    assert judged["validation, write-up split"] == {"majority", "logistic_regression", "mlp"}
    assert "clinical use" in load_model(chapter).card
    index = out / "_build" / "html" / "index.html"
    written, again, start = index.stat().st_mtime_ns, [], time.monotonic()
    build_book("smoke", "phantom", out, again.append)
    assert time.monotonic() - start < 20
    assert [line.split()[-3] for line in again[:-1]] == ["unchanged"] * (notebooks + 1)
    assert index.stat().st_mtime_ns == written
    assert again[-1] == f"open {index}"


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_and_no_wider_than_the_screen(open_page, name: str, width: int):
    page = open_page(f"{name}.html", width)
    divs = page.locator(".plotly-graph-div").count()
    page.wait_for_function(
        "divs => [...document.querySelectorAll('.plotly-graph-div')].filter(div => div.querySelector('.main-svg "
        ".trace, .main-svg .hm, .main-svg .im image, .main-svg .bars path, .main-svg .scatterlayer path')).length "
        "=== divs",
        arg=divs,
    )
    formulas = page.locator(".math").count()
    page.wait_for_function("n => document.querySelectorAll('mjx-container').length >= n", arg=formulas)
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.querySelectorAll('img')].every(image => image.alt)")
    labels = page.locator("[role=img][aria-label], [role=group][aria-label]").count()
    assert labels >= divs


@pytest.mark.parametrize("name", all_chapters())
def test_a_chapter_has_figures_and_says_phantom(open_page, name: str):
    page = open_page(f"book/{name}.html", 1280)
    assert page.locator(".plotly-graph-div, img.drawn, figure.drawn").count() >= 9
    assert "made from a phantom" in page.inner_text("article")
    assert "injected" not in page.content()
    titles = page.eval_on_selector_all(".gtitle", "titles => titles.map(title => title.textContent)")
    assert titles
    assert all("phantom" in title or "reference run: real data" in title or "arithmetic" in title for title in titles)
    assert any("phantom" in title for title in titles)
    tables = page.eval_on_selector_all(
        ".cell_output table", "tables => tables.map(table => table.caption ? table.caption.textContent : '')"
    )
    assert tables
    # What holds of the write-ups alone, or by arithmetic, was made from no film and no row.
    said = ("phantom", "write-up", "reference run: real data", "by arithmetic")
    assert all(any(words in caption.lower() for words in said) for caption in tables), tables


def test_formulas_are_set(open_page):
    assert open_page("book/spine_mlp.html", 1280).locator(".math").count() >= 1


def test_figures_are_interactive(open_page):
    page = open_page("book/spine_mlp.html", 1280)
    page.wait_for_selector(".scatterlayer .trace")
    figure = page.locator(".plotly-graph-div").nth(1)
    figure.scroll_into_view_if_needed()
    box = figure.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.5)
    page.wait_for_selector(".hoverlayer .hovertext")


def test_the_slider_of_the_prevalence_moves_the_predictive_values(open_page):
    page = open_page("book/spine_mlp.html", 1280)
    figure = page.locator(".plotly-graph-div", has=page.locator(".slider-container"))
    ppv = "div => div.data.find(trace => trace.name === 'PPV').y[10]"
    before = figure.evaluate(ppv)
    figure.scroll_into_view_if_needed()
    rail = figure.locator(".slider-rail-touch-rect").bounding_box()
    page.mouse.click(rail["x"] + rail["width"] * 0.98, rail["y"] + rail["height"] / 2)
    page.wait_for_function(
        "before => [...document.querySelectorAll('.plotly-graph-div')].some(div => div.layout.sliders && "
        "div.data.find(trace => trace.name === 'PPV').y[10] > before)",
        arg=before,
    )


def test_the_folded_list_of_all_numbers_is_sorted_by_a_click(open_page):
    page = open_page("book/spine_mlp.html", 1280)
    folded = page.locator("details", has=page.locator("summary", has_text="numbers that the write-up states"))
    folded.locator("summary").click()
    status = folded.locator("th button", has_text="Status")
    column = [text.inner_text() for text in folded.locator("thead th").all()].index("Status")
    for order in ("ascending", "descending"):
        status.click()
        cells = [row.locator("th, td").nth(column).inner_text() for row in folded.locator("tbody tr").all()]
        assert cells == sorted(cells, reverse=order == "descending")
        assert folded.locator(f"th[aria-sort={order}]").inner_text() == "Status"


def test_a_question_hides_its_answer_until_it_is_asked_for(open_page):
    question = open_page("book/spine_mlp.html", 1280).locator("details.question").first
    assert not question.locator("p").is_visible()
    question.locator("summary").click()
    assert "On real data" in question.locator("p").inner_text()


def test_the_cover_says_what_it_is_not_for(open_page):
    page = open_page("book/intro.html", 1280)
    warning = page.locator(".admonition.warning")
    assert "Not for clinical use" in warning.inner_text()
    assert warning.bounding_box()["y"] < 900


def test_search_answers(open_page):
    page = open_page("search.html?q=specificity", 1280)
    page.wait_for_selector("#search-results li a")
    assert page.locator("#search-results li a").count() >= 1
