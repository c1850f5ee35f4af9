"""Runs the container's own command, and reads what its files promise."""

import os
import re
import runpy
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
import yaml
from moto.s3.models import S3Backend
from redis import Redis

from infra import sweeper
from infra.page import content_security_policy
from infra.resources import load_template
from optimizer.config import Config
from optimizer.store import TempStore
from tests.conftest import keys
from tests.container import (
    DOCKERFILE,
    PRODUCT,
    WORKERS,
    Container,
    command,
    environment,
    fill,
    instruction,
    running,
    started,
)
from tests.journey import check_whole_journey, photo, upload
from tests.product import ROOT, call_at, free_port

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

COMPOSE = yaml.safe_load((ROOT / "infra" / "compose.yaml").read_text())


@pytest.fixture(scope="module")
def shared(s3_with_bucket: "S3Client", s3_url: str, redis_url: str) -> Iterator[Container]:
    # In a minute, a busy machine may not get to the 31st request.
    with running(S3_ENDPOINT_URL=s3_url, RATELIMIT_STORAGE_URI=redis_url, RATE_LIMIT="30 per hour") as container:
        yield container


@pytest.fixture
def container(shared: Container, s3: "S3Client", redis_url: str) -> Container:
    """A container whose bucket is empty and that has counted nothing."""
    with Redis.from_url(redis_url) as redis:
        redis.flushall()
    return shared


def test_the_container_serves_the_page_with_its_policy(container: Container, s3_url: str, built: Path) -> None:
    page = requests.get(container.address, timeout=60)

    assert page.content == (built / "index.html").read_bytes()
    assert page.headers["Content-Security-Policy"] == content_security_policy(s3_url)


def test_the_page_leads_from_localhost_to_the_published_port(container: Container) -> None:
    answer = requests.get(f"http://localhost:{container.port}", allow_redirects=False, timeout=60)

    assert answer.headers["Location"] == f"{container.address}/"


def test_the_whole_journey_in_the_container(container: Container, s3: "S3Client", config: Config) -> None:
    check_whole_journey(call_at(container.address), lambda: keys(s3, config))


def test_the_health_check_answers_for_the_running_container_and_fails_for_none(container: Container) -> None:
    check = command(instruction("HEALTHCHECK"))

    for port, succeeds in ((container.port, True), (free_port(), False)):
        done = subprocess.run(check, env=environment(PORT=port), capture_output=True, check=False)
        assert (done.returncode == 0) is succeeds


def wait_until_stopped(pid: int) -> None:
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.001)  # it stops in any case, at the latest when it is next scheduled


@contextmanager
def only(worker: int, workers: list[int]) -> Iterator[None]:
    """Stop all other workers, so that this one has to answer."""
    others = [pid for pid in workers if pid != worker]
    for pid in others:
        os.kill(pid, signal.SIGSTOP)
        wait_until_stopped(pid)
    try:
        yield
    finally:
        for pid in others:
            os.kill(pid, signal.SIGCONT)


def test_the_31st_request_is_refused_whichever_worker_answers(container: Container) -> None:
    statuses = []
    for worker, count in zip(container.workers, (8, 8, 7, 7), strict=True):
        with only(worker, container.workers):
            statuses += [container.post().status_code for _ in range(count)]

    excess = []
    for worker in container.workers:
        with only(worker, container.workers):
            excess.append(container.post())

    assert statuses == [422] * 30
    assert [answer.status_code for answer in excess] == [429] * WORKERS
    assert all(1 <= int(answer.headers["Retry-After"]) <= 3_601 for answer in excess)


