"""The whole flow in one browser: the page is opened, everything is made by a click, looked at,
broken, and repaired.

One test, with one page and one storage: making the sample is most of what it costs. Each step is a
function, in the order in which a person would take them.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from wmtp_assets.artifacts import Project
from wmtp_assets.catalog import load_catalog
from wmtp_assets.orchestration.home import home
from wmtp_assets_tests.artifact_checks.breaking import flip
from wmtp_assets_tests.e2e.browser import looking
from wmtp_assets_tests.e2e.dagster_pages import RUN_TIMEOUT, DagsterPages
from wmtp_assets_tests.e2e.questions import QUESTIONS
from wmtp_assets_tests.web.pages import Page, printed_link, running_page
from wmtp_assets_tests.web.test_recovery import number_of_assets, process_with, server_id, until

pytestmark = pytest.mark.slow

FIRST = "models/tokenizer_raw"
ROWS = "datasets/humaneval_test"
HISTOGRAM = "datasets/codecontests_train"
NEVER = "Never materialized"
CLOCK = "clock"
WIDTH, HEIGHT = 1400, 900


@dataclass
class World:
    """The page as a user starts it, its storage, and a window that opened its link."""

    served: Page
    dagster: DagsterPages
    project: Project

    def keep(self, name: str) -> None:
        """Leaves a picture of the window for whoever wants to see it."""
        self.dagster.seen.keep(f"flow-{name}")


@contextlib.contextmanager
def served(root: Path, catalog: str, *options: str, **environment: str) -> Iterator[Page]:
    """`wmtp ui` without a DAGSTER_HOME, so that it takes the home of this storage and catalog."""
    root.mkdir(exist_ok=True)
    its_home = home(Project(load_catalog(catalog), root / "storage"), {})
    try:
        with running_page(
            root, *options, DAGSTER_HOME="", WMTP_CATALOG=catalog, **environment
        ) as page:
            yield page
    finally:
        shutil.rmtree(its_home)


@pytest.fixture
def world(chromium: Browser, sample: Path, tmp_path: Path) -> Iterator[World]:
    """A page over an empty storage, opened with the link that it prints."""
    hub, root = str(sample / "hub"), tmp_path / "world"
    clock = {"PYTHONPATH": str(Path(__file__).parent / CLOCK), "WMTP_TEST_CLOCK": str(root / CLOCK)}
    with served(root, "sample", WMTP_HUB=hub, **clock) as page:
        context = chromium.new_context(
            base_url=f"http://{page.host}", viewport={"width": WIDTH, "height": HEIGHT}
        )
        with looking(context) as seen:
            seen.page.goto(printed_link(page), wait_until="commit")
            project = Project(load_catalog("sample"), page.root / "storage", hub)
            yield World(page, DagsterPages(seen), project)
        context.close()


def test_the_whole_flow(world: World, chromium: Browser, tmp_path: Path) -> None:
    the_link_leads_to_the_lineage(world)
    one_asset_is_made_by_a_click(world)
    all_assets_are_made_by_a_click(world)
    the_schedule_and_the_sensor_are_switched_on(world)
    one_check_is_executed_alone(world)
    the_histogram_is_seen(world)
    the_schedule_and_the_sensor_have_ticked(world)
    a_flipped_byte_is_found_and_repaired(world)
    a_code_server_that_was_killed_comes_back(world)
    a_dark_system_gets_a_dark_page(world)
    the_lineage_is_pictured(world)
    ten_questions_are_answered(world)
    another_catalog_shows_nothing_of_this_one(chromium, tmp_path / "other")


def the_link_leads_to_the_lineage(world: World) -> None:
    dagster = world.dagster
    expect(dagster.node("gate")).to_be_visible()
    assert "token" not in dagster.page.url
    for group in world.project.catalog.models:
        expect(dagster.in_list(re.sub("[-.]", "_", group))).to_be_visible()
    world.keep("empty")


def one_asset_is_made_by_a_click(world: World) -> None:
    dagster = world.dagster
    dagster.asset(FIRST)
    expect(dagster.page.get_by_text(NEVER)).to_be_visible()
    run = dagster.materialize()
    # The window follows by itself.
    expect(dagster.page.get_by_text(NEVER)).to_have_count(0, timeout=RUN_TIMEOUT)
    world.keep("one-asset")
    dagster.ended(run, "Success")


def all_assets_are_made_by_a_click(world: World) -> None:
    dagster = world.dagster
    dagster.lineage()
    run = dagster.materialize("Materialize all")
    dagster.ended(run, "Success")
    world.keep("runs")
    dagster.check("phase2_readiness", "gate_is_open")
    expect(dagster.page.get_by_text("Passed", exact=True)).to_be_visible()
    world.keep("gate")


def the_schedule_and_the_sensor_are_switched_on(world: World) -> None:
    """The scheduler's clock is then set to four o'clock, when the schedule is due."""
    dagster = world.dagster
    dagster.switch_on("sensors/follow_changes")
    dagster.switch_on("schedules/daily_verify")
    expect(dagster.page.get_by_text("Next tick", exact=True)).to_be_visible()
    expect(dagster.page.get_by_text(re.compile("4:00:00 AM UTC")).first).to_be_visible()
    now = datetime.now(UTC)
    due = now.replace(hour=4, minute=0, second=0, microsecond=0) + timedelta(days=now.hour >= 4)
    set_forward(world, due - now)


def set_forward(world: World, by: timedelta) -> None:
    """Sets the clock of Dagster's scheduler (see clock/sitecustomize.py)."""
    (world.served.root / CLOCK).write_text(str(by.total_seconds()), encoding="ascii")


