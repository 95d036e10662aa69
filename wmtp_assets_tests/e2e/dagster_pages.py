"""What a person does on Dagster's pages, by the words that stand there.

Every step waits for what it should lead to: for a run its result, for a check its new execution.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from playwright.sync_api import FloatRect, Locator, Page, expect

from wmtp_assets_tests.e2e.browser import Seen

RUN_TIMEOUT = 600_000  # milliseconds: all of the sample, on a machine that others use too
_EXACTLY = "^{}$"
_MARGIN = 12  # pixels around a picture of the graph
_CORNERS = """() => {
    const boxes = [...document.querySelectorAll("foreignObject")].map(
        node => node.getBoundingClientRect());
    return [Math.min(...boxes.map(box => box.left)), Math.min(...boxes.map(box => box.top)),
        Math.max(...boxes.map(box => box.right)), Math.max(...boxes.map(box => box.bottom))];
}"""
# The message is gone after seconds: whatever one said is kept for whoever asks later.
_KEEP_LAUNCHED = """() => {
    const said = () => [...document.body.textContent.matchAll(/Launched run ([0-9a-f]{8})/g)]
        .map(found => found[1]);
    const before = said();
    window.launched = "";
    new MutationObserver(() => {
        window.launched ||= said().find(run => !before.includes(run)) || "";
    }).observe(document.body, {childList: true, subtree: true, characterData: true});
}"""


@dataclass
class DagsterPages:
    """Dagster's pages in one window that has a session. Addresses are paths below the server."""

    seen: Seen

    @property
    def page(self) -> Page:
        """The window."""
        return self.seen.page

    def lineage(self) -> None:
        """Opens the lineage, and waits until it is drawn."""
        self.page.goto("/asset-groups", wait_until="commit")
        expect(self.page.get_by_role("button", name="Materialize all")).to_be_enabled()
        expect(self.node("gate")).to_be_visible()

    def drawn(self) -> FloatRect:
        """The part of the window that holds every node of the graph, when it stands still."""
        before, corners = None, self._corners()
        while corners != before:
            self.page.wait_for_timeout(500)
            before, corners = corners, self._corners()
        left, top, right, bottom = (round(edge) for edge in corners)
        return {
            "x": max(left - _MARGIN, 0),
            "y": max(top - _MARGIN, 0),
            "width": right - left + 2 * _MARGIN,
            "height": bottom - top + 2 * _MARGIN,
        }

    def _corners(self) -> list[float]:
        found: list[float] = self.page.evaluate(_CORNERS)
        return found

    def node(self, name: str) -> Locator:
        """A group or an asset in the lineage's graph."""
        return self.page.locator("foreignObject").filter(
            has=self.page.get_by_text(re.compile(_EXACTLY.format(re.escape(name))))
        )

    def in_list(self, name: str) -> Locator:
        """A group or an asset in the list beside the graph (where Dagster writes a name twice, once
        to measure it)."""
        twice = re.compile(_EXACTLY.format(f"({re.escape(name)}){{1,2}}"))
        return self.page.get_by_role("button").filter(has_text=twice).first

    def panel(self, group: str, name: str) -> Locator:
        """From the lineage, by two clicks in the list: the group's arrow, and the asset; its panel
        beside the graph."""
        self.in_list(group).locator("xpath=preceding::button[1]").click()
        self.in_list(name).click()
        panel = self.page.locator("[class*=rightInfoPanelContent]")
        expect(panel.get_by_text("View in Asset Catalog")).to_be_visible()
        return panel

    def asset(self, name: str, view: str = "overview") -> None:
        """Opens the page of an asset."""
        self.page.goto(f"/assets/{name}?view={view}", wait_until="commit")
        expect(self.page.get_by_role("tab", name="Checks")).to_be_visible()

    def materialize(self, button: str = "Materialize") -> str:
        """Clicks it on the page that is open; the run's number as the page writes it.

        Where inputs were not made yet Dagster asks once more.
        """
        return self._launched(self.page.get_by_role("button", name=button).first)

    def execute(self, name: str, check: str) -> str:
        """Executes one check of an asset alone; the run's number. Its result is in the window."""
        self.check(name, check)
        return self._launched(self.page.locator("button").filter(has_text=re.compile("^Execute$")))

    def check(self, name: str, check: str) -> None:
        """Opens a check of an asset."""
        self.page.goto(f"/assets/{name}?view=checks&checkDetail={check}", wait_until="commit")
        expect(self.page.get_by_text("Latest execution").first).to_be_visible()

    def ended(self, run: str, how: str) -> None:
        """Waits on the list of runs until the run has ended, with that word."""
        self.page.goto("/runs", wait_until="commit")
        row = self.run(run)
        done = re.compile("Success|Failure|Canceled")
        expect(row).to_contain_text(done, timeout=RUN_TIMEOUT)
        expect(row).to_contain_text(how)

    def run(self, text: str) -> Locator:
        """The first run in the list of runs whose line has this text."""
        return self.page.locator("[class*=RunsFeedRow_rowGrid]").filter(has_text=text).first

    def switch_on(self, path: str) -> None:
        """Switches a schedule or sensor on."""
        self.page.goto(f"/locations/wmtp_assets/{path}", wait_until="commit")
        switch = self.page.locator("tr").filter(has_text="Running").locator("label")
        expect(switch.locator("input")).not_to_be_checked()
        switch.click()
        expect(switch.locator("input")).to_be_checked()

    def _launched(self, button: Locator) -> str:
        """The number of the run that a button starts, from the message that Dagster shows."""
        self.page.evaluate(_KEEP_LAUNCHED)
        button.click()
        once_more = self.page.get_by_role("button", name="Confirm")
        until = time.monotonic() + RUN_TIMEOUT / 1000
        while not (launched := self.page.evaluate("window.launched")):
            assert time.monotonic() < until, "no run was launched"
            if once_more.is_visible():
                once_more.click()
                once_more.wait_for(state="hidden")
            self.page.wait_for_timeout(100)
        return str(launched)
