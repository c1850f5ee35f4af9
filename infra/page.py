"""Serves web/ beside the API as the CDN does, where there is no CDN: on one machine and in a container."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from werkzeug.exceptions import HTTPException
from werkzeug.utils import redirect, send_from_directory
from werkzeug.wrappers import Request, Response

from optimizer.config import Config

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

WEB = Path(__file__).parent.parent / "web"


def with_page(api: "WSGIApplication", config: Config) -> "WSGIApplication":
    """Return an app that answers /api/ by `api` and everything else from web/."""
    page = page_app(config)
    return lambda environ, start: (api if environ["PATH_INFO"].startswith("/api/") else page)(environ, start)


def content_security_policy(*origins: str) -> str:
    """Return the policy of the page; `origins` are those it may call beside its own."""
    callable_origins = " ".join(["'self'", *filter(None, origins)])
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob: data:",
            f"connect-src {callable_origins}",
            "manifest-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ]
    )


def page_app(config: Config, api_url: str = "") -> "WSGIApplication":
    """Return an app that serves web/ with the headers of the CDN; `api_url` is empty where the API has its origin."""
    s3_origin = config.s3_public_endpoint_url or config.s3_endpoint_url or ""
    headers = {
        "Content-Security-Policy": content_security_policy(s3_origin, api_url),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }

    @Request.application
    def page(request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return Response("The page is only read.", 405, {"Allow": "GET, HEAD"}, mimetype="text/plain")
        if request.host.partition(":")[0] == "localhost":
            # S3 answers one origin only, so that the page must not be open under another name.
            return redirect(f"{config.page_origin}/")
        if request.path == "/config.json":
            response = Response(json.dumps({"api_url": api_url}), mimetype="application/json")
        else:
            try:
                path = request.path.removeprefix("/") or "index.html"
                response = send_from_directory(WEB, path, request.environ)
            except HTTPException as error:
                response = Response(error.description, error.code, mimetype="text/plain")
        response.headers.update(headers)
        return response

    return page
