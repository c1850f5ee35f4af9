import json
import logging
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import validate

from optimizer.app import create_app
from optimizer.config import Config
from optimizer.openapi import document
from optimizer.problems import Problem
from optimizer.store import TempStore
from tests.conftest import PAGE_ORIGIN

ID = "0123456789abcdef" * 2


@pytest.mark.parametrize("path", ["/", "/api", "/api/", "/api/health/", "/api//health", "/api/uploads/x", "/../etc"])
def test_an_unknown_route_is_a_problem_and_never_a_redirect(client: FlaskClient, path: str) -> None:
    answer = client.get(path)

    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")
    assert answer.get_json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is nothing here. GET /api/openapi.json lists every route.",
    }


def test_a_wrong_method_is_a_problem_that_names_the_right_ones(client: FlaskClient) -> None:
    answer = client.put("/api/uploads")

    assert (answer.status_code, answer.get_json()["status"]) == (405, 405)
    assert set(answer.headers["Allow"].split(", ")) == {"POST", "OPTIONS"}


def test_a_bug_is_told_without_its_details_and_logged_with_them(
    app: Flask, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise KeyError("pinch-temp at /srv/secret/path")

    monkeypatch.setattr(TempStore, "discard", fail)

    with caplog.at_level(logging.ERROR):
        answer = app.test_client().post("/api/discard", json={"ids": [ID]})
    body = answer.get_json()

    assert (answer.status_code, answer.content_type) == (500, "application/problem+json")
    assert body.keys() == {"type", "title", "status", "detail", "instance"}
    assert all(word not in answer.text for word in ("KeyError", "pinch-temp", "/srv", "Traceback"))
    assert body["instance"] in caplog.text
    assert "KeyError: 'pinch-temp at /srv/secret/path'" in caplog.text
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("problem", Problem.__subclasses__(), ids=lambda problem: str(problem.code))
def test_every_problem_has_a_status_a_code_and_a_title_and_is_rendered_as_rfc_9457(
    app: Flask, monkeypatch: pytest.MonkeyPatch, problem: type[Problem]
) -> None:
    def refuse(*args: object) -> None:
        raise problem("Do this.", [{"field": "ids", "detail": "That."}])

    monkeypatch.setattr(TempStore, "discard", refuse)

    answer = app.test_client().post("/api/discard", json={"ids": [ID]})

    assert answer.content_type == "application/problem+json"
    assert answer.status_code == problem.status
    assert answer.get_json() == {
        "type": f"urn:pinch:problem:{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": "Do this.",
        "errors": [{"field": "ids", "detail": "That."}],
    }


@pytest.mark.parametrize("path", ["/api/health", "/api/settings", "/nothing"])
def test_no_answer_is_cached_or_sniffed(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers

    assert (headers["Cache-Control"], headers["X-Content-Type-Options"]) == ("no-store", "nosniff")


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_the_page_may_call_the_api_and_read_the_quota(client: FlaskClient, method: str) -> None:
    headers = client.open("/api/settings", method=method, headers={"Origin": PAGE_ORIGIN}).headers

    assert headers["Access-Control-Allow-Origin"] == PAGE_ORIGIN
    assert headers["Access-Control-Allow-Methods"] == "GET, POST"
    assert headers["Access-Control-Allow-Headers"] == "Content-Type"
    assert headers["Vary"] == "Origin"
    exposed = {name.strip() for name in headers["Access-Control-Expose-Headers"].split(",")}
    assert exposed == {"Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"}


@pytest.mark.parametrize("origin", ["https://evil.example", "null", PAGE_ORIGIN + ".evil.example", ""])
def test_no_other_page_may_call_the_api(client: FlaskClient, origin: str) -> None:
    headers = client.options("/api/uploads", headers={"Origin": origin}).headers

    assert not [name for name, _ in headers if name.startswith("Access-Control-")]


def test_the_document_of_the_api_is_valid_openapi() -> None:
    validate(document())


def test_the_document_names_every_route_and_method_of_the_app(app: Flask) -> None:
    served = {
        (rule.rule.replace("<upload_id>", "{id}"), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    described = {
        (path, method)
        for path, operations in document()["paths"].items()
        for method in operations.keys() - {"parameters"}
    }

    assert described == served


def test_an_app_is_built_from_its_config_alone(config: Config, s3_url: str) -> None:
    assert create_app(config).test_client().get("/api/health").status_code == 200


def test_answers_are_plain_json(client: FlaskClient) -> None:
    answer: Any = json.loads(client.get("/api/openapi.json").data.decode("utf-8"))

    assert answer["openapi"] == "3.1.0"
