"""Holds README.md and docs/ to what they say: commands are run, links followed, tables compared with the code."""

import argparse
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree.ElementTree import parse

import boto3
import pytest
import requests
import yaml
from PIL import Image

from infra import cost, sam_local, setup
from infra.docs import DOCS, SCREENS, with_tables
from infra.sweeper import MAX_SWEEP_SECONDS
from optimizer import __version__
from optimizer.config import Config
from optimizer.limits import DOWNLOAD_LINK_SECONDS
from optimizer.problems import Problem
from optimizer.settings import PRESETS, PROPERTIES
from tests.journey import photo
from tests.product import ROOT, free_port

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
    names = [re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-") for heading in headings]
    return {f"{name}-{seen}" if (seen := names[:n].count(name)) else name for n, name in enumerate(names)}


@pytest.mark.parametrize("path", LINKING, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    text = CODE.sub("", path.read_text())
    found = re.findall(r'\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"|<(\w+:[^>\s]+)>|^\[[^\]]+\]: (\S+)', text, re.MULTILINE)
    links = [urlsplit(link) for links in found for link in links if link]

    assert {link.scheme for link in links} <= {"", "https"}
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
    return [command for command in found if command]


# Each command that the documents print is in one of these, by its first line, and a test below runs each of them.
SERVING = ("make run", "PORT=8080 make run")
CALLING = (f"curl -s {HERE}/api/openapi.json", f"API={HERE}")
LONG = (
    *("make check", "make test", "make test-all", "make coverage", "make sbom"),
    *("make bench", "make bench QUICK=1", "make load", "make load QUICK=1", "make audit"),
)
REGION = "export AWS_DEFAULT_REGION=eu-west-1"
DEPLOYING = {  # with the modules of ours and the commands of the SAM CLI that it starts
    "make deploy": (["build", "publish"], ["deploy"]),
    f"make deploy {CHOSEN}": (["build", "publish"], ["deploy"]),
    "make destroy": (["destroy"], ["delete"]),
    "make destroy STACK=pictures": (["destroy"], ["delete"]),
    "make sam-local": (["sam_local"], []),
}
CONTAINING = ("docker compose -f infra/compose.yaml up --build", "docker build -t pinch .")
PRINTED = dict.fromkeys(command for path in GUIDES for command in commands(path.read_text()))


def test_every_command_is_run_and_none_that_is_not_printed() -> None:
    ran = [*SERVING, *CALLING, *LONG, REGION, *DEPLOYING, *CONTAINING]

    assert sorted(command.partition("\n")[0] for command in PRINTED) == sorted(ran)


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


@contextmanager
def served(command: str, environ: dict[str, str]) -> Iterator[str]:
    """Yield the address of the product that the command serves; interrupt it as Ctrl-C does, and see that it ends."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
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
        assert process.stdout.readline() == f"Pinch is ready at {address}\n"
        yield address
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.communicate()
    with pytest.raises(requests.ConnectionError):
        requests.get(address, timeout=10)


@pytest.mark.processes
def test_make_run_serves_what_the_api_walk_through_calls(environ: dict[str, str], tmp_path: Path) -> None:
    describe, script = (next(each for each in PRINTED if each.startswith(start)) for start in CALLING)
    (tmp_path / "photo.jpg").write_bytes(photo())

    with served(SERVING[0], environ) as address:
        described = json.loads(shell(describe.replace(HERE, address), environ))
        output = shell(script.replace(HERE, address), environ, tmp_path)
        form = json.loads((tmp_path / "upload.json").read_text())["uploads"][0]
        s3 = boto3.client("s3", endpoint_url="http://" + urlsplit(form["url"]).netloc, region_name="us-east-1")
        left = s3.list_objects_v2(Bucket=Config().temp_bucket)["KeyCount"]

    assert "/api/settings" in described["paths"]
    assert output.rstrip().endswith("204")
    assert Image.open(BytesIO((tmp_path / "photo.webp").read_bytes())).format == "WEBP"
    assert left == 0


@pytest.mark.processes
@pytest.mark.parametrize("command", SERVING[1:])
def test_make_run_takes_its_options_from_the_environment(command: str, environ: dict[str, str]) -> None:
    with served(command, environ) as address:
        health = requests.get(f"{address}/api/health", timeout=30).json()

    assert health == json.loads(re.findall(r'`(\{"status".+?\})`', text_of("docs/api.md"))[0]) | {
        "version": __version__
    }


class Taken(Exception):
    """A module of ours takes its arguments."""


def assert_startable(told: str, config: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Assert that there is every program, file and part of the set-up that these commands name, and that each module
    takes its arguments.
    """
    for line in told.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)
        assert all((ROOT / word).exists() for word in words if word.startswith((".venv/", ".tools/"))), line
        for start in (
            n + 2 for n, pair in enumerate(pairwise(words)) if pair[0].endswith("python") and pair[1] == "-m"
        ):
            module, *arguments = takewhile(lambda word: word not in ("&&", ">", "|", ";"), words[start:])
            if module == "pytest":
                assert_taken_by_pytest(arguments, config)
            else:
                assert_taken(module, arguments, monkeypatch)
    files = re.findall(r"--(?:config|template)-file (\S+)", told)
    assert all((ROOT / file).is_file() for file in files)
    parts = re.findall(r"python3 infra/setup\.py (\w+)", setup.__doc__ or "")
    assert set(re.findall(r"infra/setup\.py (\w+)", told)) <= set(parts)


def assert_taken_by_pytest(arguments: list[str], config: pytest.Config) -> None:
    chosen = config._parser.parse(arguments)  # raises UsageError
    marks = {line.partition(":")[0] for line in config.getini("markers")}
    assert set(re.findall(r"\w+", chosen.markexpr)) <= marks | {"not", "and", "or"}
    assert all((ROOT / path.partition("::")[0]).exists() for path in chosen.file_or_dir)


def assert_taken(module: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Assert that the module is there and that its parser takes these arguments; one without a parser takes none."""
    spec = find_spec(module)
    assert spec, module
    if spec.submodule_search_locations:
        module = f"{module}.__main__"
        spec = find_spec(module)
        assert spec, module
    assert spec.origin
    if "argparse" not in Path(spec.origin).read_text():
        assert not arguments, module
        return
    parse_args = argparse.ArgumentParser.parse_args

    def take(*given: Any) -> None:
        parse_args(*given)  # exits where it is told what it does not know
        raise Taken

    with monkeypatch.context() as patched:
        patched.setattr(argparse.ArgumentParser, "parse_args", take)
        patched.setattr(sys, "argv", [module, *arguments])
        with pytest.raises(Taken):
            import_module(module).main()


@pytest.mark.processes
@pytest.mark.parametrize("command", LONG)
def test_what_a_long_command_would_start_is_there_and_takes_its_options(
    command: str, environ: dict[str, str], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = shell(command, environ | {"MAKEFLAGS": "n", "PYTHON": "python3"})

    assert "python -m " in planned
    assert_startable(planned, request.config, monkeypatch)


def test_an_option_that_a_module_does_not_know_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, arguments in (("tests.load", ["--slow"]), ("infra.build", ["--architecture", "z80"])):
        with pytest.raises(SystemExit):
            assert_taken(module, arguments, monkeypatch)


# The parser of the real program, whose commands do nothing.
PARSE_AS_SAM = """
import json, sys
import click
from samcli.cli.main import cli

click.Command.invoke = lambda *_: None
for arguments in json.load(sys.stdin):
    cli.main(arguments, prog_name="sam", standalone_mode=False)
"""


@pytest.mark.processes
def test_deploying_tells_the_sam_cli_what_it_takes(
    environ: dict[str, str], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = stub(tmp_path, "python", "sam")
    monkeypatch.setattr(sam_local, "OUTPUT", tmp_path)
    (tmp_path / "environment.json").write_text("{}")
    (tmp_path / "template.yaml").write_text(sam_local.local_template())
    told_to_sam = [[*sam_local.sam_command(Config(page_origin=HERE))[1:], "--skip-pull-image"]]

    for command, (modules, verbs) in DEPLOYING.items():
        shell(command, environ | {"MAKEFLAGS": f"-- PYTHON=true BIN={tmp_path} SAM={tmp_path}"})
        told = calls.read_text()
        calls.unlink()

        stack = (re.findall(r"STACK=(\S+)", command) or ["pinch"])[0]
        assert re.findall(r"^python -m infra\.(\w+)", told, re.MULTILINE) == modules
        assert re.findall(r"^sam (\w+) .*--stack-name (\S+)", told, re.MULTILINE) == [(verb, stack) for verb in verbs]
        for value in re.findall(r"ARCHITECTURE=(\S+)", command):
            assert f"infra.build --architecture {value}\n" in told
            assert f"--parameter-overrides Architecture={value} " in told
        assert_startable(told, request.config, monkeypatch)
        told_to_sam += [line.split()[1:] for line in told.splitlines() if line.startswith("sam ")]

    assert f"OPTIONS={told_to_sam[0][-1]}`" in text_of("docs/deploy.md")
    python = ROOT / ".tools" / "aws-sam-cli" / "bin" / "python"
    subprocess.run(
        [python, "-W", "ignore", "-c", PARSE_AS_SAM],
        cwd=ROOT,
        env=environ | {"HOME": str(tmp_path), "SAM_CLI_TELEMETRY": "0"},
        input=json.dumps(told_to_sam),
        text=True,
        check=True,
    )


@pytest.mark.processes
def test_the_region_is_one_of_lambda(environ: dict[str, str]) -> None:
    region = shell(f"{REGION}\nprintenv AWS_DEFAULT_REGION", environ).strip()

    assert region in boto3.Session().get_available_regions("lambda")


@pytest.mark.processes
@pytest.mark.parametrize("command", CONTAINING)
def test_docker_is_told_to_use_what_is_there(command: str, environ: dict[str, str], tmp_path: Path) -> None:
    calls = stub(tmp_path, "docker")

    shell(command, environ | {"PATH": f"{tmp_path}{os.pathsep}{environ['PATH']}"})

    # test_container.py runs what the files say.
    stages = re.findall(r"^FROM \S+ AS (\w+)$", text_of("Dockerfile"), re.MULTILINE)
    match calls.read_text().split():
        case ["docker", "compose", "-f", file, "up", "--build"]:
            services = yaml.safe_load(text_of(file))["services"].values()
            for build in (service["build"] for service in services if "build" in service):
                wanted = build if isinstance(build, dict) else {"context": build}
                assert (ROOT / file).parent.joinpath(wanted["context"], "Dockerfile").is_file()
                assert wanted.get("target") in (*stages, None)
        case ["docker", "build", "-t", tag, context]:
            assert re.fullmatch("[a-z0-9]+", tag)
            assert (ROOT / context / "Dockerfile").is_file()
        case other:
            pytest.fail(f"nothing here knows whether Docker takes {other}")


def test_every_refusal_that_a_document_names_is_one_of_the_code() -> None:
    refusals = {(str(each.status), each.code) for each in Problem.__subclasses__()}
    named = set(re.findall(r"\b([45]\d\d) `(\w+)`", "".join(path.read_text() for path in GUIDES)))

    assert named
    assert named <= refusals


def test_what_an_image_costs_grows_with_its_time_and_bytes_as_priced() -> None:
    nothing = cost.dollars_per_1000(0, 0)

    assert cost.dollars_per_1000(1, 0) - nothing == pytest.approx(1_000 * 3008 / 1024 * cost.LAMBDA_GB_SECOND)
    assert cost.dollars_per_1000(0, 10**6) - nothing == pytest.approx(cost.TRANSFER_GB)
    assert nothing > 1_000 * cost.REQUESTS * cost.HTTP_API_REQUEST
