"""What a real browser makes of a report's page: one Chromium for all tests, no network."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import emoscan
from emoscan.report.html import write_report
from tests.report.page_samples import FPS, HOSTILE, face, interview, photos, write

playwright_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium that is installed")

WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
LONG_FRAMES = 10_000


@pytest.fixture(scope="module")
def browser():
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> Path:
    """A folder of pages: one video, four tables, hostile names, a long video."""
    folder = tmp_path_factory.mktemp("pages")
    one = write(folder / "one.parquet", interview(label="Anna"))
    write_report(one, folder / "one.html")
    many = [write(folder / f"{n}.parquet", interview(source=f"{n}.mp4")) for n in range(3)]
    many.append(write(folder / "photos.parquet", photos(), {}))
    write_report(many, folder / "many.html")
    names = {"label": HOSTILE, "source": HOSTILE}
    metadata = {"media": {"damage": [HOSTILE]}, "options": {HOSTILE: HOSTILE}}
    hostile = write(folder / "hostile.parquet", interview(**names), metadata)
    title = emoscan.ReportOptions(title=HOSTILE)
    write_report([hostile, one], folder / "hostile.html", options=title)
    long = [face(i, "happy" if i % 50 < 25 else "sad", 0.8) for i in range(LONG_FRAMES)]
    long[4321] = face(4321, "happy", 1.0)
    unsmoothed = emoscan.EpisodeOptions(smoothing_s=0)
    write_report(write(folder / "long.parquet", long), folder / "long.html", episodes=unsmoothed)
    return folder


@contextmanager
def opened(browser, path: Path, *, size=WIDE, **context) -> Iterator:
    """A page that is drawn. Whatever it says or asks for fails the test."""
    said: list[str] = []
    with browser.new_context(viewport=size, **context) as tab:
        page = tab.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-drawn=yes]", state="attached")
        said.remove(path.as_uri())
        yield page
        page.wait_for_timeout(100)
        assert [words for words in said if not words.startswith("data:")] == []


def drawn(page, plot: str = "#figure-1 .plot"):
    """The names of the traces that can be hovered, and how many points each has."""
    return page.eval_on_selector(
        plot,
        "plot => plot.data.filter(t => t.hoverinfo !== 'skip')"
        ".map(t => [t.name, t.y.filter(v => v !== null).length])",
    )


def shown_span(page, figure: int = 1) -> tuple[float, float]:
    """The times in view, as the figure's axis has them."""
    first, last = page.eval_on_selector(
        f"#figure-{figure} .plot", "plot => plot.layout.xaxis.range.map(Number)"
    )
    return first, last


@pytest.mark.parametrize(
    ("name", "size", "scheme"),
    [
        ("one", WIDE, "light"),
        ("one", NARROW, "dark"),
        ("many", NARROW, "light"),
        ("hostile", WIDE, "dark"),
        ("hostile", NARROW, "light"),
    ],
)
def test_it_opens_in_silence_and_fits(browser, pages, name, size, scheme):
    touch = size is NARROW
    with opened(browser, pages / f"{name}.html", size=size, color_scheme=scheme,
                has_touch=touch, is_mobile=touch) as page:  # fmt: skip
        for folded in page.query_selector_all("details"):
            folded.evaluate("each => { each.open = true; }")
        assert page.evaluate("document.documentElement.scrollWidth") == size["width"]
        assert page.evaluate("window.stolen") is None
        ink, paper = page.evaluate(
            "['color', 'backgroundColor'].map(name =>"
            " Number(getComputedStyle(document.body)[name].match(/\\d+/)[0]))"
        )
        assert (ink < paper) is (scheme == "light")


def test_hovering_shows_the_values(browser, pages):
    with opened(browser, pages / "one.html") as page:
        plot = page.locator("#figure-1 .plot").bounding_box()
        for view in ("areas", "lines"):
            page.check(f"input[value={view}]", force=True)
            page.mouse.move(plot["x"] + 10, plot["y"] + 10)
            page.mouse.move(plot["x"] + plot["width"] * 0.6, plot["y"] + 120, steps=3)
            shown = page.locator("#figure-1 .hoverlayer")
            playwright_api.expect(shown).to_contain_text("happy 0.80")
            playwright_api.expect(shown).to_contain_text("sad 0.03")


