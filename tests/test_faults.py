"""What is answered, how soon and after how many tries, when S3, DynamoDB, the disk, the clock or a worker fails."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError
from botocore.retries.standard import ExponentialBackoff
from flask import Flask
from flask.testing import FlaskClient
from time_machine import travel
from werkzeug.test import TestResponse

from infra.resources import create_table, load_template
from optimizer import dynamodb_storage, telemetry
from optimizer import store as store_module
from optimizer.app import create_app
from optimizer.config import Config
from optimizer.problems import Problem, StorageUnavailable
from optimizer.routes import api
from optimizer.store import TempStore
from optimizer.worker import Workers
from tests.conftest import keys
from tests.faults import KINDS, Fault, FaultProxy, fault_proxy
from tests.hostile_worker import MISDEEDS
from tests.journey import photo, upload
from tests.product import ROOT
from tests.sampling import in_turn

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CLOCK = "403 by the clock"
PASSING = ["500", "503 SlowDown", "times out", "reset in the request", "reset in the answer"]
# What a request asks of S3: the method, a part of the path or query, and how many of its kind come before.
OPTIMIZE = {
    "HEAD source": ("HEAD", "uploads/", 0),
    "HEAD record": ("HEAD", "results/", 0),
    "GET source": ("GET", "uploads/", 0),
    "PUT result": ("PUT", "results/", 0),
    "HEAD afterwards": ("HEAD", "uploads/", 1),
}
DISCARD = {
    "DELETE source": ("POST", "delete", 0),
    "LIST": ("GET", "results", 0),
    "DELETE results": ("POST", "delete", 1),
}
SWEEP = {"LIST sources": ("GET", "uploads", 0), "LIST results": ("GET", "results", 0), "DELETE": ("POST", "delete", 0)}


def fault_at(step: tuple[str, str, int], kind: str, times: float = inf) -> Fault:
    method, part, skip = step
    return Fault(kind, method, part, skip, times, datetime.now(UTC) - timedelta(hours=3) if kind == CLOCK else None)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    """Workers of which some misbehave."""
    made = Workers("tests.hostile_worker")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def no_backoff() -> Iterator[None]:
    """Let botocore try again at once."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)
        yield


@pytest.fixture(scope="module")
def shared_proxy(s3_url: str) -> Iterator[FaultProxy]:
    with fault_proxy(s3_url) as proxy:
        yield proxy


@pytest.fixture
def proxy(shared_proxy: FaultProxy) -> Iterator[FaultProxy]:
    """A proxy before the embedded S3 and DynamoDB that lets everything through, until it is told to fail."""
    yield shared_proxy
    shared_proxy.heal()


@pytest.fixture(scope="module")
def faulty_config(shared_proxy: FaultProxy, config: Config) -> Config:
    """The config of an app that reaches S3 by the proxy, while the browser reaches it without."""
    return replace(
        config,
        s3_endpoint_url=shared_proxy.url,
        s3_public_endpoint_url=config.s3_endpoint_url,
        rate_limit="1000000 per second",
    )


