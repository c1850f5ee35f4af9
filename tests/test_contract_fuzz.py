"""The app against its own OpenAPI document: whatever Schemathesis sends, the answer is one that the document describes.

It is always the same, and little; PINCH_EXAMPLES is how many requests are made up for each operation.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, settings
from jsonschema import Draft202012Validator
from schemathesis.config import SchemathesisConfig
from werkzeug.test import TestResponse

from optimizer.app import create_app
from optimizer.config import Config
from optimizer.limits import MAX_BODY_BYTES
from optimizer.openapi import document
from optimizer.store import TempStore
from tests.journey import photo, post_form

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from schemathesis import Case

EXAMPLES = int(os.environ.get("PINCH_EXAMPLES", "0"))
ID = "0123456789abcdef" * 2


class Store(TempStore):
    """Discards sources without their results: the embedded S3 takes half a second to list those of a hundred."""

    def _list(self, prefix: str) -> Iterator[Any]:  # noqa: ARG002  # the name is that of what it stands in for
        return iter(())


@pytest.fixture(scope="module")
def app(config: Config, s3_with_bucket: "S3Client") -> Flask:
    """The app, which counts but refuses nobody for it."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("optimizer.store.ANSWER_SECONDS", 60)  # for a busy machine
        return create_app(replace(config, rate_limit="1000000 per second"), Store.connect(config))


@pytest.fixture(scope="module")
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def uploaded(app: Flask, s3: "S3Client") -> str:
    """The id of an upload that is there."""
    file = {"name": "a.jpg", "type": "image/jpeg", "size": len(photo())}
    answer: Any = app.test_client().post("/api/uploads", json={"files": [file]}).get_json()
    form = answer["uploads"][0]
    assert post_form(form, photo()).status_code == 204
    return str(form["id"])


# Beside what Schemathesis expects for data that the document rules out: 413 for a size or a number of bytes.
REFUSALS = {"expected-statuses": [400, 404, 405, 413, 415, 422]}
CHECKS = SchemathesisConfig.from_dict({"checks": {"negative_data_rejection": REFUSALS}})
schema = schemathesis.openapi.from_dict(document(), config=CHECKS)


@schema.parametrize()
@settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=EXAMPLES or 12,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_one_that_the_document_describes(case: "Case[Any]", app: Flask, uploaded: str) -> None:
    if case.path_parameters.get("id") and len(str(case.body)) % 2:
        case.path_parameters["id"] = uploaded

    case.validate_response(case.call(app=app, environ_base={"REMOTE_ADDR": "192.0.2.1"}))


# --- what no document describes ---

