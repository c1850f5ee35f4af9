"""What is installed is what the requirements ask for, at the locked versions, and nothing with another hash."""

import hashlib
import re
import sys
import venv
from functools import cache
from importlib.metadata import Distribution
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra import build as building
from infra import setup
from infra.lock import PRODUCT, read_lock
from infra.setup import LOCKS, ROOT, TOOLS, listed
from tests.packages import installed, locked

parse = cache(Requirement)  # an extra of many has hundreds of lines
PROGRAMS = {line.partition("==")[0]: line for line in listed("tools.txt")}


def lines(file: Path) -> list[str]:
    """Return the requirements of a file and of those it names."""
    found = []
    for line in listed(file):
        found += lines(file.parent / line.removeprefix("-r ")) if line.startswith("-r ") else [line]
    return found


def brought(requirements: list[str], there: dict[str, Distribution]) -> dict[str, str]:
    """Return what requirements bring here, with versions, as the metadata of what is installed tells."""
    todo = [(parse(line), "") for line in requirements]
    done = set()
    while todo:
        requirement, extra = todo.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        package = there[canonicalize_name(requirement.name)]
        assert package.version in requirement.specifier
        for asked in {"", *requirement.extras}:
            if (package.name, asked) not in done:
                done.add((package.name, asked))
                todo += [(parse(line), asked) for line in package.requires or []]
    return {name: there[name].version for name in {canonicalize_name(name) for name, _ in done}}


@pytest.mark.parametrize("file", PRODUCT, ids=lambda file: file.name)
def test_a_lock_has_just_what_the_requirements_bring(file: Path) -> None:
    assert brought(lines(file), installed(Path(sys.prefix))) == locked(file.name)


@pytest.mark.parametrize("name", setup.DEV_TOOLS)
def test_the_lock_of_a_program_has_just_what_it_brings(name: str) -> None:
    assert brought([PROGRAMS[name]], installed(TOOLS / name)) == locked(f"{name}.txt")


def test_every_program_and_peer_is_locked_as_it_is_listed() -> None:
    peers = [line for line in listed("bench-tools.txt") if "==" in line]
    listed_and_locked = [(f"{name}.txt", line) for name, line in PROGRAMS.items()]
    listed_and_locked += [("bench-tools.txt", line) for line in peers]

    for lock, line in listed_and_locked:
        assert f"\n{line} " in (LOCKS / lock).read_text()


@pytest.mark.parametrize("lock", sorted(LOCKS.iterdir()), ids=lambda lock: lock.name)
def test_every_package_has_hashes_and_no_lock_names_an_index(lock: Path) -> None:
    text = lock.read_text()

    for package in read_lock(lock):
        assert package.hashes
        assert all(re.fullmatch("[0-9a-f]{64}", each) for each in package.hashes)
    assert re.search(r"://|--index|--find-links|/", text) is None


def write_wheel(folder: Path) -> str:
    """Write the wheel of a package with nothing in it, and return its hash."""
    path = folder / "nothing-1.0-py3-none-any.whl"
    info = "nothing-1.0.dist-info"
    with ZipFile(path, "w") as wheel:
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: nothing\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def local_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let pip find one wheel and no index; returns its hash."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    return write_wheel(tmp_path)


@pytest.mark.processes
def test_setup_refuses_what_has_another_hash_or_none(
    local_wheel: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = tmp_path / "environment"
    monkeypatch.setattr(setup, "LOCKS", tmp_path)
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    venv.create(environment)
    (site_packages,) = environment.glob("lib/python*/site-packages")
    (own,) = Path(sys.prefix).glob("lib/python*/site-packages")
    (site_packages / "pip.pth").write_text(str(own))  # where pip is

    for pin in (f"nothing==1.0 --hash=sha256:{'0' * 64}", "nothing==1.0"):
        (tmp_path / "lock.txt").write_text(pin)
        with pytest.raises(setup.SetupError, match="could not be installed"):
            setup._install(environment, ".ready", "lock.txt")
        assert re.search("DO NOT MATCH THE HASHES|Hashes are required", capsys.readouterr().err)
        assert "nothing" not in installed(environment)

    (tmp_path / "lock.txt").write_text(f"nothing==1.0 --hash=sha256:{local_wheel}")
    setup._install(environment, ".ready", "lock.txt")
    assert "nothing" in installed(environment)


@pytest.mark.processes
@pytest.mark.usefixtures("local_wheel")
def test_the_build_refuses_what_has_another_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "LOCKS", tmp_path)
    (tmp_path / "requirements.txt").write_text(f"nothing==1.0 --hash=sha256:{'0' * 64}")

    with pytest.raises(building.BuildError, match="DO NOT MATCH THE HASHES"):
        building.build(tmp_path / "functions", "arm64", building.runtime())


def test_the_image_installs_by_hash_only() -> None:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
    commands = re.findall(r"\bpip .*?\binstall\b(.*?)(?:&&|$)", text, re.MULTILINE)

    assert len(commands) == 3
    for options in commands:
        assert re.search(r" --no-deps --require-hashes -r requirements/locks/[a-z]+\.txt *$", options)
