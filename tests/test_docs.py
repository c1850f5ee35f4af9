"""Holds README.md and docs/ to what they say: commands are run, links followed, tables compared with the code."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree.ElementTree import parse

import boto3
import pytest
import requests
from PIL import Image

from infra import cost, setup
from infra.docs import DOCS, SCREENS, with_tables
from infra.sweeper import MAX_SWEEP_SECONDS
from optimizer.config import Config
from optimizer.limits import DOWNLOAD_LINK_SECONDS
from optimizer.settings import PRESETS, PROPERTIES
from tests.journey import photo
from tests.product import ROOT, free_port, running

README = ROOT / "README.md"
GUIDES = [README, *sorted(DOCS.glob("*.md"))]
NAMES = ("README", "CONTRIBUTING", "SECURITY", "CHANGELOG", "SESSION_NOTES")
LINKING = [*(ROOT / f"{name}.md" for name in NAMES), *sorted(DOCS.rglob("*.md"))]
MAX_LINES, MAX_ENTRIES = 150, 22
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
HERE = "http://127.0.0.1:5001"
CHOSEN = 'STACK=pictures ARCHITECTURE=x86_64 PARAMETERS="RateLimit=60/minute AlarmEmail=me@example.com"'


def text_of(name: str) -> str:
    return (ROOT / name).read_text()


@pytest.mark.processes
def test_the_tables_are_those_of_the_declaration_and_of_the_benchmark() -> None:
    texts = with_tables()

    assert all(path.read_text() == text for path, text in texts.items())
    assert all(f"| `{name}` |" in texts[DOCS / "api.md"] for name in PROPERTIES)


def test_every_table_is_where_it_belongs_and_every_picture_is_shown() -> None:
    made = {
        path.name: names
        for path in (*GUIDES, ROOT / "SECURITY.md")
        if (names := re.findall("<!-- ([a-z]+): made by `make format` -->", path.read_text()))
    }

    assert made == {
        "api.md": ["settings"],
        "deploy.md": ["costs"],
        "limits.md": ["limits"],
        "measuring.md": ["audit"],
        "page.md": ["screens"],
        "SECURITY.md": ["limits"],
    }
    assert all(parse(drawing).getroot().get("viewBox") for drawing in DOCS.glob("*.svg"))
    assert {path.stem for path in (DOCS / "screens").iterdir()} == {f"{state}-{kind}" for state, kind in SCREENS}


def test_the_page_and_the_promises_say_the_numbers_of_the_code() -> None:
    privacy = text_of("web/privacy.html")
    minutes = {DOWNLOAD_LINK_SECONDS // 60: ("ten minutes", "zehn Minuten")}

    assert all(word in privacy for word in minutes[DOWNLOAD_LINK_SECONDS // 60])
    assert privacy.count(f"{Config().retention_minutes} Min") + privacy.count(f"{Config().retention_minutes} min") == 2
    assert MAX_SWEEP_SECONDS == 5 * 60
    assert "a sweep every five minutes takes what is two thirds as old" in text_of("SECURITY.md")
    assert {7: "Seven presets"}[len(PRESETS)] in text_of("docs/page.md")


def test_the_options_are_all_that_the_config_reads_with_their_defaults() -> None:
    rows = dict(re.findall(r"^\| `([A-Z0-9_]+)` \| (.+?) \|", text_of("docs/deploy.md"), re.MULTILINE))
    config = Config()

    assert list(rows) == [
        "PORT", "RATE_LIMIT", "RATELIMIT_STORAGE_URI", "RETENTION_MINUTES", "TEMP_BUCKET",
        "S3_ENDPOINT_URL", "S3_PUBLIC_ENDPOINT_URL", "PAGE_ORIGIN", "AWS_REGION",
    ]  # fmt: skip
    for name, cell in rows.items():
        default = getattr(config, name.lower())
        assert default is None or cell == f"`{default}`"


@pytest.mark.processes
def test_the_front_door_is_short() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert len(README.read_text().splitlines()) <= MAX_LINES
    assert len({path.partition("/")[0] for path in tracked.splitlines()}) <= MAX_ENTRIES


def anchors(path: Path) -> set[str]:
    """Return what a link into the file may name: its headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"(?ms)^```.*?^```$", "", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", LINKING, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    text = CODE.sub("", path.read_text())
    links = [
        urlsplit(link) for link in re.findall(r'\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"', text) for link in link if link
    ]

    for link in (each for each in links if not each.scheme):
        target = path.parent / link.path if link.path else path
        assert target.exists(), link.geturl()
        assert not link.fragment or link.fragment in anchors(target), link.geturl()


