"""The page as a browser shows it: its charts, a click on a number, its width on a phone, and axe-core's judgement."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from gpubox.page.html import html
from page.pages import a_page, many_profiles

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no chromium here; `make e2e-page` installs it where it runs as root")
    sync_api = pytest.importorskip("playwright.sync_api", reason="`make e2e-page` installs playwright and axe-core")
    with sync_api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    file: Path = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(a_page(), encoding="utf-8")
    return file.as_uri()


@pytest.fixture(params=[(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop in light", "phone in dark"])
def page(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    viewport, scheme = request.param
    opened = browser.new_page(viewport=viewport, color_scheme=scheme)
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    opened.goto(address)
    yield opened
    opened.close()
    assert faults == []


def test_every_chart_is_drawn_and_named(page: Page) -> None:
    names = page.eval_on_selector_all("[data-chart]", "all => all.map(each => each.dataset.chart)")
    assert names == [
        "pp", "tg", "mtp-0", "mtp-1", "memory-0", "memory-1", "memory-2", "power-0", "power-1", "power-2", "history-pp",
        "history-tg",
    ]  # fmt: skip  # in the page's order
    drawn = page.eval_on_selector_all("[data-chart] svg[role=img][aria-label]", "all => all.length")
    assert drawn == len(names)


def test_the_page_is_no_wider_than_the_screen(page: Page) -> None:
    assert page.viewport_size is not None
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def test_a_click_on_a_number_shows_where_it_comes_from(page: Page) -> None:
    page.locator("a[data-run=run-02]").first.click()
    shown = page.locator("dialog[open]").inner_text()
    for text in (
        "run-02",
        "PP t/s",
        "400",
        "ik_llama 29a54f4 4100",
        "ab" * 32,
        "12.50 at 500 W",
        "gpubox results run-02",
    ):
        assert text in shown
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0


def test_a_chosen_profile_shows_its_history(page: Page) -> None:
    page.locator("#history-profile").select_option("glm-mtp")
    assert page.locator("#history-workload option").all_inner_texts() == ["pp2048+tg128", "pp8192+tg128"]
    label = page.locator("[data-chart=history-tg] svg[role=img]").get_attribute("aria-label")
    assert (label or "").startswith("TG t/s of glm-mtp over time, 2 runs.")


def test_axe_finds_no_violation_with_everything_unfolded(page: Page) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="`make e2e-page` installs axe-core").Axe()
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    found = axe.run(page, options={"resultTypes": ["violations"]}).response["violations"]
    assert [(violation["id"], violation["nodes"][0]["target"]) for violation in found] == []


def test_sixteen_profiles_look_different_and_their_legend_fits_a_phone(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "many.html"
    file.write_text(html(many_profiles(16), written_at="now"), encoding="utf-8")
    opened = browser.new_page(viewport={"width": 390, "height": 844})
    opened.goto(file.as_uri())
    entries = opened.eval_on_selector_all(
        "#legend li",
        """all => all.map(each => [each.textContent, ...["stroke", "stroke-dasharray"].map(
            name => each.querySelector("line").getAttribute(name)), each.querySelector("path").getAttribute("d")])""",
    )
    assert [name for name, *_ in entries] == [
        f"glm-5.2-2.244bpw-split-graph-attn-{number:03d}-mtp-nothink" for number in range(16)
    ]
    assert len({(colour, dash) for _, colour, dash, _ in entries}) == 16
    assert len({(colour, symbol) for _, colour, _, symbol in entries}) == 16
    right = opened.eval_on_selector_all(
        "#legend li", "all => Math.max(...all.map(each => each.getBoundingClientRect().right))"
    )
    assert right <= PHONE["width"]
    assert opened.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    opened.close()


def test_the_history_shows_the_baseline_and_what_can_be_said_beside_it(page: Page) -> None:
    page.locator("#history-profile").select_option("glm")
    label = page.locator("[data-chart=history-tg] svg[role=img]").get_attribute("aria-label")
    assert "baseline since 2026-03-01 on box1: 40.008." in (label or "")
    assert page.locator("#history-baseline").inner_text() == (
        "Beside the baseline since 2026-03-01 on box1: TG slower by 9.1 % (95 % CI 8.7 to 9.5)."
    )


def test_printed_it_is_a_pdf_in_light_colours(browser: Browser, address: str) -> None:
    opened = browser.new_page(color_scheme="dark")
    opened.goto(address)
    opened.emulate_media(media="print", color_scheme="dark")
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert opened.pdf(format="A4")[:5] == b"%PDF-"
    opened.close()
