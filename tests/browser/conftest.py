"""The product in a process of its own, and a browser on it whose every complaint fails the test."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from infra.setup import BROWSERS
from tests.browser.visit import Visit
from tests.product import running

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TIMEOUT_MS = 15_000

Serve = Callable[..., str]
OpenVisit = Callable[..., Visit]


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """The address of a server whose limit no test reaches."""
    with running(RATE_LIMIT="10000 per minute") as (_, address):
        yield f"{address}/"


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server with other limits: `serve(RATE_LIMIT="4 per 6 second")`."""
    with ExitStack() as servers:
        yield lambda **environ: servers.enter_context(running(**environ))[1] + "/"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if not executable:
        pytest.fail(
            "The browser tests need Chromium: install it (on Debian: apt-get install chromium) or set CHROMIUM."
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_visit(browser: Browser, url: str) -> Iterator[OpenVisit]:
    """Open the page as a new user: `open_visit(viewport={"width": 390, "height": 844})`; `at` is another server."""
    contexts: list[BrowserContext] = []
    visits: list[Visit] = []

    def open_one(at: str = url, **options: Any) -> Visit:
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}} | options)
        context.set_default_timeout(TIMEOUT_MS)
        contexts.append(context)
        visits.append(Visit(context.new_page()))
        return visits[-1].open(at)

    yield open_one
    for context in contexts:
        context.close()
    assert [problem for visit in visits for problem in visit.problems] == []


@pytest.fixture
def visit(open_visit: OpenVisit) -> Visit:
    """The page in a window of 1440 x 900, nothing done yet."""
    return open_visit()


@pytest.fixture(autouse=True)
def patience() -> None:
    """Expect as long as the page may take on a busy machine."""
    expect.set_options(timeout=TIMEOUT_MS)
