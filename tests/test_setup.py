import os
import shutil
import subprocess
from pathlib import Path

import pytest

from infra import setup

ROOT = Path(__file__).parent.parent


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", "-s", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("target", ["run", "lint"])
def test_a_missing_python_is_told_in_one_sentence(target: str) -> None:
    done = make(target, "PYTHON=")

    assert done.returncode != 0
    assert done.stdout.startswith("Pinch needs Python 3.11 or newer with venv. Install it ")


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


def test_a_missing_browser_that_cannot_be_installed_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setattr(shutil, "which", lambda *_: None)

    with pytest.raises(setup.SetupError, match="need Chromium"):
        setup.install_browser()


def test_what_is_set_up_already_is_not_set_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise AssertionError(args)

    monkeypatch.setattr(subprocess, "run", fail)

    assert setup.main("dev") == 0


def test_a_failing_installer_is_told_with_what_it_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(setup.SetupError, match="Check the network"):
        setup.run(["sh", "-c", "echo no route; exit 1"], "Check the network.")

    assert "no route" in capsys.readouterr().err
