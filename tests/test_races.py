"""What two clients, or one that changes its mind, make of one upload."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from flask import Flask
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from time_machine import travel

from optimizer.config import Config
from optimizer.limits import MAX_UPLOAD_BYTES
from optimizer.routes import api
from optimizer.store import TempStore
from tests.conftest import keys
from tests.journey import photo, post_form

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FILE = {"name": "a.jpg", "type": "image/jpeg", "size": 12_345}


def presign(app: Flask) -> Any:
    return app.test_client().post("/api/uploads", json={"files": [FILE]}).get_json()["uploads"][0]


def upload(app: Flask) -> str:
    form = presign(app)
    assert post_form(form, photo()).status_code == 204
    return str(form["id"])


def optimize(app: Flask, upload_id: str, choice: Any) -> tuple[int, Any]:
    answer = app.test_client().post(f"/api/uploads/{upload_id}/optimize", json=choice)
    return answer.status_code, answer.get_json()


def make_older(config: Config, key: str, minutes: int) -> None:
    stored: Any = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].get_object(config.temp_bucket, key)
    stored.last_modified = (datetime.now(UTC) - timedelta(minutes=minutes)).replace(tzinfo=None)


def test_a_source_that_s3_took_over_the_limit_is_refused_by_its_size(
    app: Flask, s3: "S3Client", config: Config
) -> None:
    upload_id = upload(app)
    s3.put_object(Bucket=config.temp_bucket, Key=f"uploads/{upload_id}", Body=bytes(MAX_UPLOAD_BYTES + 1))

    status, problem = optimize(app, upload_id, {})

    assert (status, problem["type"]) == (413, "urn:pinch:problem:upload_too_large")


def test_a_source_that_is_swapped_after_it_was_found_is_refused(
    app: Flask, store: TempStore, s3: "S3Client", config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = upload(app)

    def swap(*_: str) -> None:
        s3.put_object(Bucket=config.temp_bucket, Key=f"uploads/{upload_id}", Body=photo() + b"other")

    with monkeypatch.context() as patched:
        patched.setattr(store, "find_record", swap)  # which is asked between HEAD and GET
        status, problem = optimize(app, upload_id, {})

    assert (status, problem["type"]) == (409, "urn:pinch:problem:source_changed")
    assert keys(s3, config) == [f"uploads/{upload_id}"]
    assert optimize(app, upload_id, {})[0] == 200


@pytest.mark.parametrize(
    ("choices", "results"), [([{}] * 4, 1), ([{"quality": quality} for quality in (20, 40, 60, 80)], 4)]
)
def test_many_optimizes_of_one_image_make_one_object_for_each_settings(
    app: Flask, s3: "S3Client", config: Config, monkeypatch: pytest.MonkeyPatch, choices: list[Any], results: int
) -> None:
    monkeypatch.setattr(api, "MAX_WAIT_SECONDS", 60)  # however busy the machine is
    upload_id = upload(app)

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda choice: optimize(app, upload_id, choice), choices))

    assert [status for status, _ in answers] == [200] * 4
    assert len(keys(s3, config)) == results + 1
    assert [body["cached"] for _, body in answers].count(False) == results


def test_a_discard_between_saving_and_the_answer_leaves_a_dead_link_and_nothing_else(
    app: Flask, store: TempStore, s3: "S3Client", config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = upload(app)
    presign_download = store.presign_download

    def discard_and_presign(*args: Any) -> dict[str, str]:
        store.discard([upload_id])
        return presign_download(*args)

    monkeypatch.setattr(store, "presign_download", discard_and_presign)

    status, result = optimize(app, upload_id, {})

    assert (status, requests.get(result["url"], timeout=60).status_code) == (200, 404)
    assert keys(s3, config) == []


def test_a_form_that_is_posted_again_after_the_discard_is_swept_with_its_results(
    app: Flask, store: TempStore, s3: "S3Client", config: Config
) -> None:
    form = presign(app)
    post_form(form, photo())
    app.test_client().post("/api/discard", json={"ids": [form["id"]]})
    post_form(form, photo())
    assert optimize(app, form["id"], {})[0] == 200

    assert store.sweep(datetime.now(UTC) + timedelta(minutes=19)) == 0
    assert store.sweep(datetime.now(UTC) + timedelta(minutes=21)) == 2
    assert keys(s3, config) == []


def test_a_link_ends_with_the_retention_of_its_source_also_that_of_a_result_found_again(
    app: Flask, store: TempStore, s3: "S3Client", config: Config
) -> None:
    upload_id = upload(app)
    with travel(datetime.now(UTC).replace(microsecond=0), tick=False):
        make_older(config, f"uploads/{upload_id}", 25)
        ends = datetime.now(UTC) + timedelta(minutes=5)

        results = [optimize(app, upload_id, {})[1] for _ in range(2)]

    assert [result["cached"] for result in results] == [False, True]
    for result in results:
        assert datetime.fromisoformat(result["expires_at"]) == ends
        assert parse_qs(urlsplit(result["url"]).query)["X-Amz-Expires"] == ["300"]


def test_a_source_whose_retention_has_ended_is_unknown_and_nothing_is_made_of_it(
    app: Flask, store: TempStore, s3: "S3Client", config: Config
) -> None:
    upload_id = upload(app)
    make_older(config, f"uploads/{upload_id}", 31)

    status, problem = optimize(app, upload_id, {})

    assert (status, problem["type"]) == (404, "urn:pinch:problem:unknown_upload")
    assert keys(s3, config) == [f"uploads/{upload_id}"]
