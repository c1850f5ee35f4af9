import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from infra import resources
from infra.page import content_security_policy
from infra.resources import TemplateError, create_bucket, create_table, load_template
from infra.setup import REQUIREMENTS, ROOT
from optimizer import handlers, telemetry
from optimizer.config import Config
from optimizer.limits import DOWNLOAD_LINK_SECONDS
from tests.conftest import PAGE_ORIGIN

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TEMPLATE = load_template()
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
PROPERTIES: dict[str, dict[str, Any]] = {name: body["Properties"] for name, body in RESOURCES.items()}
FUNCTIONS = {name: body for name, body in RESOURCES.items() if body["Type"] == "AWS::Serverless::Function"}
EVENTS: list[dict[str, Any]] = [
    event for function in FUNCTIONS.values() for event in function["Properties"]["Events"].values()
]


def test_every_handler_of_the_template_is_a_function_of_the_package() -> None:
    names = {body["Properties"]["Handler"] for body in FUNCTIONS.values()}

    assert names == {"optimizer.handlers.api", "optimizer.handlers.sweep"}
    assert all(callable(getattr(handlers, name.rpartition(".")[2])) for name in names)


def test_every_http_event_has_the_payload_format_that_the_adapter_understands() -> None:
    http_events = [event["Properties"] for event in EVENTS if event["Type"] == "HttpApi"]

    assert [event["PayloadFormatVersion"] for event in http_events] == ["1.0"]
    assert PROPERTIES["Api"]["StageName"] == "$default"


def test_the_gateway_throttles_all_clients_together() -> None:
    assert PROPERTIES["Api"]["DefaultRouteSettings"] == {
        "ThrottlingRateLimit": {"Ref": "RequestsPerSecond"},
        "ThrottlingBurstLimit": {"Ref": "RequestBurst"},
    }


def test_the_sweep_runs_often_enough_for_the_shortest_retention() -> None:
    schedule = next(event["Properties"]["ScheduleExpression"] for event in EVENTS if event["Type"] == "ScheduleV2")
    shortest = TEMPLATE["Parameters"]["RetentionMinutes"]["MinValue"]

    # What is older than two thirds goes at the next sweep, so a third must be left for it.
    assert schedule == "rate(5 minutes)"
    assert shortest * 2 / 3 + 5 <= shortest


def test_every_variable_of_the_template_is_one_that_the_config_reads() -> None:
    variables = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    variables |= PROPERTIES["ApiFunction"]["Environment"]["Variables"]

    assert {name.lower() for name in variables} <= {name.lower() for name in Config.__match_args__}


def test_a_new_account_can_deploy_the_defaults() -> None:
    parameters = {name: parameter["Default"] for name, parameter in TEMPLATE["Parameters"].items()}

    assert (parameters["Architecture"], parameters["MemorySize"]) == ("arm64", 3008)
    assert TEMPLATE["Globals"]["Function"]["Runtime"] == "python3.13"
    assert parameters["ReservedConcurrency"] == 0
    assert PROPERTIES["ApiFunction"]["ReservedConcurrentExecutions"] == {
        "If": ["ReservesConcurrency", {"Ref": "ReservedConcurrency"}, {"Ref": "AWS::NoValue"}]
    }
    assert (parameters["RateLimit"], parameters["RetentionMinutes"]) == (
        Config.rate_limit,
        Config.retention_minutes,
    )


def statements(resource: str) -> list[dict[str, Any]]:
    """Return what the resource's policies say, whichever kind of resource it is."""
    properties = PROPERTIES[resource]
    documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
    return [
        statement
        for document in documents or [properties["PolicyDocument"]]
        for statement in document["Statement"]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("role", "actions"),
    [
        (
            "ApiRole",
            "dynamodb:GetItem dynamodb:UpdateItem logs:CreateLogStream logs:PutLogEvents "
            "s3:DeleteObject s3:GetObject s3:ListBucket s3:PutObject",
        ),
        ("SweepRole", "logs:CreateLogStream logs:PutLogEvents s3:DeleteObject s3:ListBucket"),
    ],
)
def test_a_function_may_do_what_it_does_and_nothing_else(role: str, actions: str) -> None:
    allowed = statements(role)
    named: list[str] = []
    for each in allowed:
        named += [each["Action"]] if isinstance(each["Action"], str) else each["Action"]

    assert sorted(named) == actions.split()
    assert all(each["Effect"] == "Allow" and each["Resource"] != "*" for each in allowed)
    assert "ManagedPolicyArns" not in PROPERTIES[role]
    (listing,) = [each for each in allowed if each["Action"] == "s3:ListBucket"]
    assert listing["Condition"] == {"StringLikeIfExists": {"s3:prefix": ["uploads/*", "results/*"]}}
    assert PROPERTIES[role.replace("Role", "Function")]["Role"] == {"GetAtt": f"{role}.Arn"}


