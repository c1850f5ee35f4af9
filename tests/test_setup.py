import os
import shutil
import subprocess
from pathlib import Path

import pytest

from infra import setup

ROOT = Path(__file__).parent.parent


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", "-s", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.processes
@pytest.mark.parametrize("target", ["run", "lint"])
def test_a_missing_python_is_told_in_one_sentence(target: str) -> None:
    done = make(target, "PYTHON=")

    assert done.returncode != 0
    assert done.stdout.startswith("Pinch needs Python 3.11 or newer with venv. Install it ")


@pytest.mark.processes
def test_make_alone_tells_what_there_is() -> None:
    assert "make run" in make().stdout


def test_a_folder_that_cannot_be_written_is_told_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)

    status = setup.main("local")

    assert status == 1
    assert capsys.readouterr().err == (
        f"Pinch cannot set up: the folder {ROOT} cannot be written. Clone the project where you may write.\n"
    )


def without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    """Let the system have everything but these programs."""
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: None if name in missing else f"/usr/bin/{name}")


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        (setup.BROWSERS, "Chromium (or name another browser: CHROMIUM=/path make test)"),
        (("redis-server",), "redis-server"),
    ],
)
def test_a_missing_program_that_cannot_be_installed_is_told_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...], named: str
) -> None:
    without(monkeypatch, *missing, "apt-get")

    with pytest.raises(setup.SetupError) as refusal:
        setup.install_system_packages()

    assert str(refusal.value) == f"the tests need {named}. Install what is missing and run make again."


@pytest.mark.parametrize(
    ("missing", "packages"),
    [
        (setup.BROWSERS, ["chromium-headless-shell", "fonts-inter"]),
        (("redis-server",), ["redis-server"]),
        ((*setup.BROWSERS, "redis-server"), ["chromium-headless-shell", "fonts-inter", "redis-server"]),
    ],
)
def test_root_gets_just_what_is_missing_from_the_system(
    monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...], packages: list[str]
) -> None:
    commands: list[list[str]] = []
    without(monkeypatch, *missing)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(setup, "run", lambda command, *_, **__: commands.append(command))

    setup.install_system_packages()

    assert commands == [
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-qq", "--no-install-recommends", *packages],
    ]


def test_what_is_set_up_already_is_not_set_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise AssertionError(args)

    monkeypatch.setattr(subprocess, "run", fail)

    assert setup.main("dev") == 0


ALL = ["install", "--prefix", "NODE", *setup.NPM_OPTIONS]
WITHOUT_DEV = [*ALL, "--omit=dev"]


@pytest.mark.parametrize(
    ("targets", "installed"),
    [
        (["local"], [WITHOUT_DEV]),
        (["dev"], [ALL]),
        (["local", "local"], [WITHOUT_DEV]),
        (["local", "dev", "dev"], [WITHOUT_DEV, ALL]),
        (["dev", "local", "dev"], [ALL]),
        (["dev", "change", "local", "dev"], [ALL, WITHOUT_DEV, ALL]),
    ],
    ids=str,
)
def test_node_packages_are_added_where_some_are_missing_and_never_taken_away(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, targets: list[str], installed: list[list[str]]
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    monkeypatch.setattr(setup, "NODE_MODULES", tmp_path / "node" / "node_modules")
    name = {str(tmp_path / "node"): "NODE"}
    add = commands.append
    monkeypatch.setattr(setup, "run", lambda command, *_, **__: add([name.get(str(x), str(x)) for x in command[1:]]))
    (tmp_path / "node" / "node_modules").mkdir(parents=True)
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "package.json").touch()

    for target in targets:
        if target == "change":
            (tmp_path / "web" / "package.json").write_text("{}")
        else:
            setup.install_node_packages(dev=target == "dev")

    assert commands == installed


def test_a_program_of_npm_is_installed_once_in_a_folder_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commands: list[list[str]] = []
    (tmp_path / "lighthouse").mkdir()  # as npm does
    monkeypatch.setattr(setup, "TOOLS", tmp_path)
    monkeypatch.setattr(setup, "run", lambda command, *_, **__: commands.append([str(part) for part in command]))

    setup.install_node_tools()
    setup.install_node_tools()

    assert [command[1:5] for command in commands] == [
        ["install", "--prefix", str(tmp_path / "lighthouse"), "--no-package-lock"]
    ]
    assert commands[0][-1].startswith("lighthouse@")


def test_the_peers_of_the_benchmark_are_installed_once_apart_from_the_product(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commands: list[list[str]] = []
    lock = str(setup.LOCKS / "bench-tools.txt")
    for name, folder in (("ROOT", "."), ("NODE_PEERS", "node"), ("PYTHON_PEERS", "python")):
        monkeypatch.setattr(setup, name, tmp_path / folder)
    (tmp_path / "node").mkdir()
    (tmp_path / "python" / "bin").mkdir(parents=True)
    (tmp_path / "python" / "bin" / "python").touch()
    monkeypatch.setattr(setup, "run", lambda command, *_, **__: commands.append([str(part) for part in command]))

    setup.install_peers()
    setup.install_peers()

    by_pip, by_npm = commands
    assert by_pip[0] == str(tmp_path / "python" / "bin" / "python")
    assert by_npm[1:5] == ["install", "--prefix", str(tmp_path / "node"), "--no-package-lock"]
    assert by_pip[-4:] == ["--no-deps", "--require-hashes", "-r", lock]
    assert any(part.startswith("@jsquash/jpeg@") for part in by_npm)


@pytest.mark.processes
def test_a_failing_installer_is_told_with_what_it_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(setup.SetupError, match="Check the network"):
        setup.run(["sh", "-c", "echo no route; exit 1"], "Check the network.")

    assert "no route" in capsys.readouterr().err
