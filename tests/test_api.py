from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from PIL import Image

from optimizer import __version__
from optimizer.config import Config
from optimizer.imaging.encoders import ENCODERS
from optimizer.limits import FILES_PER_REQUEST, IDS_PER_REQUEST, MAX_UPLOAD_BYTES
from optimizer.openapi import document
from optimizer.settings import PRESETS, json_schema
from optimizer.store import TempStore
from optimizer.worker import workers
from tests.conftest import keys
from tests.journey import Call, check_whole_journey, photo, post_form, upload

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ID = "0123456789abcdef" * 2
FILE = {"name": "a.jpg", "type": "image/jpeg", "size": 12_345}


@pytest.fixture
def call(client: FlaskClient) -> Call:
    def call(method: str, path: str, body: Any) -> tuple[int, Any]:
        answer = client.open(path, method=method, json=body)
        return answer.status_code, answer.get_json(silent=True)

    return call


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(document() | {"$ref": f"#/components/schemas/{name}"})


def test_the_whole_journey_of_an_image(call: Call, s3: "S3Client", config: Config) -> None:
    check_whole_journey(call, lambda: keys(s3, config))


def test_uploads_are_answered_in_the_order_they_were_asked_for(call: Call, s3: "S3Client") -> None:
    media_types = [encoder.MEDIA_TYPE for encoder in ENCODERS.values()]

    status, body = call("POST", "/api/uploads", {"files": [FILE | {"type": each} for each in media_types]})

    assert status == 201
    assert [form["fields"]["Content-Type"] for form in body["uploads"]] == media_types
    validator("Uploads").validate(body)


def test_the_answers_match_the_api_document(call: Call, s3: "S3Client") -> None:
    upload_id = upload(call, photo())

    _, result = call("POST", f"/api/uploads/{upload_id}/optimize", {"lossless": True, "format": "png"})
    _, problem = call("POST", f"/api/uploads/{upload_id}/optimize", {"quality": 0})

    validator("Result").validate(result)
    validator("Problem").validate(problem)
    assert result["quality"] is None


@pytest.mark.parametrize(
    ("choice", "measured", "reached"),
    [
        ({}, False, None),
        ({"quality": 50}, False, None),
        ({"auto_quality": "small"}, True, None),
        ({"format": "smallest"}, True, None),
        ({"target_bytes": 1_000_000}, False, True),
        ({"format": "png", "lossless": True, "target_bytes": 1_000}, False, False),
        ({"format": "jpeg", "auto_quality": "high", "target_bytes": 1_000_000}, True, True),
    ],
    ids=repr,
)
def test_similarity_and_whether_a_target_was_reached_are_told_where_they_were_asked_for(
    call: Call, s3: "S3Client", choice: dict[str, Any], measured: bool, reached: bool | None
) -> None:
    upload_id = upload(call, photo())

    _, first = call("POST", f"/api/uploads/{upload_id}/optimize", choice)
    _, again = call("POST", f"/api/uploads/{upload_id}/optimize", choice)

    validator("Result").validate(first)
    assert isinstance(first["similarity"], float | int) == measured
    assert ("target_reached" in first) == (reached is not None)
    assert first.get("target_reached") == reached
    assert type(first["quality"]) in (int, type(None))
    assert (again["cached"], again["similarity"]) == (True, first["similarity"])
    validator("Settings").validate(choice)


@pytest.mark.parametrize(
    ("file", "status", "words"),
    [
        (FILE | {"type": "image/gif", "name": "clip.gif"}, 415, "clip.gif is not supported. Use JPEG, PNG or WebP."),
        (FILE | {"type": "image/svg+xml"}, 415, "a.jpg is not supported"),
        (FILE | {"type": "", "name": "cl\u202eip\r\n.gif"}, 415, "clip.gif is not supported"),
        (FILE | {"type": ""}, 415, "a.jpg is not supported"),
        (FILE | {"size": MAX_UPLOAD_BYTES + 1}, 413, "The limit is 25 MB."),
        (FILE | {"size": 31_000_000, "name": "x/holiday.png"}, 413, "holiday.png is 31 MB. The limit is 25 MB."),
        (FILE | {"size": 10**400}, 413, "The limit is 25 MB."),
        (FILE | {"size": 0}, 422, "a.jpg is empty."),
        (FILE | {"size": -1}, 422, "a.jpg is empty."),
        (FILE | {"size": True}, 422, "Give file 2 a name"),
        (FILE | {"size": 1.5}, 422, "Give file 2 a name"),
        (FILE | {"size": "9"}, 422, "Give file 2 a name"),
        (FILE | {"name": None}, 422, "Give file 2 a name"),
        ({"name": "a.jpg", "type": "image/jpeg"}, 422, "Give file 2 a name"),
        ("a.jpg", 422, "Give file 2 a name"),
        (None, 422, "Give file 2 a name"),
    ],
)
def test_one_bad_file_refuses_the_list_and_is_named(call: Call, file: object, status: int, words: str) -> None:
    answer = call("POST", "/api/uploads", {"files": [FILE, file, FILE]})

    assert answer[0] == answer[1]["status"] == status
    assert words in answer[1]["detail"]
    assert answer[1]["errors"][0]["field"].startswith("files[1]")
    assert "uploads" not in answer[1]


