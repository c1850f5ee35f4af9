"""Our own API: presign uploads, optimize, discard, and the documents that describe it."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from json import loads
from threading import BoundedSemaphore, Lock
from time import monotonic
from typing import Any

from flask import Blueprint, Response, g, jsonify, request
from flask_limiter import Limiter

from optimizer import __version__, openapi, settings
from optimizer.config import Config
from optimizer.filenames import display_name
from optimizer.imaging.encoders import ENCODERS
from optimizer.limits import (
    FILES_PER_REQUEST,
    IDS_PER_REQUEST,
    MAX_PIXELS,
    MAX_UPLOAD_BYTES,
    WORKER_SECONDS,
)
from optimizer.problems import Busy, InvalidRequest, TooComplex, UnknownUpload, UnsupportedType, UploadTooLarge
from optimizer.rate_limit import count_by
from optimizer.settings import Settings
from optimizer.store import TempStore
from optimizer.telemetry import lap, metric, note
from optimizer.worker import Optimized, Workers

MEDIA_TYPES = {encoder.MEDIA_TYPE: name for name, encoder in ENCODERS.items()}
# The function has 28 seconds. If S3 was slow, the worker gets less time. The rest is enough for an error from S3.
REQUEST_SECONDS = 26
MAX_WAIT_SECONDS = 5  # for a processor
SAVE_SECONDS = 5
UPLOAD_ID = re.compile(r"[0-9a-f]{32}")


def create_api(config: Config, store: TempStore, limiter: Limiter, workers: Workers) -> Blueprint:
    """Return the routes of the API, bound to what they need."""
    api = Blueprint("api", __name__, url_prefix="/api")
    # Lambda sends a process one request at a time. A server with threads needs the locks so that it makes no result
    # twice, and no more results at once than it has processors: each may take 2 GB.
    locks = [Lock() for _ in range(64)]
    processors = BoundedSemaphore(os.cpu_count() or 1)
    counted = count_by(limiter, config.rate_limit)

    @api.before_request
    def begin() -> None:
        g.ends = monotonic() + REQUEST_SECONDS - SAVE_SECONDS  # counting is within it: it takes 4 when the table hangs

    @api.post("/uploads")
    @counted
    def create_uploads() -> tuple[Response, int]:
        lap("count")
        files = [_checked_file(file, index) for index, file in enumerate(_list_of("files", FILES_PER_REQUEST))]
        return jsonify(uploads=[store.presign_upload(name, media_type) for name, media_type in files]), 201

    @api.post("/uploads/<upload_id>/optimize")
    @counted
    def optimize_upload(upload_id: str) -> Response:
        lap("count")
        if not UPLOAD_ID.fullmatch(upload_id):
            raise UnknownUpload("An upload id is 32 hexadecimal digits. Use one that POST /api/uploads returned.")
        chosen = Settings.parse(_json_body(default={}))
        source = store.find_source(upload_id)
        digest = chosen.digest(source.etag)
        # Equal images have equal digests. With the id, they do not wait for each other.
        with _turn(locks[hash((upload_id, digest)) % len(locks)], g.ends - monotonic()):
            record = store.find_record(upload_id, digest)
            lap("find")
            cached = record is not None
            if record is None:
                with _turn(processors, min(MAX_WAIT_SECONDS, g.ends - monotonic())):
                    lap("wait")
                    data = store.read_source(upload_id, source.etag)
                    lap("read")
                    result = _optimize(workers, data, chosen, g.ends)
                lap("worker")  # sending the image there and the result back
                record = {"filename": f"{source.stem}.{ENCODERS[result.record['format']].EXTENSION}"} | result.record
                store.save_result(upload_id, digest, result.data, record)
                lap("save")
                metric("SavedBytes", len(data) - len(result.data), "Bytes")
        note(cached=cached, source_bytes=record["source"]["bytes"], result_bytes=record["bytes"])
        link = store.presign_download(upload_id, digest, source.kept_until)
        return jsonify({"id": upload_id, **link, **record, "cached": cached})

    @api.post("/discard")
    def discard() -> tuple[str, int]:
        ids = _list_of("ids", IDS_PER_REQUEST)
        if not all(isinstance(each, str) and UPLOAD_ID.fullmatch(each) for each in ids):
            raise InvalidRequest("Each id is 32 hexadecimal digits. Send those that POST /api/uploads returned.")
        store.discard(ids)
        return "", 204

    @api.get("/settings")
    def describe_settings() -> Response:
        return jsonify(settings_document(config))

    @api.get("/openapi.json")
    def describe_api() -> Response:
        return jsonify(openapi.document())

    @api.get("/health")
    def health() -> Response:
        return jsonify(status="ok", version=__version__)

    return api


@contextmanager
def _turn(turns: "Lock | BoundedSemaphore", seconds: float) -> Iterator[None]:
    """Hold a turn; raises Busy if none is free within so many seconds."""
    if not turns.acquire(timeout=max(0, seconds)):
        raise Busy("Too many images are being worked on. Try again in a few seconds.")
    try:
        yield
    finally:
        turns.release()


def _optimize(workers: Workers, data: bytes, chosen: Settings, ends: float) -> Optimized:
    """Return the worker's result; raises its errors, or Busy if earlier waiting left it too little time."""
    try:
        return workers.optimize(data, chosen, min(WORKER_SECONDS, ends - monotonic()))
    except TooComplex as error:
        if monotonic() < ends:
            raise
        raise Busy("There was not enough time for this image. Try again in a few seconds.") from error


