"""Runs the whole product on one machine: page, API and sweeper on one address, with an embedded S3 and DynamoDB."""

import logging
import os
import signal
import socket
import sys
import threading
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from limits.errors import ConfigurationError
from moto.server import ThreadedMotoServer
from werkzeug.serving import WSGIRequestHandler, make_server

from infra.bundle import BundleError, built_page
from infra.page import with_page
from infra.resources import create_table, ensure_bucket
from infra.sweeper import sweep_often
from optimizer.app import create_app
from optimizer.config import Config
from optimizer.store import TempStore
from optimizer.worker import workers

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

HOST = "127.0.0.1"
EMBEDDED_COUNTERS = "dynamodb://pinch-counters"  # count as the deployment does; memory would count exactly


def main() -> int:
    """Serve until interrupted. Returns the exit status. If it cannot start, it prints one sentence that says why."""
    log_errors_only()
    if not os.environ.get("S3_ENDPOINT_URL"):
        use_no_credentials()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    with ExitStack() as cleanup:
        try:
            start(Config.from_env(), cleanup, stop)
        except (BundleError, ValueError, ConfigurationError, BotoCoreError, ClientError) as error:
            print(f"Pinch cannot start: {error}", file=sys.stderr)
            return 1
        # A signal that arrives just as the wait begins is only handled when the wait ends.
        while not stop.wait(timeout=1):
            pass
    return 0


def log_errors_only() -> None:
    """Keep the terminal for messages that a person needs."""
    logging.basicConfig(format="%(message)s")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    logging.getLogger("botocore").setLevel(logging.ERROR)


def use_no_credentials() -> None:
    """Set dummy credentials, so that nobody's own are used. The embedded S3 accepts any, but boto3 needs some."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        os.environ.pop(name, None)
    os.environ.update(dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "local"))


def _listen(port: int) -> socket.socket:
    """Return a socket that listens on the port; raises ValueError with a sentence if that fails."""
    try:
        return socket.create_server((HOST, port), backlog=128)
    except PermissionError as error:
        raise ValueError(f"port {port} needs root. Choose one above 1023: PORT=5001 make run") from error
    except OSError as error:
        raise ValueError(f"port {port} is in use. Choose another one: PORT={port + 1} make run") from error


def start(config: Config, cleanup: ExitStack, stop: threading.Event) -> None:
    """Start everything and print the address. `cleanup` ends it again; the sweeper ends when `stop` is set.

    Raises ValueError, or an error of limits or botocore, if an option cannot be used, and BundleError if the page
    cannot be built.
    """
    listener = cleanup.enter_context(_listen(config.port))
    # Browsers leave the default port out of the origin that they send.
    origin = f"http://{HOST}" + (f":{config.port}" if config.port != 80 else "")
    config = replace(config, page_origin=config.page_origin or origin)
    if not config.s3_endpoint_url:
        config = embed(config, start_emulator(cleanup))
    ensure_bucket(config)
    cleanup.callback(workers.stop)
    workers.start()
    store = TempStore.connect(config)
    with built_page() as folder:
        app = with_page(create_app(config, store), config, folder)
    serve(app, listener, cleanup)
    threading.Thread(target=sweep_often, args=(store, config, stop), daemon=True).start()
    print(f"Pinch is ready at {origin}", flush=True)
    print(f"Uploads are deleted within {config.retention_minutes} minutes. Ctrl-C stops it.", flush=True)


def serve(app: "WSGIApplication", listener: socket.socket, cleanup: ExitStack) -> None:
    """Serve the app in a thread until `cleanup` ends it."""
    host, port = listener.getsockname()
    server = make_server(host, port, app, threaded=True, request_handler=_Quiet, fd=listener.fileno())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    cleanup.callback(server.shutdown)


class _Quiet(WSGIRequestHandler):
    """Does not log requests."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def embed(config: Config, address: str) -> Config:
    """Return the config that uses the emulator at this address. Create the counter table there if it is needed."""
    config = replace(config, s3_endpoint_url=address)
    if config.ratelimit_storage_uri != EMBEDDED_COUNTERS:
        return config
    client = boto3.client("dynamodb", endpoint_url=address, region_name=config.aws_region)
    create_table(client, EMBEDDED_COUNTERS.removeprefix("dynamodb://"))
    return replace(config, ratelimit_storage_uri=f"{EMBEDDED_COUNTERS}?endpoint_url={address}")


def start_emulator(cleanup: ExitStack, host: str = HOST, port: int = 0) -> str:
    """Start moto's S3 and DynamoDB, on a free port unless one is given, and return their address.

    All emulators of one process share their buckets and tables.
    """
    emulator = ThreadedMotoServer(ip_address=host, port=port, verbose=False)
    emulator.start()
    cleanup.callback(emulator.stop)
    _, port = emulator.get_host_and_port()
    return f"http://{host}:{port}"


if __name__ == "__main__":
    sys.exit(main())