@pytest.mark.parametrize("size", [1, MAX_UPLOAD_BYTES, float(MAX_UPLOAD_BYTES)])
def test_a_file_up_to_the_limit_is_welcome(call: Call, size: float) -> None:
    assert call("POST", "/api/uploads", {"files": [FILE | {"size": size}]})[0] == 201


@pytest.mark.parametrize(
    ("path", "name", "most", "entry"),
    [("/api/uploads", "files", FILES_PER_REQUEST, FILE), ("/api/discard", "ids", IDS_PER_REQUEST, ID)],
)
def test_lists_hold_one_entry_to_their_limit(call: Call, path: str, name: str, most: int, entry: object) -> None:
    assert call("POST", path, {name: [entry] * most})[0] in (201, 204)
    for wrong in ([], [entry] * (most + 1), entry, None):
        status, problem = call("POST", path, {name: wrong})
        assert (status, problem["status"]) == (422, 422)
        assert f"1 to {most}" in problem["detail"]


BODIES = {
    "no JSON": b"quality=80",
    "not UTF-8": b'{"quality": "\xff"}',
    "nested beyond the stack": b"[" * 60_000,
    "a number of 5000 digits": b'{"quality": ' + b"9" * 5_000 + b"}",
    "an array": b"[]",
    "a string": b'"x"',
}


