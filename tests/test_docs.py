"""Holds the README to what it says: its commands are run, its tables are compared with the code."""

import json
import re
import subprocess
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest
from PIL import Image

from infra import cost
from infra.readme import SCREENS, SECURITY, with_tables
from infra.sweeper import MAX_SWEEP_SECONDS
from optimizer.config import Config
from optimizer.limits import DOWNLOAD_LINK_SECONDS
from optimizer.settings import PROPERTIES
from tests.journey import photo
from tests.product import running

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_tables_are_those_of_the_declaration_and_of_the_benchmark() -> None:
    assert with_tables(README) == README
    assert with_tables(SECURITY.read_text()) == SECURITY.read_text()
    assert cost.table(cost.kept_results()) in README
    assert all(f"| `{name}` |" in README for name in PROPERTIES)


def test_the_page_and_the_promises_say_the_numbers_of_the_code() -> None:
    privacy = (ROOT / "web" / "privacy.html").read_text()
    minutes = {DOWNLOAD_LINK_SECONDS // 60: ("ten minutes", "zehn Minuten")}

    assert all(word in privacy for word in minutes[DOWNLOAD_LINK_SECONDS // 60])
    assert privacy.count(f"{Config().retention_minutes} Min") + privacy.count(f"{Config().retention_minutes} min") == 2
    assert MAX_SWEEP_SECONDS == 5 * 60
    assert "a sweep every five minutes takes what is two thirds as old" in SECURITY.read_text()


def test_every_table_is_made_once_and_every_picture_is_there() -> None:
    pictures = re.findall(r"docs/[\w/-]+\.webp", README)

    assert re.findall("<!-- ([a-z]+): made by `make format` -->", README) == [
        *("screens", "settings", "limits", "costs", "audit"),
    ]
    assert len(pictures) == len(set(pictures)) > len(SCREENS)
    assert all((ROOT / picture).is_file() for picture in pictures)


def test_the_options_are_all_that_the_config_reads_with_their_defaults() -> None:
    rows = dict(re.findall(r"^\| `([A-Z0-9_]+)` \| (.+?) \|", README, re.MULTILINE))
    config = Config()

    assert list(rows) == [
        "PORT", "RATE_LIMIT", "RATELIMIT_STORAGE_URI", "RETENTION_MINUTES", "TEMP_BUCKET",
        "S3_ENDPOINT_URL", "S3_PUBLIC_ENDPOINT_URL", "PAGE_ORIGIN", "AWS_REGION",
    ]  # fmt: skip
    for name, cell in rows.items():
        default = getattr(config, name.lower())
        assert default is None or cell == f"`{default}`"


def test_the_walk_through_works_as_it_is_printed(tmp_path: Path) -> None:
    script = re.search(r"```sh\n(API=.*?)```", README, re.DOTALL)
    assert script
    (tmp_path / "photo.jpg").write_bytes(photo())

    with running() as (_, address):
        commands = script[1].replace("http://127.0.0.1:5001", address)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        form = json.loads((tmp_path / "upload.json").read_text())["uploads"][0]
        s3 = boto3.client("s3", endpoint_url="http://" + urlsplit(form["url"]).netloc, region_name="us-east-1")
        left = s3.list_objects_v2(Bucket=Config().temp_bucket)["KeyCount"]

    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("204")
    assert Image.open(BytesIO((tmp_path / "photo.webp").read_bytes())).format == "WEBP"
    assert left == 0


def test_what_an_image_costs_grows_with_its_time_and_bytes_as_priced() -> None:
    nothing = cost.dollars_per_1000(0, 0)

    assert cost.dollars_per_1000(1, 0) - nothing == pytest.approx(1_000 * 3008 / 1024 * cost.LAMBDA_GB_SECOND)
    assert cost.dollars_per_1000(0, 10**6) - nothing == pytest.approx(cost.TRANSFER_GB)
    assert nothing > 1_000 * cost.REQUESTS * cost.HTTP_API_REQUEST
