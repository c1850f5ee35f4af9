"""What `make bench` measures, one workload a process: floor, ready, warm, image <megapixels>, worker <megapixels>,
memory <format>, peak <stack> <file> <format>; `large` and `write` make files for the last two.

Prints JSON in its last line. Runs with the built artefact alone, so nothing of the tests can be imported here.
"""

import time

BEGUN = time.perf_counter()  # before anything else is imported

import json  # noqa: E402
import sys  # noqa: E402
from typing import Any  # noqa: E402


def _since_begun() -> float:
    return round((time.perf_counter() - BEGUN) * 1_000, 1)


def floor() -> dict[str, Any]:
    """The least that this architecture can start with: Flask with one route, behind aws-wsgi."""
    import awsgi  # noqa: F401
    import flask

    app = flask.Flask("floor")
    app.add_url_rule("/api/health", view_func=lambda: {"status": "ok"})
    return {"ms": _since_begun(), "loaded": []}


def ready() -> dict[str, Any]:
    """The product, until Lambda could hand it the first request."""
    from optimizer import handlers

    elapsed = _since_begun()
    assert handlers.api({"httpMethod": "GET", "path": "/api/health"}, None)["statusCode"] == 200
    return {"ms": elapsed, "loaded": [name for name in ("cv2", "moto", "numpy") if name in sys.modules]}


def warm() -> dict[str, Any]:
    """Optimize requests to a warm function whose S3 and DynamoDB answer at once, from memory."""
    import logging
    import statistics
    from email.utils import formatdate
    from io import BytesIO

    from botocore.awsrequest import AWSResponse, HTTPHeaders

    from optimizer import handlers

    source = photo(2)
    counter: Any = handlers.app.extensions["limiter"]
    clients = [handlers.store._client, *(each.storage._client for each in counter)]

    class Body(BytesIO):
        def stream(self, *_: object, **__: object) -> Any:
            yield self.read()

    def answer(request: Any, **_: Any) -> AWSResponse:
        found = "uploads/" in request.url
        if "dynamodb" in request.url:
            item = {"hits": {"N": "1"}, "ends_at": {"N": str(time.time() + 60)}}
            body = b"{}" if b"ConsistentRead" in request.body else json.dumps({"Attributes": item}).encode()
            return AWSResponse(request.url, 200, HTTPHeaders(), Body(body))
        headers = HTTPHeaders()
        known = {"ETag": '"e"', "Content-Length": str(len(source)), "Last-Modified": formatdate(usegmt=True)}
        for name, value in known.items() if found else ():
            headers[name] = value
        status = 200 if found or request.method == "PUT" else 404
        return AWSResponse(request.url, status, headers, Body(source if request.method == "GET" else b""))

    lines: list[dict[str, Any]] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(getattr(record, "fields", {}))  # type: ignore[method-assign]
    logging.getLogger("optimizer").addHandler(handler)
    for client in clients:
        client.meta.events.register("before-send.*.*", answer)
    event = {
        "httpMethod": "POST",
        "path": f"/api/uploads/{'0' * 32}/optimize",
        "requestContext": {"identity": {"sourceIp": "192.0.2.1"}},
        "body": '{"format": "webp", "width": 400}',
    }
    rows = []
    for _ in range(30):
        begun = time.perf_counter()
        response = handlers.api(event, None)
        total = (time.perf_counter() - begun) * 1_000
        assert response["statusCode"] == 200, response
        pipeline = sum(lines[-1]["stages"][stage] for stage in ("decode", "steps", "encode"))
        rows.append((total, pipeline, total - pipeline))
    medians = [round(statistics.median(column), 1) for column in zip(*rows[5:], strict=True)]
    return dict(zip(("total_ms", "pipeline_ms", "own_ms"), medians, strict=True))


def image(megapixels: str) -> dict[str, Any]:
    """The pipeline with default settings, and Pillow as a first attempt would use it; best of three, in turn."""
    from io import BytesIO

    from PIL import Image

    from optimizer.imaging.pipeline import optimize
    from optimizer.settings import Settings

    source = photo(int(megapixels))
    best = {"ours": 1e9, "plain": 1e9}
    for _ in range(3):
        begun = time.perf_counter()
        result = optimize(source, Settings())
        best["ours"] = min(best["ours"], time.perf_counter() - begun)
        begun = time.perf_counter()
        plain = BytesIO()
        Image.open(BytesIO(source)).save(plain, "JPEG", quality=85)
        best["plain"] = min(best["plain"], time.perf_counter() - begun)
    return {
        "megapixels": int(megapixels),
        "source_bytes": len(source),
        "seconds": round(best["ours"], 3),
        "bytes": len(result.data),
        "plain_seconds": round(best["plain"], 3),
        "plain_bytes": len(plain.getvalue()),
    }


