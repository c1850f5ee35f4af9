import base64
import importlib
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from optimizer import __version__
from optimizer.config import Config
from tests.conftest import keys
from tests.journey import Call, check_whole_journey, photo, upload
from tests.lambda_runtime.events import SCHEDULED_EVENT, http_event

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ID = "0123456789abcdef" * 2


@pytest.fixture
def handlers(s3: "S3Client", config: Config, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module as a fresh Lambda process would have it, with the environment that template.yaml gives."""
    monkeypatch.setenv("S3_ENDPOINT_URL", str(config.s3_endpoint_url))
    monkeypatch.setenv("TEMP_BUCKET", config.temp_bucket)
    monkeypatch.setenv("PAGE_ORIGIN", "https://page.example")
    monkeypatch.setenv("RETENTION_MINUTES", "30")
    return importlib.reload(importlib.import_module("optimizer.handlers"))


@pytest.fixture
def call(handlers: ModuleType) -> Call:
    def call(method: str, path: str, body: Any) -> tuple[int, Any]:
        answer = handlers.api(http_event(method, path, body), None)
        assert answer["isBase64Encoded"] is False
        return answer["statusCode"], json.loads(answer["body"]) if answer["body"] else None

    return call


def test_the_whole_journey_of_an_image_over_gateway_events(call: Call, s3: "S3Client", config: Config) -> None:
    check_whole_journey(call, lambda: keys(s3, config))


def test_the_gateway_gets_a_whole_number_as_the_status(handlers: ModuleType) -> None:
    answer = handlers.api(http_event("GET", "/api/health"), None)

    assert type(answer["statusCode"]) is int
    assert (answer["statusCode"], json.loads(answer["body"])) == (200, {"status": "ok", "version": __version__})
    assert answer["headers"]["Content-Type"] == "application/json"


def test_a_path_is_decoded_as_the_gateway_passes_it(handlers: ModuleType) -> None:
    assert handlers.api(http_event("GET", "/api/%68ealth"), None)["statusCode"] == 200


def test_the_page_is_allowed_by_cors(handlers: ModuleType) -> None:
    headers = handlers.api(http_event("GET", "/api/settings"), None)["headers"]

    assert headers["Access-Control-Allow-Origin"] == "https://page.example"


def test_the_31st_request_of_one_source_is_refused_and_another_source_is_not(handlers: ModuleType) -> None:
    answers = [
        handlers.api(http_event("POST", "/api/uploads", [], headers={"x-forwarded-for": f"6.6.6.{n}"}), None)
        for n in range(31)
    ]
    other = handlers.api(http_event("POST", "/api/uploads", [], source_ip="198.51.100.4"), None)

    assert [answer["statusCode"] for answer in answers] == [422] * 30 + [429]
    assert int(answers[-1]["headers"]["Retry-After"]) >= 1
    assert other["statusCode"] == 422


@pytest.mark.parametrize("spelling", ["x-forwarded-for", "X-Forwarded-For", "X_Forwarded_For"])
def test_a_request_without_a_source_is_refused_whatever_its_headers_claim(handlers: ModuleType, spelling: str) -> None:
    event = http_event("POST", "/api/uploads", [], requestContext={}, headers={spelling: "6.6.6.6"})

    answer = handlers.api(event, None)

    assert (answer["statusCode"], json.loads(answer["body"])["title"]) == (400, "The client's address is missing")


def test_a_body_in_base64_is_decoded(handlers: ModuleType, call: Call, s3: "S3Client", config: Config) -> None:
    upload_id = upload(call, photo())
    body = base64.b64encode(json.dumps({"ids": [upload_id]}).encode()).decode()

    answer = handlers.api(http_event("POST", "/api/discard", body=None) | {"body": body, "isBase64Encoded": True}, None)

    assert answer["statusCode"] == 204
    assert keys(s3, config) == []


WITHOUT = [{key: None} for key in http_event("GET", "/api/health")]
ODD_EVENTS: list[Any] = [
    *(http_event("GET", "/api/health") | change for change in WITHOUT),
    *({k: v for k, v in http_event("GET", "/api/health").items() if k != key} for key in http_event("GET", "/")),
    http_event("POST", "/api/discard") | {"body": "\ud800"},
    http_event("POST", "/api/discard") | {"body": "not base64!", "isBase64Encoded": True},
    http_event("POST", "/api/discard") | {"body": "/w==", "isBase64Encoded": True},
    http_event("POST", "/api/discard") | {"body": {"ids": []}},
    http_event("BREW", "/api/health"),
    http_event("GET", "/api/health", headers={"host": None, "x": 7}),
    http_event("GET", "/api/health", headers=["host"]),
    http_event("GET", "/api/health", queryStringParameters={"a": "1"}),
    http_event("GET", "/api/health", queryStringParameters="a=1"),
    http_event("GET", "/api/health", queryStringParameters={"a": "\ud800"}),
    http_event("GET", "/api/%C3%A9\u00e9\ud800"),
    http_event("GET", "/api/health", requestContext="elb"),
    {"version": "2.0", "rawPath": "/api/health", "requestContext": {"http": {"method": "GET"}}},
    SCHEDULED_EVENT,
    {},
    None,
    [],
    "warm-up",
]


@pytest.mark.parametrize("event", ODD_EVENTS, ids=lambda event: ascii(event)[-40:])
def test_an_odd_event_is_answered_and_never_fails_the_invocation(handlers: ModuleType, event: Any) -> None:
    answer = handlers.api(event, None)

    assert type(answer["statusCode"]) is int
    assert answer["statusCode"] < 500
    json.loads(answer["body"])
    json.dumps(answer)


def test_a_failing_adapter_is_answered_too(handlers: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad")

    monkeypatch.setattr(handlers.awsgi, "response", fail)

    answer = handlers.api(http_event("GET", "/api/health"), None)

    assert (answer["statusCode"], json.loads(answer["body"])["status"]) == (500, 500)


@pytest.mark.parametrize(("minutes", "left"), [(0, 1), (25, 0)])
def test_the_scheduled_sweep_keeps_what_is_new_and_deletes_what_is_old(
    handlers: ModuleType, call: Call, s3: "S3Client", config: Config, monkeypatch: pytest.MonkeyPatch,
    minutes: int, left: int,
) -> None:  # fmt: skip
    upload(call, photo())

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(minutes=minutes)

    monkeypatch.setattr(handlers, "datetime", Later)

    assert handlers.sweep(SCHEDULED_EVENT, None) == {"deleted": 1 - left}
    assert len(keys(s3, config)) == left
