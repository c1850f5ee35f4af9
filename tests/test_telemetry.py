import json
import logging
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from time_machine import travel

from optimizer import rate_limit, telemetry
from optimizer.app import create_app
from optimizer.config import Config
from optimizer.dynamodb_storage import ATTEMPTS, CONNECT_SECONDS, READ_SECONDS
from optimizer.store import TempStore
from tests.journey import photo, upload

CONTEXT = SimpleNamespace(aws_request_id="00000000-1111-2222-3333-444444444444", function_name="pinch-api")
ADDRESS = "192.0.2.7"
NO_TABLE = Config(ratelimit_storage_uri="dynamodb://no-such-table?endpoint_url=http://127.0.0.1:9")


class Log(logging.Handler):
    """Collects the lines that an operator reads."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(telemetry.JsonFormatter())
        self.text: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.text.append(self.format(record))

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    logger, log = logging.getLogger("optimizer"), Log()
    monkeypatch.setattr(telemetry, "_warned_at", {})
    monkeypatch.setattr(logger, "level", logging.INFO)
    logger.addHandler(log)
    yield log
    logger.removeHandler(log)


def call(app: Flask, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    environ = {"awsgi.context": CONTEXT, "REMOTE_ADDR": ADDRESS}
    answer = app.test_client().open(path, method=method, json=body, environ_overrides=environ)
    return answer.status_code, answer.get_json(silent=True)


def test_a_request_is_one_line_with_the_time_of_each_stage(app: Flask, log: Log) -> None:
    data = photo()
    upload_id = upload(lambda *request: call(app, *request), data)
    _, result = call(app, "POST", f"/api/uploads/{upload_id}/optimize", {"format": "webp"})

    first, second = log.lines

    assert {name: value for name, value in first.items() if name not in ("ms", "stages", "bytes_in", "bytes_out")} == {
        "level": "info",
        "message": "request",
        "request_id": CONTEXT.aws_request_id,
        "method": "POST",
        "route": "/api/uploads",
        "status": 201,
    }
    assert second["route"] == "/api/uploads/<upload_id>/optimize"
    assert list(second["stages"]) == ["count", "find", "wait", "read", "decode", "steps", "encode", "worker", "save"]
    assert sum(second["stages"].values()) <= second["ms"] + 0.1 * len(second["stages"])
    assert (second["source_bytes"], second["result_bytes"]) == (len(data), result["bytes"])
    assert (first["bytes_in"] > 50, first["bytes_out"] > 200) == (True, True)


def test_saved_bytes_are_a_metric_of_the_function(app: Flask, log: Log) -> None:
    data = photo()
    upload_id = upload(lambda *request: call(app, *request), data)
    _, result = call(app, "POST", f"/api/uploads/{upload_id}/optimize", {})
    line = log.lines[-1]

    directive = line["_aws"]["CloudWatchMetrics"]
    assert directive == [
        {
            "Namespace": "Pinch",
            "Dimensions": [["FunctionName"]],
            "Metrics": [{"Name": "SavedBytes", "Unit": "Bytes"}],
        }
    ]
    assert (line["FunctionName"], line["SavedBytes"]) == ("pinch-api", len(data) - result["bytes"])


def test_no_metric_is_written_where_no_function_runs(app: Flask, log: Log) -> None:
    app.test_client().get("/api/health")
    telemetry.begin("x", None)
    telemetry.metric("SavedBytes", 1, "Bytes")
    telemetry.finish()

    assert ["_aws" in line for line in log.lines] == [False, False]


def test_no_line_holds_a_name_an_address_a_link_or_an_id(app: Flask, log: Log) -> None:
    upload_id = upload(lambda *request: call(app, *request), photo(), name="holiday in secret.jpg")
    _, result = call(app, "POST", f"/api/uploads/{upload_id}/optimize", {})
    call(app, "POST", f"/api/uploads/{'ab' * 16}/optimize", {})
    call(app, "GET", f"/somewhere/{upload_id}")
    call(app, "POST", "/api/discard", {"ids": [upload_id]})
    telemetry.log.warning("Could not connect to %s", result["url"])
    telemetry.log.warning("Read timeout on /bucket?list-type=2&prefix=results%%2F%s%%2F&x=%s", upload_id, upload_id)
    telemetry.log.warning("Invalid request from ip=%s: %s", ADDRESS, "bad version")
    text = "\n".join(log.text)

    assert len(log.lines) == 8
    for private in ("holiday", "secret", ADDRESS, upload_id, "ab" * 16, "X-Amz-Signature"):
        assert private not in text


def test_an_error_is_logged_with_its_traceback_and_the_request(
    app: Flask, store: TempStore, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr(store, "discard", fail)
    status, _ = call(app, "POST", "/api/discard", {"ids": ["ab" * 16]})
    error, request = log.lines

    assert (status, error["level"], error["request_id"]) == (500, "error", CONTEXT.aws_request_id)
    assert "RuntimeError: the disk is gone" in error["error"]
    assert (request["status"], request["InternalError"]) == (500, 1)
    assert request["_aws"]["CloudWatchMetrics"][0]["Metrics"] == [{"Name": "InternalError", "Unit": "Count"}]


def test_a_storage_that_is_down_is_limited_per_instance_logged_once_a_minute_and_counted(
    store: TempStore, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry, "monotonic", lambda: 0.0)
    with travel("2026-01-01 12:00:00Z", tick=False):
        app = create_app(NO_TABLE, store)
        statuses = [call(app, "POST", "/api/uploads", [])[0] for _ in range(31)]
    lines = log.lines

    assert statuses == [422] * 30 + [429]
    assert [line["message"] for line in lines if line["level"] == "warning"] == [
        "the storage of the rate limit is down; this instance counts for itself"
    ]
    requests = [line for line in lines if line["message"] == "request"]
    assert [line["LimiterFallback"] for line in requests] == [1] * 31
    assert {line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"] for line in requests} == {"LimiterFallback"}
    assert "Could not connect" in requests[0]["limiter_error"]


@pytest.mark.parametrize("uri", [NO_TABLE.ratelimit_storage_uri, "redis://127.0.0.1:9"])
def test_a_storage_that_goes_down_under_many_threads_fails_none_of_their_requests(store: TempStore, uri: str) -> None:
    app = create_app(Config(ratelimit_storage_uri=uri), store)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: call(app, "POST", "/api/uploads", []), range(8)))

    assert [status for status, _ in answers] == [422] * 8


def test_a_storage_that_hangs_is_given_up_as_one_that_refuses(
    store: TempStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "READ_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        app = create_app(Config(ratelimit_storage_uri=f"redis://127.0.0.1:{silent.getsockname()[1]}"), store)

        assert call(app, "POST", "/api/uploads", [])[0] == 422


def test_a_redis_is_waited_for_as_short_as_dynamodb() -> None:
    options = rate_limit._impatient_redis()

    assert (options["socket_connect_timeout"], options["socket_timeout"]) == (CONNECT_SECONDS, READ_SECONDS)
    assert options["retry"]._retries == ATTEMPTS - 1
    assert options["retry"]._backoff.compute(1) == 0


def test_a_warning_is_repeated_after_a_minute(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = 0.0
    monkeypatch.setattr(telemetry, "monotonic", lambda: seconds)
    for seconds in (0.0, 59.0, 60.0, 61.0, 120.0):  # noqa: B007  # the lambda reads it
        telemetry.warn_now_and_then("down")

    assert len(log.lines) == 3


def test_the_process_logs_json_whether_lambda_installed_a_handler_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    for handlers in ([], [logging.NullHandler()]):
        monkeypatch.setattr(root, "handlers", handlers)

        telemetry.log_as_json()

        assert [type(handler.formatter) for handler in root.handlers] == [telemetry.JsonFormatter]


def test_outside_a_request_nothing_is_recorded(log: Log) -> None:
    telemetry.lap("decode")
    telemetry.note(bytes=1)
    telemetry.metric("SavedBytes", 1, "Bytes")
    telemetry.finish()

    assert log.lines == []