def one_check_is_executed_alone(world: World) -> None:
    dagster = world.dagster
    run = dagster.execute(ROWS, "row_counts")
    dagster.ended(run, "Success")
    expect(dagster.run(run)).to_contain_text(f"row_counts on {ROWS.replace('/', ' / ')}")
    dagster.check(ROWS, "row_counts")
    for word in ("expected", "found", "Passed"):
        expect(dagster.page.get_by_text(word, exact=True).first).to_be_visible()
    world.keep("check")


def the_histogram_is_seen(world: World) -> None:
    dagster = world.dagster
    dagster.asset(HISTOGRAM)
    picture = dagster.page.locator("img[src^='data:image/']").first
    expect(picture).to_be_visible()
    place = picture.bounding_box()
    assert place is not None
    assert place["y"] + place["height"] <= HEIGHT, "seen without scrolling"
    width = picture.evaluate("image => image.complete && image.naturalWidth")
    assert width > 50, "the picture was drawn"
    world.keep("histogram")


def the_schedule_and_the_sensor_have_ticked(world: World) -> None:
    """Each by itself: within the minute, and half a minute."""
    dagster = world.dagster
    dagster.page.goto("/locations/wmtp_assets/sensors/follow_changes", wait_until="commit")
    ticked = dagster.page.get_by_text(re.compile(r"^\d+ (runs|materializations) requested$"))
    expect(ticked.first).to_be_visible(timeout=RUN_TIMEOUT)
    world.keep("sensor")
    dagster.page.goto("/runs", wait_until="commit")
    expect(dagster.run("daily_verify")).to_contain_text("Success", timeout=RUN_TIMEOUT)
    world.keep("schedule")


def a_flipped_byte_is_found_and_repaired(world: World) -> None:
    dagster = world.dagster
    path = world.project.store.path(ROWS) / "test.jsonl"
    before = path.read_bytes()
    flip(path)
    dagster.ended(dagster.execute(ROWS, "files_unchanged"), "Failure")
    dagster.check(ROWS, "files_unchanged")
    for words in ("Failed", "what to do", f"wmtp materialize {ROWS} --force"):
        expect(dagster.page.get_by_text(words, exact=True).first).to_be_visible()
    expect(dagster.page.get_by_text(re.compile("test.jsonl: SHA-256")).first).to_be_visible()
    world.keep("red")
    dagster.asset(ROWS)
    run = dagster.materialize()
    dagster.ended(run, "Success")
    assert path.read_bytes() == before
    dagster.check(ROWS, "files_unchanged")
    expect(dagster.page.get_by_text("Passed", exact=True)).to_be_visible()
    world.keep("repaired")


def a_code_server_that_was_killed_comes_back(world: World) -> None:
    dagster = world.dagster
    page = world.served
    cookies = dagster.page.context.cookies()
    page.cookie = "; ".join(f"{one['name']}={one['value']}" for one in cookies)
    before, process = server_id(page), process_with(page, "api", "grpc")
    assert process is not None
    os.kill(process, signal.SIGKILL)
    until(lambda: server_id(page) not in ("", before), "another code server")
    until(lambda: number_of_assets(page) > 50, "its assets")
    dagster.lineage()
    dagster.ended(dagster.execute(ROWS, "row_counts"), "Success")


def a_dark_system_gets_a_dark_page(world: World) -> None:
    page = world.dagster.page
    page.emulate_media(color_scheme="dark")
    world.dagster.lineage()
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert sum(map(int, re.findall(r"\d+", ground)[:3])) < 3 * 64, ground
    world.keep("dark")
    page.emulate_media(color_scheme="light")


def the_lineage_is_pictured(world: World) -> None:
    """For README.md: the graph alone, every group collapsed."""
    page = world.dagster.page
    page.set_viewport_size({"width": 1480, "height": 1500})
    world.dagster.lineage()
    world.dagster.seen.keep_for_docs("lineage", world.dagster.drawn())


def ten_questions_are_answered(world: World) -> None:
    """By what stands in the panel of an asset, two clicks from the lineage."""
    dagster = world.dagster
    dagster.page.set_viewport_size({"width": 1600, "height": 760})  # Dagster folds in narrow ones
    # What stands in one panel is read there, however many questions it answers.
    opened = None
    # Dagster opens again what was open, and shows the middle of that: each page begins without.
    dagster.page.add_init_script("localStorage.clear()")
    for question in sorted(QUESTIONS, key=lambda one: one.asset):
        if opened != question.asset:
            dagster.lineage()
            panel = dagster.panel(question.group, question.asset)
            opened = question.asset
        for words in reversed(question.answers):
            dagster.seen.read(panel.get_by_text(re.compile(words)).filter(visible=True).last)
        dagster.seen.keep_for_docs(f"question-{question.picture}", panel)


def another_catalog_shows_nothing_of_this_one(chromium: Browser, root: Path) -> None:
    """As in the same checkout, with another WMTP_CATALOG and WMTP_STORAGE, and no DAGSTER_HOME."""
    with served(root, "full", "--read-only") as page:
        context = chromium.new_context(base_url=f"http://{page.host}")
        with looking(context) as seen:
            dagster = DagsterPages(seen)
            seen.page.goto(printed_link(page), wait_until="commit")
            for name in ("phase2_readiness", HISTOGRAM):
                dagster.asset(name)
                expect(seen.page.get_by_text(NEVER)).to_be_visible()
            expect(seen.page.get_by_text("Passed", exact=True)).to_have_count(0)
            # Which commit? A real repository's page at the pin, a click away.
            commit = seen.page.get_by_role("link", name=re.compile(r" at [0-9a-f]{12}$"))
            seen.read(commit.first)
            seen.keep("flow-another-catalog")
        context.close()
