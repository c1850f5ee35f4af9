"""Runs the product as the SAM CLI emulates it: the API is in a container of the Lambda runtime, behind an emulated
gateway.

python -m infra.sam_local [options of `sam local start-api`]

Page, S3, DynamoDB and sweep are the same as in `make run`.
"""

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import ip_network

import requests
from botocore.exceptions import BotoCoreError, ClientError

from infra import local
from infra.build import ROOT, BuildError, build, own_architecture, runtime
from infra.bundle import BundleError, built_page
from infra.local import EMBEDDED_COUNTERS, HOST
from infra.page import page_app
from infra.resources import TEMPLATE, TemplateError, ensure_bucket
from infra.setup import TOOLS
from infra.sweeper import sweep_often
from optimizer.config import Config
from optimizer.store import TempStore

PAGE_PORT, API_PORT, S3_PORT = 5001, 3000, 5002
INSIDE = "host.docker.internal"  # this machine's name inside a container
OUTPUT = ROOT / "build" / "sam-local"
SAM = TOOLS / "aws-sam-cli" / "bin" / "sam"
PULL_SECONDS = 15 * 60.0  # the runtime's image is large
END_SECONDS = 30.0  # the SAM CLI gives a container ten seconds
LATE_SECONDS = 8.0  # Docker may still create a container after the SAM CLI has stopped waiting for it


class StartError(Exception):
    """Says in one sentence why the product does not run."""


