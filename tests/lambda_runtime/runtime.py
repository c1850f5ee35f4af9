"""Runs a handler of the built artefact under AWS's own Lambda Runtime Interface Emulator."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import awslambdaric
import requests

from infra.build import own_architecture
from infra.local import HOST
from tests.emulators import wait_until_open
from tests.product import ROOT, free_port

SAM = ROOT / ".tools" / "aws-sam-cli" / "bin" / "sam"
RUNTIME_CLIENT = (
    "awslambdaric",
    "runtime_client.*.so",
    "simplejson",
    "snapshot_restore_py.py",
)  # what the Lambda runtime brings itself


class Runtime:
    """A warm instance of one function."""

    def __init__(self, port: int, log: Path) -> None:
        self._url = f"http://{HOST}:{port}/2015-03-31/functions/function/invocations"
        self._log = log

    def invoke(self, event: Any) -> Any:
        """Return what the function returns; fails the test when the invocation does."""
        answer = requests.post(self._url, data=json.dumps(event), timeout=60).json()
        assert not (isinstance(answer, dict) and "errorType" in answer), answer
        return answer

    @property
    def log(self) -> str:
        """All that the function wrote so far."""
        return self._log.read_text()


@contextmanager
def lambda_runtime(artefact: Path, handler: str, log: Path, **environ: str) -> Iterator[Runtime]:
    """Start the emulator with the artefact and nothing else: no site-packages, no source folder."""
    client = log.parent / f"{log.name}-client"
    client.mkdir()
    installed = Path(awslambdaric.__file__).parent.parent
    for part in (path for name in RUNTIME_CLIENT for path in installed.glob(name)):
        (client / part.name).symlink_to(part)
    port, api_port = free_port(), free_port()
    emulator = next((SAM.parent.parent / "lib").glob(f"python*/**/rapid/aws-lambda-rie-{own_architecture()}"))
    command = [
        *(str(emulator), "--runtime-interface-emulator-address", f"{HOST}:{port}"),
        *("--runtime-api-address", f"{HOST}:{api_port}"),
        *(os.path.realpath(sys.executable), "-S", "-m", "awslambdaric", f"optimizer.handlers.{handler}"),
    ]
    lambda_environ = {
        "AWS_LAMBDA_FUNCTION_NAME": f"pinch-{handler}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "3008",
        "AWS_LAMBDA_FUNCTION_TIMEOUT": "28",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "PYTHONPATH": f"{artefact}:{client}",
        "PATH": os.environ["PATH"],
    }
    emulator.chmod(0o755)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=artefact, env=lambda_environ | environ, stdout=output, stderr=output, start_new_session=True
        )
    try:
        wait_until_open(port, process)
        yield Runtime(port, log)
    finally:
        os.killpg(process.pid, 15)  # the emulator and the runtime that it started
        process.wait(timeout=60)
