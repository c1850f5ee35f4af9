"""Serves the built page as the CDN would, where there is none: on one machine and in a container."""

import gzip
import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from infra.bundle import MEDIA_TYPES
from optimizer.config import Config

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def with_page(api: "WSGIApplication", config: Config, folder: Path) -> "WSGIApplication":
    """Return an app that answers /api/ with `api`, and everything else from the folder of the built page.

    Raises ValueError if the folder holds no page.
    """
    page = page_app(config, folder)
    return lambda environ, start: (api if environ["PATH_INFO"].startswith("/api/") else page)(environ, start)


def content_security_policy(*origins: str) -> str:
    """Return the page's Content-Security-Policy. `origins` are those that it may call in addition to its own."""
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


def read_files(folder: Path) -> dict[str, bytes]:
    """Return the files of the built page, by path in the folder; raises ValueError if there is no page."""
    if not (folder / "index.html").is_file():
        raise ValueError(f"there is no page in {folder}. Build it: python -m infra.bundle {folder}")
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@dataclass(frozen=True)
class _File:
    """A file of the page, ready to be sent plain or compressed."""

    body: bytes
    packed: bytes
    etag: str
    media_type: str

    def answer(self, request: Request) -> Response:
        packed = request.accept_encodings["gzip"] > 0
        response = Response(self.packed if packed else self.body, content_type=self.media_type)
        response.headers["Vary"] = "Accept-Encoding"
        if packed:
            response.headers["Content-Encoding"] = "gzip"
        response.set_etag(f"{self.etag}-gzip" if packed else self.etag)
        return response.make_conditional(request)


def _ready(name: str, body: bytes) -> _File:
    return _File(body, gzip.compress(body), sha256(body).hexdigest()[:16], MEDIA_TYPES[Path(name).suffix])


def page_app(config: Config, folder: Path, api_url: str = "") -> "WSGIApplication":
    """Return an app that serves the built page with the CDN's headers. It reads the folder only once, now.

    `api_url` is empty if the API has the page's origin. Raises ValueError if there is no page.
    """
    files = {name: _ready(name, body) for name, body in read_files(folder).items()}
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
            return Response("The page answers only GET and HEAD.", 405, {"Allow": "GET, HEAD"}, mimetype="text/plain")
        if request.host.partition(":")[0] == "localhost":
            # S3 answers only one origin, so the page must not be open under another name.
            return redirect(f"{config.page_origin}/")
        if request.path == "/config.json":
            response = Response(json.dumps({"api_url": api_url}), mimetype="application/json")
        else:
            file = files.get(request.path.removeprefix("/") or "index.html")
            response = file.answer(request) if file else Response("There is no such page.", 404, mimetype="text/plain")
        response.headers.update(headers)
        return response

    return page
