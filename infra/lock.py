"""Writes requirements/locks/: every package that pip installs, with its version and the hashes of all its files.

make lock                                      keeps the locked versions, as far as the requirements allow
make lock OPTIONS="--upgrade-package urllib3"  takes the newest version of one; any option of uv pip compile works
"""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

from infra.setup import LOCKS, REQUIREMENTS, ROOT, TOOLS, listed

HEADER = "# Made by `make lock`.\n"
# Each has a lock of the same name. The first contains everything in the others, and sets their versions.
PRODUCT = (
    *(REQUIREMENTS / f"{name}.txt" for name in ("dev", "local", "container", "page")),
    ROOT / "requirements.txt",
)


class Locked(NamedTuple):
    """One package of a lock. If it has a marker, it is only installed where the marker holds."""

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
    """Write the lock of the files in the arguments; `-` stands for `requirements`. Versions in the lock are kept."""
    command = [str(TOOLS / "uv" / "bin" / "uv"), "pip", "compile", "--quiet", "--generate-hashes"]
    # For every platform, and the same versions for every Python, so that the tested versions are the deployed ones.
    universal = ["--universal", "--python-version", _oldest_python(), "--fork-strategy", "fewest"]
    # Ignore this machine's configuration, so that every machine writes the same lock.
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
