"""The built artefact on the Lambda runtime, with an S3 and a DynamoDB that enforce what AWS enforces."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

import boto3
import pytest

from infra.build import build, own_architecture
from infra.resources import create_bucket, create_table
from tests.conftest import LEFTOVERS
from tests.lambda_runtime.runtime import Runtime, lambda_runtime
from tests.once import once

PAGE = "https://page.example"
REGION = "us-east-1"


class StartFunction(Protocol):
    def __call__(self, handler: str, **environ: str) -> Runtime: ...


@pytest.fixture(scope="session")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make build` makes, for this machine: the processor and the Python that run the tests."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return once(tmp_path_factory, "artefact", lambda output: build(output, own_architecture(), python))


@pytest.fixture(scope="session")
def cloud(ministack_url: str) -> dict[str, str]:
    """The variables that template.yaml gives a function; bucket and table are there."""
    secrets: dict[str, Any] = {"region_name": REGION, "aws_access_key_id": "test", "aws_secret_access_key": "test"}
    create_bucket(boto3.client("s3", endpoint_url=ministack_url, **secrets), "lambda-temp", {"PageOrigin": PAGE})
    create_table(boto3.client("dynamodb", endpoint_url=ministack_url, **secrets), "lambda-counters")
    options = urlencode({"endpoint_url": ministack_url, "secret": "0f0f"})
    return {
        "TEMP_BUCKET": "lambda-temp",
        "S3_ENDPOINT_URL": ministack_url,
        "PAGE_ORIGIN": PAGE,
        "RATELIMIT_STORAGE_URI": f"dynamodb://lambda-counters?{options}",
        "RATE_LIMIT": "1000 per minute",
        "RETENTION_MINUTES": "30",
    }


@pytest.fixture(scope="session")
def start_function(
    artefact: Path, cloud: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartFunction]:
    """Start a function of the artefact: `start_function("api", RATE_LIMIT="2 per minute")`."""
    with ExitStack() as functions:

        def start(handler: str, **environ: str) -> Runtime:
            log = tmp_path_factory.mktemp("log") / handler
            with LEFTOVERS.sharing():
                return functions.enter_context(lambda_runtime(artefact, handler, log, **cloud | environ))

        yield start


@pytest.fixture(scope="session")
def api(start_function: StartFunction) -> Runtime:
    return start_function("api")