def test_every_command_of_make_that_a_document_names_is_one() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
    named = {name for path in LINKING for name in re.findall(r"`(?:\w+=\S+ )?make ([a-z-]+)", path.read_text())}

    assert named <= targets


def commands(text: str) -> list[str]:
    """Return the commands of its shell blocks without their comments; a script with variables of its own is one."""
    found = []
    for block in re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if block.startswith("API="):
            found.append(block)
        else:
            found += [line.partition(" # ")[0].strip() for line in block.splitlines()]
    return found


@pytest.fixture
def environ() -> dict[str, str]:
    """The environment of a command, without what a make above it, or a person, has set."""
    own = {*re.findall(r"`([A-Z0-9_]+)` \|", text_of("docs/deploy.md")), "MAKELEVEL", "MAKEFLAGS", "MFLAGS"}
    return {name: value for name, value in os.environ.items() if name not in own}


def shell(command: str, environ: dict[str, str], folder: Path = ROOT) -> str:
    """Run a command as it is printed, and return what it printed."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def stub(folder: Path, *names: str) -> Path:
    """Make programs that note what they are told in calls.txt beside them; returns it."""
    for name in names:
        (folder / name).write_text(f'#!/bin/sh\necho "{name} $*" >>"{folder}/calls.txt"\n')
        (folder / name).chmod(0o755)
    return folder / "calls.txt"


def assert_startable(text: str) -> None:
    """Assert that there is every module, file and part of the set-up that these commands name."""
    modules = re.findall(r"python -m ([\w.]+)", text)
    for module in modules:
        spec = find_spec(module)
        assert spec, module
        assert not spec.submodule_search_locations or find_spec(f"{module}.__main__"), module
    files = re.findall(r"(?:-f|--(?:config|template)-file) (\S+)", text)
    assert all((ROOT / file).is_file() for file in files if not file.startswith("build/"))  # that is made on the way
    parts = re.findall(r"python3 infra/setup\.py (\w+)", setup.__doc__ or "")
    assert set(re.findall(r"infra/setup\.py (\w+)", text)) <= set(parts)


def serves(command: str, environ: dict[str, str], folder: Path) -> None:
    """It serves the product until it is interrupted."""
    port = free_port()
    process = subprocess.Popen(
        ["bash", "-c", command.replace("PORT=8080", f"PORT={port}")],
        cwd=ROOT,
        env=environ | {"PORT": str(port), "MAKEFLAGS": "-- PYTHON=true"},  # the tests run on what is set up already
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    try:
        assert process.stdout.readline() == f"Pinch is ready at http://127.0.0.1:{port}\n"
        health = requests.get(f"http://127.0.0.1:{port}/api/health", timeout=30).json()
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.communicate()

    assert health["status"] == "ok"
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{port}", timeout=10)


def would_start(command: str, environ: dict[str, str], folder: Path) -> None:
    """It takes long, or changes the machine: what make would start is there."""
    planned = shell(command, environ | {"MAKEFLAGS": "n"})

    assert "python -m " in planned
    assert_startable(planned)


def deploys(command: str, environ: dict[str, str], folder: Path) -> None:
    """It tells the SAM CLI and our own modules what to do with the stack that it names."""
    calls = stub(folder, "python", "sam")

    shell(command, environ | {"MAKEFLAGS": f"-- PYTHON=true BIN={folder} SAM={folder}"})

    target, stack = command.split()[1], (re.findall(r"STACK=(\S+)", command) or ["pinch"])[0]
    told = calls.read_text()
    assert_startable(told)
    assert (
        re.findall(r"python -m infra\.(\w+)", told)
        == {
            "deploy": ["build", "publish"],
            "destroy": ["destroy"],
            "sam-local": ["sam_local"],
        }[target]
    )
    assert (
        re.findall(r"^sam (\w+) .*--stack-name (\S+)", told, re.MULTILINE)
        == {
            "deploy": [("deploy", stack)],
            "destroy": [("delete", stack)],
            "sam-local": [],
        }[target]
    )
    for value in re.findall(r"ARCHITECTURE=(\S+)", command):
        assert f"infra.build --architecture {value}\n" in told
        assert f"--parameter-overrides Architecture={value} " in told


def tells_docker(command: str, environ: dict[str, str], folder: Path) -> None:
    """Docker is told to use files that are there; test_container.py looks at what is in them."""
    calls = stub(folder, "docker")

    shell(command, environ | {"PATH": f"{folder}{os.pathsep}{environ['PATH']}"})

    assert calls.read_text() == f"{command}\n"
    assert_startable(command)
    assert (ROOT / "Dockerfile").is_file()


def names_a_region(command: str, environ: dict[str, str], folder: Path) -> None:
    region = shell(f"{command}\nprintenv AWS_DEFAULT_REGION", environ).strip()

    assert region in boto3.Session().get_available_regions("lambda")


def describes_the_api(command: str, environ: dict[str, str], folder: Path) -> None:
    with running() as (_, address):
        answer = json.loads(shell(command.replace(HERE, address), environ))

    assert "/api/settings" in answer["paths"]


def walks_through(command: str, environ: dict[str, str], folder: Path) -> None:
    (folder / "photo.jpg").write_bytes(photo())

    with running() as (_, address):
        output = shell(command.replace(HERE, address), environ, folder)
        form = json.loads((folder / "upload.json").read_text())["uploads"][0]
        s3 = boto3.client("s3", endpoint_url="http://" + urlsplit(form["url"]).netloc, region_name="us-east-1")
        left = s3.list_objects_v2(Bucket=Config().temp_bucket)["KeyCount"]

    assert output.rstrip().endswith("204")
    assert Image.open(BytesIO((folder / "photo.webp").read_bytes())).format == "WEBP"
    assert left == 0


# How each command is run; a script goes by its first line.
RUN: dict[str, Callable[[str, dict[str, str], Path], None]] = {
    "make run": serves,
    "PORT=8080 make run": serves,
    "make check": would_start,
    "make test": would_start,
    "make test-all": would_start,
    "make coverage": would_start,
    "make sbom": would_start,
    "make bench": would_start,
    "make bench QUICK=1": would_start,
    "make load": would_start,
    "make load QUICK=1": would_start,
    "make audit": would_start,
    "make deploy": deploys,
    f"make deploy {CHOSEN}": deploys,
    "make destroy": deploys,
    "make destroy STACK=pictures": deploys,
    "make sam-local": deploys,
    "docker compose -f infra/compose.yaml up --build": tells_docker,
    "docker build -t pinch .": tells_docker,
    "export AWS_DEFAULT_REGION=eu-west-1": names_a_region,
    f"curl -s {HERE}/api/openapi.json": describes_the_api,
    f"API={HERE}": walks_through,
}
PRINTED = list(dict.fromkeys(command for path in GUIDES for command in commands(path.read_text())))


def test_every_command_is_run_and_none_that_is_not_printed() -> None:
    assert sorted(command.partition("\n")[0] for command in PRINTED) == sorted(RUN)


@pytest.mark.processes
@pytest.mark.parametrize("command", PRINTED, ids=lambda command: command.partition("\n")[0])
def test_a_command_works_as_it_is_printed(command: str, environ: dict[str, str], tmp_path: Path) -> None:
    RUN[command.partition("\n")[0]](command, environ, tmp_path)


def test_what_an_image_costs_grows_with_its_time_and_bytes_as_priced() -> None:
    nothing = cost.dollars_per_1000(0, 0)

    assert cost.dollars_per_1000(1, 0) - nothing == pytest.approx(1_000 * 3008 / 1024 * cost.LAMBDA_GB_SECOND)
    assert cost.dollars_per_1000(0, 10**6) - nothing == pytest.approx(cost.TRANSFER_GB)
    assert nothing > 1_000 * cost.REQUESTS * cost.HTTP_API_REQUEST
