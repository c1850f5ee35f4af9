"""Hostile file names the whole way: presigned, uploaded, optimized and downloaded."""

import logging
import re
import string
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest
import requests
from flask.testing import FlaskClient

from optimizer.app import create_app
from optimizer.config import Config
from optimizer.filenames import safe_stem
from optimizer.store import TempStore
from optimizer.telemetry import JsonFormatter
from tests.conftest import keys
from tests.journey import photo, post_form
from tests.test_filenames import HOSTILE

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# RFC 6266 with the forms that we write: a quoted string without escapes, and the ext-value of RFC 8187.
DISPOSITION = re.compile(
    r"""attachment; filename="([ !#-\[\]-~]+)"; filename\*=UTF-8''((?:[\w.~-]|%[0-9A-F]{2})+)""", re.A
)
VOLATILE = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d+(\.\d+)?")  # request ids, milliseconds and sizes


def journey(client: FlaskClient, name: str) -> tuple[str, requests.Response]:
    """Return the file name that the page is told, and the answer to the download."""
    file = {"name": name, "type": "image/jpeg", "size": len(photo())}
    form = client.post("/api/uploads", json={"files": [file]}).get_json()["uploads"][0]
    for value in form["fields"].values():
        assert set(value) <= set(string.ascii_letters + string.digits + string.punctuation)
    assert form["fields"]["key"] == f"uploads/{form['id']}"
    assert post_form(form, photo()).status_code == 204
    result = client.post(f"/api/uploads/{form['id']}/optimize", json={"format": "webp", "width": 8}).get_json()
    download = requests.get(result["url"], timeout=60)
    assert download.status_code == 200
    return str(result["filename"]), download


@contextmanager
def logged() -> Iterator[list[str]]:
    """Yield what the app logs, without what differs from request to request."""
    formatter, root, lines = JsonFormatter(), logging.getLogger(), []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name != "werkzeug":  # the server of the S3 that stands in
                lines.append(VOLATILE.sub("#", formatter.format(record)))

    handler = Lines()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(root, "level", logging.INFO)
        root.addHandler(handler)
        try:
            yield lines
        finally:
            root.removeHandler(handler)


@pytest.fixture(scope="module")
def of_a_plain_name(config: Config, connected_store: TempStore, s3_with_bucket: "S3Client") -> list[str]:
    """What is logged of a name that is not hostile."""
    with logged() as lines:
        journey(create_app(config, connected_store).test_client(), "plain.jpg")
    connected_store.sweep(datetime.now(UTC) + timedelta(days=1))
    return lines


@pytest.mark.parametrize("name", HOSTILE, ids=lambda text: ascii(text)[:30])
def test_a_hostile_name_is_harmless_wherever_it_arrives(
    client: FlaskClient, s3: "S3Client", config: Config, of_a_plain_name: list[str], name: str
) -> None:
    with logged() as lines:
        filename, download = journey(client, name)

    assert filename.startswith(safe_stem(name).partition(".")[0])
    assert filename.endswith(".webp")
    assert filename.isprintable()
    assert not set(filename) & set('/\\<>:"|?*%;')
    assert not filename.startswith(".")
    header = DISPOSITION.fullmatch(download.headers["Content-Disposition"])
    assert header
    assert unquote(header[2], errors="strict") == filename
    assert len(header[1]) == len(filename)
    assert download.headers["Content-Type"] == "image/webp"
    assert all(re.fullmatch(r"uploads/[0-9a-f]{32}|results/[0-9a-f]{32}/[0-9a-f]{32}", key) for key in keys(s3, config))
    assert lines == of_a_plain_name


@pytest.mark.parametrize("name", ["v1.2.png", "Screenshot 2026-11-23 at 10.30.15.png"])
def test_a_result_is_named_after_all_of_the_name(client: FlaskClient, s3: "S3Client", name: str) -> None:
    filename, _ = journey(client, name)

    assert filename == f"{name.removesuffix('.png')}.webp"


@pytest.mark.parametrize("name", HOSTILE, ids=lambda text: ascii(text)[:30])
def test_a_sentence_about_a_hostile_name_is_one_line_of_plain_text(client: FlaskClient, name: str) -> None:
    answer = client.post("/api/uploads", json={"files": [{"name": name, "type": "text/html", "size": 1}]})

    detail = answer.get_json()["detail"]
    assert answer.status_code == 415
    assert detail.endswith(" is not supported. Use JPEG, PNG or WebP.")
    assert detail.isprintable()
    assert len(detail) < 200
    assert answer.data.isascii()
    assert (answer.content_type, answer.headers["X-Content-Type-Options"]) == ("application/problem+json", "nosniff")
