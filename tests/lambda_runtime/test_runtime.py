"""The deployed artefact as AWS runs it: Lambda's runtime emulator, and an S3 that enforces policies."""

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import pytest
import requests
from time_machine import travel

from optimizer import __version__
from optimizer.config import Config
from optimizer.limits import MAX_UPLOAD_BYTES
from optimizer.store import TempStore
from tests.journey import Call, check_whole_journey, photo, post_form, upload
from tests.lambda_runtime.conftest import PAGE, REGION, StartFunction
from tests.lambda_runtime.events import SOURCE_IP, http_event
from tests.lambda_runtime.runtime import SAM, Runtime
from tests.product import long_limit

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ID = "0123456789abcdef" * 2
LATER = datetime(2100, 1, 1, tzinfo=UTC)
FILE = {"name": "secret holiday.jpg", "type": "image/jpeg", "size": 1000}


@pytest.fixture(scope="session")
def call(api: Runtime) -> Call:
    return lambda method, path, body: answer_of(api.invoke(http_event(method, path, body)))


def answer_of(response: dict[str, Any]) -> tuple[int, Any]:
    return response["statusCode"], json.loads(response["body"]) if response["body"] else None


@pytest.fixture
def s3(cloud: dict[str, str]) -> "S3Client":
    """The owner's client, on a bucket that is empty."""
    client = boto3.client(
        "s3",
        endpoint_url=cloud["S3_ENDPOINT_URL"],
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    for key in stored(client, cloud):
        client.delete_object(Bucket=cloud["TEMP_BUCKET"], Key=key)
    return client


def stored(s3: "S3Client", cloud: dict[str, str]) -> list[str]:
    return [each["Key"] for each in s3.list_objects_v2(Bucket=cloud["TEMP_BUCKET"]).get("Contents", [])]


@pytest.fixture
def form(call: Call) -> dict[str, Any]:
    _, body = call("POST", "/api/uploads", {"files": [FILE]})
    form: dict[str, Any] = body["uploads"][0]
    return form


GENERATE = """
import json, sys
from click.testing import CliRunner
from samcli.cli.main import cli
print(json.dumps([CliRunner().invoke(cli, ["local", "generate-event", *kind]).stdout for kind in json.load(sys.stdin)]))
"""
KINDS = [
    ("apigateway", "aws-proxy", "--method", "GET", "--path", "api/health", "--body", ""),
    ("apigateway", "http-api-proxy"),
    ("cloudwatch", "scheduled-event"),
    ("s3", "put"),
]


@pytest.fixture(scope="session")
def generated() -> dict[str, Any]:
    """Events as the SAM CLI makes them, by their type; in one process, since it takes long to start."""
    command = [str(SAM.with_name("python")), "-c", GENERATE]
    done = subprocess.run(command, input=json.dumps(KINDS), capture_output=True, text=True, check=True)
    return {kind[1]: json.loads(event) for kind, event in zip(KINDS, json.loads(done.stdout), strict=True)}


def test_the_journey_of_an_image(call: Call, s3: "S3Client", cloud: dict[str, str]) -> None:
    check_whole_journey(call, lambda: stored(s3, cloud))


# Each changes a form that was signed for a JPEG of up to 25 MB, and says what S3 answers.
DENIED, UNSIGNED = "AccessDenied", "SignatureDoesNotMatch"
REFUSED: dict[str, tuple[Callable[[dict[str, Any]], Any], bytes, int, str]] = {
    "too large": (lambda _: None, bytes(MAX_UPLOAD_BYTES + 1), 400, "EntityTooLarge"),
    "empty": (lambda _: None, b"", 400, "EntityTooSmall"),
    "another type": (lambda fields: fields.update({"Content-Type": "image/svg+xml"}), b"x", 403, DENIED),
    "no type": (lambda fields: fields.pop("Content-Type"), b"x", 403, DENIED),
    "another key": (lambda fields: fields.update(key=f"uploads/{ID}"), b"x", 403, DENIED),
    "a result's key": (lambda fields: fields.update(key=f"results/{ID}/{ID}"), b"x", 403, DENIED),
    "another name": (lambda fields: fields.update({"x-amz-meta-name": "b"}), b"x", 403, DENIED),
    "a field more": (lambda fields: fields.update(acl="public-read"), b"x", 403, DENIED),
    "a changed policy": (lambda fields: fields.update(policy=fields["policy"][:-4]), b"x", 403, UNSIGNED),
    "a wrong signature": (lambda fields: fields.update({"x-amz-signature": "0" * 64}), b"x", 403, UNSIGNED),
    "no policy": (lambda fields: fields.pop("policy"), b"x", 400, "InvalidArgument"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_s3_itself_refuses_what_the_policy_does_not_allow(
    case: str, form: dict[str, Any], s3: "S3Client", cloud: dict[str, str]
) -> None:
    change, data, status, code = REFUSED[case]
    change(form["fields"])

    answer = post_form(form, data)

    assert (answer.status_code, f"<Code>{code}</Code>" in answer.text) == (status, True), answer.text
    assert stored(s3, cloud) == []


def test_s3_takes_a_file_of_just_the_limit(form: dict[str, Any], s3: "S3Client", cloud: dict[str, str]) -> None:
    assert post_form(form, bytes(MAX_UPLOAD_BYTES)).status_code == 204
    assert stored(s3, cloud) == [f"uploads/{form['id']}"]


@pytest.fixture
def store(cloud: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> TempStore:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    return TempStore.connect(Config(temp_bucket=cloud["TEMP_BUCKET"], s3_endpoint_url=cloud["S3_ENDPOINT_URL"]))


@pytest.mark.parametrize(("minutes", "status"), [(4, 204), (6, 403)])
def test_an_upload_form_is_good_for_five_minutes(
    store: TempStore, s3: "S3Client", cloud: dict[str, str], minutes: int, status: int
) -> None:
    with travel(datetime.now(UTC) - timedelta(minutes=minutes)):
        form = store.presign_upload("a.jpg", "image/jpeg")

    assert post_form(form, b"x").status_code == status
    assert len(stored(s3, cloud)) == (status == 204)


@pytest.mark.parametrize(("minutes", "status"), [(9, 200), (11, 403)])
def test_a_download_link_is_good_for_ten_minutes(
    store: TempStore, s3: "S3Client", cloud: dict[str, str], minutes: int, status: int
) -> None:
    s3.put_object(Bucket=cloud["TEMP_BUCKET"], Key=f"results/{ID}/x", Body=b"x")
    with travel(datetime.now(UTC) - timedelta(minutes=minutes)):
        link = store.presign_download(ID, "x", LATER)["url"]

    assert requests.get(link, timeout=60).status_code == status


def test_a_download_link_opens_no_other_object(store: TempStore, s3: "S3Client", cloud: dict[str, str]) -> None:
    s3.put_object(Bucket=cloud["TEMP_BUCKET"], Key=f"uploads/{ID}", Body=b"x")
    link = store.presign_download(ID, "x", LATER)["url"]

    assert requests.get(link.replace(f"results/{ID}/x", f"uploads/{ID}"), timeout=60).status_code == 403
    assert requests.get(link.partition("?")[0], timeout=60).status_code == 403


@pytest.mark.parametrize(("origin", "allowed"), [(PAGE, PAGE), ("https://evil.example", None)])
def test_only_the_page_may_call_s3_and_the_api(
    form: dict[str, Any], api: Runtime, origin: str, allowed: str | None
) -> None:
    asking = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    preflight = requests.options(form["url"], headers=asking, timeout=60)
    event = http_event("OPTIONS", "/api/uploads")
    event["headers"] |= {name.lower(): value for name, value in asking.items()}
    own = {name.lower(): value for name, value in api.invoke(event)["headers"].items()}

    assert preflight.status_code == (200 if allowed else 403)
    assert preflight.headers.get("Access-Control-Allow-Origin") == allowed
    assert own.get("access-control-allow-origin") == allowed


def test_the_page_can_read_what_s3_answers(form: dict[str, Any]) -> None:
    answer = requests.post(
        form["url"], data=form["fields"], files={"file": b"x"}, headers={"Origin": PAGE}, timeout=60
    )  # fmt: skip

    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    exposed = {name.strip().lower() for name in answer.headers["Access-Control-Expose-Headers"].split(",")}
    assert {"etag", "location"} <= exposed


def test_the_event_that_the_sam_cli_makes_is_answered(api: Runtime, generated: dict[str, Any]) -> None:
    event = generated["aws-proxy"] | {"path": "/api/health"}

    answer = api.invoke(event)

    assert answer_of(answer) == (200, {"status": "ok", "version": __version__})
    assert type(answer["statusCode"]) is int


def test_a_scheduled_event_sweeps_and_keeps_the_young(
    start_function: StartFunction, generated: dict[str, Any], call: Call, s3: "S3Client", cloud: dict[str, str]
) -> None:
    upload_id = upload(call, photo())
    sweep = start_function("sweep")

    answer = sweep.invoke(generated["scheduled-event"])

    assert answer == {"deleted": 0}
    assert stored(s3, cloud) == [f"uploads/{upload_id}"]


HEALTH = http_event("GET", "/api/health")
MALFORMED = {
    "no query string key": ({k: v for k, v in HEALTH.items() if k != "queryStringParameters"}, 200),
    "null headers": (HEALTH | {"headers": None, "multiValueHeaders": None}, 200),
    "no body key": ({k: v for k, v in HEALTH.items() if k != "body"}, 200),
    "an unknown method": (HEALTH | {"httpMethod": "BREW"}, 405),
    "a binary body": (http_event("POST", "/api/uploads") | {"body": "/9j/4A==", "isBase64Encoded": True}, 422),
    "a body that is no base64": (http_event("POST", "/api/uploads") | {"body": "%%", "isBase64Encoded": True}, 400),
    "a body that is no text": (http_event("POST", "/api/uploads") | {"body": 7}, 400),
    "no source address": (http_event("POST", "/api/uploads", {}) | {"requestContext": {}}, 400),
    "a path that is no text": (HEALTH | {"path": ["/api/health"]}, 400),
    "a path in Latin-1": (HEALTH | {"path": "/api/%E9"}, 404),
    "no path": ({k: v for k, v in HEALTH.items() if k != "path"}, 400),
    "headers that are a list": (HEALTH | {"headers": ["a"]}, 400),
    "an empty event": ({}, 400),
    "a list": ([], 400),
    "null": (None, 400),
}  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_event_is_answered_and_never_crashes_the_invocation(case: str, api: Runtime) -> None:
    event, status = MALFORMED[case]

    answer = api.invoke(event)

    assert (answer["statusCode"], type(answer["statusCode"])) == (status, int)
    assert isinstance(json.loads(answer["body"]), dict)


@pytest.mark.parametrize("kind", ["http-api-proxy", "scheduled-event", "put"])
def test_an_event_of_another_kind_is_answered(api: Runtime, generated: dict[str, Any], kind: str) -> None:
    assert api.invoke(generated[kind])["statusCode"] == 400


def test_two_instances_count_together(start_function: StartFunction) -> None:
    limit = long_limit(30)  # near the edge of a window one more is admitted, as it should be
    instances = [start_function("api", RATE_LIMIT=limit) for _ in range(2)]
    event = http_event("POST", "/api/uploads", [], source_ip="198.51.100.7")

    answers = [instances[n % 2].invoke(event) for n in range(34)]

    assert [answer["statusCode"] for answer in answers] == [422] * 30 + [429] * 4
    left = [int(answer["headers"]["RateLimit-Remaining"]) for answer in answers]
    assert left == [*range(29, -1, -1), 0, 0, 0, 0]


def test_the_log_is_lines_of_json_without_name_address_link_or_id(api: Runtime, call: Call) -> None:
    upload_id = upload(call, photo(), name="secret holiday.jpg")
    _, result = call("POST", f"/api/uploads/{upload_id}/optimize", {})
    lines = [line for line in api.log.splitlines() if '"message": "request"' in line]

    last = json.loads(lines[-1])
    assert last["FunctionName"] == "pinch-api"
    assert {"count", "read", "decode", "encode", "save"} <= last["stages"].keys()
    link = urlsplit(result["url"])
    for private in ("secret holiday", SOURCE_IP, upload_id, link.query, "X-Amz-Signature"):
        assert private not in api.log


def test_the_artefact_holds_what_runs_and_nothing_else(artefact: Path) -> None:
    names = {path.name for path in artefact.iterdir()}

    assert {"optimizer", "PIL", "cv2", "flask", "awsgi", "botocore"} <= names
    assert not {"moto", "pytest", "tests", "infra", "awslambdaric", "pip", "bin"} & names
    assert not [path for path in artefact.rglob("*") if path.name in ("tests", ".env", "credentials")]


def test_every_module_of_the_artefact_is_compiled_and_not_checked_again(artefact: Path) -> None:
    for source in (artefact / "optimizer").rglob("*.py"):
        (compiled,) = (source.parent / "__pycache__").glob(f"{source.stem}.*.pyc")

        assert int.from_bytes(compiled.read_bytes()[4:8], "little") == 0b01  # PEP 552: hash-based, not checked
