"""Runs the container's own command, taken from the Dockerfile."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import requests

from infra.bundle import build_page
from optimizer.config import Config
from tests.product import ROOT, free_port

# The lines of the Dockerfile with continued ones joined; those of the product come after the last FROM.
DOCKERFILE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text()).splitlines()
PRODUCT = DOCKERFILE[max(n for n, line in enumerate(DOCKERFILE) if line.startswith("FROM ")) :]
WORKERS = 4


def instruction(name: str) -> str:
    (found,) = [line.removeprefix(f"{name} ") for line in PRODUCT if line.startswith(f"{name} ")]
    return found


def command(instruction_line: str) -> list[str]:
    """Return the command of an instruction in its exec form."""
    parsed: list[str] = json.loads(instruction_line[instruction_line.index("[") :])
    return parsed


def environment(**options: object) -> dict[str, str]:
    """Return what the image sets, with this environment's programs in place of its own, and these options."""
    inherited = {key: value for key, value in os.environ.items() if key.lower() not in Config.__dataclass_fields__}
    image = dict(pair.split("=", 1) for pair in shlex.split(instruction("ENV")))
    image["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return inherited | image | {key: str(value) for key, value in options.items()}


def fill(folder: Path) -> None:
    """Put into the folder what the Dockerfile puts into the image's, but for what it installs."""
    for line in PRODUCT:
        match line.split():
            case ["COPY", "--from=page", _, target]:
                build_page(folder / target)
            case ["COPY", source, target]:
                (folder / target).symlink_to(ROOT / source)


@contextmanager
def started(**options: object) -> Iterator[subprocess.Popen[str]]:
    """Yield the running command; end it and all that it started."""
    pipe = subprocess.PIPE
    with TemporaryDirectory() as folder:
        fill(Path(folder))
        process = subprocess.Popen(
            command(instruction("CMD")), cwd=folder, env=environment(**options), stdout=pipe, stderr=pipe, text=True
        )
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=60)


@dataclass(frozen=True)
class Container:
    """The running command: its process, where it listens, the pids of its workers, and the lines of its log so far."""

    process: subprocess.Popen[str]
    port: int
    workers: list[int]
    log: list[str]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self) -> requests.Response:
        """Send a request that is counted and then refused."""
        return requests.post(f"{self.address}/api/uploads", json=[], timeout=60)


@contextmanager
def running(workers: int = WORKERS, **options: object) -> Iterator[Container]:
    port = free_port()
    with started(PORT=port, WEB_CONCURRENCY=workers, **options) as process:
        assert process.stderr
        pids: list[int] = []
        for line in process.stderr:
            pids += map(int, re.findall(r"Booting worker with pid: (\d+)", line))
            if len(pids) == workers:
                break
        else:
            raise RuntimeError("Gunicorn ended before it had its workers.")
        log: list[str] = []
        reader = Thread(target=log.extend, args=(process.stderr,))  # a full pipe would stop the container
        reader.start()
        try:
            yield Container(process, port, pids, log)
        finally:
            process.terminate()
            reader.join()
