"""A proxy before an emulator of S3 or DynamoDB that fails as networks and services do, where it is told to."""

import json
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import inf
from threading import Event, Lock, Thread
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import ReadTimeoutError

HOST = "127.0.0.1"
TRICKLE_SECONDS = 0.05  # between two bytes: no single wait is long


def _xml(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>told to</Message></Error>".encode()


def _json(code: str) -> bytes:
    return json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "told to"}).encode()


REFUSALS = {
    "500": (500, _xml("InternalError")),
    "503 SlowDown": (503, _xml("SlowDown")),
    "403 by the clock": (403, _xml("RequestTimeTooSkewed")),
    "throttled": (400, _json("ProvisionedThroughputExceededException")),
    "no table": (400, _json("ResourceNotFoundException")),
}
# Refusals are never forwarded, nor is what hangs or is reset in the request. The others have been done. What times out
# does not even arrive: a client whose events are `timed_out` takes it for a wait that has ended.
KINDS = (*REFUSALS, "hangs", "times out", "reset in the request", "reset in the answer", "trickles")


@dataclass
class Fault:
    """What happens to requests of this method whose path or query has this part."""

    kind: str  # one of KINDS
    method: str
    part: str
    skip: int = 0  # so many are served first
    times: float = inf
    date: datetime | None = None  # what the answer says of the time; the truth when None
    hits: int = 0

    def meets(self, method: str, path: str) -> bool:
        """Tell whether this request is to fail, and count it."""
        if self.method != method or self.part not in path:
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.hits >= self.times:
            return False
        self.hits += 1
        return True


class FaultProxy(ThreadingHTTPServer):
    """Forwards to `upstream` whatever its one fault does not catch."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__((HOST, 0), _Handler)
        self.url = f"http://{HOST}:{self.server_port}"
        self.upstream = urlsplit(upstream).netloc
        self.requests: list[str] = []  # "GET /bucket/key", since the fault was set
        self.fault: Fault | None = None
        self.released = Event()  # ends what hangs
        self._lock = Lock()

    def fail(self, fault: Fault) -> None:
        """Let this happen from now on, and nothing else."""
        with self._lock:
            self.fault, self.requests = fault, []

    def heal(self) -> None:
        with self._lock:
            self.fault = None

    @property
    def hits(self) -> int:
        """How many requests met the fault."""
        return self.fault.hits if self.fault else 0

    def fault_of(self, method: str, path: str) -> Fault | None:
        with self._lock:
            self.requests.append(f"{method} {path}")
            fault = self.fault
            return fault if fault and fault.kind != "times out" and fault.meets(method, path) else None

    def timed_out(self, request: AWSPreparedRequest, **_: Any) -> None:
        """Be what botocore asks before it sends a request: time is up for what times out."""
        fault = self.fault
        if fault and fault.kind == "times out" and fault.meets(request.method or "", request.url):
            raise ReadTimeoutError(endpoint_url=self.url)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients go away in the middle, which is what they are here for."""


@contextmanager
def fault_proxy(upstream: str) -> Iterator[FaultProxy]:
    with FaultProxy(upstream) as proxy:
        thread = Thread(target=proxy.serve_forever, args=[0.01])
        thread.start()
        try:
            yield proxy
        finally:
            proxy.released.set()
            proxy.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the body of an answer waits for its headers to be acknowledged
    server: FaultProxy

    def do_GET(self) -> None:
        fault = self.server.fault_of(self.command, self.path)
        kind = fault.kind if fault else ""
        length = int(self.headers.get("Content-Length", 0))
        if kind == "reset in the request":
            self.rfile.read(length // 2)
            self._reset()
            return
        body = self.rfile.read(length)
        if kind == "hangs":
            self._wait_until_alone()
            self.close_connection = True
            return
        if fault and kind in REFUSALS:
            status, said = REFUSALS[kind]
            self._answer(status, {}, b"" if self.command == "HEAD" else said, fault.date)
            return
        answer, data = self._forward(body)
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in _OURS}
        if self.command == "HEAD":
            headers["Content-Length"] = answer.headers.get("Content-Length", "0")
        self._answer(answer.status, headers, data, None, kind)

    do_HEAD = do_PUT = do_POST = do_GET  # noqa: N815  # what the base class calls

    def _forward(self, body: bytes) -> tuple[HTTPResponse, bytes]:
        connection = HTTPConnection(self.server.upstream, timeout=10)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _OURS}
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer, data

    def _answer(self, status: int, headers: dict[str, str], body: bytes, date: datetime | None, kind: str = "") -> None:
        self.send_response_only(status)
        self.send_header("Date", format_datetime(date or datetime.now(UTC), usegmt=True))
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        if kind == "reset in the answer" and not body:
            self._reset()  # the headers are still in the buffer
            return
        self.end_headers()
        if kind == "reset in the answer":
            self.wfile.write(body[: len(body) // 2])
            self._is_alone(0.05)  # else the reset would overtake what was sent
            self._reset()
        elif kind == "trickles":
            for byte in body:
                self.wfile.write(bytes([byte]))
                if self._is_alone(TRICKLE_SECONDS):
                    break
            self.close_connection = True
        else:
            self.wfile.write(body)

    def _is_alone(self, seconds: float) -> bool:
        """Wait so long; tell whether the client went away meanwhile."""
        readable = select.select([self.connection], [], [], seconds)[0]
        with suppress(ConnectionError):
            return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)
        return True

    def _wait_until_alone(self) -> None:
        while not self.server.released.is_set() and not self._is_alone(0.1):
            pass

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        # Only the last close resets; the server's own would end the connection in good order first.
        self.rfile.close()
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        pass


_OURS = {"content-length", "transfer-encoding", "connection", "date", "expect"}
