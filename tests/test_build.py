"""The artefact for the other processor, and what the repository must not hold."""

import json
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import botocore
import pytest
from time_machine import travel

from infra import build as building
from infra.build import BuildError, build, find_python, own_architecture, runtime
from infra.sbom import CYCLONEDX, list_packages
from optimizer import __version__
from tests.once import once
from tests.packages import locked

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parent.parent
ELF_MACHINE = {"arm64": 183, "x86_64": 62}  # e_machine: EM_AARCH64, EM_X86_64
SECRET = re.compile(rb"AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY|aws_secret_access_key\s*=\s*[A-Za-z0-9/+]{40}")


@pytest.fixture(scope="module")
def arm64(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once(tmp_path_factory, "arm64", lambda output: build(output, "arm64", runtime()))


def test_every_library_is_for_the_processor_and_none_is_left_to_compile(arm64: Path) -> None:
    libraries = [path for path in arm64.rglob("*") if ".so" in path.suffixes and path.is_file()]
    machines = {struct.unpack_from("<H", path.read_bytes()[:20], 18)[0] for path in libraries}

    assert sum(path.stat().st_size for path in arm64.rglob("*") if path.is_file()) <= 200 * 10**6
    assert len(libraries) > 50
    assert machines == {ELF_MACHINE["arm64"]}
    assert list(arm64.glob("cv2/cv2*.so"))


def test_the_modules_are_compiled_for_the_runtime_wherever_its_python_is(arm64: Path) -> None:
    compiled = {path.suffixes[0] for path in arm64.rglob("*.pyc")}

    assert compiled == ({f".cpython-{runtime().replace('.', '')}"} if find_python(runtime()) else set())


def test_the_sbom_lists_just_what_is_deployed_with_licences_and_hashes(arm64: Path, tmp_path: Path) -> None:
    output = tmp_path / "sbom.json"
    validate = (
        "import sys; from cyclonedx.schema import SchemaVersion; from cyclonedx.validation.json import "
        "JsonStrictValidator; print(JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read()))"
    )

    list_packages(arm64, output)

    command = [str(CYCLONEDX.with_name("python")), "-c", validate]
    done = subprocess.run(command, input=output.read_text(), capture_output=True, text=True, check=True)
    assert done.stdout == "None\n"  # no error
    sbom = json.loads(output.read_text())
    assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.6")
    component = sbom["metadata"]["component"]
    assert (component["name"], component["version"]) == ("pinch", __version__)
    assert {each["purl"] for each in sbom["components"]} == {
        f"pkg:pypi/{name}@{version}" for name, version in locked("requirements.txt").items()
    }
    for component in sbom["components"]:
        assert component["licenses"]
        assert component["externalReferences"][-1]["hashes"]


def test_no_secret_is_in_the_repository_or_the_artefact(arm64: Path) -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    files = [ROOT / name for name in tracked if name and (ROOT / name).is_file()]
    files += [path for path in (arm64 / "optimizer").rglob("*") if path.is_file()]

    assert [path for path in files if SECRET.search(path.read_bytes())] == []


def test_without_the_runtimes_python_the_artefact_is_built_and_the_cost_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    building._compile(tmp_path, "3.99")

    assert "no Python 3.99 here" in capsys.readouterr().err


def test_a_dependency_without_a_wheel_is_told(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="could not be installed"):
        build(tmp_path / "functions", own_architecture(), "3.4")


def test_a_folder_that_holds_something_else_is_never_emptied(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")

    with pytest.raises(BuildError, match="holds something else"):
        build(tmp_path, "arm64", "3.13")
    assert (tmp_path / "thesis.txt").exists()


def test_what_is_rewritten_has_the_same_bytes_whenever_it_is_built(tmp_path: Path) -> None:
    data = Path(botocore.__file__).parent / "data"
    made = []
    for moment in ("2026-01-01", "2027-01-01"):
        copy = tmp_path / moment
        shutil.copytree(data / "s3", copy / "s3")
        shutil.copy(data / "endpoints.json", copy)
        with travel(moment):
            building._trim_services(copy)
        made.append({path.relative_to(copy): path.read_bytes() for path in copy.rglob("*") if path.is_file()})

    assert made[0] == made[1]
    assert len(made[0][Path("endpoints.json")]) < (data / "endpoints.json").stat().st_size / 10


def test_the_callers_environment_does_not_lead_the_compiler_astray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    (tmp_path / "a.py").write_text("")

    building._compile(tmp_path, f"{sys.version_info.major}.{sys.version_info.minor}")

    assert [path.name for path in tmp_path.rglob("a.*pyc")] == [
        f"a.cpython-{sys.version_info.major}{sys.version_info.minor}.pyc"
    ]


def test_an_artefact_that_lambda_would_refuse_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "MAX_BYTES", 1)
    monkeypatch.setattr("subprocess.run", lambda *_, **__: subprocess.CompletedProcess([], 0))
    monkeypatch.setattr(building, "_remove_unused", lambda _: None)
    monkeypatch.setattr(building, "_trim_services", lambda _: None)
    monkeypatch.setattr(building, "find_python", lambda _: [sys.executable])
    (tmp_path / "functions").mkdir()

    with pytest.raises(BuildError, match="Lambda takes 0"):
        build(tmp_path / "functions", "arm64", "3.13")