def worker(megapixels: str) -> dict[str, Any]:
    """The pipeline in a process of its own, as the service runs it, and in this one; medians of 30, in turn."""
    import statistics

    from optimizer.imaging.pipeline import optimize
    from optimizer.settings import Settings
    from optimizer.worker import workers

    source = photo(float(megapixels))
    workers.optimize(source, Settings())
    time.sleep(2)  # until the nursery has imported all
    rows = []
    for _ in range(30):
        moments = [time.perf_counter()]
        for run in (workers.optimize, optimize):
            run(source, Settings())
            moments.append(time.perf_counter())
        rows.append((moments[1] - moments[0], moments[2] - moments[1]))
    apart, here = (round(statistics.median(column) * 1_000, 1) for column in zip(*rows, strict=True))
    return {"megapixels": megapixels, "worker_ms": apart, "pipeline_ms": here, "more_ms": round(apart - here, 1)}


def memory(format: str) -> dict[str, Any]:
    """The peak of a process that optimizes 50 megapixels with transparency, all steps at work."""
    import subprocess
    import tempfile
    from pathlib import Path

    from optimizer.imaging.pipeline import optimize
    from optimizer.settings import Settings

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "large.webp"
        subprocess.run([sys.executable, "-S", __file__, "large", str(source)], check=True, capture_output=True)
        data = source.read_bytes()
    optimize(data, Settings(format=format, sharpen=20, brightness=5, contrast=5, width=7_000))
    return {"peak_mb": _peak_mb()}


def large(path: str) -> None:
    """Make the source of `memory`, in a process of its own, since making it takes more than optimizing it."""
    from io import BytesIO

    from PIL import Image

    picture = Image.open(BytesIO(photo(2))).convert("RGBA").resize((7_070, 7_070))
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    picture.save(path, "WEBP", quality=40, method=2)


def write(path: str, megapixels: str) -> None:
    """Make a JPEG file of that size, likewise."""
    from pathlib import Path

    Path(path).write_bytes(photo(int(megapixels)))


def peak(stack: str, path: str, format: str) -> dict[str, Any]:
    """The peak of a process that only encodes the file anew, by the product's defaults or by Pillow's."""
    from io import BytesIO
    from pathlib import Path

    data = Path(path).read_bytes()
    if stack == "ours":
        from optimizer.imaging.pipeline import optimize
        from optimizer.settings import Settings

        optimize(data, Settings(format=format))
    else:
        from PIL import Image

        Image.open(BytesIO(data)).save(BytesIO(), format.upper())
    return {"peak_mb": _peak_mb()}


def _peak_mb() -> int:
    """What Linux counts for this program alone; getrusage counts what started it, too."""
    import re
    import resource
    from pathlib import Path

    status = Path("/proc/self/status")
    counted = re.search(r"VmHWM:\s+(\d+)", status.read_text()) if status.exists() else None
    return round(int(counted[1] if counted else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / 1024)


def photo(megapixels: float) -> bytes:
    """Return a JPEG of about that size: a photo of the corpus, mirrored as often as it takes, so that detail stays."""
    import os
    from io import BytesIO
    from math import sqrt

    from PIL import Image, ImageOps

    tile = Image.open(f"{os.environ['TEST_IMAGES']}/photo-flower-3mp.jpg").convert("RGB")
    width, height = (int(side * sqrt(megapixels * 1e6 / (tile.width * tile.height))) for side in tile.size)
    picture = Image.new("RGB", (width, height))
    for column in range(-(-width // tile.width)):
        for row in range(-(-height // tile.height)):
            piece = ImageOps.mirror(tile) if column % 2 else tile
            picture.paste(ImageOps.flip(piece) if row % 2 else piece, (column * tile.width, row * tile.height))
    file = BytesIO()
    picture.save(file, "JPEG", quality=92)
    return file.getvalue()


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
