import base64
import json
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
import requests
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from time_machine import travel

from optimizer.config import Config
from optimizer.imaging.pipeline import ANIMATION_REDUCED, DEPTH_REDUCED, QUALITY_LOWERED, STEP_WARNINGS
from optimizer.limits import MAX_UPLOAD_BYTES
from optimizer.problems import SourceChanged, StorageUnavailable, UnknownUpload, UploadTooLarge
from optimizer.store import TempStore
from tests.conftest import keys
from tests.journey import post_form

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

RECORD = {"filename": "a b.webp", "media_type": "image/webp", "width": 3}
ID = "0123456789abcdef" * 2
LATER = datetime(2100, 1, 1, tzinfo=UTC)


def put_source(store: TempStore, data: bytes = b"pixels", name: str = "a.jpg") -> str:
    form = store.presign_upload(name, "image/jpeg")
    assert post_form(form, data).status_code == 204
    return str(form["id"])


def test_the_upload_policy_allows_exactly_this_upload(store: TempStore, config: Config) -> None:
    with travel("2026-01-01 12:00Z", tick=False):
        form = store.presign_upload("../Ünï.png", "image/png")
    policy = json.loads(base64.b64decode(form["fields"]["policy"]))

    assert policy["expiration"] == form["expires_at"] == "2026-01-01T12:05:00Z"
    signing = ("x-amz-algorithm", "x-amz-credential", "x-amz-date")
    assert policy["conditions"] == [
        {"Content-Type": "image/png"},
        {"x-amz-meta-name": "%C3%9Cn%C3%AF"},
        ["content-length-range", 1, 26_214_400],
        {"bucket": config.temp_bucket},
        {"key": f"uploads/{form['id']}"},
        *({name: form["fields"][name]} for name in signing),
    ]
    # Every field but the proofs is pinned by a condition, so that none can be changed or added.
    pinned = {key for condition in policy["conditions"] if isinstance(condition, dict) for key in condition}
    assert form["fields"].keys() - {"policy", "x-amz-signature"} == pinned - {"bucket"}


def test_upload_ids_are_32_random_hexadecimal_digits(store: TempStore) -> None:
    ids = {store.presign_upload("a.jpg", "image/jpeg")["id"] for _ in range(50)}

    assert len(ids) == 50
    assert all(len(each) == 32 and int(each, 16) >= 0 for each in ids)
    # No part counts up or names the machine, as in ids made of time and place.
    assert all(len({each[at : at + 8] for each in ids}) == 50 for at in range(0, 32, 8))


