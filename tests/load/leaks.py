"""Sends images in a row through one process of the container, and counts what it keeps."""

from collections.abc import Collection, Iterable
from itertools import cycle, islice, product
from typing import Any

from infra.resources import ensure_bucket
from optimizer.config import Config
from tests.container import running
from tests.journey import upload
from tests.load.images import SETTINGS, Source, sources
from tests.load.memory import Use, at_rest
from tests.product import call_at

PROCESSES = 3  # Gunicorn, its worker, and the nursery of that
Job = tuple[dict[str, Any], Source]


def images_in_a_row(s3_url: str, marks: Collection[int], jobs: Iterable[Job] = ()) -> dict[int, Use]:
    """Return what a container of one worker takes, with its nursery, after as many images as each mark says."""
    options = {"TEMP_BUCKET": "pinch-leaks", "RATE_LIMIT": "1000000 per minute", "RATELIMIT_STORAGE_URI": "memory://"}
    ensure_bucket(Config(s3_endpoint_url=s3_url, temp_bucket=options["TEMP_BUCKET"], page_origin="http://127.0.0.1"))
    found: dict[int, Use] = {}
    with running(1, S3_ENDPOINT_URL=s3_url, **options) as container:
        call = call_at(container.address)
        endless = cycle(jobs or product(SETTINGS, sources()))
        for number, (settings, source) in enumerate(islice(endless, max(marks)), start=1):
            upload_id = upload(call, source.data, source.name, source.media_type)
            status, result = call("POST", f"/api/uploads/{upload_id}/optimize", settings)
            assert status == 200, result
            assert call("POST", "/api/discard", {"ids": [upload_id]}) == (204, None)
            if number in marks:
                found[number] = at_rest(container.process.pid, PROCESSES)
    return found
