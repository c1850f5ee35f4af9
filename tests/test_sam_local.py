"""Runs the product as `make sam-local` does, with programs in place of Docker and the SAM CLI."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from infra import local, sam_local
from infra.build import own_architecture
from infra.local import HOST
from infra.resources import TEMPLATE, TemplateError, load_template
from infra.sam_local import bridge_address, is_own, local_template
from tests.journey import post_form
from tests.product import ROOT, free_port

pytestmark = pytest.mark.processes

ELSEWHERE = "198.51.100.1"  # RFC 5737: nobody's
OWN = "127.0.0.2"  # as good as a bridge, on Linux
BRIDGES = [ELSEWHERE, OWN] if sys.platform == "linux" else [ELSEWHERE]

PRODUCT = """
import sys
from pathlib import Path
from infra import sam_local

folder = Path(sys.argv[1])
sam_local.PAGE_PORT, sam_local.API_PORT, sam_local.S3_PORT = map(int, sys.argv[2:5])
sam_local.OUTPUT, sam_local.SAM = folder / "output", folder / "sam"
sam_local.build = lambda output, *_: output.mkdir(parents=True)
sys.exit(sam_local.main(sys.argv[5:]))
"""

DOCKER = """#!/bin/sh
echo "$@" >>{folder}/docker.txt
case $1 in network) echo {bridge} ;; ps) cat {folder}/left.txt ;; esac
"""

# Notes what it is told, answers the health check once it listens, and tells how it ended.
SAM = """#!{python}
import http.server, json, os, sys
from pathlib import Path

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response({status} if self.path == "/api/health" else 404)
        self.end_headers()

    def log_message(self, *_):
        pass

folder = Path("{folder}")
(folder / "sam.json").write_text(json.dumps({{"arguments": sys.argv[1:], "environ": dict(os.environ)}}))
port = int(sys.argv[sys.argv.index("--port") + 1])
try:
    http.server.HTTPServer(("127.0.0.1", port), Answer).serve_forever()
except KeyboardInterrupt:
    (folder / "ended.txt").write_text("interrupted")
"""


@dataclass
class Machine:
    """A machine with a Docker and a SAM CLI that note what they are told."""

    folder: Path
    bridge: str = ELSEWHERE
    status: int = 200  # of the API's health
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in ("page", "api", "s3")})

    def __post_init__(self) -> None:
        (self.folder / "left.txt").write_text("0f0f\n")
        self._write("docker", DOCKER.format(folder=self.folder, bridge=self.bridge))
        self._write("sam", SAM.format(folder=self.folder, python=sys.executable, status=self.status))

    def _write(self, name: str, program: str) -> None:
        (self.folder / name).write_text(program)
        (self.folder / name).chmod(0o755)

    def url(self, name: str) -> str:
        return f"http://{HOST}:{self.ports[name]}"

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        names = ("AWS_REGION", "TEMP_BUCKET", "RATE_LIMIT", "RETENTION_MINUTES")
        inherited = {key: value for key, value in os.environ.items() if key not in names}
        path = f"{self.folder}{os.pathsep}{os.environ['PATH']}"
        return subprocess.Popen(
            [sys.executable, "-c", PRODUCT, str(self.folder), *map(str, self.ports.values()), *arguments],
            cwd=ROOT,
            env=inherited | {"PYTHONPATH": "functions:.", "PATH": path} | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @contextmanager
    def running(self, *arguments: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
        process = self.start(*arguments, **environ)
        assert process.stdout
        lines = [process.stdout.readline(), process.stdout.readline()]
        assert lines[1] == f"Pinch is ready at {self.url('page')}\n", (lines, process.communicate())
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
            assert process.returncode == 0

    @property
    def sam(self) -> Any:
        """The arguments and the environment that the SAM CLI got."""
        return json.loads((self.folder / "sam.json").read_text())

    @property
    def docker(self) -> list[str]:
        """The commands that Docker got."""
        return (self.folder / "docker.txt").read_text().splitlines()


Fail = Callable[..., str]


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Fail:
    """Serve on a machine where that is not possible, in this process, and return what is said on stderr."""

    def fail(machine: Machine, **environ: str) -> str:
        path = f"{machine.folder}{os.pathsep}{os.environ['PATH']}"
        # What embedded emulators hold is of the whole process, and so are boto3's credentials.
        for name, value in ({"PATH": path, "TEMP_BUCKET": "sam-local"} | environ).items():
            monkeypatch.setenv(name, value)
        for name, port in machine.ports.items():
            monkeypatch.setattr(sam_local, f"{name.upper()}_PORT", port)
        monkeypatch.setattr(sam_local, "OUTPUT", machine.folder / "output")
        monkeypatch.setattr(sam_local, "SAM", machine.folder / "sam")
        monkeypatch.setattr(sam_local, "build", lambda output, *_: output.mkdir(parents=True))
        monkeypatch.setattr(signal, "signal", lambda *_: None)
        monkeypatch.setattr(local, "log_errors_only", lambda: None)
        monkeypatch.setattr(local, "use_no_credentials", lambda: None)
        monkeypatch.setattr(local, "create_table", lambda *_: None)  # it may be there, and nobody counts
        assert sam_local.main([]) == 1
        return capfd.readouterr().err

    return fail


@pytest.fixture(scope="module", params=BRIDGES)
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on which the product runs."""
    machine = Machine(tmp_path_factory.mktemp("machine"), bridge=request.param)
    with machine.running("--skip-pull-image", RATE_LIMIT="7 per minute", AWS_PROFILE="mine", AWS_SESSION_TOKEN="mine"):
        yield machine


