"""The report and the rows as a person sees them, in both themes, wide and narrow."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from wmtp_assets.artifacts import Project
from wmtp_assets.catalog import load_catalog
from wmtp_assets.pages.report import write_report
from wmtp_assets.pages.rows import row_page, rows_page
from wmtp_assets_tests.e2e.browser import NARROW, SCHEMES, WIDE, looking
from wmtp_assets_tests.pages.planting import encoded, plant, row
from wmtp_assets_tests.pages.test_rows import HOSTILE

pytestmark = pytest.mark.slow

CUT = """[...document.querySelectorAll(".wide")]
    .filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.innerText.slice(0, 80))"""
TRAIN = "/rows/codecontests/train"
PAGES = {
    "report": "/report",
    "report-ko": "/report?lang=ko",
    "splits": "/rows",
    "rows": f"{TRAIN}?class=correct&difficulty=3-9",
    "rows-ko": f"{TRAIN}?class=correct&lang=ko",
    "row": "/rows/mbpp/test/0",
    "row-ko": f"{TRAIN}/0?lang=ko",
    "message": f"{TRAIN}?difficulty=x",
}


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_sound_in_both_themes_wide_and_narrow(
    chromium: Browser, our_pages: str, name: str
) -> None:
    context = chromium.new_context()
    with looking(context) as seen:
        for scheme in SCHEMES:
            seen.page.emulate_media(color_scheme=scheme)
            for width in (WIDE, NARROW):
                seen.page.set_viewport_size({"width": width, "height": 900})
                if not seen.requests:
                    seen.page.goto(our_pages + PAGES[name])
                seen.keep(f"{name}-{scheme}-{width}")
                assert seen.too_wide() <= 0, (scheme, width)
                assert seen.page.evaluate(CUT) == [], "to be scrolled sideways to be read"
            if scheme == "light" or name in ("report", "rows"):  # seconds, for a long page
                assert seen.inaccessible() == [], scheme
            ground = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
            light = sum(map(int, re.findall(r"\d+", ground)[:3])) > 3 * 128
            assert light == (scheme == "light"), ground
        assert seen.requests == [our_pages + PAGES[name]]
        errors = [one for one in seen.console if "400" not in one]  # of the page that says so
        assert errors == []
    context.close()


def test_from_the_asset_to_its_rows_to_a_bar_to_a_row_and_back(session: BrowserContext) -> None:
    with looking(session) as seen:
        page = seen.page
        page.goto("/assets/datasets/codecontests_train")
        seen.keep("asset")
        page.get_by_role("link", name="Look at the rows").click()
        page.wait_for_url(f"**{TRAIN}")
        expect(page.get_by_text("381 of 381 rows.")).to_be_visible()
        bar = page.get_by_role("link", name=re.compile("^difficulty 7: "))
        counted = sum(
            map(int, re.findall(r"(\d+) (?:in)?correct", bar.get_attribute("aria-label") or ""))
        )
        bar.click()
        page.wait_for_url("**difficulty=7")
        expect(page.get_by_text(f"{counted} of 381 rows meet the conditions.")).to_be_visible()
        page.get_by_label("Class").select_option("incorrect")
        page.get_by_label("Difficulty", exact=True).press("Enter")  # no script: the form is sent
        page.wait_for_url("**class=incorrect&difficulty=7**")
        assert page.locator("table.rows .class.incorrect").count() == 22
        assert page.locator("table.rows .class.correct").count() == 0
        page.locator("table.rows tbody a").first.click()
        expect(page.get_by_role("heading", name="instruction", exact=True)).to_be_visible()
        page.get_by_role("link", name="Its asset and checks").click()
        page.wait_for_url("**/assets/datasets/codecontests_train*")


def test_the_report_opens_as_a_file_without_a_request(
    chromium: Browser, project: Project, tmp_path: Path
) -> None:
    written = write_report(project, "en", tmp_path / "report.html")
    context = chromium.new_context()
    with looking(context) as seen:
        seen.page.goto(written.as_uri())
        assert seen.requests == [written.as_uri()]
        assert seen.console == []
        expect(seen.page.get_by_text("This is the sample:")).to_be_visible()
        expect(seen.page.get_by_text("OPEN", exact=True)).to_be_visible()
        assert seen.page.locator("svg.chart rect").count() > 20
        seen.page.emulate_media(media="print", color_scheme="dark")
        ink = seen.page.evaluate("getComputedStyle(document.body).color")
        assert ink == "rgb(0, 0, 0)", "printed in black on white"
        assert seen.page.pdf().startswith(b"%PDF-")
    context.close()


def test_hostile_rows_do_nothing_in_a_browser(chromium: Browser, tmp_path: Path) -> None:
    plant(tmp_path, [encoded(row(instruction=text, task_id=text[:200])) for text in HOSTILE])
    project = Project(load_catalog("sample"), tmp_path)
    answers = [rows_page(project, "codecontests", "train", "")]
    answers += [row_page(project, "codecontests", "train", str(n)) for n in range(len(HOSTILE))]
    context = chromium.new_context(viewport={"width": NARROW, "height": 900})
    with looking(context) as seen:
        for number, answer in enumerate(answers):
            path = tmp_path / f"{number}.html"
            path.write_text(answer.html, encoding="utf-8")
            seen.page.goto(path.as_uri())
            assert seen.page.locator("script, img").count() == 0
            assert seen.too_wide() <= 0, number
        assert seen.dialogs == seen.console == []
        assert len(seen.requests) == len(answers)
    context.close()
