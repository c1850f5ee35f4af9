import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from flask import Flask
from flask.testing import FlaskClient
from limits.errors import ConfigurationError
from time_machine import travel

from infra.resources import create_table
from optimizer import dynamodb_storage
from optimizer.app import create_app
from optimizer.config import Config
from optimizer.dynamodb_storage import DynamoDBStorage
from optimizer.problems import UnknownClient
from optimizer.rate_limit import client_key, is_falling_back
from optimizer.store import TempStore

ID = "0123456789abcdef" * 2
COUNTED = ("/api/uploads", f"/api/uploads/{ID}/optimize")


TABLE = "counters-of-the-limit"


@pytest.fixture(scope="session")
def table_uri(s3_url: str) -> str:
    create_table(boto3.client("dynamodb", endpoint_url=s3_url, region_name="us-east-1"), TABLE)
    return f"dynamodb://{TABLE}?endpoint_url={s3_url}"


@pytest.fixture(params=["memory", "dynamodb"])
def limiter_config(request: pytest.FixtureRequest, config: Config, monkeypatch: pytest.MonkeyPatch) -> Config:
    """The config with each storage in turn, its counters at zero. However busy the machine is, it is waited for."""
    monkeypatch.setattr(dynamodb_storage, "READ_SECONDS", 60)
    if request.param == "memory":
        return config
    uri: str = request.getfixturevalue("table_uri")
    DynamoDBStorage(uri, region_name="us-east-1").reset()
    return replace(config, ratelimit_storage_uri=uri)


@pytest.fixture
def client(limiter_config: Config, store: TempStore) -> Iterator[FlaskClient]:
    """A client early in a minute, and while the clock stands still: the window of DynamoDB is one of the clock."""
    with travel("2026-01-01 00:00:10Z", tick=False):
        yield create_app(limiter_config, store).test_client()


def statuses(client: FlaskClient, path: str, count: int, **options: Any) -> list[int]:
    return [client.post(path, json=[], **options).status_code for _ in range(count)]


def test_the_31st_request_of_a_minute_is_refused_whatever_x_forwarded_for_says(client: FlaskClient) -> None:
    answers = [
        client.post(COUNTED[n % 2], json=[], headers={"X-Forwarded-For": f"10.0.0.{n}", "Forwarded": f"for=10.0.0.{n}"})
        for n in range(31)  # both routes share one count
    ]

    assert [answer.status_code for answer in answers] == [422] * 30 + [429]
    assert [answer.headers["RateLimit-Remaining"] for answer in answers] == [str(max(29 - n, 0)) for n in range(31)]
    assert {answer.headers["RateLimit-Limit"] for answer in answers} == {"30"}
    assert all(1 <= int(answer.headers["RateLimit-Reset"]) <= 61 for answer in answers)
    assert ["Retry-After" in answer.headers for answer in answers] == [False] * 30 + [True]
    problem = answers[-1]
    assert problem.content_type == "application/problem+json"
    assert problem.get_json()["detail"] == ("The limit is 30 per minute. Wait as long as Retry-After says, then go on.")
    assert 1 <= int(problem.headers["Retry-After"]) <= 61


