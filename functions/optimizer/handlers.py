"""The Lambda entry points. They live as long as the process, so what they share is built once, here."""

import gc

gc.disable()  # what is imported stays; looking for garbage in it takes a tenth of the cold start

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

if os.environ.get("_HANDLER") != "optimizer.handlers.sweep":  # Lambda's own; a sweep works on no image
    workers.start()  # it imports what it needs while this process does

config = Config.from_env()
store = TempStore.connect(config)
app = create_app(config, store)

gc.freeze()  # nor is it looked through later
gc.enable()


def api(event: object, context: object) -> dict[str, Any]:
    """Answer one API Gateway event (payload 1.0). Whatever the event holds, the invocation does not fail."""
    try:
        request = _readable(event)
    except (TypeError, ValueError, AttributeError) as error:
        log.warning("unreadable event: %s", error)
        return _answer(UnreadableRequest("Send an HTTP request whose path, headers and body can be read."))
    try:
        answer: dict[str, Any] = awsgi.response(app, request, context)
    except Exception:  # the adapter's, since the app answers its own; the invocation must not fail
        log.exception("the adapter failed")
        return _answer(InternalError("Something went wrong on our side. Try again in a moment."))
    return answer | {"statusCode": int(answer["statusCode"])}  # aws-wsgi makes it a string


def sweep(event: dict[str, Any], context: object) -> dict[str, int]:
    """Delete what is older than the retention allows; runs on a schedule, with any event.

    An exception is the way to tell: it is logged, and an alarm watches for it.
    """
    deleted = store.sweep(datetime.now(UTC))
    log.info("swept", extra={"fields": {"deleted": deleted}})
    return {"deleted": deleted}


def _readable(event: object) -> dict[str, Any]:
    """Return the event with all that aws-wsgi reads.

    Raises TypeError, ValueError or AttributeError when it cannot be a request.
    """
    if not (
        isinstance(event, dict) and isinstance(event.get("httpMethod"), str) and isinstance(event.get("path"), str)
    ):
        raise TypeError("not an HTTP event of payload format 1.0")
    body = event.get("body") or ""
    if event.get("isBase64Encoded"):
        b64decode(body, validate=True)
    else:
        body.encode()  # a lone surrogate is no UTF-8
    return {
        "httpMethod": event["httpMethod"],
        "path": unquote_to_bytes(event["path"]).decode("latin-1"),  # PEP 3333; the gateway passes it undecoded
        "headers": {str(name): str(value) for name, value in (event.get("headers") or {}).items()},
        "queryStringParameters": {},  # no route reads any
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