def settings_document(config: Config) -> dict[str, Any]:
    """Return the JSON Schema of the settings, with presets, limits and version added to its keywords."""
    limits = {
        "max_upload_bytes": MAX_UPLOAD_BYTES,
        "max_pixels": MAX_PIXELS,
        "requests_per_minute": config.requests_per_minute,
        "retention_minutes": config.retention_minutes,
        "files_per_request": FILES_PER_REQUEST,
        "formats": list(ENCODERS),
        "media_types": list(MEDIA_TYPES),
    }
    return settings.json_schema() | {"version": __version__, "presets": settings.PRESETS, "limits": limits}


def _json_body(default: Any = None) -> Any:
    """Return the decoded body, or the default if it is empty.

    Its Content-Type does not matter, because sendBeacon sends JSON as text/plain.

    Raises InvalidRequest if the body is not JSON.
    """
    body = request.get_data()
    if not body and default is not None:
        return default
    try:
        return loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("The body is not JSON. Send one JSON object in UTF-8.") from error


def _list_of(name: str, most: int) -> list[Any]:
    """Return the list of this name in the body; raises InvalidRequest if it is missing, empty or longer than `most`."""
    body = _json_body()
    items = body.get(name) if isinstance(body, dict) else None
    if not isinstance(items, list) or not 1 <= len(items) <= most:
        raise InvalidRequest(f"Send a JSON object with {name}, a list of 1 to {most} entries.")
    return items


def _checked_file(file: object, index: int) -> tuple[str, str]:
    """Return the name and media type of one file that the client wants to upload.

    Raises InvalidRequest, UnsupportedType or UploadTooLarge, each naming the file.
    """
    match file:
        case {"name": str(name), "type": str(media_type), "size": int(size)} if not isinstance(size, bool):
            pass
        case {"name": str(name), "type": str(media_type), "size": float(number)} if number.is_integer():
            size = int(number)
        case _:
            detail = f"Give file {index + 1} a name, a type and a size in bytes (a whole number)."
            raise InvalidRequest(detail, [{"field": f"files[{index}]", "detail": detail}])
    shown = display_name(name)
    if media_type not in MEDIA_TYPES:
        detail = f"{shown} is not supported. Use JPEG, PNG or WebP."
        raise UnsupportedType(detail, [{"field": f"files[{index}].type", "detail": detail}])
    if size > MAX_UPLOAD_BYTES:
        detail = f"{shown} is {min(size, 10**15) // 10**6} MB. The limit is {MAX_UPLOAD_BYTES // 2**20} MB."
        raise UploadTooLarge(detail, [{"field": f"files[{index}].size", "detail": detail}])
    if size < 1:
        detail = f"{shown} is empty. Choose it again, or export the image again."
        raise InvalidRequest(detail, [{"field": f"files[{index}].size", "detail": detail}])
    return name, media_type
