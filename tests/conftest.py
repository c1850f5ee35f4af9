"""Fixtures that the whole suite shares: an embedded S3 with the bucket of template.yaml, the store and the app."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from flask import Flask
from flask.testing import FlaskClient
from moto.server import ThreadedMotoServer

from infra import bundle
from infra.resources import create_bucket
from optimizer.app import create_app
from optimizer.config import Config
from optimizer.store import TempStore
from tests.emulators import ministack, redis_server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PAGE_ORIGIN = "http://127.0.0.1:5001"

# boto3 insists on credentials; the embedded S3 takes any.
os.environ["AWS_ACCESS_KEY_ID"] = os.environ["AWS_SECRET_ACCESS_KEY"] = "test"


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


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


@pytest.fixture
def s3(s3_with_bucket: "S3Client", config: Config) -> "S3Client":
    """A client on an S3 whose temp bucket is empty."""
    for key in keys(s3_with_bucket, config):
        s3_with_bucket.delete_object(Bucket=config.temp_bucket, Key=key)
    return s3_with_bucket


@pytest.fixture(scope="session")
def connected_store(config: Config) -> TempStore:
    return TempStore.connect(config)


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