@pytest.mark.parametrize("path", ["/api/uploads", f"/api/uploads/{ID}/optimize", "/api/discard"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_that_cannot_be_used_is_refused_in_words(client: FlaskClient, path: str, body: bytes) -> None:
    answer = client.post(path, data=body, content_type="application/json")

    assert answer.status_code == 422
    assert answer.content_type == "application/problem+json"
    assert answer.get_json()["detail"].endswith(".")


@pytest.mark.parametrize("path", ["/api/uploads", f"/api/uploads/{ID}/optimize", "/api/discard"])
def test_a_body_over_the_limit_is_refused(client: FlaskClient, path: str) -> None:
    answer = client.post(path, data=b" " * (64 * 2**10 + 1))

    assert answer.status_code == 413
    assert "64 KB" in answer.get_json()["detail"]


def test_no_body_asks_for_the_defaults(client: FlaskClient, call: Call, s3: "S3Client") -> None:
    upload_id = upload(call, photo())

    first = client.post(f"/api/uploads/{upload_id}/optimize")
    second = client.post(f"/api/uploads/{upload_id}/optimize", json={})

    assert first.status_code == second.status_code == 200
    assert second.get_json()["cached"] is True


def test_bad_settings_are_named_one_by_one(call: Call) -> None:
    status, problem = call("POST", f"/api/uploads/{ID}/optimize", {"quality": 101, "colour": 1})

    assert status == 422
    assert [error["field"] for error in problem["errors"]] == ["quality", "colour"]
    assert "1 to 100" in problem["errors"][0]["detail"]


@pytest.mark.parametrize("upload_id", [ID, "0", ID.upper(), ID + "0", "uploads", "..%2f" + ID, ID[:-1] + "g"])
def test_an_unknown_upload_is_a_404(call: Call, s3: "S3Client", upload_id: str) -> None:
    status, problem = call("POST", f"/api/uploads/{upload_id}/optimize", {})

    assert (status, problem["status"]) == (404, 404)


@pytest.mark.parametrize(
    ("data", "status"),
    [(b"GIF89a" + bytes(50), 415), (b"<svg/>", 415), (photo()[:-200], 422), (b"\xff\xd8\xff\xe0junk", 422)],
)
def test_what_is_no_sound_image_is_refused_by_its_bytes_and_leaves_nothing_behind(
    call: Call, s3: "S3Client", config: Config, data: bytes, status: int
) -> None:
    upload_id = upload(call, data)

    answer = call("POST", f"/api/uploads/{upload_id}/optimize", {})

    assert answer[0] == answer[1]["status"] == status
    assert keys(s3, config) == [f"uploads/{upload_id}"]


def test_a_result_that_would_be_too_large_names_the_setting(call: Call, s3: "S3Client") -> None:
    file = BytesIO()
    Image.new("1", (5_000, 5_000)).save(file, "PNG")
    upload_id = upload(call, file.getvalue(), media_type="image/png")

    status, problem = call("POST", f"/api/uploads/{upload_id}/optimize", {"resize_percent": 150})

    assert status == 422
    assert problem["errors"] == [
        {"field": "resize_percent", "detail": "Resize to 141 percent at most: the limit is 50 megapixels."}
    ]


def test_the_source_is_never_overwritten(call: Call, s3: "S3Client", config: Config) -> None:
    data = photo()
    upload_id = upload(call, data)

    for quality in (10, 90):
        assert call("POST", f"/api/uploads/{upload_id}/optimize", {"quality": quality})[0] == 200

    assert s3.get_object(Bucket=config.temp_bucket, Key=f"uploads/{upload_id}")["Body"].read() == data


def test_a_name_of_any_kind_never_becomes_part_of_a_key(call: Call, s3: "S3Client", config: Config) -> None:
    upload_id = upload(call, photo(), name="../../results/\r\nX: y.jpg")

    status, result = call("POST", f"/api/uploads/{upload_id}/optimize", {})

    assert (status, result["filename"]) == (200, "X_ y.jpg")
    assert all(upload_id in key for key in keys(s3, config))


@pytest.mark.parametrize("content_type", ["application/json", "text/plain;charset=UTF-8", None])
def test_discard_takes_json_as_a_beacon_sends_it(
    client: FlaskClient, call: Call, s3: "S3Client", config: Config, content_type: str | None
) -> None:
    upload_id = upload(call, photo())

    answer = client.post("/api/discard", data=f'{{"ids": ["{upload_id}"]}}', content_type=content_type)

    assert (answer.status_code, answer.data) == (204, b"")
    assert keys(s3, config) == []


@pytest.mark.parametrize("bad", ["", "../x", ID + "/", 7, None, ["x"], "*"])
def test_discard_deletes_nothing_when_one_id_is_none(call: Call, s3: "S3Client", config: Config, bad: object) -> None:
    upload_id = upload(call, photo())

    status, _ = call("POST", "/api/discard", {"ids": [upload_id, bad]})

    assert status == 422
    assert keys(s3, config) == [f"uploads/{upload_id}"]


def test_a_form_sent_again_is_another_source_with_results_of_its_own(call: Call, s3: "S3Client") -> None:
    _, body = call("POST", "/api/uploads", {"files": [FILE]})
    form = body["uploads"][0]

    sizes = []
    for side in (10, 20):
        file = BytesIO()
        Image.new("RGB", (side, side)).save(file, "JPEG")
        assert post_form(form, file.getvalue()).status_code == 204
        sizes.append(call("POST", f"/api/uploads/{form['id']}/optimize", {})[1]["width"])

    assert sizes == [10, 20]


def test_a_discard_during_an_optimize_leaves_nothing_behind(
    call: Call, store: TempStore, s3: "S3Client", config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = upload(call, photo())

    optimize = workers.optimize

    def optimize_while_the_page_closes(*args: Any) -> Any:
        store.discard([upload_id])
        return optimize(*args)

    monkeypatch.setattr(workers, "optimize", optimize_while_the_page_closes)

    status, _ = call("POST", f"/api/uploads/{upload_id}/optimize", {})

    assert status == 404
    assert keys(s3, config) == []


def test_the_settings_document_is_the_declaration_with_presets_limits_and_version(client: FlaskClient) -> None:
    body = client.get("/api/settings").get_json()

    assert body == json_schema() | {
        "version": __version__,
        "presets": PRESETS,
        "limits": {
            "max_upload_bytes": 26_214_400,
            "max_pixels": 50_000_000,
            "requests_per_minute": 30,
            "retention_minutes": 30,
            "files_per_request": 20,
            "formats": ["jpeg", "png", "webp"],
            "media_types": ["image/jpeg", "image/png", "image/webp"],
        },
    }
    assert list(body["properties"]) == list(json_schema()["properties"])  # the form keeps their order


def test_the_document_of_the_api_is_served(client: FlaskClient) -> None:
    assert client.get("/api/openapi.json").get_json() == document()


def test_health(client: FlaskClient) -> None:
    assert client.get("/api/health").get_json() == {"status": "ok", "version": __version__}
