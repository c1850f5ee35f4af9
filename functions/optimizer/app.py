"""The Flask app: its clients, its limiter, its error handlers and its headers."""

import logging
import uuid
import warnings

from botocore.exceptions import BotoCoreError, ClientError
from flask import Flask, Response, json, request
from flask_limiter import RateLimitExceeded
from werkzeug.exceptions import HTTPException

from optimizer import telemetry, worker
from optimizer.config import Config
from optimizer.limits import MAX_BODY_BYTES
from optimizer.problems import InternalError, Problem, RateLimited
from optimizer.rate_limit import create_limiter, is_falling_back, quota_headers
from optimizer.routes.api import create_api
from optimizer.store import TempStore, storage_unavailable
from optimizer.worker import Workers

log = logging.getLogger(__name__)

EXPOSED_HEADERS = "Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset"


def create_app(config: Config, store: TempStore | None = None, workers: Workers = worker.workers) -> Flask:
    """Build the app and everything it holds. A given `store` replaces the one that the config names."""
    warnings.filterwarnings("ignore", module="PIL")  # a damaged file is not worth a line in the log
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]  # settings stay in the order of their declaration
    app.url_map.merge_slashes = False  # a redirect would contain the host that the request claims to be for

    @app.before_request
    def begin() -> None:
        context = request.environ.get("awsgi.context")
        telemetry.begin(
            getattr(context, "aws_request_id", None) or str(uuid.uuid4()), getattr(context, "function_name", None)
        )

    limiter = create_limiter(config)
    limiter.init_app(app)
    logging.getLogger("flask-limiter").setLevel(logging.CRITICAL)  # it would log client addresses
    app.register_blueprint(create_api(config, store or TempStore.connect(config), limiter, workers))

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.update(quota_headers(limiter))
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        if config.page_origin:
            response.headers["Vary"] = "Origin"
            if request.headers.get("Origin") == config.page_origin:
                response.headers["Access-Control-Allow-Origin"] = config.page_origin
                response.headers["Access-Control-Allow-Headers"] = "Content-Type"
                response.headers["Access-Control-Allow-Methods"] = "GET, POST"
                response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
                response.headers["Access-Control-Max-Age"] = "600"
        if limiter.current_limit and is_falling_back(limiter):
            telemetry.metric("LimiterFallback", 1, "Count")
            telemetry.warn_now_and_then("the storage of the rate limit is down; this instance counts for itself")
        if response.status_code >= 500:
            telemetry.metric("InternalError", 1, "Count")
        telemetry.finish(
            method=request.method,
            route=request.url_rule.rule if request.url_rule else None,
            status=response.status_code,
            bytes_in=request.content_length or 0,
            bytes_out=response.content_length or 0,
        )
        return response

    @app.errorhandler(Problem)
    def refuse(problem: Problem) -> Response:
        response = _answer(problem.status, problem.body())
        if problem.retry_after:
            response.headers["Retry-After"] = str(problem.retry_after)
        return response

    @app.errorhandler(BotoCoreError)
    @app.errorhandler(ClientError)
    def fail_without_storage(error: Exception) -> Response:
        log.error("the storage failed", exc_info=error)
        return refuse(storage_unavailable())

    @app.errorhandler(RateLimitExceeded)
    def refuse_excess(_: RateLimitExceeded) -> Response:
        # add_headers adds Retry-After with the other quota headers, from the same reading of the counter.
        return refuse(RateLimited(f"The limit is {config.rate_limit}. Wait as long as Retry-After says, then go on."))

    @app.errorhandler(HTTPException)
    def explain(error: HTTPException) -> Response:
        """Explain what Flask itself refuses: unknown routes and methods, bodies that are too large."""
        status = error.code or 500
        detail = DETAILS.get(status, error.description)
        response = _answer(status, {"type": "about:blank", "title": error.name, "status": status, "detail": detail})
        response.headers.extend((name, value) for name, value in error.get_headers() if name == "Allow")
        return response

    @app.errorhandler(Exception)
    def fail(error: Exception) -> Response:
        instance = uuid.uuid4().urn
        log.error("unexpected error, reported as %s", instance, exc_info=error)
        problem = InternalError("Something went wrong on our side. Try again in a moment.")
        return _answer(problem.status, problem.body() | {"instance": instance})

    return app


DETAILS = {
    404: "There is nothing here. GET /api/openapi.json lists every route.",
    405: "This route does not take that method. Use one that the Allow header names.",
    413: f"The limit for a request is {MAX_BODY_BYTES // 2**10} KB. Send images to the url from POST /api/uploads.",
}


def _answer(status: int, body: dict[str, object]) -> Response:
    return Response(json.dumps(body), status, content_type="application/problem+json")