def test_only_the_page_may_call_from_a_browser() -> None:
    page = {"If": ["HasPageOrigin", {"Ref": "PageOrigin"}, {"Sub": "https://${PageCdn.DomainName}"}]}

    assert PROPERTIES["Api"]["CorsConfiguration"]["AllowOrigins"] == [page]
    assert [rule["AllowedOrigins"] for rule in PROPERTIES["TempBucket"]["CorsConfiguration"]["CorsRules"]] == [[page]]
    assert PROPERTIES["ApiFunction"]["Environment"]["Variables"]["PAGE_ORIGIN"] == page
    assert "*" not in json.dumps(PROPERTIES["Api"]["CorsConfiguration"])
    assert "*" not in json.dumps(PROPERTIES["TempBucket"]["CorsConfiguration"])


@pytest.mark.parametrize("bucket", ["TempBucket", "PageBucket"])
def test_a_bucket_is_private_encrypted_and_keeps_no_versions(bucket: str) -> None:
    assert PROPERTIES[bucket]["PublicAccessBlockConfiguration"] == dict.fromkeys(
        ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"], True
    )
    assert "BucketEncryption" in PROPERTIES[bucket]
    assert "VersioningConfiguration" not in PROPERTIES[bucket]
    assert RESOURCES[bucket]["DeletionPolicy"] == "Delete"


@pytest.mark.parametrize("bucket", ["TempBucket", "PageBucket"])
def test_a_bucket_is_reached_by_tls_only(bucket: str) -> None:
    (tls,) = [each for each in statements(f"{bucket}Policy") if each["Sid"] == "OnlyTls"]

    assert (tls["Effect"], tls["Principal"], tls["Action"]) == ("Deny", "*", "s3:*")
    assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert [each["Sub"].rpartition(":")[2] for each in tls["Resource"]] == [f"${{{bucket}}}", f"${{{bucket}}}/*"]


def test_no_link_to_the_temp_bucket_outlives_the_longest_that_is_signed() -> None:
    (fresh,) = [each for each in statements("TempBucketPolicy") if each["Sid"] == "OnlyFreshSignatures"]

    milliseconds = fresh["Condition"]["NumericGreaterThan"]["s3:signatureAge"]
    assert (fresh["Effect"], fresh["Principal"]) == ("Deny", "*")
    assert DOWNLOAD_LINK_SECONDS < milliseconds / 1_000 <= DOWNLOAD_LINK_SECONDS + 60


