"""The journey of one image as a client makes it, over any way to call the API."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import requests
from PIL import Image

# (method, path, JSON body) -> (status, decoded body)
Call = Callable[[str, str, Any], tuple[int, Any]]


def photo() -> bytes:
    """Return a JPEG of 64 x 48 pixels with a comment in it."""
    file = BytesIO()
    Image.radial_gradient("L").resize((64, 48)).convert("RGB").save(file, "JPEG", quality=100, comment=b"private")
    return file.getvalue()


def post_form(form: dict[str, Any], data: bytes) -> requests.Response:
    """Send the file as the presigned form says, `file` last."""
    return requests.post(form["url"], data=form["fields"], files={"file": data}, timeout=60)


def upload(call: Call, data: bytes, name: str = "a.jpg", media_type: str = "image/jpeg") -> str:
    """Presign, send the file to S3, and return the upload's id."""
    status, body = call("POST", "/api/uploads", {"files": [{"name": name, "type": media_type, "size": len(data)}]})
    assert status == 201, body
    form = body["uploads"][0]
    answer = post_form(form, data)
    assert answer.status_code == 204, answer.text
    upload_id: str = form["id"]
    return upload_id


def check_whole_journey(call: Call, objects: Callable[[], list[str]]) -> None:
    """Upload, optimize twice, download, discard; `objects` lists the keys that the temp bucket holds."""
    data = photo()
    upload_id = upload(call, data, "Café, summer.jpg")
    assert objects() == [f"uploads/{upload_id}"]

    status, result = call("POST", f"/api/uploads/{upload_id}/optimize", {"format": "webp", "resize_percent": 50})
    assert status == 200, result
    download = requests.get(result["url"], timeout=60)
    image = Image.open(BytesIO(download.content))

    lives = datetime.fromisoformat(result["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=9) < lives <= timedelta(minutes=10)
    assert (image.format, image.size) == ("WEBP", (32, 24))
    assert download.headers["Content-Type"] == "image/webp"
    assert download.headers["Content-Disposition"] == (
        "attachment; filename=\"Caf_, summer.webp\"; filename*=UTF-8''Caf%C3%A9%2C%20summer.webp"
    )
    assert {key: result[key] for key in result.keys() - {"url", "expires_at"}} == {
        "id": upload_id,
        "filename": "Café, summer.webp",
        "format": "webp",
        "media_type": "image/webp",
        "width": 32,
        "height": 24,
        "bytes": len(download.content),
        "source": {"format": "jpeg", "media_type": "image/jpeg", "width": 64, "height": 48, "bytes": len(data)},
        "saved_percent": round(100 - 100 * len(download.content) / len(data), 1),
        "quality": 85,
        "similarity": None,
        "kept_original": False,
        "cached": False,
        "metadata_removed": ["comment"],
        "warnings": [],
    }

    status, again = call("POST", f"/api/uploads/{upload_id}/optimize", {"resize_percent": 50, "format": "WEBP"})
    changing = {"url", "expires_at", "cached"}
    assert (status, again["cached"]) == (200, True)
    assert {k: again[k] for k in again.keys() - changing} == {k: result[k] for k in result.keys() - changing}

    assert call("POST", "/api/discard", {"ids": [upload_id]}) == (204, None)
    assert objects() == []
    assert requests.get(result["url"], timeout=60).status_code == 404
    status, problem = call("POST", f"/api/uploads/{upload_id}/optimize", {})
    assert (status, problem["title"]) == (404, "There is no such upload")
