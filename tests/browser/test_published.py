"""The published page as on AWS: page, API and S3 on three origins, the page out of its bucket."""

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.exceptions import ClientError
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from infra import publish
from infra.local import HOST, serve
from infra.page import content_security_policy
from infra.resources import ensure_bucket
from optimizer.app import create_app
from optimizer.config import Config
from optimizer.store import TempStore
from tests.browser.conftest import OpenVisit
from tests.browser.visit import PHOTO, Visit, corpus, expect, picture, wait_until
from tests.product import free_port
from tests.test_publish import connect_to, create_stack

TEMP_BUCKET = "pinch-temp-of-published"


@dataclass(frozen=True)
class Deployment:
    """Where everything is."""

    page: str
    api: str
    s3: str
    client: Any

    def temporary(self) -> list[str]:
        return [each["Key"] for each in self.client.list_objects_v2(Bucket=TEMP_BUCKET).get("Contents", [])]


def cdn(client: Any, bucket: str) -> Any:
    """Return an app that answers out of the bucket, with a policy as wide as the one of the CDN has to be."""

    @Request.application
    def answer(request: Request) -> Response:
        try:
            found = client.get_object(Bucket=bucket, Key=request.path.removeprefix("/") or "index.html")
        except ClientError:
            return Response("There is no such object.", 403, mimetype="text/plain")
        with found["Body"] as body:
            response = Response(body.read(), content_type=found["ContentType"])
        response.headers["Cache-Control"] = found["CacheControl"]
        response.headers["Content-Security-Policy"] = content_security_policy(f"http://{HOST}:*")
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    return answer


@pytest.fixture(scope="module")
def deployment(s3_url: str) -> Iterator[Deployment]:
    page = f"http://{HOST}:{free_port()}"
    with ExitStack() as cleanup:
        config = Config(
            page_origin=page,
            s3_endpoint_url=s3_url,
            temp_bucket=TEMP_BUCKET,
            rate_limit="9000 per minute",
            retention_minutes=45,
        )
        ensure_bucket(config)
        listener = cleanup.enter_context(socket.create_server((HOST, 0)))
        api = f"http://{HOST}:{listener.getsockname()[1]}"
        serve(create_app(config, TempStore.connect(config)), listener, cleanup)
        connect_to(s3_url, cleanup.enter_context(pytest.MonkeyPatch.context()))
        stack = create_stack(
            ApiUrl=api,
            PageUrl=f"{page}/",
            PageBucketName={"Ref": "PageBucket"},
            TempBucketUrl=s3_url,
            RateLimit="9000 per minute",
            RetentionMinutes="45",
        )
        assert publish.main([stack]) == 0
        client = boto3.client("s3")
        app = cdn(client, publish.read_outputs(stack)["PageBucketName"])
        server = make_server(HOST, urlsplit(page).port or 0, app, threaded=True)
        cleanup.callback(server.server_close)
        Thread(target=server.serve_forever, daemon=True).start()
        cleanup.callback(server.shutdown)
        yield Deployment(page, api, s3_url, client)


@pytest.fixture
def visit(open_visit: OpenVisit, deployment: Deployment) -> Visit:
    return open_visit(f"{deployment.page}/")


def test_the_page_is_drawn_without_the_api(visit: Visit) -> None:
    visit.page.mouse.move(20, 20)
    expect(visit.page.locator("#form").get_by_text("WebP", exact=True)).to_be_attached()
    expect(visit.page.locator("#form input[type=range]").first).to_be_attached()
    expect(visit.page.get_by_text("45 minutes at most").last).to_be_visible()
    folders = {re.sub("/[0-9a-f]{12}/.*", "/<folder>/", call) for call in visit.calls}
    assert folders == {"GET /", "GET /config.json", "GET /<folder>/"}


def test_a_second_visit_loads_the_two_root_files_only(visit: Visit) -> None:
    visit.page.reload()
    expect(visit.page.get_by_text("up to 25 MB each")).to_be_visible()

    loaded = visit.page.evaluate(
        """performance.getEntries()
            .filter((entry) => ['navigation', 'resource'].includes(entry.entryType) && entry.transferSize > 0)
            .map((entry) => new URL(entry.name).pathname)"""
    )

    assert loaded == ["/", "/config.json"]


def test_the_whole_journey_crosses_origins(visit: Visit, deployment: Deployment) -> None:
    requests: list[str] = []
    visit.page.on("request", lambda request: requests.append(request.url))

    with visit.answer() as answer:
        visit.drop(corpus(PHOTO))
    visit.expect_done()
    name, data = visit.download()

    assert (name, len(data)) == (PHOTO, answer["bytes"])
    called = {urlsplit(url)[:2] for url in requests if not url.startswith("blob:")}
    assert called == {urlsplit(origin)[:2] for origin in (visit.page.url, deployment.api, deployment.s3)}
    assert len(deployment.temporary()) > 0

    visit.button("Delete now").click()
    expect(visit.button("Choose images")).to_be_visible()
    expect_empty(deployment)


def test_leaving_the_page_discards_across_origins(visit: Visit, deployment: Deployment) -> None:
    visit.drop(picture())
    visit.expect_done()
    assert len(deployment.temporary()) > 0

    visit.page.goto("about:blank")

    expect_empty(deployment)


def expect_empty(deployment: Deployment) -> None:
    wait_until(lambda: deployment.temporary() == [])


def test_the_page_may_call_nothing_but_the_api_and_the_bucket(visit: Visit, url: str) -> None:
    visit.expected = ["policy", "Content Security Policy"]

    refused = visit.page.evaluate(
        """(url) => new Promise((resolve) => {
            document.addEventListener('securitypolicyviolation', resolve);
            fetch(url).catch(() => {});
        }).then((event) => [event.blockedURI, event.effectiveDirective, event.originalPolicy])""",
        f"{url}api/health",
    )

    assert refused[:2] == [f"{url}api/health", "connect-src"]
    assert url.rstrip("/") not in refused[2]
    assert "default-src" not in refused[2]  # the policy of the page, not the one of the CDN
