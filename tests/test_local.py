"""Runs the product as `make run` does, in a process of its own."""

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import pytest
import requests

from infra import local, sweeper
from infra.local import HOST
from optimizer import __version__
from optimizer.config import Config
from optimizer.store import TempStore
from tests.product import call_at, free_port, long_limit, running, start

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running() as (_, address):
        yield address


def test_one_address_serves_page_and_api(address: str, built: Path) -> None:
    page = requests.get(address, timeout=60)
    health = requests.get(f"{address}/api/health", timeout=60)

    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert page.content == (built / "index.html").read_bytes()
    assert health.json() == {"status": "ok", "version": __version__}
    assert requests.get(f"{address}/config.json", timeout=60).json() == {"api_url": ""}


def test_the_page_has_the_headers_of_the_cdn(address: str) -> None:
    headers = requests.get(address, timeout=60).headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    own, s3 = policy["connect-src"].split()
    assert own == "'self'"
    assert s3.startswith("http://127.0.0.1:")


@pytest.mark.parametrize("path", ["/nothing", "/../template.yaml", "/%2e%2e/template.yaml", "/js/"])
def test_nothing_outside_the_page_is_served(address: str, path: str) -> None:
    with requests.Session() as session:
        request = requests.Request("GET", address).prepare()
        request.url = address + path  # as it is: requests would resolve the dots

        answer = session.send(request, timeout=60)

    assert answer.status_code == 404


def test_the_page_under_another_name_leads_to_the_one_that_s3_answers(address: str) -> None:
    answer = requests.get(address.replace(HOST, "localhost"), allow_redirects=False, timeout=60)

    assert (answer.status_code, answer.headers["Location"]) == (302, f"{address}/")


def test_the_sweeper_goes_on_after_a_failure_until_it_is_stopped(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sweeper, "MAX_SWEEP_SECONDS", 0.01)
    stop = threading.Event()
    moments = []

    class FailsOnce(TempStore):
        def __init__(self) -> None:
            pass

        def sweep(self, now: datetime) -> int:
            moments.append(now)
            if len(moments) == 1:
                raise ConnectionError("S3 is away")
            stop.set()
            return 0

    sweeper.sweep_often(FailsOnce(), Config(), stop)

    assert len(moments) == 2
    assert "S3 is away" in caplog.text


def test_a_port_that_needs_root_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "create_server", refuse)

    with pytest.raises(ValueError, match=r"^port 80 needs root\. Choose one above 1023"):
        local.start(Config(port=80), ExitStack(), threading.Event())


def test_the_sweeper_is_started_with_the_rest(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    swept, stop = threading.Event(), threading.Event()
    monkeypatch.setattr(sweeper, "MAX_SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(TempStore, "sweep", lambda *_: swept.set())

    with ExitStack() as cleanup:
        cleanup.callback(stop.set)
        local.start(Config(port=free_port(), s3_endpoint_url=s3_url, temp_bucket="swept"), cleanup, stop)

        assert swept.wait(timeout=60)


@pytest.mark.parametrize("minutes", [1, 5, 15, 30, 60, 1_440])
def test_the_sweeper_runs_often_enough_for_any_retention(minutes: int) -> None:
    oldest_left = minutes * 60 * 2 / 3

    assert oldest_left + sweeper.sweep_seconds(minutes) < minutes * 60


def test_an_s3_of_ones_own_is_used_and_gets_the_bucket_of_the_template(s3_url: str) -> None:
    with running(S3_ENDPOINT_URL=s3_url, TEMP_BUCKET="my-own") as (_, address):
        _, body = call_at(address)("POST", "/api/uploads", {"files": [{"name": "a", "type": "image/png", "size": 1}]})

    assert body["uploads"][0]["url"] == f"{s3_url}/my-own"


@pytest.mark.parametrize(
    ("uri", "number"), [("memory://", signal.SIGINT), ("dynamodb://pinch-counters", signal.SIGTERM)]
)
def test_requests_are_counted_in_either_storage_and_an_interrupt_ends_everything_quietly(
    uri: str, number: signal.Signals
) -> None:
    with running(RATELIMIT_STORAGE_URI=uri, RATE_LIMIT=long_limit(3)) as (process, address):
        body = {"files": [{"name": "a", "type": "image/png", "size": 1}]}
        answers = [requests.post(f"{address}/api/uploads", json=body, timeout=60) for _ in range(4)]
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)

    assert [answer.status_code for answer in answers] == [201, 201, 201, 429]
    assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert (process.returncode, errors) == (0, "")
    for url in (address, answers[0].json()["uploads"][0]["url"]):
        with pytest.raises(requests.ConnectionError):
            requests.get(url, timeout=60)


def test_a_port_in_use_is_told_in_one_sentence() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        process = start(PORT=port)
        output, errors = process.communicate(timeout=60)

    assert process.returncode == 1
    assert (output, errors) == (
        "",
        f"Pinch cannot start: port {port} is in use. Choose another one: PORT={port + 1} make run\n",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("RATELIMIT_STORAGE_URI", "nonsense://x"),
        ("S3_ENDPOINT_URL", "nonsense"),
        ("S3_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_REGION", "x/y"),
    ],
)
def test_a_wrong_option_is_told_in_one_sentence(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # What embedded emulators hold is of the whole process, and so are boto3's credentials.
    own = {"PORT": str(free_port()), "TEMP_BUCKET": "wrong-option", "S3_ENDPOINT_URL": ""}
    for variable, text in (own | {name: value}).items():
        monkeypatch.setenv(variable, text)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(local, "log_errors_only", lambda: None)
    monkeypatch.setattr(local, "use_no_credentials", lambda: None)

    status = local.main()

    errors = capsys.readouterr().err
    assert status == 1
    assert errors.startswith("Pinch cannot start: ")
    assert errors.count("\n") == 1


def test_the_page_is_only_read(address: str) -> None:
    assert requests.put(address, timeout=60).status_code == 405
