import subprocess
import sys
import time
from pathlib import Path

import requests

from tests.product import free_port


def test_the_same_app_runs_under_gunicorn() -> None:
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--threads", "4", "optimizer.handlers:app"],
        cwd=Path(__file__).parent.parent / "functions",
        stderr=subprocess.PIPE,
    )
    try:
        for _ in range(100):
            try:
                answer = requests.get(f"http://127.0.0.1:{port}/api/health", timeout=5)
                break
            except requests.ConnectionError:
                time.sleep(0.1)
    finally:
        server.terminate()
        server.communicate(timeout=10)

    assert answer.json() == {"status": "ok"}
