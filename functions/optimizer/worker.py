"""Runs the pipeline on each image in its own process. If that hangs, crashes or takes too much memory, it is killed.

Codecs are written in C: no signal handler interrupts them, and their faults raise no exception. Forking the caller
itself would copy locks that its other threads hold. So there is a nursery: a process with a single thread, started
once, that has imported everything and only forks workers. Sockets carry the image in and the result out, because
Lambda has no /dev/shm. The answer is JSON and bytes, never a pickle: an attacker who took over a codec could write it.
"""

import atexit
import gc
import json
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import traceback
import warnings
from contextlib import ExitStack, suppress
from dataclasses import asdict
from importlib import import_module
from threading import Lock
from time import monotonic
from typing import Any, NamedTuple

from optimizer import telemetry
from optimizer.limits import WORKER_BYTES, WORKER_SECONDS
from optimizer.problems import Problem, TooComplex, WorkerFailed
from optimizer.settings import Settings

# The nursery imports these while nobody waits, so that no image has to wait for them.
_HEAVY = ("ajpegli", "optimizer.imaging.perception", "optimizer.imaging.quantize")
# One thread: NumPy would start more, which a fork does not copy. And huge pages (glibc 2.35 and later): all memory of a
# worker is new, and getting it in pages of 4 KB takes 30 ms for a photo of 3 megapixels.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
_LENGTHS = struct.Struct("!II")  # of the JSON and of the bytes that follow
_CHUNK = 2**20

_TOO_SLOW = "It takes too long. Choose a smaller size or another format, or send a smaller image."
_TOO_LARGE = "It takes too much memory. Choose a smaller size or another format, or send a smaller image."
_CRASHED = "The image could not be worked on. Try again; if that fails too, export the image again and send that."


class Optimized(NamedTuple):
    """A result, and what the client is told about it."""

    data: bytes
    record: dict[str, Any]  # as `Result.record` makes it


class Workers:
    """The nursery of this process, and its workers. Any number of threads may use it."""

    def __init__(self, module: str = __name__) -> None:
        self._module = module  # the nursery imports it and calls its `serve` with a socket's number
        self._lock = Lock()
        self._nursery: subprocess.Popen[bytes] | None = None
        self._orders: socket.socket | None = None
        self._owner = 0  # the process that started the nursery: a fork of it starts its own

    def start(self) -> None:
        """Start the nursery unless it is running. The first image would start it too, but would wait for it."""
        with self._lock:
            self._start()

    def stop(self) -> None:
        """End the nursery. Its workers finish what they are doing, then end."""
        with self._lock:
            self._stop()

    def optimize(self, data: bytes, settings: Settings, seconds: float = WORKER_SECONDS) -> Optimized:
        """Do what `pipeline.optimize` does, in a worker and within so many seconds.

        Raises the same problems, TooComplex if it takes longer or more memory than WORKER_BYTES, WorkerFailed if the
        worker ends without an answer, and RuntimeError with the traceback of any other exception in the worker.
        """
        deadline = monotonic() + seconds
        worker = None
        with ExitStack() as cleanup:
            try:
                connection, worker = self._hire(cleanup, deadline)
                _send(connection, {"settings": asdict(settings), "seconds": seconds}, data, deadline)
                answer, result = _receive(connection, deadline)
            except Exception as error:
                if worker:
                    with suppress(ProcessLookupError):
                        os.kill(worker, signal.SIGKILL)
                if isinstance(error, TimeoutError):
                    raise TooComplex(_TOO_SLOW) from error
                raise WorkerFailed(_CRASHED) from error  # whatever the error is, the worker gave no proper answer
        return _understood(answer, result)

    def _hire(self, cleanup: ExitStack, deadline: float, again: bool = True) -> tuple[socket.socket, int]:
        """Return the connection to a new worker, which the cleanup closes, and the worker's process id."""
        ours, theirs = socket.socketpair()
        cleanup.enter_context(ours)
        with theirs, self._lock:
            orders = self._start()
            with suppress(BrokenPipeError):  # noticed below
                socket.send_fds(orders, [b"1"], [theirs.fileno()])
        try:
            return ours, int(_receive(ours, deadline)[0]["pid"])
        except (EOFError, ConnectionResetError):  # the nursery was killed
            if not again:
                raise
        with self._lock:
            if self._orders is orders:  # otherwise another thread has replaced it
                self._stop()
        return self._hire(cleanup, deadline, again=False)

    def _start(self) -> socket.socket:
        if self._orders and self._owner == os.getpid():
            return self._orders
        ours, theirs = socket.socketpair()
        inherited = {key: value for key, value in os.environ.items() if key in ("PATH", "LD_LIBRARY_PATH")}
        with theirs:
            self._nursery = subprocess.Popen(  # noqa: S603  # no part of it comes from outside
                [sys.executable, "-c", f"import {self._module} as module; module.serve({theirs.fileno()})"],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=inherited | _ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(sys.path)},  # no credentials
                start_new_session=True,  # Ctrl-C should reach only the server, which may have requests to finish
            )
        self._orders, self._owner = ours, os.getpid()
        atexit.register(self.stop)
        return ours

    def _stop(self) -> None:
        if self._orders:
            self._orders.close()
        if self._nursery and self._owner == os.getpid():
            self._nursery.kill()  # it has nothing to finish
            self._nursery.wait()
        self._orders = self._nursery = None
        atexit.unregister(self.stop)


