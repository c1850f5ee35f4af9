"""The product in a process of its own, and a browser on it whose every complaint fails the test."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from time_machine import travel

from infra import local
from infra.browser import chromium
from infra.bundle import WEB
from infra.page import with_page
from infra.resources import ensure_bucket
from optimizer.app import create_app
from optimizer.config import Config
from optimizer.store import TempStore
from tests.browser.moved import Moved, of_the_page
from tests.browser.visit import HANGING_MS, Visit
from tests.product import running

NOON = "2099-01-01 12:00:00Z"

OpenVisit = Callable[..., Visit]
OpenMoved = Callable[[str], Moved]


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """The address of a server whose limit no test reaches."""
    with running(RATE_LIMIT="10000 per minute") as (_, address):
        yield f"{address}/"


@pytest.fixture(scope="session")
def sources_url(config: Config) -> Iterator[str]:
    """The address of a server that serves web/ as it is written."""
    with served(config, WEB) as address:
        yield address


@pytest.fixture(scope="session")
def brief_url(config: Config, built: Path) -> Iterator[str]:
    """The address of a server that keeps images for 7 minutes."""
    with served(replace(config, retention_minutes=7), built) as address:
        yield address


@contextmanager
def served(config: Config, page: Path) -> Iterator[str]:
    """Serve page and API from this process, whose time a test can move, with a bucket of its own."""
    with ExitStack() as cleanup:
        listener = cleanup.enter_context(socket.create_server((local.HOST, 0)))
        port = listener.getsockname()[1]
        config = replace(config, page_origin=f"http://{local.HOST}:{port}", temp_bucket=f"pinch-temp-{port}")
        ensure_bucket(config)
        local.serve(with_page(create_app(config, TempStore.connect(config)), config, page), listener, cleanup)
        yield f"{config.page_origin}/"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def open_visit(browser: Browser, url: str) -> Iterator[OpenVisit]:
    """Open the page as a new user: `open_visit(viewport={"width": 390, "height": 844})`; `at` is another server.

    `before` is done to the page before it is loaded.
    """
    contexts: list[BrowserContext] = []
    visits: list[Visit] = []

    def open_one(at: str = url, before: Callable[[Page], None] = lambda _: None, **options: Any) -> Visit:
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}} | options)
        context.set_default_timeout(HANGING_MS)
        contexts.append(context)
        visits.append(Visit(context.new_page()))
        before(visits[-1].page)
        return visits[-1].open(at)

    yield open_one
    for context in contexts:
        context.close()
    assert [problem for visit in visits for problem in visit.problems] == []


@pytest.fixture
def open_moved(open_visit: OpenVisit, config: Config, built: Path) -> Iterator[OpenMoved]:
    """Open the page at a server with this limit; for both of them time stands still until the test moves it."""
    with ExitStack() as cleanup:

        def open_one(rate_limit: str) -> Moved:
            clock = cleanup.enter_context(travel(NOON, tick=False))
            address = cleanup.enter_context(served(replace(config, rate_limit=rate_limit), built))
            return Moved(open_visit(address, before=of_the_page), clock)

        yield open_one


@pytest.fixture
def visit(open_visit: OpenVisit) -> Visit:
    """The page in a window of 1440 x 900, nothing done yet."""
    return open_visit()
