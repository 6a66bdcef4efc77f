"""The report in a real browser: it renders, works without its script too, and runs nothing but its own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.evolve.test_export_report import NASTY, demo, hostile, report  # noqa: F401 - fixtures

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed (apt install chromium; `make setup` does)"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Root has no sandbox of Chromium's own; the page is ours.
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def page_of_demo(demo, tmp_path_factory) -> Path:  # noqa: F811
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(report(demo), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def page_of_hostile(hostile, tmp_path_factory) -> Path:  # noqa: F811
    path = tmp_path_factory.mktemp("page") / "hostile.html"
    path.write_text(report(hostile), encoding="utf-8")
    return path


class Opened:
    """A page, with everything that it complained of or asked for."""

    def __init__(self, browser: Browser, path: Path, **given: object) -> None:
        self.said: list[str] = []
        self.context = browser.new_context(**given)
        self.page: Page = self.context.new_page()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.said.append(request.url))
        self.page.goto(path.as_uri())
        assert self.said == [path.as_uri()]
        self.said.clear()

    def close(self) -> None:
        assert self.said == []
        self.context.close()


def size(width: int, height: int = 900) -> dict[str, int]:
    return {"width": width, "height": height}


def rows(page: Page) -> list[str]:
    """The numbers of the candidates that are seen, in order."""
    shown = "[...document.querySelectorAll('#all tbody tr')].filter(r => r.checkVisibility()).map(r => r.id)"
    return page.evaluate(shown)


@pytest.mark.parametrize("width", [1280, 360])
def test_it_renders_without_a_word_and_without_asking_for_anything(browser, page_of_demo, width):
    opened = Opened(browser, page_of_demo, viewport=size(width))
    page = opened.page
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("#progress svg").first.bounding_box()["height"] > 150
    assert page.locator("#lineage svg").bounding_box()["height"] > 150
    assert page.locator("section h2").count() >= 14
    for details in page.locator("#candidates details").all()[:3]:
        details.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    opened.close()


def test_search_sort_and_links(browser, page_of_demo):
    opened = Opened(browser, page_of_demo, viewport=size(1280))
    page = opened.page
    everybody = rows(page)
    assert everybody == [f"c{n}" for n in range(28, 0, -1)]
    page.fill("#find", "WARMDOWN")
    assert rows(page) == ["c20", "c8", "c6"]
    assert page.inner_text("#hits") == "3 of 28"
    page.fill("#find", "#11")
    assert rows(page) == ["c11"]
    page.fill("#find", "")
    page.select_option("#verdict", "rejected")
    assert 0 < len(rows(page)) < 28
    page.click("#progress a[href='#c11'] circle", force=True)  # shows it, whatever is filtered
    assert "c11" in rows(page)
    assert page.locator("#c11 details").get_attribute("open") is not None
    page.locator("#lineage [data-id='20']").first.dispatch_event("click")
    assert page.evaluate("location.hash") == "#c20"
    assert page.locator("#c20 details").get_attribute("open") is not None
    head = page.locator("#all thead th", has_text="Score")
    head.locator("button").click()
    keys = [page.locator(f"#{r} td[data-h=Score]").get_attribute("data-k") for r in rows(page)]
    known = [float(key) for key in keys if key]
    assert known == sorted(known)
    assert keys[len(known) :] == [""]  # dropped, without a score: last
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert rows(page)[-1] == "c18"
    opened.close()


def test_light_and_dark(browser, page_of_demo):
    opened = Opened(browser, page_of_demo, color_scheme="dark")
    page = opened.page
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.click("#theme")
    light = page.evaluate(ground)
    assert (dark, light) == ("rgb(18, 22, 27)", "rgb(251, 251, 249)")
    assert page.inner_text("#theme") == "Dark"
    opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_stands_out_from_its_ground(browser, page_of_demo, scheme):
    opened = Opened(browser, page_of_demo, color_scheme=scheme)
    weak = opened.page.evaluate(
        """() => {
        const lum = c => { const v = c.map(x => { x /= 255; return x <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4 });
            return .2126 * v[0] + .7152 * v[1] + .0722 * v[2] };
        const rgb = s => s.match(/[\\d.]+/g).map(Number);
        const ground = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
            if (c.length < 4 || c[3] > 0) return c.slice(0, 3) } return [255, 255, 255] };
        const found = new Set();
        for (const e of document.querySelectorAll('main *:not(svg *), header *, footer')) {
            if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
            const a = lum(rgb(getComputedStyle(e).color).slice(0, 3)), b = lum(ground(e));
            const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
            if (ratio < 4.5) found.add(e.tagName + '.' + e.className + ' ' + ratio.toFixed(2));
        }
        return [...found] }"""
    )
    assert weak == []
    opened.close()


def test_it_works_without_its_script(browser, page_of_demo):
    opened = Opened(browser, page_of_demo, java_script_enabled=False, viewport=size(1280))
    page = opened.page
    assert page.locator("#all tbody tr").count() == 28
    assert page.locator("#c11").is_visible()
    assert not page.locator("#find").is_visible()
    assert not page.locator("#theme").is_visible()
    assert page.locator(".figure.trainings").is_visible()
    page.click("label[for=by-hours]")
    assert page.locator(".figure.hours").is_visible()
    assert not page.locator(".figure.trainings").is_visible()
    opened.close()


def test_it_prints(browser, page_of_demo):
    opened = Opened(browser, page_of_demo, color_scheme="dark")
    paper = opened.page.pdf(format="A4")
    assert paper.startswith(b"%PDF")
    assert 4 <= paper.count(b"/Type /Page\n") <= 40
    opened.page.emulate_media(media="print")
    assert not opened.page.locator("header").is_visible()
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"  # fmt: skip
    opened.close()


def test_hostile_text_stays_text(browser, page_of_hostile):
    opened = Opened(browser, page_of_hostile, viewport=size(360))
    page = opened.page
    for details in page.locator("details").all():
        details.evaluate("e => { e.open = true }")
    page.hover("#c2 summary")
    page.fill("#find", NASTY[0])
    assert rows(page) == ["c1"]
    assert page.evaluate("window.pwned") is None
    assert page.evaluate("document.scripts.length") == 1
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    opened.close()
