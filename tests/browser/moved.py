"""A visit for which time stands still, in the page and at its server, until the test moves both."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from playwright.sync_api import Locator, Page, Request

from tests.browser.visit import Visit

STEP_MS = 250
MOST_STEPS = 240  # a minute, where a test waits for seconds


def of_the_page(page: Page) -> None:
    """Stop the clock of a page that is not loaded yet, at the time of this process."""
    page.clock.install(time=datetime.now().astimezone())
    page.clock.pause_at(datetime.now().astimezone())


@dataclass
class Moved:
    """Moves time on in small steps, each when what the last one set off is answered."""

    visit: Visit
    clock: Any  # of time_machine
    underway: set[Request] = field(default_factory=set)

    def __post_init__(self) -> None:
        page = self.visit.page
        page.on("request", self._begin)  # Playwright takes no methods of built-in types
        page.on("requestfinished", self._end)
        page.on("requestfailed", self._end)

    def _begin(self, request: Request) -> None:
        self.underway.add(request)

    def _end(self, request: Request) -> None:
        self.underway.discard(request)

    def on(self, milliseconds: int) -> None:
        """Let so much time pass."""
        for _ in range(milliseconds // STEP_MS):
            self.settle()
            self.clock.shift(STEP_MS / 1000)
            self.visit.page.clock.fast_forward(STEP_MS)
        self.settle()

    def until(self, shown: Locator) -> None:
        """Let time pass until an element is to be seen."""
        for _ in range(MOST_STEPS):
            if shown.is_visible():
                return
            self.on(STEP_MS)
        raise AssertionError(f"{shown} is not shown in {MOST_STEPS * STEP_MS / 1000} seconds")

    def settle(self) -> None:
        """Wait until every request is answered: an answer takes none of the time that stands still."""
        while self.underway:
            self.visit.page.evaluate("0")  # events arrive with any answer of the browser