@pytest.fixture(scope="module")
def transformed() -> dict[str, Any]:
    """The template as CloudFormation gets it."""
    root = resources.TEMPLATE.parent
    done = subprocess.run(
        [root / ".tools" / "aws-sam-cli" / "bin" / "python", "-m", "infra.transformed"],
        cwd=root,
        env=os.environ | {"AWS_DEFAULT_REGION": "us-east-1", "PYTHONPATH": "functions:."},
        capture_output=True,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_two_stacks_fit_beside_each_other(transformed: dict[str, Any]) -> None:
    named = {
        name: value
        for name, body in transformed["Resources"].items()
        for key, value in body["Properties"].items()
        if key in ("Name", "BucketName", "TableName", "FunctionName", "RoleName", "LogGroupName")
        and isinstance(value, str)
    }

    assert named == {}


def test_a_failed_sweep_is_not_repeated_at_once(transformed: dict[str, Any]) -> None:
    assert PROPERTIES["SweepFunction"]["EventInvokeConfig"] == {"MaximumRetryAttempts": 0}


@pytest.mark.processes
def test_the_parameters_of_the_docs_reach_the_template_as_they_are_meant() -> None:
    root = resources.TEMPLATE.parent
    (line,) = re.findall(r'PARAMETERS="(.*?)"', (root / "docs" / "deploy.md").read_text())
    parse = "import json, sys; from samcli.cli.types import CfnParameterOverridesType as T; "
    parse += "print(json.dumps(T().convert(tuple(sys.argv[1:]), None, None)))"
    command = f'exec .tools/aws-sam-cli/bin/python -c "{parse}" {line}'

    done = subprocess.run(["sh", "-c", command], cwd=root, capture_output=True, text=True, check=True)

    given = json.loads(done.stdout)
    assert given.keys() <= TEMPLATE["Parameters"].keys()
    assert Config.from_env({"RATE_LIMIT": given["RateLimit"]}).requests_per_minute == 60


@pytest.mark.parametrize(
    ("limit", "taken"),
    [
        *(("30 per minute", True), ("60/minute", True), ("5 per 10 seconds", True), ("1/hour", True)),
        *(("60", False), ("0/minute", False), ("many", False), ("30 per minute;1/second", False)),
    ],
)
def test_a_rate_limit_that_the_functions_cannot_read_is_refused_before_they_get_it(limit: str, taken: bool) -> None:
    assert bool(re.fullmatch(TEMPLATE["Parameters"]["RateLimit"]["AllowedPattern"], limit)) is taken
    if taken:
        assert Config.from_env({"RATE_LIMIT": limit}).rate_limit == limit


def test_a_name_and_its_certificate_are_given_together() -> None:
    assert set(TEMPLATE["Rules"]) == {"NameNeedsCertificate", "CertificateNeedsName"}
    assert TEMPLATE["Outputs"]["CdnDomain"]["Value"] == {"GetAtt": "PageCdn.DomainName"}


def test_nothing_of_the_counters_stays() -> None:
    table = PROPERTIES["CounterTable"]

    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["TimeToLiveSpecification"]["Enabled"] is True
    assert "PointInTimeRecoverySpecification" not in table


@pytest.mark.parametrize("function", FUNCTIONS)
def test_logs_live_for_a_week(function: str) -> None:
    group = PROPERTIES[function]["LoggingConfig"]["LogGroup"]["Ref"]

    assert PROPERTIES[group]["RetentionInDays"] == 7


def test_the_headers_of_the_page_are_those_of_make_run() -> None:
    headers = PROPERTIES["PageHeaders"]["ResponseHeadersPolicyConfig"]["SecurityHeadersConfig"]
    deployed = headers["ContentSecurityPolicy"]["ContentSecurityPolicy"]["Sub"]
    connect = "https://*.execute-api.${AWS::Region}.${AWS::URLSuffix}", "https://*.s3.${AWS::Region}.${AWS::URLSuffix}"

    assert deployed == content_security_policy(*connect)
    assert headers["ReferrerPolicy"]["ReferrerPolicy"] == "no-referrer"
    assert headers["StrictTransportSecurity"]["AccessControlMaxAgeSec"] >= 31_536_000
    assert all(header["Override"] for header in headers.values())


def test_the_alarms_watch_what_the_code_and_aws_count() -> None:
    alarms = [body["Properties"] for body in RESOURCES.values() if body["Type"] == "AWS::CloudWatch::Alarm"]

    assert {(each["Namespace"], each["MetricName"]) for each in alarms} == {
        ("AWS/ApiGateway", "5xx"),
        ("AWS/Lambda", "Errors"),
        ("AWS/Lambda", "Throttles"),
        (telemetry.NAMESPACE, "LimiterFallback"),
    }


def test_the_emulated_bucket_is_the_one_of_the_template(s3: "S3Client", config: Config) -> None:
    bucket = config.temp_bucket

    cors = s3.get_bucket_cors(Bucket=bucket)["CORSRules"]
    rules: Any = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    access = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]

    assert cors == [
        {
            "AllowedOrigins": [PAGE_ORIGIN],
            "AllowedMethods": ["GET", "POST"],
            "AllowedHeaders": ["content-type"],
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
        ("AllowedMethods: [GET, POST]\n            AllowedH", "AllowedMethods: [!Sub '${Api}']\n            AllowedH"),
        ("AllowedMethods: [GET, POST]\n            AllowedH", "AllowedMethods: [!Ref Api]\n            AllowedH"),
        ("HasPageOrigin: !Not [!Equals", "HasPageOrigin: !Not [!Or"),
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


@pytest.mark.parametrize("line", ["BillingMode: PAY_PER_REQUEST", "TimeToLiveSpecification:"])
def test_the_emulated_table_is_the_one_of_the_template(
    s3_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str
) -> None:
    client = boto3.client("dynamodb", endpoint_url=s3_url, region_name="us-east-1")
    changed = tmp_path / "template.yaml"
    changed.write_text(resources.TEMPLATE.read_text().replace(line, f"TableName: x\n      {line}"))

    create_table(client, f"like-{line[:4]}")
    monkeypatch.setattr(resources, "TEMPLATE", changed)
    with pytest.raises(TemplateError, match="TableName"):
        create_table(client, "other")

    table = client.describe_table(TableName=f"like-{line[:4]}")["Table"]
    assert table["KeySchema"] == [{"AttributeName": "id", "KeyType": "HASH"}]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"


def test_every_requirement_is_pinned_and_says_why_it_is_here() -> None:
    for path in (ROOT / "requirements.txt", *REQUIREMENTS.glob("*.txt")):
        lines = [line for line in path.read_text().splitlines() if line and not line.startswith(("#", "-"))]

        assert lines
        assert all(re.match(r"[^#]+(==|@)\d[^#]*#.*\w", line) for line in lines), path