def test_the_page_names_the_api_and_may_call_it_and_s3(machine: Machine) -> None:
    headers = requests.get(machine.url("page"), timeout=60).headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))

    assert requests.get(f"{machine.url('page')}/config.json", timeout=60).json() == {"api_url": machine.url("api")}
    assert policy["connect-src"] == f"'self' {machine.url('s3')} {machine.url('api')}"


def test_the_sam_cli_serves_the_copy_of_the_template_for_this_machine_only(machine: Machine) -> None:
    output = machine.folder / "output"
    hosts = ["--add-host", f"host.docker.internal:{OWN}"] if machine.bridge == OWN else []

    assert machine.sam["arguments"] == [
        *("local", "start-api"),
        *("--template", str(output / "template.yaml"), "--env-vars", str(output / "environment.json")),
        *("--host", HOST, "--port", str(machine.ports["api"]), "--region", "us-east-1"),
        *("--warm-containers", "LAZY", "--no-watch"),
        *("--parameter-overrides", f"Architecture={own_architecture()}", f"PageOrigin={machine.url('page')}"),
        *hosts,
        "--skip-pull-image",
    ]
    assert (output / "template.yaml").read_text() == local_template()


def test_the_api_reaches_s3_by_another_name_than_the_browser(machine: Machine) -> None:
    inside = f"http://host.docker.internal:{machine.ports['s3']}"

    assert json.loads((machine.folder / "output" / "environment.json").read_text()) == {
        "ApiFunction": {
            "TEMP_BUCKET": "pinch-temp",
            "S3_ENDPOINT_URL": inside,
            "S3_PUBLIC_ENDPOINT_URL": machine.url("s3"),
            "PAGE_ORIGIN": machine.url("page"),
            "RATELIMIT_STORAGE_URI": f"dynamodb://pinch-counters?endpoint_url={inside}&secret=local",
            "RATE_LIMIT": "7 per minute",
            "RETENTION_MINUTES": "30",
        }
    }


