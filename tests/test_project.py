"""What strong projects have: a workflow, forms, a changelog, decisions, and a folder that explains itself."""

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.setup import ROOT
from optimizer import __version__

DECISIONS = ROOT / "docs" / "decisions"
RECORDS = sorted(DECISIONS.glob("[0-9]*.md"))
FORMS = [path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml"]
MAX_NOTES = 80


@cache
def tracked() -> list[str]:
    return subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\0"
    )[:-1]


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_the_workflow_runs_make_test_on_the_oldest_and_a_new_python_and_on_arm64() -> None:
    workflow = read(ROOT / ".github" / "workflows" / "test.yml")
    job = workflow["jobs"]["test"]
    machines = {(each["runner"], each["python"]) for each in job["strategy"]["matrix"]["include"]}

    assert job["steps"][-1] == {"run": "make test"}
    assert workflow["permissions"] == {"contents": "read"}
    assert machines == {("ubuntu-latest", "3.11"), ("ubuntu-latest", "3.13"), ("ubuntu-24.04-arm", "3.13")}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_asks_each_thing_once(path: Path) -> None:
    form = read(path)
    names = [field["id"] for field in form["body"]]

    assert form["name"]
    assert form["description"]
    assert len(names) == len(set(names)) > 0
    assert all(field["attributes"]["label"] for field in form["body"])


def test_the_changelog_names_the_version_and_its_day() -> None:
    versions = re.findall(r"^## \[(.+?)\](?: - (.+))?$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert versions[0] == ("Unreleased", "")
    assert versions[1][0] == __version__
    assert all(re.fullmatch(r"\d{4}-\d{2}-\d{2}", day) for _, day in versions[1:])


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_decision_has_its_parts_and_is_listed(path: Path) -> None:
    text = path.read_text()

    assert re.findall("^#+ (.*)", text, re.MULTILINE)[1:] == ["Context", "Decision", "Consequence"]
    assert f"[{text.splitlines()[0].removeprefix('# ')}]({path.name})" in (DECISIONS / "README.md").read_text()


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(path.name[:4]) for path in RECORDS] == [*range(1, len(RECORDS) + 1)]


def test_the_notes_are_short() -> None:
    assert len((ROOT / "SESSION_NOTES.md").read_text().splitlines()) <= MAX_NOTES


@pytest.mark.processes
def test_everything_at_the_root_has_a_line_in_contributing() -> None:
    entries = {name.partition("/")[0] + "/" * ("/" in name) for name in tracked()}
    lines = re.findall(r"^\| `([^`]+)` \| .+ \|$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)

    assert {line for line in lines if line.strip("/").count("/") == 0} >= entries


@pytest.mark.processes
def test_text_ends_with_one_line_end_and_has_no_carriage_return() -> None:
    for name in tracked():
        data = (ROOT / name).read_bytes()
        if data and b"\0" not in data and not name.startswith(("tests/corpus/", "web/vendor/")):
            assert data.endswith(b"\n"), name
            assert not data.endswith(b"\n\n"), name
            assert b"\r" not in data, name
