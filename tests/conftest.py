"""Fixtures that the whole suite shares: an embedded S3 with the bucket of template.yaml, the store and the app."""

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from flask import Flask
from flask.testing import FlaskClient

from infra import bundle
from infra.resources import create_bucket
from optimizer.app import create_app
from optimizer.config import Config
from optimizer.imaging import search
from optimizer.store import UPLOADS, TempStore
from optimizer.worker import Workers
from tests.emulators import ministack, moto, redis_server
from tests.leftovers import Leftovers

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PAGE_ORIGIN = "http://127.0.0.1:5001"

# boto3 insists on credentials; the embedded S3 takes any.
os.environ["AWS_ACCESS_KEY_ID"] = os.environ["AWS_SECRET_ACCESS_KEY"] = "test"

LEFTOVERS = Leftovers(Config().temp_bucket)

# What uses one of these is no unit test: they start emulators, servers, workers, browsers or programs.
STARTING = {"s3_url", "redis_url", "ministack_url", "browser", "built", "web", "artefact"}
STARTED: list[str] = []  # programs that this process has started


def pytest_configure(config: pytest.Config) -> None:
    """Give this process a folder for temporary files, so that what is left in it comes from its tests."""
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())  # where pytest keeps its own, for a while
    folder = tempfile.TemporaryDirectory(prefix="pinch-tests-", dir=os.environ["PYTEST_DEBUG_TEMPROOT"])
    os.environ["TMPDIR"] = tempfile.tempdir = folder.name
    config.add_cleanup(folder.cleanup)
    sys.addaudithook(lambda event, about: STARTED.append(str(about[0])) if event == "subprocess.Popen" else None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the unit tests, which `make check` runs."""
    for item in items:
        marked = any(map(item.get_closest_marker, ("processes", "whole")))
        if not (marked or STARTING & set(getattr(item, "fixturenames", ()))):
            item.add_marker("unit")


def pytest_collection_finish() -> None:
    """Let no collection of garbage look through the tests and what they import, again and again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
    """What a fixture of several tests makes is no leftover of one."""
    if fixturedef.scope == "function":
        return (yield)
    with LEFTOVERS.sharing():
        made = yield
    if isinstance(made, Workers):
        LEFTOVERS.share_workers(made)
    return made


@pytest.fixture(autouse=True)
def leftovers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a process, a file or an object behind, and a unit test that starts a program."""
    before, begun = LEFTOVERS.present(), len(STARTED)
    yield
    left = LEFTOVERS.since(before)
    assert not left, f"left behind: {sorted(left)}"
    started = STARTED[begun:] if request.node.get_closest_marker("unit") else []
    assert not started, f"mark it with `processes`: it started {started}"


@pytest.fixture(scope="session", autouse=True)
def stopped_search() -> Iterator[None]:
    """No search of this process looks at the machine's clock: one that is about time is handed a clock of its own."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(search, "Clock", partial(search.Clock, now=lambda: 0.0))
        yield


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    with moto() as address:
        yield address


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with redis_server() as address:
        yield address


@pytest.fixture(scope="session")
def ministack_url() -> Iterator[str]:
    """An S3 and DynamoDB that check what AWS checks."""
    with ministack() as address:
        yield address


@pytest.fixture(scope="session")
def config(s3_url: str) -> Config:
    return Config(s3_endpoint_url=s3_url, page_origin=PAGE_ORIGIN)


@pytest.fixture(scope="session")
def s3_with_bucket(config: Config) -> "S3Client":
    client = boto3.client("s3", endpoint_url=config.s3_endpoint_url, region_name=config.aws_region)
    create_bucket(client, config.temp_bucket, {"PageOrigin": PAGE_ORIGIN})
    return client


@pytest.fixture(scope="session")
def connected_store(config: Config) -> TempStore:
    """A store with patience: moto takes seconds for thousands of objects where other tests run."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("optimizer.store.ANSWER_SECONDS", 20)
        return TempStore.connect(config)


@pytest.fixture
def s3(s3_with_bucket: "S3Client", connected_store: TempStore, config: Config) -> Iterator["S3Client"]:
    """A client on an S3 whose temp bucket is empty; the sources that a test leaves are discarded, as by their page."""
    yield s3_with_bucket
    sources = [key.removeprefix(UPLOADS) for key in keys(s3_with_bucket, config) if key.startswith(UPLOADS)]
    connected_store.discard(sources)  # whatever else is there is a leftover


@pytest.fixture
def store(connected_store: TempStore, s3: "S3Client") -> TempStore:
    return connected_store


@pytest.fixture
def app(config: Config, store: TempStore) -> Flask:
    return create_app(config, store)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="session")
def built() -> Iterator[Path]:
    """The folder of the page as it is served."""
    with bundle.built_page() as folder:
        yield folder


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of web/ to change, which is built in its place."""
    copy = shutil.copytree(bundle.WEB, tmp_path / "web")
    monkeypatch.setattr(bundle, "WEB", copy)
    return copy


def keys(s3: "S3Client", config: Config) -> list[str]:
    """Return the keys of all objects in the temp bucket."""
    return [obj["Key"] for obj in s3.list_objects_v2(Bucket=config.temp_bucket).get("Contents", [])]