HOSTILE = {
    "nothing": b"",
    "no JSON": b"quality=80",
    "two documents": b"{}{}",
    "cut off": b'{"files": [{"name": "a',
    "arrays within arrays": b"[" * 30_000 + b"]" * 30_000,
    "objects within objects": b'{"files":' * 6_000 + b"1" + b"}" * 6_000,
    "invalid UTF-8": b'{"quality": "\xff\xfe"}',
    "UTF-16": '{"quality": 80}'.encode("utf-16"),
    "UTF-32": '{"quality": 80}'.encode("utf-32-be"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "control characters": b'{"quality\0\x1b[31m": "\n"}',
    "a number of 5,000 digits": b'{"quality": ' + b"9" * 5_000 + b"}",
    "a number of 4,000 digits": b'{"quality": -' + b"9" * 4_000 + b"}",
    "an exponent beyond floats": b'{"quality": 1e999, "width": -1e999}',
    "not a number": b'{"quality": NaN, "width": Infinity, "target_bytes": -Infinity}',
    "a lone surrogate as a name": b'{"\\ud800": 1, "\\udfff\\ud800": {}}',
    "a lone surrogate as a value": b'{"format": "\\ud800", "background": "#\\udcff00000"}',
    "a file named by a lone surrogate": b'{"files": [{"name": "\\ud800.jpg", "type": "\\ud800", "size": 1}]}',
    "sizes beyond floats": b'{"files": [{"name": "a", "type": "image/png", "size": 1e400}]}',
    "a size of 4,000 digits": b'{"files": [{"name": "a", "type": "image/png", "size": ' + b"9" * 4_000 + b"}]}",
    "a size that is no number": b'{"files": [{"name": "a", "type": "image/png", "size": NaN}]}',
    "digits of another script": '{"ids": ["'
    + "\u0661" * 32
    + '"], "background": "#\u0661\u0661\u0661\u0661\u0661\u0661"}',
    "a line behind the id": b'{"ids": ["' + ID.encode() + b'\\n"]}',
    "the same name twice": b'{"quality": 1, "quality": "x"}',
    "prototypes": b'{"__proto__": {"quality": 1}, "constructor": 1, "__class__": 1, "digest": 1, "parse": 1}',
    "one byte more than allowed": b" " * (MAX_BODY_BYTES + 1),
    "many unknown settings": json.dumps({f"\u202e{n}": n for n in range(3_500)}).encode(),
}
CONTENT_TYPES = [
    "application/json",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "\xff",
    "",
]
PATHS = ["/api/uploads", f"/api/uploads/{ID}/optimize", "/api/discard"]
PROBLEM = Draft202012Validator(document() | {"$ref": "#/components/schemas/Problem"})


def check_answer(answer: TestResponse, path: str, method: str = "post") -> None:
    """Assert that the document names the status, and that a refusal is a problem in plain ASCII."""
    assert answer.status_code < 500
    responses = document()["paths"].get(path.replace(ID, "{id}"), {}).get(method, {}).get("responses", {})
    assert str(answer.status_code) in responses or answer.status_code in (404, 405)
    if answer.status_code >= 400:
        assert answer.content_type == "application/problem+json"
        problem = json.loads(answer.data.decode("ascii"))
        PROBLEM.validate(problem)
        assert problem["status"] == answer.status_code
        assert len(answer.data) < 20_000


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("path", PATHS)
def test_a_hostile_body_is_answered_as_the_document_says(client: FlaskClient, path: str, body: bytes | str) -> None:
    for content_type in CONTENT_TYPES:
        check_answer(client.post(path, data=body, content_type=content_type), path)


@pytest.mark.parametrize("length", ["-1", "x", "9" * 30, "1e3", "0x10", " 5", "+5", "\u0665"])
@pytest.mark.parametrize("path", PATHS)
def test_a_length_that_is_none_is_answered_as_the_document_says(client: FlaskClient, path: str, length: str) -> None:
    check_answer(client.post(path, data=b"{}", environ_overrides={"CONTENT_LENGTH": length}), path)


METHODS = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "get", "\xff"]


@pytest.mark.parametrize(
    "path",
    [
        *document()["paths"],
        *PATHS,
        "/",
        "//",
        "/api/uploads/../health",
        "/api/uploads/%2e%2e/optimize",
        "/api/uploads/a%2fb/optimize",
        "/api/uploads/%00/optimize",
        "/api/uploads/%ff%fe/optimize",
        "/api/uploads/%0d%0aX:y/optimize",
        "/api/uploads//optimize",
        f"/api/uploads/{ID}%0a/optimize",
        f"/api/uploads/{ID.replace('0', '%d9%a0')}/optimize",
        "/api/settings;x=1",
        "/api/health?" + "a=b&" * 5_000,
        "/" + "a" * 5_000,
        "/api/\U0001f600",
    ],
)
def test_an_unknown_path_or_method_is_answered_in_words(client: FlaskClient, path: str) -> None:
    for method in METHODS:
        answer = client.open(path, method=method)

        assert "Location" not in answer.headers
        if method == "HEAD":
            assert (answer.status_code < 500, answer.data) == (True, b"")
        else:
            check_answer(answer, path.partition("?")[0], method.lower())