def test_a_second_address_is_unaffected_and_none_is_written_to_the_log(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    first = statuses(client, COUNTED[0], 31, environ_base={"REMOTE_ADDR": "192.0.2.8"})
    second = statuses(client, COUNTED[0], 1, environ_base={"REMOTE_ADDR": "192.0.2.7"})

    assert (first[-1], second) == (429, [422])
    assert "192.0.2." not in caplog.text


@pytest.mark.parametrize("path", ["/api/health", "/api/settings", "/api/openapi.json"])
def test_documents_are_not_counted(client: FlaskClient, path: str) -> None:
    answers = [client.get(path) for _ in range(31)]

    assert {answer.status_code for answer in answers} == {200}
    assert "RateLimit-Remaining" not in answers[0].headers


def test_discard_and_preflights_are_not_counted(client: FlaskClient) -> None:
    assert set(statuses(client, "/api/discard", 31)) == {422}
    for _ in range(31):
        assert client.options(COUNTED[0]).status_code == 200
    assert statuses(client, COUNTED[0], 1) == [422]


def test_no_span_of_a_minute_lets_through_more_than_the_limit_when_memory_counts(app: Flask) -> None:
    client = app.test_client()
    with travel("2026-01-01 00:00:10Z", tick=False) as clock:
        first = statuses(client, COUNTED[0], 1)
        clock.shift(58)  # into the next minute of the clock
        most = statuses(client, COUNTED[0], 29)
        clock.shift(3)  # a minute after the first, three seconds after the others
        rest = statuses(client, COUNTED[0], 30)

    assert first + most + rest == [422] * 31 + [429] * 29


def test_headers_cost_no_call_beyond_those_of_the_hit(config: Config, store: TempStore, table_uri: str) -> None:
    app = create_app(replace(config, ratelimit_storage_uri=table_uri), store)
    storage: Any = next(iter(app.extensions["limiter"])).storage
    calls: list[str] = []
    storage._client.meta.events.register("before-send.dynamodb.*", lambda event_name, **_: calls.append(event_name))

    answer = app.test_client().post(COUNTED[0], json=[])

    assert "RateLimit-Remaining" in answer.headers
    assert [name.rpartition(".")[2] for name in calls] == ["GetItem", "UpdateItem"]


def test_a_gateway_that_names_no_address_does_not_make_the_limiter_fall_back(client: FlaskClient) -> None:
    refused = client.post(COUNTED[0], json=[], environ_overrides={"awsgi.event": {}})
    next_one = client.post(COUNTED[0], json=[])

    assert refused.status_code == 400
    assert next_one.headers["RateLimit-Remaining"] == "29"
    limiter = next(iter(client.application.extensions["limiter"]))
    assert not is_falling_back(limiter)


def test_waiting_as_long_as_retry_after_says_is_enough(client: FlaskClient) -> None:
    with travel("2026-01-01 00:00:13.7Z", tick=False) as clock:
        refused = [client.post(COUNTED[0], json=[]) for _ in range(31)][-1]
        clock.shift(int(refused.headers["Retry-After"]) - 2)
        early = statuses(client, COUNTED[0], 1)
        clock.shift(2)
        late = statuses(client, COUNTED[0], 1)

    assert (early, late) == ([429], [422])


def test_the_limit_is_the_deployers(config: Config, store: TempStore) -> None:
    client = create_app(Config(rate_limit="2 per hour", s3_endpoint_url=config.s3_endpoint_url), store).test_client()

    assert statuses(client, COUNTED[0], 3) == [422, 422, 429]


def test_the_storage_is_the_deployers() -> None:
    with pytest.raises(ConfigurationError):
        create_app(Config(ratelimit_storage_uri="nonsense://"))


def key_of(app: Flask, event: object, headers: dict[str, str] | None = None) -> str:
    with app.test_request_context(environ_overrides={"awsgi.event": event}, headers=headers):
        return client_key()


def from_address(address: object) -> dict[str, Any]:
    return {"requestContext": {"identity": {"sourceIp": address}}}


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
    ],
)
def test_a_client_is_the_address_that_the_gateway_saw(app: Flask, address: str, key: str) -> None:
    assert key_of(app, from_address(address), {"X-Forwarded-For": "6.6.6.6"}) == key


def test_two_networks_of_64_bits_are_two_clients(app: Flask) -> None:
    assert key_of(app, from_address("2001:db8:1:2::1")) != key_of(app, from_address("2001:db8:1:3::1"))


@pytest.mark.parametrize(
    "event",
    [{}, {"requestContext": None}, {"requestContext": "x"}, {"requestContext": {"identity": None}}]
    + [from_address(address) for address in (None, "", 7, "unknown", "6.6.6.6, 7.7.7.7")],
)
def test_a_gateway_that_names_no_address_is_refused_and_not_let_through(app: Flask, event: object) -> None:
    with pytest.raises(UnknownClient):
        key_of(app, event, {"X-Forwarded-For": "6.6.6.6"})
