"""The OpenAPI 3.1 document of every route, made from the same declarations that the code uses."""

from typing import Any

from optimizer import __version__, settings
from optimizer.imaging.encoders import ENCODERS
from optimizer.limits import FILES_PER_REQUEST, IDS_PER_REQUEST, MAX_UPLOAD_BYTES
from optimizer.problems import Problem, RateLimited

Json = dict[str, Any]

ID = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
TIME = {"type": "string", "format": "date-time"}
WHOLE = {"type": "integer", "minimum": 0}
POSITIVE = {"type": "integer", "minimum": 1}
TEXT = {"type": "string"}
FLAG = {"type": "boolean"}
FORMAT = {"type": "string", "enum": list(ENCODERS)}
MEDIA_TYPE = {"type": "string", "enum": [encoder.MEDIA_TYPE for encoder in ENCODERS.values()]}


def document() -> Json:
    """Return the whole document as JSON can hold it."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Pinch",
            "version": __version__,
            "summary": "Make JPEG, PNG and WebP images lighter.",
            "description": "Upload to S3 with a presigned form, optimize as often as you like, download, discard.",
        },
        "paths": {
            "/api/uploads": {
                "post": _operation(
                    "createUploads",
                    "Presign uploads",
                    {"201": _json_answer("One form for each file, in order.", _ref("Uploads"))},
                    errors=(413, 415, 422, 429),
                    body=_ref("Files"),
                )
            },
            "/api/uploads/{id}/optimize": {
                "parameters": [{"name": "id", "in": "path", "required": True, "schema": ID}],
                "post": _operation(
                    "optimizeUpload",
                    "Optimize an uploaded image",
                    {"200": _json_answer("The result, and a link to it.", _ref("Result"))},
                    errors=(404, 409, 413, 415, 422, 429, 503),
                    body=_ref("Settings"),
                    body_required=False,
                ),
            },
            "/api/discard": {
                "post": _operation(
                    "discard",
                    "Delete sources and results",
                    {"204": {"description": "They are deleted, or there was nothing to delete."}},
                    errors=(413, 422, 503),
                    body=_ref("Ids"),
                    body_types=("application/json", "text/plain"),
                )
            },
            "/api/settings": {
                "get": _operation(
                    "describeSettings",
                    "Settings, presets and limits",
                    {"200": _json_answer("A JSON Schema, with presets and limits added.", {"type": "object"})},
                )
            },
            "/api/openapi.json": {
                "get": _operation(
                    "describeApi", "This document", {"200": _json_answer("OpenAPI 3.1.", {"type": "object"})}
                )
            },
            "/api/health": {
                "get": _operation(
                    "health",
                    "Whether the API answers",
                    {"200": _json_answer("It answers.", _object({"status": {"const": "ok"}, "version": TEXT}))},
                )
            },
        },
        "components": {"schemas": _schemas()},
    }


def _schemas() -> Json:
    image = {"format": FORMAT, "media_type": MEDIA_TYPE, "width": POSITIVE, "height": POSITIVE, "bytes": POSITIVE}
    return {
        "Settings": {key: value for key, value in settings.json_schema().items() if key != "$schema"},
        "Files": _object(
            {
                "files": _array(
                    _object({"name": TEXT, "type": MEDIA_TYPE, "size": POSITIVE | {"maximum": MAX_UPLOAD_BYTES}}),
                    minItems=1,
                    maxItems=FILES_PER_REQUEST,
                )
            }
        ),
        "Uploads": _object(
            {
                "uploads": _array(
                    _object(
                        {
                            "id": ID,
                            "method": {"const": "POST"},
                            "url": {"type": "string", "format": "uri"},
                            "fields": {"type": "object", "additionalProperties": TEXT},
                            "expires_at": TIME,
                        }
                    )
                )
            }
        ),
        "Ids": _object({"ids": _array(ID, minItems=1, maxItems=IDS_PER_REQUEST)}),
        "Result": _object(
            {"id": ID, "url": {"type": "string", "format": "uri"}, "expires_at": TIME, "filename": TEXT}
            | image
            | {
                "source": _object(image),
                "saved_percent": {"type": "number", "maximum": 100},
                "quality": {"type": ["integer", "null"], "minimum": 1, "maximum": 100},
                "similarity": {
                    "type": ["number", "null"],
                    "maximum": 100,
                    "description": "SSIMULACRA2, where it was measured.",
                },
                "kept_original": FLAG,
                "cached": FLAG,
                "metadata_removed": _array(TEXT),
                "warnings": _array(_object({"code": TEXT, "detail": TEXT})),
            },
            {"target_reached": FLAG | {"description": "Only present if target_bytes was set."}},
        ),
        "Problem": {
            "type": "object",
            "required": ["type", "title", "status", "detail"],
            "properties": {
                "type": TEXT,
                "title": TEXT,
                "status": {"type": "integer"},
                "detail": {"type": "string", "description": "One sentence that says what to do."},
                "errors": _array(_object({"field": TEXT, "detail": TEXT})),
                "instance": TEXT,
            },
        },
    }


def _operation(
    operation_id: str,
    summary: str,
    answers: Json,
    errors: tuple[int, ...] = (),
    body: Json | None = None,
    body_required: bool = True,
    body_types: tuple[str, ...] = ("application/json",),
) -> Json:
    problems = {str(status): _problem_answer(status) for status in (*errors, 400, 500)}
    operation: Json = {"operationId": operation_id, "summary": summary, "responses": answers | problems}
    if body:
        content = {media_type: {"schema": body} for media_type in body_types}
        operation["requestBody"] = {"required": body_required, "content": content}
    return operation


def _problem_answer(status: int) -> Json:
    problems = [problem for problem in Problem.__subclasses__() if problem.status == status]
    answer: Json = {
        "description": ", or: ".join(problem.title for problem in problems),
        "content": {"application/problem+json": {"schema": _ref("Problem")}},
    }
    told = status == RateLimited.status or any(each.retry_after for each in problems)
    return answer | ({"headers": {"Retry-After": {"schema": WHOLE}}} if told else {})


def _json_answer(description: str, schema: Json) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: Json, optional: Json | None = None) -> Json:
    return {"type": "object", "required": list(properties), "properties": properties | (optional or {})}


def _array(items: Json, **bounds: int) -> Json:
    return {"type": "array", "items": items, **bounds}