def test_no_more_than_the_limit_pass_when_all_come_at_once(container: Container) -> None:
    with ThreadPoolExecutor(60) as pool:
        answers = list(pool.map(lambda _: container.post().status_code, range(60)))

    assert sorted(answers) == [422] * 30 + [429] * 30


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_stop_lets_the_request_in_flight_end_and_takes_no_other(
    s3: "S3Client", s3_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived, go_on = threading.Event(), threading.Event()
    get_object = S3Backend.get_object

    def held(*arguments: Any, **options: Any) -> Any:
        arrived.set()
        assert go_on.wait(timeout=60)
        return get_object(*arguments, **options)

    with (
        running(S3_ENDPOINT_URL=s3_url, RATELIMIT_STORAGE_URI=f"{redis_url}/1") as container,
        ThreadPoolExecutor(1) as pool,
    ):
        call = call_at(container.address)
        upload_id = upload(call, photo())
        monkeypatch.setattr(S3Backend, "get_object", held)
        answer = pool.submit(call, "POST", f"/api/uploads/{upload_id}/optimize", {"format": "webp"})
        try:
            assert arrived.wait(timeout=60)
            container.process.terminate()
            while not refuses(container.port):
                time.sleep(0.01)  # it closes its port when it gets to it
            assert not answer.done()
        finally:
            go_on.set()
        status, result = answer.result(timeout=60)
        container.process.wait(timeout=60)

    assert (status, result["format"]) == (200, "webp")
    assert container.process.returncode == 0


@pytest.mark.parametrize(
    "options",
    [
        {"PORT": "http"},
        {"RATELIMIT_STORAGE_URI": "nonsense://x"},
        {"S3_ENDPOINT_URL": "nonsense"},
        {"AWS_REGION": "x/y"},
    ],
    ids=str,
)
def test_an_option_that_cannot_be_used_is_told_in_one_sentence(
    options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in options.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SystemExit) as ending:
        runpy.run_path(str(ROOT / "infra" / "container.py"))

    assert str(ending.value.code).startswith("Pinch cannot start: ")
    assert "\n" not in str(ending.value.code)


@pytest.mark.processes
@pytest.mark.parametrize("options", [{"RATE_LIMIT": "many"}, {"RATELIMIT_STORAGE_URI": "memory://"}], ids=str)
def test_a_wrong_option_ends_the_container_with_one_sentence(options: dict[str, str]) -> None:
    with started(**{"PORT": free_port(), "RATELIMIT_STORAGE_URI": "redis://127.0.0.1", **options}) as process:
        output, errors = process.communicate(timeout=60)

    assert (process.returncode, output) == (1, "")
    assert errors.startswith("Pinch cannot start: ")
    assert errors.count("\n") == 1


@pytest.mark.processes
def test_one_worker_may_count_in_memory() -> None:
    with started(PORT=free_port(), WEB_CONCURRENCY=1, RATELIMIT_STORAGE_URI="memory://") as process:
        assert process.stderr

        assert any("Booting worker" in line for line in process.stderr)


@pytest.mark.processes
def test_each_worker_sweeps_and_goes_on_after_a_failure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    fill(tmp_path)
    monkeypatch.chdir(tmp_path)
    swept = threading.Event()
    failures = iter([ConnectionError("S3 is away")])

    def sweep(*_: object) -> int:
        for failure in failures:
            raise failure
        swept.set()
        threading.Event().wait()  # there is no more to see of this thread
        return 0

    monkeypatch.setattr(sweeper, "MAX_SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(TempStore, "sweep", sweep)
    monkeypatch.setenv("WEB_CONCURRENCY", "1")

    runpy.run_path(str(ROOT / "infra" / "gunicorn.conf.py"))["post_worker_init"](None)

    assert swept.wait(timeout=60)
    assert "S3 is away" in caplog.text


def test_the_image_is_that_of_the_lambda_runtime_and_not_of_root() -> None:
    bases = {line.split()[1] for line in DOCKERFILE if line.startswith("FROM ")} - {"packages"}
    runtime = load_template()["Globals"]["Function"]["Runtime"]

    assert bases == {f"{runtime.replace('python', 'python:')}-slim"}
    running_stages = [stage for stage in "\n".join(DOCKERFILE).split("\nFROM ") if "\nCMD " in stage]
    assert len(running_stages) == 2
    for stage in running_stages:
        assert re.findall(r"^USER (.*)$", stage, re.MULTILINE) == ["10001:10001"]


def test_what_bundles_the_page_stays_out_of_the_image() -> None:
    assert not [line for line in PRODUCT if re.search("node|npm|package.json|web", line)]


def test_only_what_is_copied_reaches_the_build() -> None:
    patterns = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    copied = {
        source
        for line in DOCKERFILE
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }

    assert patterns[0] == "*"
    assert patterns[-1] == "**/__pycache__"
    allowed = {name for pattern in patterns[1:-1] for name in ROOT.glob(pattern.removeprefix("!"))}
    assert {path.name for path in allowed} >= {source.partition("/")[0] for source in copied}
    assert not {path.name for path in allowed} & {".git", ".venv", "tests", "node_modules", "docs"}


def test_what_compose_publishes_is_for_this_machine_only() -> None:
    published = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]

    assert published == ["127.0.0.1:5001:5001", "127.0.0.1:5002:5002"]


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_every_service_of_compose_has_as_little_as_it_needs(name: str) -> None:
    service = COMPOSE["services"][name]

    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"] == ["/tmp"]
    assert service["mem_limit"]


def test_compose_sets_only_options_that_there_are() -> None:
    options = {name.upper() for name in Config.__dataclass_fields__}
    credentials = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}

    for service in COMPOSE["services"].values():
        assert service.get("environment", {}).keys() <= options | credentials


def test_compose_makes_the_bucket_of_the_template(s3: "S3Client", s3_url: str) -> None:
    service = COMPOSE["services"]["bucket"]
    options = service["environment"] | {"S3_ENDPOINT_URL": s3_url, "TEMP_BUCKET": "composed"}

    subprocess.run(service["command"], cwd=ROOT, env=environment(**options), check=True)

    (rule,) = s3.get_bucket_cors(Bucket="composed")["CORSRules"]
    assert rule["AllowedOrigins"] == [COMPOSE["services"]["pinch"]["environment"]["PAGE_ORIGIN"]]
