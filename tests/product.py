"""Runs the product as `make run` does, in a process of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from infra.local import HOST

ROOT = Path(__file__).parent.parent


def long_limit(amount: int) -> str:
    """Return a limit whose window, which goes by the clock, is half over: it ends in months, whatever the time is."""
    return f"{amount} per {int(time.time() / 100.5)} seconds"


def free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def start(**environ: object) -> subprocess.Popen[str]:
    names = ("S3_ENDPOINT_URL", "PAGE_ORIGIN", "RATE_LIMIT", "RATELIMIT_STORAGE_URI", "RETENTION_MINUTES")
    inherited = {key: value for key, value in os.environ.items() if key not in names}
    return subprocess.Popen(
        [sys.executable, "-m", "infra.local"],
        cwd=ROOT,
        env=inherited | {"PYTHONPATH": "functions:."} | {key: str(value) for key, value in environ.items()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def running(**environ: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yield the process and the address it prints; end it as Ctrl-C does."""
    process = start(PORT=free_port(), **environ)
    assert process.stdout
    ready, promise = process.stdout.readline(), process.stdout.readline()
    assert ready.startswith("Pinch is ready at http://"), process.communicate()
    assert promise.startswith("Uploads are deleted within")
    try:
        yield process, ready.split()[-1]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def call_at(address: str) -> Any:
    def call(method: str, path: str, body: Any) -> tuple[int, Any]:
        answer = requests.request(method, address + path, json=body, timeout=60)
        return answer.status_code, answer.json() if answer.content else None

    return call
