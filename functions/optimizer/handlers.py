"""The Lambda entry points. What they share is built here, once for the life of the process."""

import gc

gc.disable()  # imported objects stay; searching them for garbage takes a tenth of the cold start

import json
import logging
import os
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_to_bytes

import awsgi

from optimizer.app import create_app
from optimizer.config import Config
from optimizer.problems import InternalError, Problem, UnreadableRequest
from optimizer.store import TempStore
from optimizer.telemetry import log_as_json
from optimizer.worker import workers

log = logging.getLogger(__name__)
log_as_json()

if os.environ.get("_HANDLER") != "optimizer.handlers.sweep":  # Lambda sets _HANDLER; a sweep works on no images
    workers.start()  # its imports run while this process does its own

config = Config.from_env()
store = TempStore.connect(config)
app = create_app(config, store)

gc.freeze()  # later collections skip the imported objects, too
gc.enable()


def api(event: object, context: object) -> dict[str, Any]:
    """Answer one API Gateway event (payload 1.0). The invocation never fails, whatever the event holds."""
    try:
        request = _readable(event)
    except (TypeError, ValueError, AttributeError) as error:
        log.warning("unreadable event: %s", error)
        return _answer(UnreadableRequest("Send an HTTP request whose path, headers and body can be read."))
    try:
        answer: dict[str, Any] = awsgi.response(app, request, context)
    except Exception:  # from the adapter, since the app answers its own errors; the invocation must not fail
        log.exception("the adapter failed")
        return _answer(InternalError("Something went wrong on our side. Try again in a moment."))
    return answer | {"statusCode": int(answer["statusCode"])}  # aws-wsgi makes it a string


def sweep(event: dict[str, Any], context: object) -> dict[str, int]:
    """Delete objects that are older than the retention allows, and return how many. A schedule calls it; the event is
    ignored.

    It reports a failure by raising: the exception is logged, and an alarm watches for it.
    """
    deleted = store.sweep(datetime.now(UTC))
    log.info("swept", extra={"fields": {"deleted": deleted}})
    return {"deleted": deleted}


def _readable(event: object) -> dict[str, Any]:
    """Return an event that has every field that aws-wsgi reads.

    Raises TypeError, ValueError or AttributeError if the event is not an HTTP request.
    """
    if not (
        isinstance(event, dict) and isinstance(event.get("httpMethod"), str) and isinstance(event.get("path"), str)
    ):
        raise TypeError("not an HTTP event of payload format 1.0")
    body = event.get("body") or ""
    if event.get("isBase64Encoded"):
        b64decode(body, validate=True)
    else:
        body.encode()  # raises on a lone surrogate, which UTF-8 cannot encode
    return {
        "httpMethod": event["httpMethod"],
        "path": unquote_to_bytes(event["path"]).decode("latin-1"),  # as PEP 3333 asks; the gateway does not decode it
        "headers": {str(name): str(value) for name, value in (event.get("headers") or {}).items()},
        "queryStringParameters": {},  # no route reads the query
        "requestContext": event.get("requestContext") or {},
        "body": body,
        "isBase64Encoded": bool(event.get("isBase64Encoded")),
    }


def _answer(problem: Problem) -> dict[str, Any]:
    return {
        "statusCode": problem.status,
        "headers": {"Content-Type": "application/problem+json", "Cache-Control": "no-store"},
        "body": json.dumps(problem.body()),
        "isBase64Encoded": False,
    }
