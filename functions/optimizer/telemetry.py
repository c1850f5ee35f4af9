"""Writes what an operator sees: one JSON line per request, with the time of each stage, and metrics in CloudWatch's
embedded metric format. A line contains no file name, no address, no link and no upload id.
"""

import json
import logging
import re
from contextvars import ContextVar
from time import monotonic, perf_counter, time
from typing import Any, Literal

NAMESPACE = "Pinch"
SECONDS_BETWEEN_WARNINGS = 60

log = logging.getLogger(__name__)


class Record:
    """What is known about one request so far."""

    def __init__(self, request_id: str, function_name: str | None) -> None:
        self.fields: dict[str, Any] = {"request_id": request_id}
        self.stages: dict[str, float] = {}
        self.metrics: dict[str, str] = {}  # name: unit; the value is a field of that name
        self.function_name = function_name
        self.begun = self.last_lap = perf_counter()


_record: ContextVar[Record | None] = ContextVar("record", default=None)
_warned_at: dict[str, float] = {}


def begin(request_id: str, function_name: str | None) -> None:
    """Start the record of a request. Metrics count for this function; without a name, none are written."""
    _record.set(Record(request_id, function_name))


def lap(stage: str) -> None:
    """Note that this stage ends now. It began when the stage before it ended. Does nothing outside a request."""
    record = _record.get()
    if record:
        now = perf_counter()
        record.stages[stage] = round((now - record.last_lap) * 1_000, 1)
        record.last_lap = now


def stages() -> dict[str, float]:
    """Return the stages that have ended, in milliseconds by name. Outside a request there are none."""
    record = _record.get()
    return record.stages if record else {}


def add_stages(more: dict[str, float]) -> None:
    """Add stages that another process has timed, in milliseconds. The next stage gets the rest of the time since the
    last lap. Does nothing outside a request.
    """
    record = _record.get()
    if record:
        record.stages |= more
        record.last_lap += sum(more.values()) / 1_000


def note(**fields: Any) -> None:
    """Add fields to the request's line. Does nothing outside a request."""
    record = _record.get()
    if record:
        record.fields |= fields


def metric(name: str, value: float, unit: Literal["Count", "Bytes", "Milliseconds"]) -> None:
    """Add a metric to the request's line."""
    note(**{name: value})
    record = _record.get()
    if record:
        record.metrics[name] = unit


def finish(**fields: Any) -> None:
    """Write the request's line, with these fields, and end its record."""
    record = _record.get()
    if record:
        total = round((perf_counter() - record.begun) * 1_000, 1)
        line = record.fields | fields | {"ms": total, "stages": record.stages} | _embedded_metrics(record)
        log.info("request", extra={"fields": line})
        _record.set(None)


def warn_now_and_then(message: str) -> None:
    """Log a warning, and the same one again after a minute at the earliest."""
    now = monotonic()
    if now - _warned_at.get(message, -SECONDS_BETWEEN_WARNINGS) >= SECONDS_BETWEEN_WARNINGS:
        _warned_at[message] = now
        log.warning(message)


def _embedded_metrics(record: Record) -> dict[str, Any]:
    """Return the fields of a line from which CloudWatch makes metrics.

    See "Specification: Embedded metric format" in the Amazon CloudWatch user guide.
    """
    if not (record.metrics and record.function_name):
        return {}
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [["FunctionName"]],
        "Metrics": [{"Name": name, "Unit": unit} for name, unit in record.metrics.items()],
    }
    metadata = {"Timestamp": int(time() * 1_000), "CloudWatchMetrics": [directive]}
    return {"_aws": metadata, "FunctionName": record.function_name}


class JsonFormatter(logging.Formatter):
    """Formats a log record as one line of JSON, with the id of the request that it belongs to, and then `end`."""

    # Whoever knows an upload's id may use it. Gunicorn logs the address of a request that it cannot parse.
    _SECRET = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])|\?[^\s\"]*X-Amz-[^\s\"]*|\bip=[^\s\"]*")

    def __init__(self, end: str = "") -> None:
        super().__init__()
        self._end = end

    def format(self, record: logging.LogRecord) -> str:
        current = _record.get()
        line = {"level": record.levelname.lower(), "message": record.getMessage()}
        line |= {"request_id": current.fields["request_id"]} if current else {}
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return self._SECRET.sub("[removed]", json.dumps(line, default=str)) + self._end


def log_as_json() -> None:
    """Make every logger of the process write JSON, through the handler that Lambda installed or to standard error."""
    root = logging.getLogger()
    for handler in root.handlers:
        handler.setFormatter(JsonFormatter(end="\n"))  # Lambda's handler adds no line end
    if not root.handlers:
        root.addHandler(logging.StreamHandler())
        root.handlers[0].setFormatter(JsonFormatter())
    logging.getLogger("optimizer").setLevel(logging.INFO)
