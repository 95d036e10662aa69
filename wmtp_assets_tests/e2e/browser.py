"""A browser, and how a page is looked at in it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    FloatRect,
    Locator,
    Page,
    Playwright,
    expect,
)

SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
WIDE, NARROW = 1280, 390  # pixels: a laptop's window, a phone's
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
TIMEOUT = 120_000  # milliseconds: a loaded machine
SERIOUS = frozenset({"serious", "critical"})
_ON_TOP = """element => {
    const box = element.getClientRects()[0];
    const there = box && document.elementFromPoint(
        box.left + Math.min(box.width / 2, 20), box.top + box.height / 2);
    return Boolean(there) && element.parentElement.contains(there);  // beside it: what measures it
}"""
SCREENSHOTS = "WMTP_SCREENSHOTS"  # a folder to leave pictures in, for whoever wants to see them


def chromium_path() -> str | None:
    """Where Chromium is on this machine."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def start(playwright: Playwright, path: str) -> Browser:
    """Chromium without a window, with an empty profile of its own."""
    expect.set_options(timeout=TIMEOUT)
    return playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS), timeout=TIMEOUT)


@dataclass
class Seen:
    """A page, and what happened on it: what it asked for, what the console said, what popped up."""

    page: Page
    requests: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.console.append(message.text))
        self.page.on("pageerror", lambda error: self.console.append(str(error)))
        self.page.on("dialog", self._dismiss)

    def _dismiss(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def too_wide(self) -> int:
        """Pixels by which the document is wider than the window."""
        width: int = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return width

    def inaccessible(self) -> list[str]:
        """What axe-core finds serious on the page: the rule, and the first element."""
        found = Axe().run(self.page).response["violations"]
        return [
            f"{one['id']}: {one['nodes'][0]['html'][:200]}"
            for one in found
            if one["impact"] in SERIOUS
        ]

    def read(self, words: Locator) -> None:
        """Scrolls to an element; a person sees it there, with nothing over it and unfolded, as soon
        as the page has stopped moving."""
        expect(words).to_be_visible()
        until = time.monotonic() + TIMEOUT / 1000
        while True:
            words.scroll_into_view_if_needed()
            if words.evaluate(_ON_TOP):
                return
            assert time.monotonic() < until, words.inner_text()
            self.page.wait_for_timeout(100)

    def keep(self, name: str) -> None:
        """Leaves a picture of the whole page where WMTP_SCREENSHOTS says, if it says so."""
        if path := _place(name):
            self.page.screenshot(path=path, full_page=True)

    def keep_for_docs(self, name: str, part: FloatRect | Locator) -> None:
        """The same of a part that docs/images holds, in a folder `docs` of its own."""
        if path := _place(f"docs/{name}"):
            if isinstance(part, Locator):
                part.screenshot(path=path)
            else:
                self.page.screenshot(path=path, clip=part)


def _place(name: str) -> Path | None:
    folder = os.environ.get(SCREENSHOTS)
    if not folder:
        return None
    path = Path(folder) / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def looking(context: BrowserContext) -> Iterator[Seen]:
    """A new page of the context, closed at the end."""
    page = context.new_page()
    page.set_default_timeout(TIMEOUT)
    page.set_default_navigation_timeout(TIMEOUT)
    try:
        yield Seen(page)
    finally:
        page.close()