workers = Workers()  # of this process


def serve(number: int) -> None:
    """Be the nursery: fork a worker for each connection that arrives on the socket of this number, until it closes."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a worker
    warnings.filterwarnings("ignore")  # a damaged file might cause megabytes of them
    from optimizer.imaging import pipeline  # noqa: F401  # so that workers have it

    heavy = list(_HEAVY)
    with socket.socket(fileno=number) as orders:
        while True:
            if heavy and not select.select([orders], [], [], 0)[0]:
                with suppress(ImportError):
                    import_module(heavy.pop(0))
                gc.freeze()  # imported objects stay, and are shared with the workers as long as nobody writes to them
                continue
            message, numbers, _, _ = socket.recv_fds(orders, 1, 1)
            if not message:
                return
            with suppress(OSError), socket.socket(fileno=numbers[0]) as connection:  # closed even without a worker
                if os.fork() == 0:
                    try:
                        work(connection)
                    finally:
                        os._exit(0)  # whatever happens, never continue as a second nursery


def work(connection: socket.socket) -> None:
    """Be a worker: take one image from the connection, answer, and end."""
    _send(connection, {"pid": os.getpid()}, b"")
    order, data = _receive(connection)
    _limit_resources(order["seconds"])
    answer, result = _answer(data, order["settings"])
    _send(connection, answer, result)


def _limit_resources(seconds: float) -> None:
    for kept in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):  # no part of the image may end up in a file
        resource.setrlimit(kept, (0, 0))
    # For a worker whose caller is gone; a caller that is alive kills it sooner. Several threads may use up CPU time.
    cpu = int(seconds + 5) * (os.cpu_count() or 1)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
    with suppress(ValueError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (WORKER_BYTES, WORKER_BYTES))


def _answer(data: bytes, settings: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    from optimizer.imaging.pipeline import optimize

    telemetry.begin("", None)
    try:
        result = optimize(data, Settings(**settings))
    except Problem as problem:
        return {"problem": problem.code, "detail": problem.detail, "errors": problem.errors}, b""
    except MemoryError:
        pass  # the exception holds memory until this block ends
    except Exception:  # told to the caller, who logs it
        return {"failure": traceback.format_exc()}, b""
    else:
        return {"record": result.record(), "stages": telemetry.stages()}, result.data
    return {"problem": TooComplex.code, "detail": _TOO_LARGE, "errors": []}, b""


def _understood(answer: dict[str, Any], result: bytes) -> Optimized:
    """Return the result in an answer, or raise the problem or failure that it reports."""
    if "failure" in answer:
        raise RuntimeError(answer["failure"])
    if "problem" in answer:
        kinds = {each.code: each for each in Problem.__subclasses__()}
        raise kinds[answer["problem"]](answer["detail"], answer["errors"])
    telemetry.add_stages(answer["stages"])
    return Optimized(result, answer["record"])


def _send(connection: socket.socket, head: dict[str, Any], body: bytes, deadline: float | None = None) -> None:
    packed = json.dumps(head).encode()
    for part in (_LENGTHS.pack(len(packed), len(body)) + packed, body):
        if part:  # the other end may have ended once it had everything; even sending nothing would fail then
            connection.settimeout(_left(deadline))
            connection.sendall(part)


def _receive(connection: socket.socket, deadline: float | None = None) -> tuple[dict[str, Any], bytes]:
    """Return the head and body that the other end sent; raises EOFError if it ended before, or TimeoutError."""
    lengths = _LENGTHS.unpack(_read(connection, _LENGTHS.size, deadline))
    head, body = (_read(connection, length, deadline) for length in lengths)
    return json.loads(head), body


def _read(connection: socket.socket, length: int, deadline: float | None) -> bytes:
    parts = []
    while length:
        connection.settimeout(_left(deadline))
        part = connection.recv(min(length, _CHUNK))
        if not part:
            raise EOFError
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def _left(deadline: float | None) -> float | None:
    """Return the seconds until the deadline; raises TimeoutError after it."""
    if deadline is None:
        return None
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    return left
