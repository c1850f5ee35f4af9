"""The product in a process of its own, and a browser on it whose every complaint fails the test."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from infra import local
from infra.browser import chromium
from infra.bundle import WEB
from infra.page import with_page
from optimizer.app import create_app
from optimizer.config import Config
from optimizer.store import TempStore
from tests.browser.visit import Visit
from tests.product import running

TIMEOUT_MS = 30_000  # a machine may be busy

Serve = Callable[..., str]
OpenVisit = Callable[..., Visit]


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """The address of a server whose limit no test reaches."""
    with running(RATE_LIMIT="10000 per minute") as (_, address):
        yield f"{address}/"


@pytest.fixture(scope="session")
def sources_url(config: Config, connected_store: TempStore) -> Iterator[str]:
    """The address of a server that serves web/ as it is written."""
    with ExitStack() as cleanup:
        listener = cleanup.enter_context(socket.create_server((local.HOST, 0)))
        local.serve(with_page(create_app(config, connected_store), config, WEB), listener, cleanup)
        yield f"http://{local.HOST}:{listener.getsockname()[1]}/"


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server with other limits: `serve(RATE_LIMIT="4 per 6 second")`."""
    with ExitStack() as servers:
        yield lambda **environ: servers.enter_context(running(**environ))[1] + "/"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


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
