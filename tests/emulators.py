"""Emulators on free loopback ports, in processes of their own but for moto."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from infra.local import HOST
from tests.product import ROOT, free_port

MINISTACK = ROOT / ".tools" / "ministack" / "bin" / "ministack"


@contextmanager
def moto(threaded: bool = True) -> Iterator[str]:
    """Yield the address of an S3 and DynamoDB that a test can look into; it checks little."""
    emulated = DomainDispatcherApplication(create_backend_app)

    def untraced(environ: Any, start_response: Any) -> Any:
        sys.settrace(None)  # in this request's thread: to look at its coverage would cost half as much again
        return emulated(environ, start_response)

    server = make_server(HOST, 0, untraced, threaded, request_handler=MotoRequestHandler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{HOST}:{server.port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def ministack() -> Iterator[str]:
    """Yield the address of an S3 and DynamoDB that check signatures, policies and expiry as AWS does (keys: test)."""
    port = free_port()
    options = {"AUTH": "true", "BIND_HOST": HOST, "GATEWAY_PORT": str(port), "SERVICES": "s3,dynamodb"}
    with _server([str(MINISTACK)], port, options | {"IOT_MTLS_ENABLED": "0"}):  # it would listen to the world
        yield f"http://{HOST}:{port}"


@contextmanager
def redis_server() -> Iterator[str]:
    """Yield the address of a Redis that keeps nothing."""
    port = free_port()
    command = ["redis-server", "--bind", HOST, "--port", str(port), "--save", "", "--appendonly", "no"]
    with _server(command, port, {}):
        yield f"redis://{HOST}:{port}"


@contextmanager
def _server(command: list[str], port: int, environ: dict[str, str]) -> Iterator[None]:
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(command, env=os.environ | environ, stdout=quiet, stderr=quiet)
    try:
        wait_until_open(port, server)
        yield
    finally:
        server.terminate()
        server.wait(timeout=60)


def wait_until_open(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait for a server that was just started; fails when it ends instead."""
    for _ in range(600):
        assert server.poll() is None, "the emulator ended"
        try:
            socket.create_connection((HOST, port), timeout=60).close()
            return
        except OSError:
            time.sleep(0.1)  # a minute in all, for what takes a second on an idle machine
    raise TimeoutError(f"nothing listens on {port}")