@pytest.fixture(scope="module")
def faulty_store(faulty_config: Config, shared_proxy: FaultProxy) -> TempStore:
    """A store that waits for a busy machine, and for nothing that is said to time out."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(store_module, "ANSWER_SECONDS", 60)
        store = TempStore.connect(faulty_config)
    store._client.meta.events.register("before-send.s3", shared_proxy.timed_out)
    return store


@pytest.fixture(scope="module")
def faulty_app(faulty_config: Config, faulty_store: TempStore) -> Flask:
    return create_app(faulty_config, faulty_store)


@pytest.fixture
def client(
    no_backoff: None, faulty_app: Flask, proxy: FaultProxy, s3: "S3Client", monkeypatch: pytest.MonkeyPatch
) -> FlaskClient:
    monkeypatch.setattr(store_module, "READ_SECONDS", 60)
    return faulty_app.test_client()


def upload_photo(client: FlaskClient) -> str:
    def call(method: str, path: str, body: Any) -> tuple[int, Any]:
        answer = client.open(path, method=method, json=body)
        return answer.status_code, answer.get_json(silent=True)

    return upload(call, photo())


def optimize(client: FlaskClient, upload_id: str, **choice: Any) -> TestResponse:
    return client.post(f"/api/uploads/{upload_id}/optimize", json=choice)


def told(answer: TestResponse) -> tuple[int, str, str | None]:
    """Return status, code and Retry-After of a problem."""
    assert answer.content_type == "application/problem+json"
    return answer.status_code, answer.get_json()["type"].rpartition(":")[2], answer.headers.get("Retry-After")


UNAVAILABLE = (StorageUnavailable.status, StorageUnavailable.code, "5")


class TestS3:
    @pytest.mark.parametrize("kind", [*PASSING, CLOCK])
    @pytest.mark.parametrize("step", OPTIMIZE.values(), ids=OPTIMIZE)
    def test_an_optimize_is_told_to_try_again_and_the_next_succeeds(
        self,
        client: FlaskClient,
        proxy: FaultProxy,
        s3: "S3Client",
        config: Config,
        step: tuple[str, str, int],
        kind: str,
    ) -> None:
        upload_id = upload_photo(client)
        proxy.fail(fault_at(step, kind))

        answer = optimize(client, upload_id)

        tries = proxy.hits
        left = keys(s3, config)
        proxy.heal()
        assert told(answer) == UNAVAILABLE
        assert tries == (1 if kind == CLOCK else 2)
        # A result may be there whose answer was lost; it goes with its source.
        assert f"uploads/{upload_id}" in left
        assert all(upload_id in key for key in left)
        assert optimize(client, upload_id).status_code == 200
        assert client.post("/api/discard", json={"ids": [upload_id]}).status_code == 204
        assert keys(s3, config) == []

    @pytest.mark.parametrize(("step", "kind"), in_turn(OPTIMIZE, PASSING))
    def test_a_fault_that_passes_is_healed_by_the_second_try(
        self, client: FlaskClient, proxy: FaultProxy, step: str, kind: str
    ) -> None:
        upload_id = upload_photo(client)
        proxy.fail(fault_at(OPTIMIZE[step], kind, times=1))

        assert optimize(client, upload_id).status_code == 200
        assert proxy.hits == 1

    def test_a_source_that_trickles_is_given_up_as_one_that_hangs(
        self, client: FlaskClient, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        upload_id = upload_photo(client)
        monkeypatch.setattr(store_module, "READ_SECONDS", 0.2)  # all of it would take a minute
        proxy.fail(fault_at(OPTIMIZE["GET source"], "trickles"))

        answer = optimize(client, upload_id)

        assert told(answer) == UNAVAILABLE
        assert proxy.hits == 1

    @pytest.mark.parametrize(("step", "kind"), in_turn(DISCARD, ["503 SlowDown", "reset in the answer", CLOCK]))
    def test_a_discard_is_told_to_try_again_and_the_next_succeeds(
        self,
        client: FlaskClient,
        proxy: FaultProxy,
        s3: "S3Client",
        config: Config,
        step: str,
        kind: str,
    ) -> None:
        upload_id = upload_photo(client)
        optimize(client, upload_id)
        proxy.fail(fault_at(DISCARD[step], kind))

        answer = client.post("/api/discard", json={"ids": [upload_id]})

        tries = proxy.hits
        proxy.heal()
        assert told(answer) == UNAVAILABLE
        assert tries == (1 if kind == CLOCK else 2)
        assert client.post("/api/discard", json={"ids": [upload_id]}).status_code == 204
        assert keys(s3, config) == []

    @pytest.mark.parametrize(("step", "kind"), in_turn(SWEEP, ["503 SlowDown", "reset in the answer", CLOCK]))
    def test_a_sweep_that_fails_is_told_and_the_next_takes_all(
        self,
        client: FlaskClient,
        faulty_store: TempStore,
        proxy: FaultProxy,
        s3: "S3Client",
        config: Config,
        step: str,
        kind: str,
    ) -> None:
        optimize(client, upload_photo(client))
        later = datetime.now(UTC) + timedelta(minutes=21)
        proxy.fail(fault_at(SWEEP[step], kind))

        with pytest.raises((StorageUnavailable, BotoCoreError, ClientError)):
            faulty_store.sweep(later)

        tries = proxy.hits
        proxy.heal()
        faulty_store.sweep(later)
        assert tries == (1 if kind == CLOCK else 2)
        assert keys(s3, config) == []

    def test_uploads_ask_s3_nothing(self, client: FlaskClient, proxy: FaultProxy) -> None:
        proxy.requests.clear()

        upload_photo(client)

        assert proxy.requests == []

    @pytest.mark.usefixtures("s3", "no_backoff")
    def test_an_s3_that_hangs_is_given_up(
        self, faulty_config: Config, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store_module, "ANSWER_SECONDS", 0.1)
        client = create_app(faulty_config).test_client()
        upload_id = upload_photo(client)
        proxy.fail(fault_at(OPTIMIZE["HEAD source"], "hangs"))

        assert told(optimize(client, upload_id)) == UNAVAILABLE

    def test_the_time_kept_for_saving_is_enough_to_be_refused_and_to_say_so(self) -> None:
        backoff = 1  # the longest that botocore waits between two tries
        options: Any = TempStore.connect(Config())._client.meta.config
        function_seconds = load_template()["Resources"]["ApiFunction"]["Properties"]["Timeout"]

        tries = options.retries["total_max_attempts"]
        assert tries * options.read_timeout + (tries - 1) * backoff <= api.SAVE_SECONDS
        assert function_seconds - 2 >= api.REQUEST_SECONDS

    @pytest.mark.usefixtures("s3")
    def test_an_image_whose_time_went_elsewhere_is_not_called_too_complex(
        self, config: Config, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = create_app(config).test_client()
        upload_id = upload_photo(client)
        monkeypatch.setattr(api, "REQUEST_SECONDS", api.SAVE_SECONDS)

        assert told(optimize(client, upload_id)) == (503, "busy", "5")


class TestClock:
    @pytest.mark.parametrize("hours", [-3, 3])
    def test_a_wrong_clock_is_no_unknown_upload(
        self, client: FlaskClient, proxy: FaultProxy, caplog: pytest.LogCaptureFixture, hours: int
    ) -> None:
        upload_id = upload_photo(client)
        now = datetime.now(UTC).replace(microsecond=0)  # as a Date header tells it
        proxy.fail(Fault(CLOCK, "HEAD", "uploads/", date=now))

        with travel(now + timedelta(hours=hours), tick=False):
            answer = optimize(client, upload_id)

        assert told(answer) == UNAVAILABLE
        assert f"clock is {hours * 3_600} seconds ahead" in caplog.text

    def test_a_403_by_a_right_clock_is_an_unknown_upload(self, client: FlaskClient, proxy: FaultProxy) -> None:
        upload_id = upload_photo(client)
        proxy.fail(Fault(CLOCK, "HEAD", "uploads/"))

        assert told(optimize(client, upload_id)) == (404, "unknown_upload", None)


@pytest.mark.usefixtures("no_backoff")
class TestCounters:
    @pytest.mark.parametrize("kind", ["throttled", "no table", "hangs", "500", "reset in the answer"])
    def test_requests_are_counted_by_the_instance_and_that_is_told(
        self,
        proxy: FaultProxy,
        config: Config,
        store: TempStore,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
        kind: str,
    ) -> None:
        monkeypatch.setattr(telemetry, "_warned_at", {})
        monkeypatch.setattr(dynamodb_storage, "READ_SECONDS", 0.1 if kind == "hangs" else 60)
        caplog.set_level(logging.INFO, "optimizer")
        options = urlencode({"endpoint_url": proxy.url})
        limited = replace(config, ratelimit_storage_uri=f"dynamodb://counters?{options}", rate_limit="2 per hour")
        client = create_app(limited, store).test_client()
        proxy.fail(Fault(kind, "POST", "/"))

        answers = [client.post("/api/uploads", json=[]) for _ in range(3)]

        lines: list[Any] = [record.__dict__["fields"] for record in caplog.records if record.getMessage() == "request"]
        assert [answer.status_code for answer in answers] == [422, 422, 429]
        assert answers[-1].headers["Retry-After"]
        assert [line["LimiterFallback"] for line in lines] == [1, 1, 1]
        assert caplog.text.count("this instance counts for itself") == 1
        # From the second request on, to see whether it is back.
        assert proxy.hits <= dynamodb_storage.ATTEMPTS * len(answers)

    def test_the_time_that_a_table_takes_is_not_the_images(
        self, proxy: FaultProxy, config: Config, store: TempStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        upload_id = upload_photo(create_app(config, store).test_client())
        monkeypatch.setattr(dynamodb_storage, "READ_SECONDS", 0.1)
        monkeypatch.setattr(api, "REQUEST_SECONDS", api.SAVE_SECONDS + 0.15)  # less than it hangs
        options = urlencode({"endpoint_url": proxy.url})
        limited = replace(config, ratelimit_storage_uri=f"dynamodb://counters?{options}")
        client = create_app(limited, store).test_client()
        proxy.fail(Fault("hangs", "POST", "/"))

        assert told(optimize(client, upload_id)) == (503, "busy", "5")

    def test_a_fault_that_passes_is_no_reason_to_fall_back(
        self,
        proxy: FaultProxy,
        config: Config,
        store: TempStore,
        s3_url: str,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        create_table(boto3.client("dynamodb", endpoint_url=s3_url, region_name="us-east-1"), "counters-of-faults")
        monkeypatch.setattr(dynamodb_storage, "READ_SECONDS", 60)
        options = urlencode({"endpoint_url": proxy.url})
        limited = replace(config, ratelimit_storage_uri=f"dynamodb://counters-of-faults?{options}")
        client = create_app(limited, store).test_client()
        proxy.fail(Fault("throttled", "POST", "/", times=1))

        assert client.post("/api/uploads", json=[]).status_code == 422
        assert proxy.hits == 1
        assert "counts for itself" not in caplog.text


ON_A_FULL_DISK = """
import resource, sys
from optimizer.app import create_app
from optimizer.config import Config
from optimizer.worker import workers
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # no file takes a byte, wherever it is
client = create_app(Config(s3_endpoint_url=sys.argv[1])).test_client()
print([client.post(f"/api/uploads/{sys.argv[2]}/optimize", json={"format": each}).status_code for each in sys.argv[3:]])
workers.stop()
"""


def test_a_full_disk_without_a_folder_for_temporary_files_is_no_hindrance(
    client: FlaskClient, config: Config, tmp_path: Path
) -> None:
    upload_id = upload_photo(client)
    environ = os.environ | {"TMPDIR": str(tmp_path / "nowhere"), "PYTHONPATH": "functions:."}

    done = subprocess.run(
        [sys.executable, "-c", ON_A_FULL_DISK, str(config.s3_endpoint_url), upload_id, "jpeg", "png", "webp"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.stdout, done.stderr) == ("[200, 200, 200]\n", "")


class TestWorkers:
    @pytest.fixture
    def app_with(self, config: Config, store: TempStore) -> Callable[[Workers], FlaskClient]:
        return lambda workers: create_app(config, store, workers).test_client()

    @pytest.mark.parametrize(
        ("misdeed", "expected"),
        [
            ("hang", (422, "too_complex", None)),
            ("eat memory", (422, "too_complex", None)),
            ("segfault", (503, "worker_failed", "1")),
            ("end", (503, "worker_failed", "1")),
            ("lie", (503, "worker_failed", "1")),
        ],
    )
    def test_a_worker_that_fails_takes_no_other_request_with_it(
        self,
        app_with: Callable[[Workers], FlaskClient],
        workers: Workers,
        s3: "S3Client",
        config: Config,
        monkeypatch: pytest.MonkeyPatch,
        misdeed: str,
        expected: tuple[int, str, str | None],
    ) -> None:
        client = app_with(workers)
        upload_id = upload_photo(client)
        workers.start()
        with monkeypatch.context() as patched:
            if misdeed == "hang":
                patched.setattr(api, "WORKER_SECONDS", 0.5)
            answer = optimize(client, upload_id, sharpen=MISDEEDS[misdeed])

        assert told(answer) == expected
        assert keys(s3, config) == [f"uploads/{upload_id}"]
        assert optimize(client, upload_id).status_code == 200

    def test_a_nursery_that_was_killed_is_not_noticed(
        self, app_with: Callable[[Workers], FlaskClient], workers: Workers
    ) -> None:
        client = app_with(workers)
        workers.start()
        assert workers._nursery
        os.kill(workers._nursery.pid, signal.SIGKILL)

        assert optimize(client, upload_photo(client)).status_code == 200

    def test_a_nursery_that_cannot_fork_is_told_until_it_can(
        self, app_with: Callable[[Workers], FlaskClient], s3: "S3Client", config: Config
    ) -> None:
        workers = Workers("tests.forkless_worker")
        client = app_with(workers)
        upload_id = upload_photo(client)

        answer = optimize(client, upload_id)
        left = keys(s3, config)
        workers._module = "optimizer.worker"  # there is memory again
        again = optimize(client, upload_id)
        workers.stop()

        assert told(answer) == (503, "worker_failed", "1")
        assert left == [f"uploads/{upload_id}"]
        assert again.status_code == 200

    def test_too_many_at_once_are_told_to_try_again(
        self,
        app_with: Callable[[Workers], FlaskClient],
        workers: Workers,
        s3: "S3Client",
        config: Config,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        at_work, released = Event(), Event()
        made = workers.optimize

        def take_long(*args: Any) -> Any:
            at_work.set()
            released.wait(30)
            return made(*args)

        monkeypatch.setattr(os, "cpu_count", lambda: 1)
        monkeypatch.setattr(api, "MAX_WAIT_SECONDS", 0.1)
        monkeypatch.setattr(workers, "optimize", take_long)
        client = app_with(workers)
        first, second = upload_photo(client), upload_photo(client)
        with ThreadPoolExecutor(1) as threads:
            running = threads.submit(optimize, client.application.test_client(), first)
            at_work.wait(30)
            refused = optimize(client, second)
            left = keys(s3, config)
            released.set()

        assert told(refused) == (503, "busy", "5")
        assert left == sorted([f"uploads/{first}", f"uploads/{second}"])
        assert running.result().status_code == 200
        assert optimize(client, second).status_code == 200


def test_every_problem_that_may_pass_says_when_to_try_again() -> None:
    passing = [problem for problem in Problem.__subclasses__() if problem.status == 503]

    assert passing
    assert all(problem.retry_after for problem in passing)


def test_every_kind_of_fault_is_tried() -> None:
    assert {*KINDS} <= {*PASSING, CLOCK, "throttled", "no table", "hangs", "trickles"}