def test_dragging_buttons_and_keys_zoom_all_tracks(browser, pages):
    with opened(browser, pages / "one.html") as page:
        assert shown_span(page) == pytest.approx((0, 12))
        plot = page.locator("#figure-1 .nsewdrag").bounding_box()
        middle = plot["y"] + plot["height"] / 2
        page.mouse.move(plot["x"] + plot["width"] * 0.25, middle)
        page.mouse.down()
        page.mouse.move(plot["x"] + plot["width"] * 0.5, middle, steps=5)
        page.mouse.up()
        assert shown_span(page) == pytest.approx((3, 6), abs=0.05)
        page.wait_for_timeout(200)
        assert shown_span(page, 2) == shown_span(page)
        strip = page.get_attribute("#figure-2 .strip.presence", "viewBox").split()
        assert float(strip[0]) == pytest.approx(3, abs=0.05)
        page.click("[data-plot=figure-1] [data-do=in]")
        page.wait_for_timeout(100)
        assert shown_span(page) == pytest.approx((3.75, 5.25), abs=0.05)
        page.focus("#figure-1")
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(100)
        assert shown_span(page) == pytest.approx((4.5, 6), abs=0.05)
        page.keyboard.press("0")
        page.wait_for_timeout(100)
        assert shown_span(page) == pytest.approx((0, 12))


def test_an_episode_leads_to_its_place(browser, pages):
    with opened(browser, pages / "one.html") as page:
        page.get_by_role("link", name="happy").first.click()
        page.wait_for_timeout(200)
        start, end = shown_span(page)
        assert 0 < start < 4 and 8 < end < 12
        assert page.evaluate("document.activeElement.id") == "figure-1"
        assert page.locator("tr[aria-current=true]").count() == 1
        page.click("#figure-1 .episodes rect.sad", force=True)
        page.wait_for_timeout(200)
        assert shown_span(page)[0] > start


def test_areas_and_lines_and_classes_can_be_chosen(browser, pages):
    with opened(browser, pages / "one.html") as page:
        filled = "plot => plot.data.filter(t => t.fill === 'toself').length"
        assert page.eval_on_selector("#figure-1 .plot", filled) == 7
        top = "plot => Math.max(...plot.data.at(-1).y)"
        assert page.eval_on_selector("#figure-1 .plot", top) == pytest.approx(1, abs=1e-3)
        page.check("input[value=lines]", force=True)
        page.wait_for_timeout(200)
        assert page.eval_on_selector("#figure-1 .plot", filled) == 0
        assert len(drawn(page)) == 7
        page.click("button[data-class=angry]")
        page.wait_for_timeout(200)
        assert "angry" not in [name for name, _ in drawn(page)] and len(drawn(page)) == 6
        assert page.get_attribute("button[data-class=angry]", "aria-pressed") == "false"


def test_curves_break_where_the_face_is_away(browser, pages):
    with opened(browser, pages / "one.html") as page:
        breaks = page.eval_on_selector(
            "#figure-1 .plot",
            "plot => { const t = plot.data.at(-1);"
            " return t.x.filter((_, at) => t.y[at] === null); }",
        )
        assert breaks == pytest.approx([8, 12], abs=0.01)


def test_a_long_video_is_thinned_until_one_zooms(browser, pages):
    with opened(browser, pages / "long.html") as page:
        assert 0 < drawn(page)[-1][1] < 2_500
        peak = "plot => Math.max(...plot.data.find(t => t.name === 'happy' && !t.fill).customdata)"
        assert page.eval_on_selector("#figure-1 .plot", peak) == pytest.approx(1, abs=1e-3)
        for _ in range(4):
            page.click("[data-plot=figure-1] [data-do=in]")
        page.wait_for_timeout(200)
        assert drawn(page)[-1][1] == pytest.approx(LONG_FRAMES / 16, abs=3)
        start, end = shown_span(page)
        assert end - start == pytest.approx(LONG_FRAMES / FPS / 16)
        page.click("button.more")
        assert page.locator("a.episode:visible").count() == LONG_FRAMES // 25


def test_a_card_opens_its_part(browser, pages):
    with opened(browser, pages / "many.html") as page:
        assert page.locator("details.part[open]").count() == 0
        page.click("a.card >> nth=1")
        page.wait_for_selector("#part-2[open]")  # when the browser tells of the new address
        page.wait_for_selector("#part-2 .plot .main-svg")
        assert page.locator(".plot .main-svg").count() < 3 * 6 * 2  # the others wait


def test_paper_is_white_and_holds_the_figures(browser, pages):
    with opened(browser, pages / "one.html", color_scheme="dark") as page:
        page.emulate_media(media="print", color_scheme="dark")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert colour == "rgb(255, 255, 255)"
        assert page.locator("#figure-2 .main-svg").first.bounding_box()["width"] == 660
        assert page.pdf(format="A4").startswith(b"%PDF")
