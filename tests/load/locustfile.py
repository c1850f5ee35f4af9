"""What each user does, over and over; run by locust in its own environment, which has nothing of the product.

Writes a line of JSON for each request into LOAD_FOLDER, and each distinct result under its SHA-256.
"""

import hashlib
import json
import os
import random
import time
from pathlib import Path
from typing import Any

from locust import HttpUser, events, task

from tests.load.images import SETTINGS, sources

FOLDER = Path(os.environ["LOAD_FOLDER"])
SOURCES = sources()
LINES = (FOLDER / "requests.jsonl").open("w", buffering=1)
EXPECTED = {"presign": 201, "form POST to S3": 204, "optimize": 200, "download from S3": 200, "discard": 204}
IMPATIENCE = 1.0  # seconds until a refused user asks again, however long Retry-After says


@events.request.add_listener  # type: ignore[untyped-decorator]
def write(
    name: str, start_time: float, response_time: float, response: Any, exception: object, context: Any, **_: object
) -> None:
    status = response.status_code if response is not None else 0
    line = {
        "step": name,
        "begun": start_time,
        "seconds": response_time / 1_000,
        "status": status,
        "expected": status == EXPECTED[name] and not exception,
        "retry_after": response.headers.get("Retry-After") if response is not None else None,
        "detail": str(exception or "")[:200],
    }
    LINES.write(json.dumps(line) + "\n")


class Visitor(HttpUser):  # type: ignore[misc]
    """Uploads an image, optimizes it with two settings, downloads both results and discards all."""

    @task  # type: ignore[untyped-decorator]
    def journey(self) -> None:
        source = random.choice(SOURCES)
        file = {"name": source.name, "type": source.media_type, "size": len(source.data)}
        form = self.ask("presign", "/api/uploads", {"files": [file]})["uploads"][0]
        with self.client.post(
            form["url"], form["fields"], files={"file": source.data}, name="form POST to S3", catch_response=True
        ) as answer:
            answer.raise_for_status()
        for settings in random.sample(SETTINGS, 2):
            result = self.ask("optimize", f"/api/uploads/{form['id']}/optimize", settings)
            with self.client.get(result["url"], name="download from S3", catch_response=True) as answer:
                if len(answer.content) != result["bytes"]:
                    answer.failure(f"{len(answer.content)} bytes, not {result['bytes']}")
                else:
                    keep(answer.content)
        self.ask("discard", "/api/discard", {"ids": [form["id"]]})

    def ask(self, step: str, path: str, body: dict[str, Any]) -> Any:
        """Return what the API answers, as soon as the limiter lets this user through."""
        while True:
            with self.client.post(path, json=body, name=step, catch_response=True) as answer:
                if answer.status_code != 429:
                    answer.raise_for_status()
                    return answer.json() if answer.content else None
                answer.success()  # it is no error; the line tells
            time.sleep(IMPATIENCE)


def keep(result: bytes) -> None:
    path = FOLDER / f"{hashlib.sha256(result).hexdigest()}.result"
    if not path.exists():
        path.write_bytes(result)
