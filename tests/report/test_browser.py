"""The pages in a real Chromium; skipped where there is none."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from deepjive import AJIVE
from deepjive.report import Table, write_report
from deepjive.report.compare import Run, write_comparison
from deepjive.report.slices import Shown, write_quality

from .test_page import FOREIGN

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium on the path, such as Debian's package")
LONG = "long " * 80
WORDS = "() => document.querySelector('.modality canvas').toDataURL()"


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def written(tmp_path, make_decomposition):
    """A report of images and of a table, with names that want to be more than text."""
    samples = [f"{FOREIGN} {i}" for i in range(58)] + [LONG, "=1+1"]
    parts = make_decomposition({FOREIGN: (6, 6), "table": (30,)}, samples=samples)
    parts.data.features["table"] = np.array([FOREIGN, LONG, "=cmd()", *(f"gene {i}" for i in range(27))])
    labels = {"group": np.array([FOREIGN, "b"] * 30), "age": np.linspace(1, 2, 60)}
    table = Table("Figures", ["name", "value"], [["b", "9.5%"], ["=cmd()", "10.0%"], ["a", "−3%"]])  # noqa: RUF001
    settings = {FOREIGN: LONG}
    return write_report(tmp_path / "r.html", parts, title=FOREIGN, settings=settings, labels=labels, evidence=[table])


@pytest.fixture
def page(browser, written):
    """The report; fails at the end if it wrote to the console, raised an error or asked the network for anything."""
    heard: list[str] = []
    opened = browser.new_page(viewport={"width": 1100, "height": 900})
    opened.set_default_timeout(5000)
    opened.on("console", lambda message: heard.append(message.text))
    opened.on("pageerror", lambda error: heard.append(str(error)))
    opened.on("dialog", lambda dialog: heard.append(f"dialog {dialog.message}"))
    opened.on(
        "request", lambda request: None if request.url.startswith(("file:", "blob:")) else heard.append(request.url)
    )
    opened.goto(written.as_uri())
    yield opened
    opened.close()
    assert heard == []


def column(page, number):
    return page.locator("#believe tbody tr").evaluate_all(f"rows => rows.map(row => row.cells[{number}].textContent)")


def test_sliders_move_the_pictures_of_every_modality_and_say_what_is_extrapolated(page):
    slider = page.get_by_label("joint score 1", exact=True)
    seen = [(page.evaluate(WORDS), page.locator(".bars .value").first.text_content())]
    slider.press("ArrowRight")
    page.wait_for_timeout(60)
    seen.append((page.evaluate(WORDS), page.locator(".bars .value").first.text_content()))
    assert seen[0][0] != seen[1][0]
    assert seen[0][1] != seen[1][1]
    assert page.get_by_role("status").text_content() == ""
    for _ in range(8):
        slider.press("PageUp")
    page.wait_for_timeout(60)
    assert "Extrapolation" in page.get_by_role("status").text_content()
    page.get_by_role("button", name="Back to the average").click()
    assert page.get_by_role("status").text_content() == ""


def test_what_the_page_computes_is_what_the_model_says(page, make_decomposition):
    page.get_by_label("Start from a sample").fill("=1+1")
    names = page.locator(".bars .name").all_text_contents()
    values = page.locator(".bars .value").all_text_contents()
    parts = make_decomposition({FOREIGN: (6, 6), "table": (30,)})
    moved = (parts.joint["table"] + parts.individual["table"] - parts.mean["table"])[59]
    shown = moved / parts.data["table"].std(axis=0)
    order = [FOREIGN, LONG.strip(), "=cmd()", *(f"gene {i}" for i in range(27))]
    for name, value in zip(names, values, strict=True):
        here = next(i for i, full in enumerate(order) if full.startswith(name.rstrip("…").strip()))
        assert float(value.replace("−", "-")) == pytest.approx(shown[here], abs=0.011)  # noqa: RUF001


def test_the_page_adds_the_part_of_a_subset_to_its_modalities_only(browser, tmp_path):
    rng = np.random.default_rng(0)
    tables = {name: rng.normal(size=(60, 8)) for name in "abc"}
    ranks = {"joint_rank": 1, "subsets": {("a", "b"): 1}, "signal_ranks": 3, "individual_ranks": 1}
    parts = AJIVE(**ranks, n_wedin=0, n_random=0, random_state=0).fit(tables).decompose(tables)
    opened = browser.new_page(viewport={"width": 1100, "height": 900})
    opened.goto(write_report(tmp_path / "s.html", parts, title="T", settings={}).as_uri())
    opened.get_by_label("Start from a sample").fill("7")
    for position, name in enumerate("abc"):
        panel = opened.locator(".modality").nth(position)
        numbers = [int(word.removeprefix("feature ")) for word in panel.locator(".name").all_text_contents()]
        values = [float(text.replace("\N{MINUS SIGN}", "-")) for text in panel.locator(".value").all_text_contents()]
        scores = {part: values[7:8] for part, values in parts.scores_of(name).items()}
        moved = (parts.rendered_at(name, scores)[0] - parts.mean[name]) / tables[name].std(axis=0)
        np.testing.assert_allclose(values, moved[numbers], atol=0.011)
    group = opened.get_by_role("group", name="Shared by a and b")
    before = [opened.locator(".modality").nth(i).locator(".value").all_text_contents() for i in range(3)]
    group.get_by_role("slider").press("PageUp")
    opened.wait_for_timeout(60)
    after = [opened.locator(".modality").nth(i).locator(".value").all_text_contents() for i in range(3)]
    assert [one != other for one, other in zip(before, after, strict=True)] == [True, True, False]
    opened.close()


def test_a_dot_tells_its_name_and_its_choice_loads_the_sample(page):
    dot = page.locator("svg.scatter circle[data-i='3']")
    dot.dispatch_event("pointermove")
    assert page.locator(".tip").text_content() == f"{FOREIGN} 3group: b"
    before = page.evaluate(WORDS)
    dot.dispatch_event("click")
    assert page.get_by_label("Start from a sample").input_value() == f"{FOREIGN} 3"
    assert page.evaluate(WORDS) != before


def test_labels_recolour_and_axes_can_be_chosen(page):
    def fills():
        return page.locator("svg.scatter circle").evaluate_all("dots => dots.map(dot => dot.style.fill)")

    assert len(set(fills())) == 2
    assert FOREIGN in page.locator(".legend").text_content()
    page.get_by_label("Colour", exact=True).select_option(label="age")
    assert len(set(fills())) > 20
    places = page.locator("svg.scatter circle").first.get_attribute("cx")
    page.get_by_label("Horizontal axis", exact=True).select_option(label="table, individual score 2")
    assert page.locator("svg.scatter circle").first.get_attribute("cx") != places


def test_tables_sort_by_number_and_are_saved_without_formulas(page):
    assert column(page, 0) == ["b", "=cmd()", "a"]
    page.get_by_role("button", name="value", exact=True).click()
    assert column(page, 0) == ["a", "b", "=cmd()"]
    page.get_by_role("button", name="value", exact=True).press("Enter")
    assert column(page, 0) == ["=cmd()", "b", "a"]
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as CSV: Figures").click()
    assert saved.value.suggested_filename == "Figures.csv"
    assert Path(saved.value.path()).read_text() == "name,value\n'=cmd(),10.0%\nb,9.5%\na,-3%\n"
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save these scores as CSV").click()
    lines = Path(saved.value.path()).read_text().splitlines()
    assert len(lines) == 61
    assert lines[60].startswith("'=1+1,")
    assert float(lines[2].split(",")[-1]) == np.linspace(1, 2, 60)[1]
    assert page.evaluate("compareCells('9.5°', '12.3°')") < 0


def test_names_are_text_and_nothing_is_wider_than_a_phone(page):
    assert page.locator("h1").text_content() == FOREIGN
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("script").count() == 2


def test_words_of_the_header_of_a_table_are_not_broken_on_a_phone(page):
    page.set_viewport_size({"width": 390, "height": 800})
    styles = page.evaluate("[...document.querySelectorAll('thead th')].map(th => getComputedStyle(th).overflowWrap)")
    assert set(styles) == {"normal"}


def test_a_phone_shows_one_modality_in_full_and_follows_its_score(page):
    page.set_viewport_size({"width": 390, "height": 800})
    shown = page.locator(".modality:visible")
    assert shown.count() == 1
    box = shown.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    assert shown.locator("canvas").first.bounding_box()["width"] > 140
    assert shown.locator(".bars").count() == 0
    page.get_by_label("table, individual score 1", exact=True).press("ArrowRight")
    assert page.locator(".modality:visible .bars").count() == 1
    page.get_by_label("Modality", exact=True).select_option(index=0)
    assert page.locator(".modality:visible .bars").count() == 0


def test_a_colour_image_has_the_colours_of_the_model(browser, tmp_path, make_decomposition):
    parts = make_decomposition({"photo": (7, 6, 3), "table": (12,)})
    page = browser.new_page()
    page.goto(write_report(tmp_path / "r.html", parts, title="t", settings={}).as_uri())
    page.get_by_role("button", name="Back to the average").click()
    canvas = page.locator(".modality canvas").first
    drawn = canvas.evaluate("c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)")
    shown = np.array(drawn).reshape(7, 6, 4)[..., :3].astype(float)
    mean = np.asarray(parts.mean["photo"])
    low, high = np.percentile(parts.data["photo"], [0.5, 99.5])
    np.testing.assert_allclose(shown, 255 * np.clip((mean - low) / (high - low), 0, 1), atol=2.0)
    assert np.ptp(shown, axis=2).max() > 5
    page.close()


def test_runs_can_be_compared_score_by_score(browser, tmp_path):
    rng = np.random.default_rng(0)
    scores, samples = rng.normal(size=(40, 2)), np.array([f"{FOREIGN} {i}" for i in range(40)])
    runs = [Run(FOREIGN, {"a": FOREIGN}, samples, scores), Run("other", {"a": "b"}, samples[::-1], scores[::-1])]
    opened, heard = browser.new_page(), []
    opened.on("console", lambda message: heard.append(message.text))
    opened.on("pageerror", lambda error: heard.append(str(error)))
    opened.goto(write_comparison(tmp_path / "c.html", runs, {"group": np.arange(40) % 2}).as_uri())
    slopes = opened.locator("svg.scatter circle").evaluate_all(
        "dots => dots.map(dot => [+dot.getAttribute('cx'), -dot.getAttribute('cy')])"
    )
    assert np.corrcoef(np.array(slopes).T)[0, 1] > 0.999  # the same score of both runs, samples matched by name
    assert FOREIGN in opened.locator("main").text_content()
    opened.close()
    assert heard == []


def test_without_scripts_the_still_figures_are_there(browser, written):
    with browser.new_context(java_script_enabled=False) as context:
        still = context.new_page()
        still.goto(written.as_uri())
        assert still.locator(".static svg").first.is_visible()
        assert not still.locator(".explorer").is_visible()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1100), ("dark", 390)])
def test_a_brain_map_is_drawn_and_followed_in_its_frame(browser, tmp_path, scheme, width):
    pytest.importorskip("nilearn")
    from deepjive.imaging import mni_grid
    from deepjive.report.study import Section, write_study
    from deepjive.report.viewer import viewer

    grid = mni_grid(12.0)
    effect = np.zeros(grid.shape)
    effect[4:9, 6:11, 5:9] = 0.5
    figures = [("Effects", Figure(figsize=(11.0, 3.0)), "As NIfTI.")]
    section = Section("Maps", "words", figures=figures, viewers=[viewer(FOREIGN, effect, grid, LONG)])
    path = write_study(tmp_path / "r.html", title="t", lead="l", sections=[section], command="c")
    heard: list[str] = []
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.set_default_timeout(5000)
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    own = ("file:", "data:")
    page.on("request", lambda request: None if request.url.startswith(own) else heard.append(request.url))
    page.goto(path.as_uri())
    canvas = page.frame_locator("iframe").locator("canvas")
    canvas.scroll_into_view_if_needed()
    red = """c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;
        for (let i = 0; i < d.length; i += 4) n += d[i] > 90 && d[i + 1] < 40 && d[i + 2] < 60;
        return n / d.length; }"""
    page.wait_for_timeout(500)
    before = canvas.evaluate("c => c.toDataURL()")
    assert canvas.evaluate(red) > 0.001  # the map's colour, over the template
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] * 0.1, "y": box["height"] * 0.3})
    assert canvas.evaluate("c => c.toDataURL()") != before
    assert page.locator("figure.wide svg").bounding_box()["width"] > 700  # a phone scrolls in it
    frame = page.locator("iframe").bounding_box()
    assert box["y"] + box["height"] <= frame["y"] + frame["height"]
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert [text for text in heard if not text.startswith("Canvas2D")] == []  # a hint on speed, as nilearn reads values
    page.close()


def test_scans_are_worked_through_sorted_marked_and_saved(browser, tmp_path):
    values = [0.90, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.5]
    subjects = [Shown(f"sub-{row}", [], False, {"grey_overlap": value}, []) for row, value in enumerate(values)]
    subjects[2] = subjects[2]._replace(remarks=["=look at it"])
    address = write_quality(tmp_path / "q.html", subjects, protocol=[("a", "b", "c")], command=FOREIGN).as_uri()
    page = browser.new_page()
    page.set_default_timeout(5000)
    page.goto(address)

    def order():
        return page.locator("article.scan:not([hidden])").evaluate_all("all => all.map(one => one.dataset.name)")

    assert order()[:2] == ["sub-2", "sub-7"]  # flagged, then furthest from the median
    page.get_by_label("Sort by").select_option("furthest from the median first")
    assert order()[0] == "sub-7"
    page.get_by_role("button", name="Next undecided").click()
    page.get_by_role("group", name="Decision on sub-7").get_by_label("leave out").check()
    page.get_by_label("Note on sub-7").fill("=cut off")
    page.get_by_role("group", name="Decision on sub-0").get_by_label("keep").check()
    assert "1 to keep, 1 to leave out, 6 undecided" in page.locator("#count").text_content()
    page.get_by_label("Show").select_option("undecided")
    assert len(order()) == 6
    page.reload()  # decisions are kept
    page.get_by_label("Show").select_option("to leave out")
    assert order() == ["sub-7"]
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save decisions as CSV").click()
    rows = Path(saved.value.path()).read_text().splitlines()
    page.close()
    assert rows[0] == "subject,decision,note,state,largest_deviation,remarks"
    assert rows[1].startswith("sub-0,keep,,good,")
    # median .925, robust spread 1.4826 x .02: .92 is .005 from it
    assert rows[3].endswith(",check,0.1686,'=look at it")
    assert rows[8].startswith("sub-7,leave out,'=cut off,good,")