def test_links_name_the_regional_address_of_the_bucket_on_aws() -> None:
    store = TempStore.connect(Config(temp_bucket="pinch", aws_region="eu-west-1"))

    assert store.presign_upload("a.jpg", "image/jpeg")["url"] == "https://pinch.s3.eu-west-1.amazonaws.com/"
    link = urlsplit(store.presign_download(ID, "digest", LATER)["url"])
    assert link.hostname == "pinch.s3.eu-west-1.amazonaws.com"
    assert parse_qs(link.query)["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert parse_qs(link.query)["X-Amz-Expires"] == ["600"]


def test_links_name_the_public_endpoint_while_calls_go_to_the_internal_one(s3: "S3Client", config: Config) -> None:
    outside = Config(s3_endpoint_url=config.s3_endpoint_url, s3_public_endpoint_url="http://outside.example:9")
    store = TempStore.connect(outside)

    s3.put_object(Bucket=config.temp_bucket, Key=f"uploads/{ID}", Body=b"pixels")
    store.save_result(ID, "digest", b"result", RECORD)

    assert store.presign_upload("a.jpg", "image/jpeg")["url"].startswith("http://outside.example:9/")
    assert store.presign_download(ID, "digest", LATER)["url"].startswith("http://outside.example:9/")
    assert keys(s3, config) == [f"results/{ID}/digest", f"uploads/{ID}"]


def test_a_source_comes_back_with_its_name(store: TempStore) -> None:
    upload_id = put_source(store, b"pixels", "Ünï/写真 1.jpg")

    source = store.find_source(upload_id)

    assert source.stem == "写真 1"
    assert store.read_source(upload_id, source.etag) == b"pixels"


def test_a_missing_source_is_an_unknown_upload(store: TempStore) -> None:
    with pytest.raises(UnknownUpload):
        store.find_source(ID)
    with pytest.raises(UnknownUpload):
        store.read_source(ID, "etag")


def test_a_source_that_was_replaced_since_it_was_found_is_not_read(store: TempStore) -> None:
    form = store.presign_upload("a.jpg", "image/jpeg")
    post_form(form, b"first")
    etag = store.find_source(form["id"]).etag
    post_form(form, b"second")

    with pytest.raises(SourceChanged):
        store.read_source(form["id"], etag)


@pytest.mark.parametrize(("code", "status"), [("NoSuchKey", 404), ("AccessDenied", 403)])
def test_a_missing_source_is_unknown_also_where_listing_is_not_allowed(code: str, status: int) -> None:
    client = boto3.client("s3", region_name="us-east-1")
    store = TempStore(client, client, "bucket", 30)
    with Stubber(client) as stubber:
        stubber.add_client_error("head_object", code, http_status_code=status)
        stubber.add_client_error("get_object", code, http_status_code=status)

        with pytest.raises(UnknownUpload):
            store.find_source(ID)
        with pytest.raises(UnknownUpload):
            store.read_source(ID, "etag")


@pytest.mark.parametrize("status", [400, 500, 503])
def test_a_failing_s3_is_not_taken_for_a_missing_source(status: int) -> None:
    client = boto3.client("s3", region_name="us-east-1")
    store = TempStore(client, client, "bucket", 30)
    with Stubber(client) as stubber:
        stubber.add_client_error("head_object", "Failing", http_status_code=status)
        stubber.add_client_error("get_object", "Failing", http_status_code=status)

        with pytest.raises(ClientError):
            store.find_source(ID)
        with pytest.raises(ClientError):
            store.read_source(ID, "etag")


def test_a_source_over_the_limit_is_refused_before_it_is_read(store: TempStore, s3: "S3Client", config: Config) -> None:
    s3.put_object(Bucket=config.temp_bucket, Key=f"uploads/{ID}", Body=bytes(MAX_UPLOAD_BYTES + 1))

    with pytest.raises(UploadTooLarge):
        store.find_source(ID)


def test_calls_give_up_soon_enough_for_the_function_to_answer() -> None:
    config: Any = TempStore.connect(Config())._client.meta.config

    assert (config.connect_timeout, config.read_timeout) == (1, 2)
    assert config.retries == {"mode": "standard", "total_max_attempts": 2}


def test_a_source_at_the_limit_is_read(store: TempStore, s3: "S3Client", config: Config) -> None:
    s3.put_object(Bucket=config.temp_bucket, Key=f"uploads/{ID}", Body=bytes(MAX_UPLOAD_BYTES))

    assert len(store.read_source(ID, store.find_source(ID).etag)) == MAX_UPLOAD_BYTES


def test_a_result_is_found_by_its_settings_and_downloaded_under_its_name(store: TempStore) -> None:
    upload_id = put_source(store)
    store.save_result(upload_id, "digest", b"result", RECORD)

    record = store.find_record(upload_id, "digest")
    answer = requests.get(store.presign_download(upload_id, "digest", LATER)["url"], timeout=60)

    assert record == RECORD
    assert answer.content == b"result"
    assert answer.headers["Content-Type"] == "image/webp"
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="a b.webp"')
    assert store.find_record(upload_id, "dig") is None
    assert store.find_record(ID, "digest") is None


def test_a_result_of_an_upload_that_was_discarded_meanwhile_is_not_kept(
    store: TempStore, s3: "S3Client", config: Config
) -> None:
    upload_id = put_source(store)
    store.discard([upload_id])

    with pytest.raises(UnknownUpload):
        store.save_result(upload_id, "digest", b"result", RECORD)

    assert keys(s3, config) == []


def test_discard_deletes_the_source_before_it_looks_for_results() -> None:
    client = boto3.client("s3", region_name="us-east-1")
    store = TempStore(client, client, "bucket", 30)
    with Stubber(client) as stubber:  # answers in this order only
        stubber.add_response("delete_objects", {})
        stubber.add_response("list_objects_v2", {"Contents": [{"Key": f"results/{ID}/a"}]})
        stubber.add_response("delete_objects", {})

        store.discard([ID])
        stubber.assert_no_pending_responses()


def test_the_longest_record_fits_into_the_metadata_of_an_object() -> None:
    warnings = [ANIMATION_REDUCED, DEPTH_REDUCED, QUALITY_LOWERED, *STEP_WARNINGS.values()]
    image = {"format": "jpeg", "media_type": "image/jpeg", "width": 16_383, "height": 16_383, "bytes": 26_214_400}
    record = {
        "filename": "\U0001f600" * 80 + ".webp",
        **image,
        "source": image,
        "saved_percent": -1234.5,
        "quality": 100,
        "similarity": -1234.5,
        "kept_original": False,
        "metadata_removed": ["exif", "gps", "thumbnail", "iptc", "xmp", "icc", "comment", "text"],
        "warnings": [warning._asdict() for warning in warnings],
        "target_reached": False,
    }

    assert len("record" + json.dumps(record, separators=(",", ":"))) <= 2_048


def test_discard_removes_the_source_and_every_result_of_an_upload_and_nothing_else(
    store: TempStore, s3: "S3Client", config: Config
) -> None:
    mine, other = put_source(store), put_source(store)
    for upload_id in (mine, other):
        for digest in ("one", "two"):
            store.save_result(upload_id, digest, b"result", RECORD)

    store.discard([mine])
    store.discard([mine, ID])

    assert keys(s3, config) == [f"results/{other}/one", f"results/{other}/two", f"uploads/{other}"]


@pytest.mark.parametrize(("minutes", "left"), [(19, 2), (21, 0)])
def test_the_sweep_takes_what_is_older_than_two_thirds_of_the_retention(
    store: TempStore, s3: "S3Client", config: Config, minutes: int, left: int
) -> None:
    upload_id = put_source(store)
    store.save_result(upload_id, "one", b"result", RECORD)

    deleted = store.sweep(datetime.now(UTC) + timedelta(minutes=minutes))

    assert (deleted, len(keys(s3, config))) == (2 - left, left)


def test_the_sweep_takes_young_results_with_their_old_source_and_leaves_those_of_others() -> None:
    client = boto3.client("s3", region_name="us-east-1")
    store = TempStore(client, client, "bucket", 30)
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    old, young = now - timedelta(minutes=21), now - timedelta(minutes=1)
    sources: Any = [{"Key": "uploads/aa", "LastModified": old}, {"Key": "uploads/bb", "LastModified": young}]
    results: Any = [{"Key": f"results/{each}/x", "LastModified": young} for each in ("aa", "bb")]
    gone: Any = {"Objects": [{"Key": "uploads/aa"}, {"Key": "results/aa/x"}], "Quiet": True}
    with Stubber(client) as stubber:
        stubber.add_response("list_objects_v2", {"Contents": results})
        stubber.add_response("list_objects_v2", {"Contents": sources})
        stubber.add_response("delete_objects", {}, {"Bucket": "bucket", "Delete": gone})

        assert store.sweep(now) == 2


def test_the_sweep_takes_what_a_discard_that_failed_halfway_has_left(
    store: TempStore, s3: "S3Client", config: Config
) -> None:
    whole, half = put_source(store), put_source(store)
    for upload_id in (whole, half):
        store.save_result(upload_id, "one", b"result", RECORD)
    s3.delete_object(Bucket=config.temp_bucket, Key=f"uploads/{half}")

    assert store.sweep(datetime.now(UTC)) == 1
    assert keys(s3, config) == [f"results/{whole}/one", f"uploads/{whole}"]


def test_the_sweep_leaves_what_arrives_while_it_looks() -> None:
    client = boto3.client("s3", region_name="us-east-1")
    store = TempStore(client, client, "bucket", 30)
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    arrived: Any = [{"Key": "uploads/aa", "LastModified": now}]
    with Stubber(client) as stubber:  # answers in this order only; its result came after the first
        stubber.add_response("list_objects_v2", {}, {"Bucket": "bucket", "Prefix": "results/"})
        stubber.add_response("list_objects_v2", {"Contents": arrived}, {"Bucket": "bucket", "Prefix": "uploads/"})

        assert store.sweep(now) == 0


def test_the_sweep_takes_more_than_one_call_can_delete() -> None:
    client = boto3.client("s3", region_name="us-east-1")
    store = TempStore(client, client, "bucket", 30)
    old = [{"Key": f"uploads/{number}", "LastModified": datetime(2026, 1, 1, tzinfo=UTC)} for number in range(1_005)]
    batches = [[{"Key": obj["Key"]} for obj in old[:1_000]], [{"Key": obj["Key"]} for obj in old[1_000:]]]
    with Stubber(client) as stubber:
        stubber.add_response("list_objects_v2", {})
        stubber.add_response("list_objects_v2", {"Contents": old})
        for batch in batches:
            expected = {"Bucket": "bucket", "Delete": {"Objects": batch, "Quiet": True}}
            stubber.add_response("delete_objects", {}, expected)

        assert store.sweep(datetime(2026, 1, 2, tzinfo=UTC)) == 1_005
        stubber.assert_no_pending_responses()


def test_a_refused_deletion_is_told_and_never_taken_for_done() -> None:
    client = boto3.client("s3", region_name="us-east-1")
    store = TempStore(client, client, "bucket", 30)
    refusal: Any = {"Errors": [{"Key": f"uploads/{ID}", "Code": "AccessDenied", "Message": "no"}]}
    with Stubber(client) as stubber:
        stubber.add_response("delete_objects", refusal)

        with pytest.raises(StorageUnavailable):
            store.discard([ID])


def test_thousands_of_objects_cost_few_calls_and_the_young_stay(
    s3: "S3Client", store: TempStore, config: Config
) -> None:
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    for number in range(1_100):
        for key in (f"uploads/{number:032x}", f"results/{number:032x}/{'0' * 32}"):
            minutes = 21 if number < 1_000 else 19
            stored: Any = backend.put_object(config.temp_bucket, key, b"x")
            stored.last_modified = (now - timedelta(minutes=minutes)).replace(tzinfo=None)
    calls: list[str] = []
    count = partial(lambda event_name, **_: calls.append(event_name.rpartition(".")[2]))
    store._client.meta.events.register("before-send.s3.*", count)

    deleted = store.sweep(now)

    store._client.meta.events.unregister("before-send.s3.*", count)
    left = [obj["Key"] for prefix in ("uploads/", "results/")
            for obj in s3.list_objects_v2(Bucket=config.temp_bucket, Prefix=prefix)["Contents"]]  # fmt: skip
    assert deleted == 2_000
    assert len(left) == 200
    assert {int(key.split("/")[1], 16) for key in left} == set(range(1_000, 1_100))
    assert (calls.count("ListObjectsV2"), calls.count("DeleteObjects")) == (4, 2)
    store.sweep(now + timedelta(hours=1))


def test_what_s3_did_not_delete_is_told_and_taken_by_the_next_sweep(
    s3: "S3Client", store: TempStore, config: Config
) -> None:
    for number in range(1_001):
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(config.temp_bucket, f"uploads/{number:032x}", b"x")
    later = datetime.now(UTC) + timedelta(hours=1)
    answers = iter([{"Errors": [{"Key": f"uploads/{0:032x}", "Code": "InternalError", "Message": "try again"}]}])

    def fail_first(**_: Any) -> Any:
        return next(iter([(SimpleNamespace(status_code=200), answer) for answer in answers]), None)

    store._client.meta.events.register("before-call.s3.DeleteObjects", fail_first)

    with pytest.raises(StorageUnavailable):
        store.sweep(later)
    left = len(keys(s3, config))
    again = store.sweep(later)

    store._client.meta.events.unregister("before-call.s3.DeleteObjects", fail_first)
    assert (left, again) == (1_000, 1_000)  # the second batch went at once, the first with the next sweep
    assert keys(s3, config) == []


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
def test_links_name_the_bucket_as_the_policy_of_the_page_does(region: str) -> None:
    store = TempStore.connect(Config(aws_region=region, temp_bucket="pinch"))

    assert store.presign_upload("a.jpg", "image/jpeg")["url"] == f"https://pinch.s3.{region}.amazonaws.com/"
