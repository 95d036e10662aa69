"""One browser for all tests of a module, and what it looks at.

Playwright's browser keeps an event loop running in the test's own thread, in which nothing else can
start one (Dagster does, in process). So a browser lives for a module, and what tests share is made
before it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, sync_playwright
from starlette.applications import Starlette

from wmtp_assets.artifacts import Project
from wmtp_assets.web.headers import SecurityHeaders
from wmtp_assets.web.own_pages import own_routes
from wmtp_assets_tests.e2e.browser import chromium_path, looking, start
from wmtp_assets_tests.web.pages import SECONDS, Page, printed_link, running_page

MISSING = "Chromium is not here: apt-get install chromium (.ci/run does)"


@pytest.fixture(scope="module")
def chromium(project: Project) -> Iterator[Browser]:
    """Chromium. Without it tests are skipped on a laptop, and fail in CI."""
    path = chromium_path()
    if path is None:
        pytest.fail(MISSING) if os.environ.get("CI") else pytest.skip(MISSING)
    with sync_playwright() as playwright:
        browser = start(playwright, path)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def ui(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """`wmtp ui --read-only` over the sample that all tests share."""
    with running_page(
        tmp_path_factory.mktemp("ui"),
        "--read-only",
        WMTP_STORAGE=str(sample / "storage"),
        WMTP_HUB=str(sample / "hub"),
    ) as page:
        yield page


@pytest.fixture(scope="module")
def session(ui: Page, chromium: Browser) -> Iterator[BrowserContext]:
    """A browser that opened the link of `ui`: it has a session from then on."""
    context = chromium.new_context(base_url=f"http://{ui.host}")
    with looking(context) as seen:
        seen.page.goto(printed_link(ui), wait_until="commit")
    yield context
    context.close()


@pytest.fixture(scope="module")
def our_pages(project: Project) -> Iterator[str]:
    """The address of our own pages over the sample, without Dagster's and without a login."""
    app = SecurityHeaders(Starlette(routes=own_routes(project)))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    until = time.monotonic() + SECONDS
    while not server.started:
        assert thread.is_alive(), "the server ended by itself"
        assert time.monotonic() < until
        time.sleep(0.05)
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    yield f"http://{host}:{port}"
    server.should_exit = True
    thread.join()
