"""Builds the functions with their pinned dependencies for deployment, for either processor and without a container.

make build                        for arm64, into build/functions, where template.yaml expects it
make build ARCHITECTURE=x86_64
"""

import argparse
import gzip
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from infra.resources import load_template
from infra.setup import LOCKS

ROOT = Path(__file__).parent.parent
# The platforms whose wheels the runtime's glibc (2.34) can load.
PLATFORMS = {
    "arm64": ["manylinux_2_34_aarch64", "manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"],
    "x86_64": ["manylinux_2_34_x86_64", "manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"],
}
MAX_BYTES = 250 * 2**20  # unzipped; "Lambda quotas" in the AWS Lambda developer guide
# Files that the functions never load: tests, stubs, programs, and Pillow's modules for fonts, windows and AVIF with
# their libraries.
UNUSED = (
    *("**/tests", "**/*.pyi", "*-stubs", "bin", "numpy/f2py", "cv2/data/*.xml"),
    *(f"PIL/{name}.*.so" for name in ("_avif", "_imagingft", "_imagingtk")),
    *(f"pillow.libs/lib{name}*" for name in ("avif", "brotli", "freetype", "harfbuzz", "png16")),
)
SERVICES = ("dynamodb", "s3")  # of the several hundred that botocore describes


class BuildError(Exception):
    """Says in one sentence why there is no artefact."""


def runtime() -> str:
    """Return the version of the functions' Python, like `3.13`."""
    name: str = load_template()["Globals"]["Function"]["Runtime"]
    return name.removeprefix("python")


def build(output: Path, architecture: str, python: str) -> int:
    """Fill the folder with the artefact for this processor and version of Python. Return its size in bytes.

    Raises BuildError if a wheel is missing, if the folder contains something else, or if the artefact is too large for
    Lambda.
    """
    if output.exists():
        if any(output.iterdir()) and not (output / "optimizer").is_dir():
            raise BuildError(f"{output} holds something else. Name a folder that is empty or does not exist.")
        shutil.rmtree(output)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    target = ["--target", str(output), "--python-version", python, "--implementation", "cp", "--only-binary", ":all:"]
    platforms = [word for name in PLATFORMS[architecture] for word in ("--platform", name)]
    requirements = ["--no-deps", "--require-hashes", "-r", str(LOCKS / "requirements.txt")]
    done = subprocess.run([*install, *target, *platforms, *requirements], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"the dependencies could not be installed: {done.stderr[-2_000:]}")
    _remove_unused(output)
    _trim_services(output / "botocore" / "data")
    shutil.copytree(
        ROOT / "functions" / "optimizer", output / "optimizer", ignore=shutil.ignore_patterns("__pycache__")
    )
    _compile(output, python)
    size = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
    if size > MAX_BYTES:
        raise BuildError(f"the artefact has {size // 2**20} MB, and Lambda takes {MAX_BYTES // 2**20}.")
    return size


def _remove_unused(output: Path) -> None:
    data = output / "botocore" / "data"
    services = [path for path in data.iterdir() if path.is_dir() and path.name not in SERVICES]
    for path in [*services, *(path for pattern in UNUSED for path in output.glob(pattern))]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _trim_services(data: Path) -> None:
    """Remove from botocore's descriptions what every start reads but nothing uses: prose, and other services."""
    for path in [*data.rglob("service-2.json.gz"), *data.rglob("service-2.json")]:
        packed = path.suffix == ".gz"
        description = json.loads(
            gzip.decompress(path.read_bytes()) if packed else path.read_bytes(), object_hook=_without_prose
        )
        text = json.dumps(description, separators=(",", ":")).encode()
        path.write_bytes(gzip.compress(text, mtime=0) if packed else text)  # mtime 0: each build gives the same bytes
    endpoints = data / "endpoints.json"
    described = json.loads(endpoints.read_text())
    for partition in described["partitions"]:
        partition["services"] = {
            name: partition["services"][name] for name in SERVICES if name in partition["services"]
        }
    endpoints.write_text(json.dumps(described, separators=(",", ":")))


def _without_prose(described: dict[str, object]) -> dict[str, object]:
    return described | {"documentation": ""} if isinstance(described.get("documentation"), str) else described


def _compile(output: Path, python: str) -> None:
    """Compile for exactly this version of Python. The .pyc files are marked as unchecked, since a zip loses times."""
    interpreter = find_python(python)
    if interpreter is None:
        print(
            f"There is no Python {python} here to compile for the runtime: the functions will start more slowly, by "
            "about half a second. Install it and build again.",
            file=sys.stderr,
        )
        return
    options = ["--invalidation-mode", "unchecked-hash", "-s", str(output), "-qq", "-j", "0"]
    subprocess.run(
        [*interpreter, "-I", "-m", "compileall", *options, str(output)], env=_environment(python), check=True
    )


def find_python(python: str) -> list[str] | None:
    """Return the command that runs this version of Python, or None if it is not installed."""
    for command in (sys.executable, f"python{python}"):
        code = ["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        try:
            done = subprocess.run(
                [command, *code], env=_environment(python), capture_output=True, text=True, check=False
            )
        except FileNotFoundError:
            continue
        if done.stdout.strip() == python:
            return [command]
    return None


def _environment(python: str) -> dict[str, str]:
    """Return the environment in which pyenv, if it is used, selects this version."""
    return os.environ | {"PYENV_VERSION": python}


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the functions.")
    parser.add_argument("--architecture", choices=PLATFORMS, default="arm64")
    parser.add_argument("--output", type=Path, default=Path("build/functions"))
    chosen = parser.parse_args()
    try:
        size = build(chosen.output, chosen.architecture, runtime())
    except BuildError as error:
        print(f"Pinch cannot be built: {error}", file=sys.stderr)
        return 1
    print(f"{chosen.output}: {size / 10**6:.0f} MB for Python {runtime()} on {chosen.architecture}")
    return 0


def own_architecture() -> str:
    """Return this machine's processor under Lambda's name for it."""
    return {"aarch64": "arm64"}.get(platform.machine(), platform.machine())


if __name__ == "__main__":
    sys.exit(main())