def test_nobodys_credentials_reach_a_container(machine: Machine) -> None:
    environ = machine.sam["environ"]

    assert (environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"]) == ("local", "local")
    assert not environ.keys() & {"AWS_PROFILE", "AWS_SESSION_TOKEN"}
    assert environ["SAM_CLI_TELEMETRY"] == "0"


def test_s3_and_page_listen_for_this_machine_and_its_containers_only(machine: Machine) -> None:
    reachable = {
        (host, name)
        for host in (HOST, OWN, "127.0.0.3")
        for name in ("page", "s3")
        if is_open(host, machine.ports[name])
    }

    bridge = {(OWN, "s3")} if machine.bridge == OWN else set()
    assert reachable == {(HOST, "page"), (HOST, "s3"), *bridge}


def is_open(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(60)
        return probe.connect_ex((host, port)) == 0


def test_s3_has_the_bucket_of_the_template_behind_every_address(machine: Machine) -> None:
    key = f"uploads/{machine.bridge}"
    for host in {HOST, machine.bridge} - {ELSEWHERE}:
        address = f"http://{host}:{machine.ports['s3']}/pinch-temp"
        preflight = {"Origin": machine.url("page"), "Access-Control-Request-Method": "POST"}

        allowed = requests.options(address, headers=preflight, timeout=60)
        stored = post_form({"url": address, "fields": {"key": key}}, b"x")

        assert allowed.headers["Access-Control-Allow-Origin"] == machine.url("page")
        assert stored.status_code == 204


def test_an_end_ends_the_sam_cli_once_and_removes_what_it_left(tmp_path: Path) -> None:
    machine = Machine(tmp_path)

    with machine.running() as process:  # every other one is ended by an interrupt
        process.terminate()
        _, errors = process.communicate(timeout=60)

    assert (process.returncode, errors) == (0, "")
    assert (tmp_path / "ended.txt").read_text() == "interrupted"
    assert machine.docker[-2:] == [
        f"ps --all --quiet --filter volume={tmp_path / 'output' / 'functions'}",
        "rm --force 0f0f",
    ]
    for name in ("page", "s3", "api"):
        with pytest.raises(requests.ConnectionError):
            requests.get(machine.url(name), timeout=60)


@pytest.mark.parametrize("name", ["page", "api", "s3"])
def test_a_port_in_use_is_told_in_one_sentence(tmp_path: Path, fail: Fail, name: str) -> None:
    machine = Machine(tmp_path)
    with socket.create_server((HOST, machine.ports[name])):
        errors = fail(machine)

    assert errors == (
        f"Pinch cannot run: port {machine.ports[name]} is in use. End the program that uses it and try again.\n"
    )


def test_a_wrong_option_is_told_in_one_sentence(tmp_path: Path, fail: Fail) -> None:
    errors = fail(Machine(tmp_path), RATE_LIMIT="many")

    assert errors == "Pinch cannot run: RATE_LIMIT must read like '30 per minute', not 'many'.\n"


def test_a_missing_docker_is_told_in_one_sentence(tmp_path: Path, fail: Fail) -> None:
    errors = fail(Machine(tmp_path), PATH="/nonexistent")

    assert errors == "Pinch cannot run: the SAM CLI runs the API in Docker, which is missing. Install and start it.\n"


def test_a_docker_that_does_not_answer_is_told_in_one_sentence(tmp_path: Path, fail: Fail) -> None:
    machine = Machine(tmp_path)
    (tmp_path / "docker").write_text("#!/bin/sh\necho 'Is the daemon\n running?' >&2\nexit 1\n")

    assert fail(machine) == (
        "Pinch cannot run: Docker does not answer. Start it and try again. It says: Is the daemon running?\n"
    )


def test_a_missing_sam_cli_is_told_in_one_sentence(tmp_path: Path, fail: Fail) -> None:
    machine = Machine(tmp_path)
    (tmp_path / "sam").unlink()

    assert fail(machine) == "Pinch cannot run: the SAM CLI is missing. Run make sam-local, which installs it.\n"


def test_an_api_that_does_not_run_ends_everything(tmp_path: Path, fail: Fail) -> None:
    machine = Machine(tmp_path, status=502)

    assert fail(machine) == ("Pinch cannot run: the SAM CLI does not get the API to run. The lines above tell why.\n")
    assert (tmp_path / "ended.txt").exists()


def test_a_sam_cli_that_ends_by_itself_ends_everything(tmp_path: Path, fail: Fail) -> None:
    machine = Machine(tmp_path)
    (tmp_path / "sam").write_text("#!/bin/sh\necho 'Error: no such option' >&2\n")

    assert fail(machine) == (
        "Error: no such option\nPinch cannot run: the SAM CLI does not get the API to run. The lines above tell why.\n"
    )


@pytest.mark.parametrize(
    ("answer", "address"), [("172.17.0.1", "172.17.0.1"), ("172.17.0.0/16", "172.17.0.1"), ("10.9.0.0/24", "10.9.0.1")]
)
def test_the_bridge_is_found_when_docker_names_its_network_only(
    monkeypatch: pytest.MonkeyPatch, answer: str, address: str
) -> None:
    done = subprocess.CompletedProcess([], 0, stdout=f"{answer}\n", stderr="")
    monkeypatch.setattr(sam_local, "_docker", lambda *_: done)

    assert bridge_address() == address


def test_an_address_is_own_when_one_may_listen_there() -> None:
    assert is_own(HOST)
    assert not is_own(ELSEWHERE)


def test_the_copy_of_the_template_differs_in_the_artefact_and_two_variables_only() -> None:
    before, after = TEMPLATE.read_text().splitlines(), local_template().splitlines()

    added = [line.strip() for line in after if line not in before]
    removed = [line.strip() for line in before if line not in after]

    assert added == ["CodeUri: functions # made by `make build`", 'S3_ENDPOINT_URL: ""', 'S3_PUBLIC_ENDPOINT_URL: ""']
    assert removed == ["CodeUri: build/functions # made by `make build`"]


def test_the_copy_of_the_template_declares_every_variable_that_the_api_gets(machine: Machine, tmp_path: Path) -> None:
    copy = load_copy(tmp_path)
    given = json.loads((machine.folder / "output" / "environment.json").read_text())["ApiFunction"]

    declared = copy["Globals"]["Function"]["Environment"]["Variables"].keys()
    declared |= copy["Resources"]["ApiFunction"]["Properties"]["Environment"]["Variables"].keys()

    assert declared == given.keys()
    assert (
        copy["Resources"]["ApiFunction"]["Properties"]["Events"]["Any"]["Properties"]["PayloadFormatVersion"] == "1.0"
    )


def load_copy(folder: Path) -> Any:
    (folder / "template.yaml").write_text(local_template())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("infra.resources.TEMPLATE", folder / "template.yaml")
        return load_template()


def test_the_copy_of_the_template_is_valid(tmp_path: Path) -> None:
    (tmp_path / "functions").mkdir()
    (tmp_path / "template.yaml").write_text(local_template())

    command = [Path(sys.executable).with_name("cfn-lint"), tmp_path / "template.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("change", [("CodeUri: build/functions", "CodeUri: x"), ("TEMP_BUCKET:", "BUCKET:")])
def test_a_template_without_the_places_for_the_changes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: tuple[str, str]
) -> None:
    (tmp_path / "template.yaml").write_text(TEMPLATE.read_text().replace(*change))
    monkeypatch.setattr(sam_local, "TEMPLATE", tmp_path / "template.yaml")

    with pytest.raises(TemplateError, match="no longer has"):
        local_template()


def test_a_container_that_appears_late_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    removed: list[str] = []

    def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
        if arguments[0] == "rm":
            removed.append(arguments[-1])
        return subprocess.CompletedProcess([], 0, stdout="0f0f\n" if now >= 5 else "", stderr="")

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(sam_local, "time", SimpleNamespace(monotonic=lambda: now, sleep=sleep))
    monkeypatch.setattr(sam_local, "_docker", docker)

    sam_local._remove_containers(4)
    assert removed == []
    assert 4 <= now < 5
    sam_local._remove_containers(4)
    assert removed == ["0f0f"]
    assert 5 <= now < 6
