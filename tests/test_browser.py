"""Pages in a real headless Chromium: keyboard, filter, phone, print, dark, accessibility, hostile articles."""

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from slant.audit import Corpus
from slant.page import page as draw
from slant.report.figures import figures
from slant.report.numbers import numbers
from slant.report.page import page as draw_report
from slant.scores import Scores
from tests.scored import write_scores
from tests.test_page import BOOK, HOSTILE, coded

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium on the path; apt-get install chromium")

TEXT = "Harbour news\n\n" + "\n\n".join(
    f"The {n} boat came in. “It is late,” said the {n} mate. Nobody else stood there at all." for n in range(9)
)
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 360, "height": 740}
Show = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Show]:
    """Open a page of one article; the test fails if the page says anything on the console or asks for anything."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_page(text: str = TEXT, *, viewport: dict[str, int] = WIDE, **options: object) -> Page:
        path = tmp_path / "page.html"
        path.write_text("".join(draw([coded(text)])), encoding="utf-8")
        context = browser.new_context(viewport=viewport, **options)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()

        def heard(message: ConsoleMessage) -> None:
            complaints.append(message.text)

        def asked(request: Request) -> None:
            if request.url != path.as_uri():
                complaints.append(request.url)

        page.on("console", heard)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", asked)
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("state", ["fresh", "filtered", "focused"])
def test_accessibility(show: Show, scheme: str, viewport: dict[str, int], state: str) -> None:
    page = show(viewport=viewport, color_scheme=scheme)
    if state == "filtered":
        page.get_by_role("checkbox", name="safety").check()
    if state == "focused":
        page.locator(".note").nth(4).focus()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_hovering_and_focusing_show_probabilities_and_words(show: Show) -> None:
    page = show()
    detail = page.locator(".s").nth(3).locator(".d")
    assert detail.is_hidden()
    page.locator(".s .t").nth(3).hover()
    assert detail.is_visible()
    assert "weighed towards against" in detail.inner_text()
    assert "0.90" in detail.inner_text()
    page.mouse.move(0, 0)
    assert detail.is_hidden()
    page.locator(".note").nth(3).focus()
    assert detail.is_visible()
    page.keyboard.press("Escape")
    assert detail.is_hidden()
    page.keyboard.press("ArrowRight")
    assert page.locator(".s").nth(4).locator(".d").is_visible()


def test_a_screen_reader_is_told_the_details(show: Show) -> None:
    page = show()
    note = page.locator(".note").nth(1)
    described = note.evaluate("e => document.getElementById(e.getAttribute('aria-describedby')).textContent")
    assert "weighed towards against" in described
    assert note.evaluate("e => e.tagName") == "BUTTON"


def test_the_keyboard_reaches_everything(show: Show) -> None:
    page = show()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the article"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "a1s1"
    for key, expected in (("ArrowDown", "a1s2"), ("j", "a1s3"), ("k", "a1s2"), ("ArrowLeft", "a1s1"), ("ArrowUp", "a1s1")):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.id") == expected
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.getBoundingClientRect().bottom <= innerHeight")


def test_the_legend_filters(show: Show) -> None:
    page = show()
    count = page.locator(".s").count()
    page.get_by_role("checkbox", name="safety").check()
    fitting = page.locator(".s:not(.out)").count()
    assert fitting == count // 2
    assert page.get_by_role("status").inner_text() == f"{fitting} of {count} sentences fit"
    page.get_by_role("checkbox", name="favor").check()  # codes are joined by "and": no sentence has both
    assert page.locator(".s:not(.out)").count() == 0
    page.get_by_role("checkbox", name="against").check()  # labels of one code by "or"
    assert page.locator(".s:not(.out)").count() == fitting
    page.locator(".note").nth(1).focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "a1s4"  # passes over what does not fit
    page.get_by_role("button", name="Show all").click()
    assert page.locator(".s.out").count() == 0
    assert page.evaluate("document.activeElement.type") == "checkbox"


def test_the_course_leads_to_a_sentence(show: Show) -> None:
    page = show()
    page.locator(".course .row.stance i").nth(15).click()
    assert page.evaluate("document.activeElement.id") == "a1s16"


@pytest.mark.parametrize("width", [320, 360, 768, 1024, 1280, 1920])
def test_nothing_overflows_and_notes_do_not_overlap(show: Show, width: int) -> None:
    page = show(viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    boxes = page.evaluate(
        "[...document.querySelectorAll('.note')].map(e => { const b = e.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom] })"
    )
    for one, other in itertools.pairwise(boxes):
        assert one[3] <= other[1] + 1 or one[2] <= other[0] + 1 or other[2] <= one[0] + 1
    assert min(box[0] for box in boxes) >= 0


def test_a_tap_on_a_phone_shows_the_details(show: Show) -> None:
    page = show(viewport=PHONE, has_touch=True, is_mobile=True)
    page.locator(".s .t").nth(1).tap()
    detail = page.locator(".s").nth(1).locator(".d")
    assert detail.is_visible()
    assert page.evaluate("e => e.getBoundingClientRect().bottom <= innerHeight", detail.element_handle())


def test_print_shows_codes_and_no_controls(show: Show, tmp_path: Path) -> None:
    page = show()
    page.emulate_media(media="print")
    assert page.locator(".note").first.is_visible()
    assert page.locator(".note .word").first.is_visible()
    assert page.locator(".choice input").first.is_hidden()
    assert page.locator(".hint").is_hidden()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert len(page.pdf()) > 10_000


def test_it_reads_without_scripts(show: Show) -> None:
    page = show(java_script_enabled=False)
    page.locator(".s .t").nth(3).hover()
    assert page.locator(".s").nth(3).locator(".d").is_visible()


def test_a_hostile_article_does_nothing(show: Show) -> None:
    page = show(HOSTILE)
    assert page.title() != "taken"
    assert page.locator("article img, article svg, article iframe, article script").count() == 0
    assert "document.title='taken'" in page.locator("article").inner_text()


def test_its_policy_stops_a_script_that_is_not_its_own(browser: Browser, tmp_path: Path) -> None:
    drawn = "".join(draw([coded(TEXT)])).replace("</article>", "<script>document.title = 'taken'</script></article>")
    (tmp_path / "page.html").write_text(drawn, encoding="utf-8")
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    assert page.title() == "Harbour news"
    page.get_by_role("checkbox", name="safety").check()  # while its own script runs
    assert page.locator(".s.out").count() > 0
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_a_report_is_accessible_and_asks_for_nothing(browser: Browser, tmp_path: Path, scheme: str, viewport: dict[str, int]) -> None:
    write_scores(tmp_path / "scores", BOOK)
    found = numbers(Corpus(Scores.load(tmp_path / "scores")), ["outlet", "month"])
    path = tmp_path / "report.html"
    path.write_text(draw_report(found, figures(found), "The paragraph.", beside="report_files/"), encoding="utf-8")
    page = browser.new_page(viewport=viewport, color_scheme=scheme)  # type: ignore[arg-type]
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda request: complaints.append(request.url) if request.url != path.as_uri() else None)
    page.goto(path.as_uri())
    for summary in page.locator("summary").all():
        summary.click()
    found_by_axe = Axe().run(page)
    assert found_by_axe.violations_count == 0, found_by_axe.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert complaints == []
    page.close()
