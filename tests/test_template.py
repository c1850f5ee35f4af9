import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from infra import resources
from infra.resources import TemplateError, create_bucket, load_template
from optimizer import handlers
from optimizer.config import Config
from tests.conftest import PAGE_ORIGIN

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

RESOURCES: dict[str, Any] = load_template()["Resources"]
FUNCTIONS = {name: body for name, body in RESOURCES.items() if body["Type"] == "AWS::Serverless::Function"}
EVENTS = [event for function in FUNCTIONS.values() for event in function["Properties"]["Events"].values()]


def test_every_handler_of_the_template_is_a_function_of_the_package() -> None:
    names = {body["Properties"]["Handler"] for body in FUNCTIONS.values()}

    assert names == {"optimizer.handlers.api", "optimizer.handlers.sweep"}
    assert all(callable(getattr(handlers, name.rpartition(".")[2])) for name in names)


def test_every_http_event_has_the_payload_format_that_the_adapter_understands() -> None:
    http_events = [event["Properties"] for event in EVENTS if event["Type"] == "HttpApi"]

    assert [event["PayloadFormatVersion"] for event in http_events] == ["1.0"]
    assert RESOURCES["Api"]["Properties"]["StageName"] == "$default"


def test_the_sweep_runs_often_enough_for_the_shortest_retention() -> None:
    schedule = next(event["Properties"]["ScheduleExpression"] for event in EVENTS if event["Type"] == "ScheduleV2")
    shortest = load_template()["Parameters"]["RetentionMinutes"]["MinValue"]

    # What is older than two thirds goes at the next sweep, so a third must be left for it.
    assert schedule == "rate(5 minutes)"
    assert shortest * 2 / 3 + 5 <= shortest


def test_every_variable_of_the_template_is_one_that_the_config_reads() -> None:
    variables = load_template()["Globals"]["Function"]["Environment"]["Variables"]

    assert {name.lower() for name in variables} <= {name.lower() for name in Config.__match_args__}


def test_nothing_is_granted_or_shared_with_everybody() -> None:
    policies = json.dumps([body["Properties"]["Policies"] for body in FUNCTIONS.values()])
    cors = [RESOURCES["Api"]["Properties"]["CorsConfiguration"]["AllowOrigins"]]
    cors += [rule["AllowedOrigins"] for rule in RESOURCES["TempBucket"]["Properties"]["CorsConfiguration"]["CorsRules"]]

    assert '"*"' not in policies
    assert '"s3:*"' not in policies
    assert cors == [[{"Ref": "PageOrigin"}]] * 2


def test_the_emulated_bucket_is_the_one_of_the_template(s3: "S3Client", config: Config) -> None:
    bucket = config.temp_bucket

    cors = s3.get_bucket_cors(Bucket=bucket)["CORSRules"]
    rules: Any = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    access = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]

    assert cors == [
        {
            "AllowedOrigins": [PAGE_ORIGIN],
            "AllowedMethods": ["GET", "POST"],
            "AllowedHeaders": ["*"],
            "ExposeHeaders": ["ETag", "Location"],
            "MaxAgeSeconds": 600,
        }
    ]
    assert [(rule["Filter"]["Prefix"], rule["Expiration"]["Days"], rule["Status"]) for rule in rules] == [
        ("uploads/", 1, "Enabled"),
        ("results/", 1, "Enabled"),
    ]
    assert all(rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1} for rule in rules)
    assert access == dict.fromkeys(
        ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"], True
    )


def test_the_bucket_is_made_where_the_client_is(s3_url: str) -> None:
    client = boto3.client("s3", endpoint_url=s3_url, region_name="eu-west-1")

    create_bucket(client, "in-europe", {"PageOrigin": PAGE_ORIGIN})

    assert client.get_bucket_location(Bucket="in-europe")["LocationConstraint"] == "eu-west-1"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ExpirationInDays: 1", "ExpirationDate: 2027-01-01\n            ExpirationInDays: 1"),
        ("MaxAge: 600\n      Lifecycle", "MaxAge: 600\n            Id: rule\n      Lifecycle"),
        (
            "      CorsConfiguration:\n        CorsRules",
            "      BucketName: x\n      CorsConfiguration:\n        CorsRules",
        ),
        ("AllowedOrigins: [!Ref PageOrigin]", "AllowedOrigins: [!Sub 'https://${Api}']"),
        ("AllowedOrigins: [!Ref PageOrigin]", "AllowedOrigins: [!Ref Api]"),
    ],
)
def test_what_the_reader_does_not_understand_is_an_error_and_never_dropped(
    s3: "S3Client", monkeypatch: pytest.MonkeyPatch, tmp_path: Path, old: str, new: str
) -> None:
    text = resources.TEMPLATE.read_text()
    assert old in text
    changed = tmp_path / "template.yaml"
    changed.write_text(text.replace(old, new))
    monkeypatch.setattr(resources, "TEMPLATE", changed)

    with pytest.raises(TemplateError):
        create_bucket(s3, "other", {"PageOrigin": PAGE_ORIGIN})


def test_the_functions_install_what_requirements_txt_pins() -> None:
    root = resources.TEMPLATE.parent

    assert (root / "functions" / "requirements.txt").read_text().split() == ["-r", "../requirements.txt"]
    lines = (root / "requirements.txt").read_text().splitlines()
    assert all("==" in line and "#" in line for line in lines if line and not line.startswith(("#", "-c")))
