"""The product as the SAM CLI emulates it: the API in a container of the Lambda runtime, behind an emulated gateway.

python -m infra.sam_local [options of `sam local start-api`]

Page, S3, DynamoDB and sweep are those of `make run`.
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
INSIDE = "host.docker.internal"  # this machine, as a container calls it
OUTPUT = ROOT / "build" / "sam-local"
SAM = TOOLS / "aws-sam-cli" / "bin" / "sam"
PULL_SECONDS = 15 * 60.0  # the runtime's image is large
END_SECONDS = 30.0  # the SAM CLI gives a container ten
LATE_SECONDS = 8.0  # Docker goes on to create a container that the SAM CLI no longer waits for


class StartError(Exception):
    """Why the product does not run, in one sentence."""


def main(arguments: Sequence[str]) -> int:
    """Serve until interrupted. Returns the exit status; what keeps it from starting is told in one sentence."""
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
    """Serve until the SAM CLI ends, with these options of its own; `cleanup` ends everything.

    Raises StartError, BuildError, BundleError or TemplateError, ValueError for a wrong option, and what boto3 raises.
    """
    if not SAM.exists():
        raise StartError("the SAM CLI is missing. Run make sam-local, which installs it.")
    # Docker Desktop's bridge is in its virtual machine, where host.docker.internal leads to our loopback by itself.
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
    _remove_containers(0)  # of one that was killed
    ready = threading.Event()
    cleanup.callback(lambda: _remove_containers(0 if ready.is_set() else LATE_SECONDS))
    hosts = [word for address in bridges for word in ("--add-host", f"{INSIDE}:{address}")]
    # Interrupted while it makes its image, it leaves a lock there that the next one would wait five minutes for.
    folder = cleanup.enter_context(tempfile.TemporaryDirectory())
    sam = subprocess.Popen(
        [*sam_command(config), *hosts, *arguments],
        env=os.environ | {"SAM_CLI_TELEMETRY": "0", "TMPDIR": folder},
        start_new_session=True,  # Ctrl-C reaches it through us, once: the second one would leave its containers
    )
    cleanup.callback(_end, sam)
    _wait_until_the_api_answers(sam, api_url)
    ready.set()
    print(f"Pinch is ready at {config.page_origin}", flush=True)
    print(f"Uploads are deleted within {config.retention_minutes} minutes. Ctrl-C stops it.", flush=True)
    sam.wait()
    raise StartError("the SAM CLI has ended. The lines above tell why.")


def bridge_address() -> str:
    """Return the host's address on Docker's bridge; raises StartError when there is no Docker."""
    # Some daemons name no gateway until they are restarted. It is the first address of the network then.
    question = "{{with index .IPAM.Config 0}}{{or .Gateway .Subnet}}{{end}}"
    try:
        done = _docker("network", "inspect", "bridge", "--format", question)
    except FileNotFoundError as error:
        raise StartError("the SAM CLI runs the API in Docker, which is missing. Install and start it.") from error
    if done.returncode:
        raise StartError(f"Docker does not answer. Start it and try again. It says: {' '.join(done.stderr.split())}")
    return str(next(iter(ip_network(done.stdout.strip()).hosts())))


def is_own(address: str) -> bool:
    """Tell whether the address is this machine's."""
    try:
        socket.create_server((address, 0)).close()
    except OSError as error:
        if error.errno != errno.EADDRNOTAVAIL:
            raise
        return False
    return True


def local_template() -> str:
    """Return template.yaml with this machine's artefact, and with the variables that only an emulator needs.

    `--env-vars` sets just those that a template declares. Raises TemplateError when the places are not found.
    """
    text, artefacts = re.subn(r"(?m)^( *CodeUri:) build/functions\b", r"\1 functions", TEMPLATE.read_text())
    declared = "".join(rf'\n\1{name}: ""' for name in ("S3_ENDPOINT_URL", "S3_PUBLIC_ENDPOINT_URL"))
    text, environments = re.subn(r"(?m)^( *)TEMP_BUCKET:.*$", rf"\g<0>{declared}", text)
    if (artefacts, environments) != (1, 1):
        raise TemplateError("template.yaml no longer has one CodeUri: build/functions and one TEMP_BUCKET.")
    return text


def variables(config: Config) -> dict[str, str]:
    """Return the environment of the API in its container; `config` is how this machine reaches the same things."""
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
    # LAZY: with EAGER, SAM 1.170 starts both functions at the same moment and may then forget a container when it ends.
    warm = ["--warm-containers", "LAZY", "--no-watch"]
    return [str(SAM), "local", "start-api", *files, *where, *warm, "--parameter-overrides", *parameters]


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there; raises StartError when it cannot."""
    try:
        return socket.create_server((host, port), backlog=128)
    except OSError as error:
        raise StartError(f"port {port} is in use. End the program that uses it and try again.") from error


def _wait_until_the_api_answers(sam: "subprocess.Popen[bytes]", api_url: str) -> None:
    """Let the SAM CLI get the image and start the container; raises StartError when it does not."""
    while sam.poll() is None:
        try:
            answer = requests.get(f"{api_url}/api/health", timeout=PULL_SECONDS)
        except requests.ConnectionError:
            time.sleep(0.2)  # it does not listen yet
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
    """Remove the container of our artefact: the SAM CLI leaves it when it ends while it starts it.

    It may appear within so many seconds.
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
