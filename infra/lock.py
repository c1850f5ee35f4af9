"""Writes requirements/locks/: all that pip installs, each with its version and the hashes of all its files.

make lock                                      keeps the versions that are locked, as far as the requirements let it
make lock OPTIONS="--upgrade-package urllib3"  takes the newest of one; or any other option of uv pip compile
"""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

from infra.setup import LOCKS, REQUIREMENTS, ROOT, TOOLS, listed

HEADER = "# Made by `make lock`.\n"
# Each has a lock of its name. The first has all that the others have, and gives them its versions.
PRODUCT = (
    *(REQUIREMENTS / f"{name}.txt" for name in ("dev", "local", "container", "page")),
    ROOT / "requirements.txt",
)


class Locked(NamedTuple):
    """One package of a lock; it is installed where the marker, if there is one, holds."""

    name: str
    version: str
    marker: str
    hashes: list[str]


def read_lock(lock: Path) -> list[Locked]:
    lines = lock.read_text().replace("\\\n", "").splitlines()
    return [_parse(line) for line in lines if not line.startswith("#")]


def _parse(line: str) -> Locked:
    requirement, *hashes = (part.strip() for part in line.split("--hash=sha256:"))
    pin, _, marker = requirement.partition(" ; ")
    name, _, version = pin.partition("==")
    return Locked(name, version, marker, hashes)


def main(options: list[str]) -> None:
    everything, *parts = PRODUCT
    _lock(everything.name, [str(everything), *options])
    for part in parts:
        _lock(part.name, [str(part), "--constraints", str(LOCKS / everything.name), *options])
    for requirement in listed("tools.txt"):
        _lock(f"{requirement.partition('==')[0]}.txt", ["-", *options], requirement)
    _lock("bench-tools.txt", ["-", *options], "\n".join(each for each in listed("bench-tools.txt") if "==" in each))


def _lock(name: str, arguments: list[str], requirements: str = "") -> None:
    """Write the lock of what the arguments name, `-` being these requirements, with the versions that it has."""
    command = [str(TOOLS / "uv" / "bin" / "uv"), "pip", "compile", "--quiet", "--generate-hashes"]
    # For every platform, and the same versions for every Python, so that what is tested is what is deployed.
    universal = ["--universal", "--python-version", _oldest_python(), "--fork-strategy", "fewest"]
    # Nothing of this machine, so that every machine writes the same.
    index = ["--no-config", "--default-index", "https://pypi.org/simple"]
    output = ["--no-header", "--no-annotate", "--output-file", str(LOCKS / name)]
    subprocess.run(
        [*command, *universal, *index, *output, *arguments], cwd=ROOT, input=requirements, text=True, check=True
    )
    lock = LOCKS / name
    lock.write_text(HEADER + lock.read_text())


def _oldest_python() -> str:
    wanted: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    return wanted.removeprefix(">=")


if __name__ == "__main__":
    main(sys.argv[1:])