def main(arguments: Sequence[str]) -> int:
    """Serve until interrupted. Returns the exit status. If it cannot run, it prints one sentence that says why."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    local.log_errors_only()
    local.use_no_credentials()
    with ExitStack() as cleanup:
        try:
            run(arguments, cleanup)
        except KeyboardInterrupt:
            return 0
        except (StartError, BuildError, BundleError, TemplateError, ValueError, BotoCoreError, ClientError) as error:
            print(f"Pinch cannot run: {error}", file=sys.stderr)
    return 1


def run(arguments: Sequence[str], cleanup: ExitStack) -> None:
    """Serve until the SAM CLI ends. The arguments are options for the SAM CLI. `cleanup` ends everything.

    Raises StartError, BuildError, BundleError, TemplateError, ValueError for a wrong option, and boto3's errors.
    """
    if not SAM.exists():
        raise StartError("the SAM CLI is missing. Run make sam-local, which installs it.")
    # Docker Desktop's bridge is inside its virtual machine. There, host.docker.internal already leads to our loopback.
    bridges = [address for address in [bridge_address()] if is_own(address)]
    for host, port in ((HOST, API_PORT), *((host, S3_PORT) for host in (HOST, *bridges))):
        _listen(host, port).close()
    listener = cleanup.enter_context(_listen(HOST, PAGE_PORT))
    config = replace(Config.from_env(), port=PAGE_PORT, ratelimit_storage_uri=EMBEDDED_COUNTERS)
    print("Building the functions for this machine's processor.", flush=True)
    build(OUTPUT / "functions", own_architecture(), runtime())
    s3_url, *_ = [local.start_emulator(cleanup, host, S3_PORT) for host in (HOST, *bridges)]
    config = local.embed(replace(config, page_origin=f"http://{HOST}:{PAGE_PORT}"), s3_url)
    ensure_bucket(config)
    stop = threading.Event()
    cleanup.callback(stop.set)
    threading.Thread(target=sweep_often, args=(TempStore.connect(config), config, stop), daemon=True).start()
    api_url = f"http://{HOST}:{API_PORT}"
    with built_page() as page_folder:
        page = page_app(config, page_folder, api_url)
    local.serve(page, listener, cleanup)
    (OUTPUT / "template.yaml").write_text(local_template())
    (OUTPUT / "environment.json").write_text(json.dumps({"ApiFunction": variables(config)}))
    _remove_containers(0)  # left by an earlier run that was killed
    ready = threading.Event()
    cleanup.callback(lambda: _remove_containers(0 if ready.is_set() else LATE_SECONDS))
    hosts = [word for address in bridges for word in ("--add-host", f"{INSIDE}:{address}")]
    # If the SAM CLI is interrupted while it builds its image, it leaves a lock in TMPDIR. The next run would wait five
    # minutes for it, so each run gets its own folder.
    folder = cleanup.enter_context(tempfile.TemporaryDirectory())
    sam = subprocess.Popen(
        [*sam_command(config), *hosts, *arguments],
        env=os.environ | {"SAM_CLI_TELEMETRY": "0", "TMPDIR": folder},
        start_new_session=True,  # Ctrl-C reaches it once, through us; a second one would make it leave its containers
    )
    cleanup.callback(_end, sam)
    _wait_until_the_api_answers(sam, api_url)
    ready.set()
    print(f"Pinch is ready at {config.page_origin}", flush=True)
    print(f"Uploads are deleted within {config.retention_minutes} minutes. Ctrl-C stops it.", flush=True)
    sam.wait()
    raise StartError("the SAM CLI has ended. The lines above tell why.")


def bridge_address() -> str:
    """Return the host's address on Docker's bridge; raises StartError if Docker is missing or does not answer."""
    # Some daemons give no gateway until they are restarted. Then it is the first address of the network.
    question = "{{with index .IPAM.Config 0}}{{or .Gateway .Subnet}}{{end}}"
    try:
        done = _docker("network", "inspect", "bridge", "--format", question)
    except FileNotFoundError as error:
        raise StartError("the SAM CLI runs the API in Docker, which is missing. Install and start it.") from error
    if done.returncode:
        raise StartError(f"Docker does not answer. Start it and try again. It says: {' '.join(done.stderr.split())}")
    return str(next(iter(ip_network(done.stdout.strip()).hosts())))


def is_own(address: str) -> bool:
    """Return whether the address belongs to this machine."""
    try:
        socket.create_server((address, 0)).close()
    except OSError as error:
        if error.errno != errno.EADDRNOTAVAIL:
            raise
        return False
    return True


def local_template() -> str:
    """Return template.yaml with this machine's artefact, and with the variables that only an emulator needs.

    `--env-vars` sets only variables that a template declares. Raises TemplateError if the places to change are not
    found.
    """
    text, artefacts = re.subn(r"(?m)^( *CodeUri:) build/functions\b", r"\1 functions", TEMPLATE.read_text())
    declared = "".join(rf'\n\1{name}: ""' for name in ("S3_ENDPOINT_URL", "S3_PUBLIC_ENDPOINT_URL"))
    text, environments = re.subn(r"(?m)^( *)TEMP_BUCKET:.*$", rf"\g<0>{declared}", text)
    if (artefacts, environments) != (1, 1):
        raise TemplateError("template.yaml no longer has one CodeUri: build/functions and one TEMP_BUCKET.")
    return text


def variables(config: Config) -> dict[str, str]:
    """Return the environment of the API in its container. `config` has the addresses as seen from this machine."""
    s3_url = f"http://{INSIDE}:{S3_PORT}"
    return {
        "TEMP_BUCKET": config.temp_bucket,
        "S3_ENDPOINT_URL": s3_url,
        "S3_PUBLIC_ENDPOINT_URL": str(config.s3_endpoint_url),
        "PAGE_ORIGIN": str(config.page_origin),
        "RATELIMIT_STORAGE_URI": f"{EMBEDDED_COUNTERS}?endpoint_url={s3_url}&secret=local",
        "RATE_LIMIT": config.rate_limit,
        "RETENTION_MINUTES": str(config.retention_minutes),
    }


def sam_command(config: Config) -> list[str]:
    """Return the command that serves the API."""
    files = ["--template", str(OUTPUT / "template.yaml"), "--env-vars", str(OUTPUT / "environment.json")]
    where = ["--host", HOST, "--port", str(API_PORT), "--region", config.aws_region]
    parameters = [f"Architecture={own_architecture()}", f"PageOrigin={config.page_origin}"]
    # LAZY, since with EAGER, SAM 1.170 starts both functions at once and may leave a container behind when it ends.
    warm = ["--warm-containers", "LAZY", "--no-watch"]
    return [str(SAM), "local", "start-api", *files, *where, *warm, "--parameter-overrides", *parameters]


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there; raises StartError if the port is in use."""
    try:
        return socket.create_server((host, port), backlog=128)
    except OSError as error:
        raise StartError(f"port {port} is in use. End the program that uses it and try again.") from error


def _wait_until_the_api_answers(sam: "subprocess.Popen[bytes]", api_url: str) -> None:
    """Wait until the SAM CLI has fetched the image and started the container; raises StartError if it fails."""
    while sam.poll() is None:
        try:
            answer = requests.get(f"{api_url}/api/health", timeout=PULL_SECONDS)
        except requests.ConnectionError:
            time.sleep(0.2)  # it is not listening yet
            continue
        if answer.ok:
            return
        break
    raise StartError("the SAM CLI does not get the API to run. The lines above tell why.")


def _end(sam: "subprocess.Popen[bytes]") -> None:
    """Let the SAM CLI remove its container and end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sam.send_signal(signal.SIGINT)
    try:
        sam.wait(timeout=END_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(sam.pid, signal.SIGKILL)
        sam.wait()


def _remove_containers(seconds: float) -> None:
    """Remove the container of our artefact. The SAM CLI leaves it behind if it ends while starting it.

    Wait so many seconds for it to appear.
    """
    deadline = time.monotonic() + seconds
    command = ("ps", "--all", "--quiet", "--filter", f"volume={OUTPUT / 'functions'}")
    while not (left := _docker(*command).stdout.split()) and time.monotonic() < deadline:
        time.sleep(0.2)  # Docker tells nobody when it is done
    if left:
        _docker("rm", "--force", *left)


def _docker(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = ["docker", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
