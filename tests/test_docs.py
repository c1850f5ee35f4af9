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


def text_of(name: str) -> str:
    return (ROOT / name).read_text()


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
    links = [urlsplit(link) for link in re.findall(r'\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"', text) for link in link if link]

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
def environ(tmp_path: Path) -> dict[str, str]:
    """The environment of a command, without what a make above it, or a person, has set."""
    own = {*re.findall(r"`([A-Z0-9_]+)` \|", text_of("docs/deploy.md")), "MAKELEVEL", "MAKEFLAGS", "MFLAGS"}
    return {name: value for name, value in os.environ.items() if name not in own}


def shell(command: str, environ: dict[str, str], folder: Path = ROOT) -> str:
    """Run a command as it is printed, and return what it printed."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
